package lambda

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

func TestCodeLocationDownloads(t *testing.T) {
	var later atomic.Int64
	h := newHouse(t, func(o *Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	server := httptest.NewServer(h.CodeHandler())
	defer server.Close()
	in := createRequest(t, "f")
	if _, err := h.h.CreateFunction(t.Context(), call(), in); err != nil {
		t.Fatal(err)
	}
	c := call()
	c.Endpoint = server.URL
	out, err := h.h.GetFunction(t.Context(), c, &api.GetFunctionRequest{FunctionName: wire.Ptr("f")})
	if err != nil {
		t.Fatal(err)
	}
	location := *out.Code.Location
	if status, body := get(t, location); status != 200 || !bytes.Equal(body, in.Code.ZipFile) {
		t.Errorf("status %d, %d bytes", status, len(body))
	}

	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Repeat("0", 64)
	for name, bad := range map[string]string{
		"no signature":    server.URL + u.Path,
		"other package":   strings.Replace(location, string(u.Path[len(CodePath):]), other, 1),
		"longer life":     strings.Replace(location, "expires=", "expires=9", 1),
		"other signature": location[:len(location)-4] + "0000",
		"above":           server.URL + CodePath + "..%2f..%2fsecret?" + u.RawQuery,
	} {
		if status, body := get(t, bad); status != http.StatusForbidden || !strings.Contains(string(body), "<Code>SignatureDoesNotMatch</Code>") {
			t.Errorf("%s: status %d, %s", name, status, body)
		}
	}
	// Signed by us, but not there, or not a package.
	for _, name := range []artifact.Digest{artifact.Digest(other), "../secret"} {
		if status, _ := get(t, h.signer.location(server.URL, name)); status != http.StatusNotFound {
			t.Errorf("%s: status %d", name, status)
		}
	}
	resp, err := http.Post(location, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", resp.StatusCode)
	}
	later.Store(int64(locationLife + 2*time.Second))
	if status, body := get(t, location); status != http.StatusForbidden || !strings.Contains(string(body), "Request has expired") {
		t.Errorf("late: status %d, %s", status, body)
	}
}

func get(t *testing.T, u string) (int, []byte) {
	t.Helper()
	resp, err := http.Get(u)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func TestLocationSecretIsShared(t *testing.T) {
	h := newHouse(t)
	again := openHouse(t, h.store, h.artifacts)
	if !bytes.Equal(h.signer.secret, again.signer.secret) || len(h.signer.secret) != secretBytes {
		t.Error("two nodes of one store sign differently")
	}
}

func TestSweepRemovesWhatNobodyUses(t *testing.T) {
	h := newHouse(t)
	h.create("keep")
	in := createRequest(t, "gone")
	in.Code.ZipFile = zipOf(t, map[string]string{"gone.py": "x = 1"})
	if _, err := h.h.CreateFunction(t.Context(), call(), in); err != nil {
		t.Fatal(err)
	}
	if n, err := h.sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d that are in use, %v", n, err)
	}
	if _, err := h.h.DeleteFunction(t.Context(), call(), &api.DeleteFunctionRequest{FunctionName: wire.Ptr("gone")}); err != nil {
		t.Fatal(err)
	}
	if n, err := h.sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	f, err := h.table.Get(t.Context(), record.FunctionID{Account: testAccount, Region: testRegion, Name: "keep"}, record.Latest)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.artifacts.OpenZip(artifact.Digest(f.Artifact)); err != nil {
		t.Error(err)
	}
}
