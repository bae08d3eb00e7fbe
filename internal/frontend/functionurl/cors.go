package functionurl

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/lambdad/lambdad/internal/record"
)

// preflight: a browser asks whether a request would be let through. The function does not run.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

func answerPreflight(w http.ResponseWriter, cors http.Header) {
	for name, values := range cors {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// corsHeaders are what a URL's configuration adds to an answer. Source: Lambda API, Cors.
func corsHeaders(c *record.Cors, r *http.Request) http.Header {
	origin := r.Header.Get("Origin")
	if c == nil || origin == "" {
		return nil
	}
	allowed := ""
	for _, o := range c.AllowOrigins {
		if o == "*" || strings.EqualFold(o, origin) {
			allowed = origin
			if o == "*" && !c.AllowCredentials {
				allowed = "*"
			}
			break
		}
	}
	if allowed == "" {
		return nil
	}
	h := http.Header{"Access-Control-Allow-Origin": {allowed}, "Vary": {"Origin"}}
	if c.AllowCredentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if len(c.ExposeHeaders) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(c.ExposeHeaders, ","))
	}
	if !preflight(r) {
		return h
	}
	if want := r.Header.Get("Access-Control-Request-Method"); slices.Contains(c.AllowMethods, "*") || slices.Contains(c.AllowMethods, want) {
		h.Set("Access-Control-Allow-Methods", strings.Join(c.AllowMethods, ","))
	}
	if len(c.AllowHeaders) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(c.AllowHeaders, ","))
	}
	if c.MaxAgeS != nil {
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(*c.MaxAgeS)))
	}
	return h
}
