package iam

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/store/mem"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

func TestStreamingPayloads(t *testing.T) {
	s := mem.New()
	t.Cleanup(func() { s.Close() })
	a := open(t, s, newClock(), ModeSigV4)
	cred := bootstrap(t, a)
	for _, tc := range []struct{ kind, body, want, code string }{
		{sigv4.StreamingUnsignedTrailer, "2\r\n{}\r\n0\r\nx-amz-checksum-crc32:o6a/Qw==\r\n\r\n", "{}", ""},
		{sigv4.StreamingUnsignedTrailer, "2\r\n{}\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "", "InvalidSignatureException"},
		{sigv4.StreamingUnsignedTrailer, "0\r\n\r\n{}", "", "IncompleteBody"},
		{sigv4.StreamingUnsignedTrailer, "0\r\n\r\n", "", ""},
		{sigv4.StreamingUnsignedTrailer, "5\r\n{}", "", "IncompleteBody"},
		{sigv4.StreamingPayload, "2;chunk-signature=" + strings.Repeat("0", 64) + "\r\n{}\r\n0;chunk-signature=" + strings.Repeat("0", 64) + "\r\n\r\n", "", "InvalidSignatureException"},
		{sigv4.StreamingPayload, "{}", "", "IncompleteBody"},
		{"STREAMING-SOMETHING", "{}", "", "IncompleteBody"},
	} {
		r, _ := http.NewRequest("POST", "http://127.0.0.1:4566/2015-03-31/functions/f/invocations", strings.NewReader(tc.body))
		r.Header.Set("X-Amz-Content-Sha256", tc.kind)
		sigv4.Sign(r, cred, sigv4.SignOptions{Region: "eu-west-1", Service: "lambda", Time: a.Now(), PayloadHash: tc.kind})
		id, err := a.Authenticate(r, []byte(tc.body), "lambda", wire.RestJSON)
		var f wire.Fault
		switch {
		case tc.code == "" && (err != nil || id.Payload == nil || string(id.Payload) != tc.want):
			t.Errorf("%s %q: %q, %v", tc.kind, tc.body, id.Payload, err)
		case tc.code != "" && (!errors.As(err, &f) || f.FaultCode() != tc.code):
			t.Errorf("%s %q: %v, want %s", tc.kind, tc.body, err, tc.code)
		}
	}
}

func TestModeNoneUndoesChunks(t *testing.T) {
	s := mem.New()
	t.Cleanup(func() { s.Close() })
	a := open(t, s, newClock(), ModeNone)
	for body, want := range map[string]string{"2;chunk-signature=0\r\n{}\r\n0\r\n\r\n": "{}", "{}": ""} {
		r, _ := http.NewRequest("POST", "http://127.0.0.1:4566/", strings.NewReader(body))
		r.Header.Set("X-Amz-Content-Sha256", sigv4.StreamingPayload)
		if id, err := a.Authenticate(r, []byte(body), "lambda", wire.RestJSON); string(id.Payload) != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q %v", body, id.Payload, err)
		}
	}
}
