package node

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestInternalRoutes(t *testing.T) {
	say := func(what string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(what)) })
	}
	routes := internalRoutes{"/_lambdad/code/": say("code"), "/_lambdad/health": healthHandler(func() Health { return Health{Status: "ready"} })}
	for _, tc := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/_lambdad/health", 200, `"status":"ready"`},
		{"POST", "/_lambdad/health", 405, `{"message":"GET or HEAD only."}`},
		{"GET", "/_lambdad/code/abc", 200, "code"},
		{"GET", "/_lambdad/code", 404, `{"message":"lambdad has nothing at this path."}`},
		{"GET", "/_lambdad/health/", 404, "nothing"},
		{"GET", "/_lambdad/../x", 404, "nothing"},
		{"GET", "/_lambdad//health", 404, "nothing"},
	} {
		w := httptest.NewRecorder()
		routes.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s %s: %d %s, want %d %s", tc.method, tc.path, w.Code, w.Body, tc.status, tc.want)
		}
		if got := w.Header().Get("Content-Type"); w.Code >= 400 && got != "application/json" {
			t.Errorf("%s %s: Content-Type %q", tc.method, tc.path, got)
		}
	}
}
