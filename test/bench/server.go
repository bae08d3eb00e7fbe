package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// runningServer is one lambdad in its own process with its own data folder.
type runningServer struct {
	endpoint string
	data     string
	cmd      *exec.Cmd
	log      *os.File
}

// logBytesMax bounds what is shown of a server's log.
const logBytesMax = 16 << 10

func startServer(ctx context.Context, lambdad string, flags ...string) (*runningServer, error) {
	data, err := os.MkdirTemp("", "lambdad-bench-data-")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	listen := l.Addr().String()
	l.Close()
	log, err := os.Create(filepath.Join(data, "log"))
	if err != nil {
		return nil, err
	}
	s := &runningServer{endpoint: "http://" + listen, data: data, log: log}
	args := append([]string{"serve", "--data", filepath.Join(data, "data"), "--listen", listen, "--runtimes", "nearest", "--log-level", "warn"}, flags...)
	s.cmd = exec.Command(lambdad, args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for range 300 {
		response, err := http.Get(s.endpoint + "/_lambdad/health")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return s, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), s.stop())
		case <-time.After(50 * time.Millisecond):
		}
	}
	text, _ := os.ReadFile(log.Name())
	return nil, errors.Join(fmt.Errorf("lambdad is not ready:\n%s", text), s.stop())
}

func (s *runningServer) stop() error {
	s.cmd.Process.Signal(os.Interrupt)
	err := s.cmd.Wait()
	s.log.Close()
	// What the server had to warn of tells why a part failed, or that its figures are not to be trusted.
	if text, _ := os.ReadFile(s.log.Name()); len(text) > 0 {
		fmt.Fprintf(os.Stderr, "bench: the server's log:\n%s", text[:min(len(text), logBytesMax)])
	}
	return errors.Join(err, os.RemoveAll(s.data))
}

// residentKiB is the server's own resident memory.
func (s *runningServer) residentKiB() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var kib int64
	for _, line := range splitLines(string(status)) {
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib, nil
		}
	}
	return 0, errors.New("no VmRSS in /proc status")
}
