package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// connection is a kept HTTP/1.1 connection that one goroutine writes a request to and reads the
// answer from. Go's own client has two goroutines more a connection: handing over between
// them costs about as much as a third of what lambdad adds to an invoke, and is none of it.
type connection struct {
	net.Conn
	r *bufio.Reader
	w *bufio.Writer
}

// answer is what came back, whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func dial(ctx context.Context, address string) (*connection, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &connection{c, bufio.NewReader(c), bufio.NewWriter(c)}, nil
}

// do sends one request and returns how long it took to the answer's last byte.
func (c *connection) do(request *http.Request) (answer, time.Duration, error) {
	if deadline, ok := request.Context().Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return answer{}, 0, err
		}
	}
	start := time.Now()
	if err := errors.Join(request.Write(c.w), c.w.Flush()); err != nil {
		return answer{}, 0, err
	}
	response, err := http.ReadResponse(c.r, request)
	if err != nil {
		return answer{}, 0, err
	}
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, body}, time.Since(start), errors.Join(err, response.Body.Close())
}

// connections are kept until they are needed again.
type connections struct {
	mu   sync.Mutex
	idle map[string][]*connection
}

// do sends the request over a connection to its host that nobody else uses meanwhile.
func (p *connections) do(request *http.Request) (answer, time.Duration, error) {
	address := request.URL.Host
	c := p.take(address)
	if c == nil {
		var err error
		if c, err = dial(request.Context(), address); err != nil {
			return answer{}, 0, err
		}
	}
	a, took, err := c.do(request)
	if err != nil {
		return answer{}, 0, errors.Join(err, c.Close())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle[address] = append(p.idle[address], c)
	return a, took, nil
}

func newConnections() *connections { return &connections{idle: make(map[string][]*connection)} }

func (p *connections) take(address string) *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle[address]
	if len(idle) == 0 {
		return nil
	}
	c := idle[len(idle)-1]
	p.idle[address] = idle[:len(idle)-1]
	return c
}
