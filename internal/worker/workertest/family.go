package workertest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// Family is the program that starts external extensions and the runtime, as lambdad-init does in a
// sandbox: the programs by their name, "" for the runtime. One that is nil cannot be executed.
func Family(programs map[string]Main) Main {
	return func(ctx context.Context, p *Proc) sandbox.Exit {
		conn, err := net.Dial("tcp", p.API)
		if err != nil {
			return sandbox.Exit{Code: 1}
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		f := &parent{programs: programs, proc: p, conn: conn, kill: map[int]context.CancelFunc{}}
		n, err := strconv.Atoi(p.Spec.Argv[1])
		if err != nil {
			return sandbox.Exit{Code: 1}
		}
		f.names = []string{""}
		for _, path := range p.Spec.Argv[2 : 2+n] {
			f.names = append(f.names, filepath.Base(path))
		}
		f.say("GET /2018-06-01/lambdad/processes HTTP/1.1\r\nHost: x\r\n\r\n")
		defer f.ended.Wait()
		defer f.killAll()
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			f.obey(ctx, lines.Text())
		}
		return sandbox.Exit{}
	}
}

// parent is a Family that runs.
type parent struct {
	programs map[string]Main
	proc     *Proc
	conn     net.Conn
	names    []string
	ended    sync.WaitGroup

	mu   sync.Mutex
	kill map[int]context.CancelFunc
}

func (f *parent) say(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, _ = fmt.Fprintf(f.conn, format, args...) // it is closed when the sandbox ends
}

func (f *parent) obey(ctx context.Context, order string) {
	which, signal, _ := strings.Cut(order[1:], " ")
	i, _ := strconv.Atoi(which)
	switch order[0] {
	case 'S':
		f.start(ctx, i)
	case 'K':
		f.mu.Lock()
		kill := f.kill[i]
		f.mu.Unlock()
		if n, _ := strconv.Atoi(signal); kill != nil && (n == int(syscall.SIGKILL) || i == 0) {
			kill()
		}
	case 'P':
		f.say("P\n")
	}
}

func (f *parent) start(ctx context.Context, i int) {
	main := f.programs[f.names[i]]
	if main == nil {
		f.say("E%d %d\n", i, int(syscall.ENOENT))
		return
	}
	ctx, kill := context.WithCancel(ctx)
	f.mu.Lock()
	f.kill[i] = kill
	f.mu.Unlock()
	f.say("S%d\n", i)
	p := &Proc{API: f.proc.API, Spec: f.proc.Spec, Stdout: f.proc.Stdout}
	if i > 0 {
		p.Stdout = f
	}
	f.ended.Go(func() {
		x := main(ctx, p)
		status := x.Code << 8
		if ctx.Err() != nil {
			status = int(syscall.SIGKILL)
		}
		f.say("X%d %d\n", i, status)
	})
}

// Write is what extensions print.
func (f *parent) Write(p []byte) (int, error) {
	f.say("O%d\n%s", len(p), p)
	return len(p), nil
}

func (f *parent) killAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, kill := range f.kill {
		kill()
	}
}

// Extension is an external extension that registers for events and hands each to handle, which returns how the
// program ends, or nil to go on.
func Extension(name, events string, handle func(p *Proc, c *Client, id, event string) *sandbox.Exit) Main {
	return func(ctx context.Context, p *Proc) sandbox.Exit {
		c, err := Dial(ctx, p.API)
		if err != nil {
			return sandbox.Exit{Code: 1}
		}
		defer c.Close()
		id, err := c.Register(name, events)
		if err != nil {
			fmt.Fprintln(p.Stdout, err)
			return sandbox.Exit{Code: 1}
		}
		for {
			event, err := c.NextEvent(id)
			if err != nil {
				return sandbox.Exit{Code: 1}
			}
			if x := handle(p, c, id, event); x != nil {
				return *x
			}
		}
	}
}

// Register registers an extension and returns its identifier. events is a JSON array.
func (c *Client) Register(name, events string) (string, error) {
	h, body, err := c.extension("POST", "register", "Lambda-Extension-Name: "+name+"\r\n", `{"events":`+events+`}`)
	if err != nil {
		return "", fmt.Errorf("register: %w: %s", err, body)
	}
	return h.Get("Lambda-Extension-Identifier"), nil
}

// NextEvent waits for an event.
func (c *Client) NextEvent(id string) (string, error) {
	_, body, err := c.extension("GET", "event/next", "Lambda-Extension-Identifier: "+id+"\r\n", "")
	return strings.TrimSpace(string(body)), err
}

// ExtensionError reports an error; path is init/error or exit/error.
func (c *Client) ExtensionError(path, id, errorType string) error {
	_, _, err := c.extension("POST", path, "Lambda-Extension-Identifier: "+id+"\r\nLambda-Extension-Function-Error-Type: "+errorType+"\r\n", "{}")
	return err
}

func (c *Client) extension(method, path, fields, body string) (header interface{ Get(string) string }, answer []byte, err error) {
	if _, err := io.WriteString(c.conn, method+" /2020-01-01/extension/"+path+" HTTP/1.1\r\nHost: x\r\n"+fields+"Content-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body); err != nil {
		return nil, nil, err
	}
	h, answer, status, err := c.read()
	if err == nil && status >= 300 {
		err = fmt.Errorf("status %d", status)
	}
	return h, answer, err
}
