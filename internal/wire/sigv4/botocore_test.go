package sigv4

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// TestVerifiesWhatBotocoreSigns: botocore normalises paths and sorts queries in
// its own way. testdata/botocore.json holds requests that its signers made at testTime.
func TestVerifiesWhatBotocoreSigns(t *testing.T) {
	b, err := os.ReadFile("testdata/botocore.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Service, Method, URL, Body string
		Headers                    map[string]string
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for i, c := range all {
		u, err := url.Parse(c.URL)
		if err != nil {
			t.Fatal(err)
		}
		// The request target goes over the wire as the client wrote it.
		target := strings.TrimPrefix(c.URL, u.Scheme+"://"+u.Host)
		var text strings.Builder
		fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", c.Method, target, u.Host)
		for k, v := range c.Headers {
			fmt.Fprintf(&text, "%s: %s\r\n", k, v)
		}
		text.WriteString("\r\n" + c.Body)
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text.String())))
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(r, []byte(c.Body)); err != nil {
			t.Errorf("%d: %s %s: %v", i, c.Service, c.URL, err)
		}
	}
}
