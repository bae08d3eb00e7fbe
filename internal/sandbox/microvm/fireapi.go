package microvm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// fireAPI speaks to one Firecracker, over one connection that is made before any guest
// runs: nothing that a guest does to its monitor can lead lambdad elsewhere.
type fireAPI struct {
	conn    net.Conn
	limited io.LimitedReader
	reader  *bufio.Reader

	calls sync.Mutex // one at a time
}

const (
	// apiStep is how often one looks whether a monitor listens.
	apiStep = time.Millisecond
	// answerMax bounds one answer of Firecracker.
	answerMax = 64 << 10
)

func dialAPI(ctx context.Context, path string, ended <-chan struct{}) (*fireAPI, error) {
	for {
		conn, err := net.Dial("unix", path)
		if err == nil {
			return newFireAPI(conn), nil
		}
		select {
		case <-time.After(apiStep):
		case <-ended:
			return nil, fmt.Errorf("firecracker: %w", errMachineEnded)
		case <-ctx.Done():
			return nil, fmt.Errorf("firecracker does not listen: %w", errors.Join(ctx.Err(), err))
		}
	}
}

func newFireAPI(conn net.Conn) *fireAPI {
	a := &fireAPI{conn: conn, limited: io.LimitedReader{R: conn}}
	a.reader = bufio.NewReader(&a.limited)
	return a
}

func (a *fireAPI) close() { _ = a.conn.Close() }

// call asks for something. One that was cut short leaves the monitor unusable: its
// machine must be ended.
func (a *fireAPI) call(ctx context.Context, method, path string, body any) error {
	a.calls.Lock()
	defer a.calls.Unlock()
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, "http://localhost"+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	stop := context.AfterFunc(ctx, func() { _ = a.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err = request.Write(a.conn); err == nil {
		a.limited.N = answerMax
		var fault string
		if fault, err = readAnswer(a.reader, request); err == nil && fault != "" {
			return fmt.Errorf("firecracker %s %s: %s", method, path, fault)
		}
	}
	if err == nil {
		return nil
	}
	a.close()
	if ctx.Err() != nil {
		return fmt.Errorf("firecracker %s %s: no answer: %w", method, path, ctx.Err())
	}
	return fmt.Errorf("firecracker %s %s: %w", method, path, errors.Join(errMachineEnded, err))
}

// readAnswer returns what Firecracker finds wrong with a request, or "".
func readAnswer(r *bufio.Reader, request *http.Request) (string, error) {
	response, err := http.ReadResponse(r, request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, answerMax))
	if err != nil {
		return "", err
	}
	if response.StatusCode == http.StatusNoContent {
		return "", nil
	}
	var fault struct {
		Message string `json:"fault_message"`
	}
	if json.Unmarshal(content, &fault) != nil || fault.Message == "" {
		return response.Status, nil
	}
	return fault.Message, nil
}
