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
