package wire

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"
)

func FuzzRefuse(f *testing.F) {
	for _, head := range []string{
		"", "GET", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.1\r\nX-Amz-Target: a.b\r\nContent-Type: application/x-amz-json-1.0\r\n",
		"POST /service/S/operation/O HTTP/1.1\nAuthorization: AWS4-HMAC-SHA256 Credential=a/b/c/d/e, x\n", "GET /?X-Amz-Credential=%zz",
	} {
		f.Add([]byte(head))
	}
	s := &Server{}
	f.Fuzz(func(t *testing.T, head []byte) {
		answer := s.refuse(head[:min(len(head), headKept)], http.StatusBadRequest, "reason")
		res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
		if err != nil || res.StatusCode != http.StatusBadRequest {
			t.Fatalf("%v: %q", err, answer)
		}
	})
}

func TestRefusesUnknownExpectations(t *testing.T) {
	status, _, ok := refusal([]byte("HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
	if !ok || status != http.StatusExpectationFailed {
		t.Errorf("%d %v", status, ok)
	}
}

// Services that were born with JSON say 400 where others say 403; those that once spoke the query protocol do not.
func TestStatusOfRefusals(t *testing.T) {
	denied := NewFault(http.StatusForbidden, "AccessDeniedException", "no")
	old := &endpoint{Service: &Service{QueryCompatible: true}}
	for _, tc := range []struct {
		endpoint *endpoint
		fault    Fault
		want     int
	}{
		{nil, denied, 400}, {&endpoint{Service: &Service{}}, denied, 400}, {old, denied, 403},
		{nil, NewFault(http.StatusRequestEntityTooLarge, "x", "y"), 413},
	} {
		if got := (awsJSON{}).status(&exchange{endpoint: tc.endpoint}, tc.fault); got != tc.want {
			t.Errorf("%v %v: %d, want %d", tc.endpoint, tc.fault, got, tc.want)
		}
	}
}
