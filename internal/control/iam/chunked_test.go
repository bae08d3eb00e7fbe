package iam_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/control/iam/iamtest"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

// postChunked sends a form of the query protocol in chunks of 7 bytes; spoil may change them.
func postChunked(h *iamtest.House, cred sigv4.Credentials, kind, form string, spoil func(string) string) string {
	h.Helper()
	now := time.Now().UTC()
	var body strings.Builder
	r, _ := http.NewRequest(http.MethodPost, h.URL+"/", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Content-Encoding", "aws-chunked")
	r.Header.Set("X-Amz-Content-Sha256", kind)
	r.Header.Set("X-Amz-Decoded-Content-Length", strconv.Itoa(len(form)))
	sigv4.Sign(r, cred, sigv4.SignOptions{Region: "us-east-1", Service: "sts", Time: now, PayloadHash: kind})
	scope := sigv4.Scope{Date: now.Format("20060102"), Region: "us-east-1", Service: "sts"}
	key := sigv4.DeriveKey(cred.SecretAccessKey, scope)
	_, previous, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	sign := func(what string, hashes ...string) string {
		m := hmac.New(sha256.New, key[:])
		fmt.Fprintf(m, "%s\n%s\n%s\n%s\n%s", what, now.Format("20060102T150405Z"), scope, previous, strings.Join(hashes, "\n"))
		previous = hex.EncodeToString(m.Sum(nil))
		return previous
	}
	for rest, last := form, false; !last; {
		chunk := rest[:min(7, len(rest))]
		rest, last = rest[len(chunk):], chunk == ""
		fmt.Fprintf(&body, "%x", len(chunk))
		if kind != sigv4.StreamingUnsignedTrailer {
			body.WriteString(";chunk-signature=" + sign("AWS4-HMAC-SHA256-PAYLOAD", sigv4.HashPayload(nil), sigv4.HashPayload([]byte(chunk))))
		}
		body.WriteString("\r\n")
		if !last {
			body.WriteString(chunk + "\r\n")
		}
	}
	if kind != sigv4.StreamingPayload {
		sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(form)))
		trailer := "x-amz-checksum-crc32:" + base64.StdEncoding.EncodeToString(sum)
		body.WriteString(trailer + "\r\n")
		if kind == sigv4.StreamingPayloadTrailer {
			body.WriteString("x-amz-trailer-signature:" + sign("AWS4-HMAC-SHA256-TRAILER", sigv4.HashPayload([]byte(trailer+"\n"))) + "\r\n")
		}
	}
	body.WriteString("\r\n")
	sent := spoil(body.String())
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(sent)), int64(len(sent))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		h.Fatal(err)
	}
	if _, code, found := bytes.Cut(answer, []byte("<Code>")); found {
		code, _, _ = bytes.Cut(code, []byte("<"))
		return strconv.Itoa(resp.StatusCode) + " " + string(code)
	}
	return strconv.Itoa(resp.StatusCode)
}

func TestChunkedForms(t *testing.T) {
	h := open(t)
	const form = "Action=GetCallerIdentity&Version=2011-06-15"
	whole := func(s string) string { return s }
	replace := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	const mismatch, incomplete = "403 SignatureDoesNotMatch", "400 IncompleteBody"
	for _, tc := range []struct {
		what              string
		spoil             func(string) string
		secret            string
		payload, trailer, // wanted of each form
		unsigned string
	}{
		{"whole", whole, "", "200", "200", "200"},
		{"wrong key", whole, "wrong", mismatch, mismatch, mismatch},
		{"changed checksum", replace("crc32:", "crc32:A"), "", "200", mismatch, mismatch},
		{"cut", func(s string) string { return s[:40] }, "", incomplete, incomplete, incomplete},
		{"more behind", func(s string) string { return s + "x" }, "", incomplete, incomplete, incomplete},
		{"no chunks", func(string) string { return form }, "", incomplete, incomplete, incomplete},
	} {
		cred := h.Admin
		if tc.secret != "" {
			cred.SecretAccessKey = tc.secret
		}
		for kind, want := range map[string]string{
			sigv4.StreamingPayload: tc.payload, sigv4.StreamingPayloadTrailer: tc.trailer, sigv4.StreamingUnsignedTrailer: tc.unsigned,
		} {
			if got := postChunked(h, cred, kind, form, tc.spoil); got != want {
				t.Errorf("%s, %s: %s, want %s", kind, tc.what, got, want)
			}
		}
	}
	// A chunk's bytes change and the form stays one of the same operation.
	const other = "Action=GetCallerIdentity&Version=2011-06-15&More=abcdef"
	for kind, want := range map[string]string{
		sigv4.StreamingPayload: mismatch, sigv4.StreamingPayloadTrailer: mismatch, sigv4.StreamingUnsignedTrailer: mismatch,
	} {
		if got := postChunked(h, h.Admin, kind, other, replace("abcdef", "abcdeg")); got != want {
			t.Errorf("%s, changed chunk: %s, want %s", kind, got, want)
		}
	}
}
