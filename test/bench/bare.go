package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// bareFlag makes this program the bare server instead of the bench.
const bareFlag = "-bare-server"

// serveBare answers every request with its body, and prints its address first. It is a
// process of its own, as lambdad is: waking one up is a good part of what a request costs.
func serveBare() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
}

// bareInvokes sends the same signed requests to an HTTP server that only answers: what the
// client, HTTP and the loopback cost without lambdad.
func bareInvokes(ctx context.Context, c *caller, length time.Duration) (sample, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, bareFlag)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the bare server: %w", err)
	}
	bare := *c
	bare.server = &runningServer{endpoint: "http://" + strings.TrimSpace(address)}
	all, _, err := load(ctx, &bare, "bare", 1, length)
	return all, err
}
