package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

func hexOf(k Key) string { return hex.EncodeToString(k[:]) }

// chunkedBody encodes as a client would, from the published description of
// the format.
func chunkedBody(claim Claim, key Key, chunks []string, trailer string) string {
	var b strings.Builder
	prev := hexOf(claim.Signature)
	sign := func(kind string, hashes ...string) string {
		text := strings.Join(append([]string{kind, claim.Timestamp, claim.Scope.String(), prev}, hashes...), "\n")
		prev = hexOf(mac(key[:], []byte(text)))
		return prev
	}
	signed := claim.ContentSHA256 != StreamingUnsignedTrailer
	for _, c := range append(chunks, "") {
		b.WriteString(strconv.FormatInt(int64(len(c)), 16))
		if signed {
			b.WriteString(";chunk-signature=" + sign("AWS4-HMAC-SHA256-PAYLOAD", HashPayload(nil), HashPayload([]byte(c))))
		}
		b.WriteString("\r\n")
		if c != "" {
			b.WriteString(c + "\r\n")
		}
	}
	if trailer != "" {
		b.WriteString(trailer + "\r\n")
		if signed {
			sum := sha256.Sum256([]byte(trailer + "\n"))
			b.WriteString("x-amz-trailer-signature:" + sign("AWS4-HMAC-SHA256-TRAILER", hex.EncodeToString(sum[:])) + "\r\n")
		}
	}
	return b.String() + "\r\n"
}

func TestChunkReader(t *testing.T) {
	chunks := []string{strings.Repeat("a", 70000), "b", strings.Repeat("c", 8192)}
	whole := strings.Join(chunks, "")
	key := Key{7}
	for _, kind := range []string{StreamingPayload, StreamingPayloadTrailer, StreamingUnsignedTrailer} {
		claim := Claim{Timestamp: "20261122T123000Z", Scope: Scope{"20261122", "us-east-1", "s3"}, Signature: Key{1, 2}, ContentSHA256: kind}
		trailer := ""
		if kind != StreamingPayload {
			trailer = "x-amz-checksum-crc32c:sOO8/Q=="
		}
		body := chunkedBody(claim, key, chunks, trailer)
		read := func(body string, k Key) (string, *ChunkReader, error) {
			r, err := NewChunkReader(iotest.HalfReader(strings.NewReader(body)), claim, k)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			return string(got), r, err
		}
		got, r, err := read(body, key)
		if err != nil || got != whole {
			t.Errorf("%s: %d bytes, %v", kind, len(got), err)
		}
		if trailer != "" && r.Trailer().Get("X-Amz-Checksum-Crc32c") != "sOO8/Q==" {
			t.Errorf("%s: trailer %v", kind, r.Trailer())
		}
		for _, cut := range []int{0, 1, 5, 100, 70100, len(body) - 100} {
			if kind == StreamingUnsignedTrailer && cut == len(body)-100 {
				continue
			}
			if _, _, err := read(body[:cut], key); !errors.Is(err, ErrChunk) && !errors.Is(err, ErrMismatch) {
				t.Errorf("%s cut at %d: %v", kind, cut, err)
			}
		}
		if kind == StreamingUnsignedTrailer {
			continue
		}
		if _, _, err := read(body, Key{8}); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: wrong key: %v", kind, err)
		}
		if _, _, err := read(strings.Replace(body, "ccc", "ccd", 1), key); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: changed data: %v", kind, err)
		}
		if trailer != "" {
			if _, _, err := read(strings.Replace(body, "sOO8", "sOO9", 1), key); !errors.Is(err, ErrMismatch) {
				t.Errorf("%s: changed trailer: %v", kind, err)
			}
			stripped := body[:strings.Index(body, "x-amz-checksum")] + "\r\n"
			if _, _, err := read(stripped, key); !errors.Is(err, ErrMismatch) {
				t.Errorf("%s: stripped trailer: %v", kind, err)
			}
		}
	}
}

func TestAnnouncements(t *testing.T) {
	claim := Claim{ContentSHA256: StreamingUnsignedTrailer}
	for _, tc := range []struct {
		length, trailer, body string
		want                  error
	}{
		{"", "", "2\r\n{}\r\n0\r\n\r\n", nil},
		{"2", "x-amz-checksum-crc32", "2\r\n{}\r\n0\r\nx-amz-checksum-crc32:o6a/Qw==\r\n\r\n", nil},
		{"3", "", "2\r\n{}\r\n0\r\n\r\n", ErrChunk},
		{"2", "x-amz-checksum-crc32", "2\r\n{}\r\n0\r\n\r\n", ErrChunk},
		{"2", "X-Amz-Checksum-Crc32, x-amz-meta", "2\r\n{}\r\n0\r\nx-amz-checksum-crc32:o6a/Qw==\r\n\r\n", ErrChunk},
		{"2", "x-amz-checksum-crc32", "2\r\n{}\r\n0\r\nx-amz-checksum-crc32:o6a/Qx==\r\n\r\n", ErrPayload},
	} {
		header := http.Header{"X-Amz-Decoded-Content-Length": {tc.length}, "X-Amz-Trailer": {tc.trailer}}
		if _, err := Unchunk([]byte(tc.body), claim, Key{}, header); !errors.Is(err, tc.want) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

func FuzzChunkReader(f *testing.F) {
	f.Add([]byte("3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AA==\r\n\r\n"), false)
	f.Add([]byte("3;chunk-signature="+strings.Repeat("0", 64)+"\r\nabc\r\n0\r\n\r\n"), true)
	f.Add([]byte("fffffffffffffff\r\n"), false)
	f.Fuzz(func(t *testing.T, body []byte, signed bool) {
		claim := Claim{Timestamp: "20261122T123000Z", ContentSHA256: StreamingUnsignedTrailer}
		if signed {
			claim.ContentSHA256 = StreamingPayloadTrailer
		}
		r, err := NewChunkReader(bytes.NewReader(body), claim, Key{1})
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r)
		if n > int64(len(body)) {
			t.Fatalf("%d bytes out of %d", n, len(body))
		}
		if signed && err == nil {
			t.Fatal("an unsigned body was taken")
		}
		plain, frameErr := Unframe(body, claim.ContentSHA256)
		if len(plain) > len(body) {
			t.Fatalf("%d bytes unframed out of %d", len(plain), len(body))
		}
		whole, err := Unchunk(body, claim, Key{1}, nil)
		if !signed && err == nil && (frameErr != nil || !bytes.Equal(plain, whole)) {
			t.Fatalf("verified %q, looked at %q %v", whole, plain, frameErr)
		}
	})
}
