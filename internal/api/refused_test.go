package api_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/api/lambda"
)

// What net/http itself refuses is answered in the form of the protocol that the request
// would have spoken.
func TestRefusedByHTTP(t *testing.T) {
	server := newServer(t, lambda.Handlers{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: server, MaxHeaderBytes: 8 << 10}
	go h.Serve(server.Listener(l))
	t.Cleanup(func() { h.Close() })

	const (
		signed = "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20261122/us-east-1/%SERVICE%/aws4_request, SignedHeaders=host, Signature=00\r\n"
		json   = "application/json"
		xml    = "text/xml"
	)
	for name, c := range map[string]struct {
		request, media, body string
		status               int
	}{
		"bad escape, nothing named": {"GET /a%zz HTTP/1.1\r\nHost: x\r\n\r\n", json, `{"message":`, 400},
		"bad escape, rest":          {"GET /a%zz HTTP/1.1\r\nHost: x\r\n" + strings.ReplaceAll(signed, "%SERVICE%", "lambda") + "\r\n", json, `{"message":`, 400},
		"bad escape, query":         {"POST /%zz HTTP/1.1\r\nHost: x\r\n" + strings.ReplaceAll(signed, "%SERVICE%", "iam") + "\r\n", xml, "<Code>MalformedHttpRequestException</Code>", 400},
		"two hosts":                 {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", json, "", 400},
		"no host":                   {"GET / HTTP/1.1\r\n\r\n", json, "missing required Host header", 400},
		"a target's bad header":     {"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Logs_20140328.DescribeLogGroups\r\nX\x01: y\r\n\r\n", "application/x-amz-json-1.1", `"__type":"MalformedHttpRequestException"`, 400},
		"too large a header":        {"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 20<<10) + "\r\n\r\n", json, "", 431},
		"an unknown coding":         {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: rot13\r\n\r\n", json, "", 501},
		"an unknown version":        {"GET / HTTP/3.7\r\nHost: x\r\n\r\n", json, "", 505},
		"no HTTP at all":            {"\x16\x03\x01\x02\x00\x01\r\n\r\n", json, "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			c1, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c1.Close()
			if _, err := io.WriteString(c1, c.request); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(c1), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || res.Header.Get("Content-Type") != c.media || !strings.Contains(string(body), c.body) {
				t.Errorf("answer %s %s %s, want %d %s %s", res.Status, res.Header, body, c.status, c.media, c.body)
			}
			if n := len(res.Header["Date"]); n != 1 || res.Header.Get("X-Amzn-Requestid") == "" {
				t.Errorf("headers %v: want one Date and a request id", res.Header)
			}
		})
	}
}
