package compat

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

func decode(t *testing.T, s string) map[string]any {
	t.Helper()
	m, ok := decodeAny(t, s).(map[string]any)
	if !ok {
		t.Fatalf("not a JSON object: %s", s)
	}
	return m
}

func decodeAny(t *testing.T, s string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("not JSON: %v: %q", err, s)
	}
	return v
}

func decodeBase64(t *testing.T, s string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatalf("not base64: %v: %q", err, s)
	}
	return string(b)
}

// download fetches a presigned URL, which needs no other credentials.
func download(t *testing.T, url string) []byte {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s\n%s", url, response.Status, body)
	}
	return body
}
