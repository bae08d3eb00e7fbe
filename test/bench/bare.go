package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// bareInvokes sends the same signed requests to an HTTP server that only answers: what the
// client, HTTP and the loopback cost without lambdad.
func bareInvokes(ctx context.Context, c *caller, length time.Duration) (sample, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	bare := *c
	bare.server = &runningServer{endpoint: "http://" + l.Addr().String()}
	all, _, err := load(ctx, &bare, "bare", 1, length)
	return all, err
}
