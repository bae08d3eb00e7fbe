package conformance

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/wire/model"
)

// TestCompression sends what the vectors of request compression leave out: the
// compressed body.
func TestCompression(t *testing.T) {
	m, err := model.Parse([]byte(`{
		"metadata": {"protocol": "rest-json", "apiVersion": "1"},
		"operations": {
			"Put": {"http": {"method": "POST", "requestUri": "/put"}, "input": {"shape": "In"}, "requestcompression": {"encodings": ["gzip"]}},
			"Plain": {"http": {"method": "POST", "requestUri": "/plain"}, "input": {"shape": "In"}}
		},
		"shapes": {"In": {"type": "structure", "members": {"data": {"shape": "S"}}}, "S": {"type": "string"}}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, operation, encoding string
		body                      []byte
		status                    int
	}{
		{"compressed", "Put", "gzip", zip(t, `{"data":"x"}`), 200},
		{"compressed last", "Put", "custom, gzip", zip(t, `{"data":"x"}`), 200},
		{"not compressed", "Put", "", []byte(`{"data":"x"}`), 200},
		{"not gzip", "Put", "gzip", []byte(`{"data":"x"}`), 400},
		{"cut off", "Put", "gzip", zip(t, `{"data":"x"}`)[:12], 400},
		{"bomb", "Put", "gzip", zip(t, strings.Repeat(" ", 17<<20)), 413},
		{"operation without compression", "Plain", "gzip", zip(t, `{"data":"x"}`), 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := &operation{types: newTypes(m), meta: &m.Metadata, given: m.Operations[tc.operation]}
			r, err := http.NewRequest("POST", "http://localhost"+o.given.HTTP.RequestURI, bytes.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Encoding", tc.encoding)
			resp, body, err := o.do(r)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tc.status {
				t.Errorf("status %d, want %d: %s", resp.StatusCode, tc.status, body)
			}
			if tc.status == 200 && (o.got == nil || o.got.fields[0] != "x") {
				t.Errorf("got %v", o.got)
			}
		})
	}
}

func zip(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	if _, err := zw.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
