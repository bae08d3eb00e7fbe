package node

import (
	"net/http"
	"strings"
)

// internalRoutes are the node's own paths under /_lambdad/; one that ends in a slash
// serves all below it. Unlike http.ServeMux it neither redirects nor answers in HTML
// or plain text: whoever gets lost here is most likely an AWS client.
type internalRoutes map[string]http.Handler

func (routes internalRoutes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h, ok := routes[r.URL.Path]; ok {
		h.ServeHTTP(w, r)
		return
	}
	for prefix, h := range routes {
		if strings.HasSuffix(prefix, "/") && strings.HasPrefix(r.URL.Path, prefix) {
			h.ServeHTTP(w, r)
			return
		}
	}
	internalError(w, http.StatusNotFound, "UnknownOperationException", "lambdad has nothing at this path.")
}

func internalError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header()["x-amzn-ErrorType"] = []string{code}
	w.WriteHeader(status)
	// Both are constants of this program without anything to escape.
	_, _ = w.Write([]byte(`{"message":"` + message + `"}`))
}
