package workertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// Event is one invocation as a runtime sees it.
type Event struct {
	RequestID string
	Header    textproto.MIMEHeader
	Payload   []byte
}

// Answer is what a handler gives back. ErrorType sends it as an error; Exit ends the
// program instead of answering; Hang answers nothing.
type Answer struct {
	Payload   []byte
	ErrorType string
	Exit      *sandbox.Exit
	Hang      bool
}

// Handler handles one event; p is for output.
type Handler func(p *Proc, ev *Event) Answer

// Runtime is a program that speaks the Runtime API like a runtime client: one
// connection, kept, without a needless copy.
func Runtime(h Handler) Main {
	return func(ctx context.Context, p *Proc) sandbox.Exit {
		c, err := Dial(ctx, p.API)
		if err != nil {
			return sandbox.Exit{Code: 1}
		}
		defer c.Close()
		if err := c.passGates(p); err != nil {
			return sandbox.Exit{Code: 1}
		}
		for {
			ev, err := c.Next()
			if err != nil {
				return sandbox.Exit{Code: 1}
			}
			a := h(p, ev)
			switch {
			case a.Exit != nil:
				return *a.Exit
			case a.Hang:
				<-ctx.Done()
				return sandbox.Exit{}
			}
			if err := c.Answer(ev.RequestID, a); err != nil {
				return sandbox.Exit{Code: 1}
			}
		}
	}
}

// Client is a connection to the Runtime API.
type Client struct {
	conn net.Conn
	in   *bufio.Reader
	tp   *textproto.Reader
	out  []byte
	stop func() bool
}

// Dial connects; the connection ends with ctx.
func Dial(ctx context.Context, addr string) (*Client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(conn, 16<<10)
	c := &Client{conn: conn, in: in, tp: textproto.NewReader(in)}
	c.stop = context.AfterFunc(ctx, func() { conn.Close() })
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() error {
	c.stop()
	return c.conn.Close()
}

// Next waits for an invocation.
func (c *Client) Next() (*Event, error) {
	if _, err := io.WriteString(c.conn, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: r\r\n\r\n"); err != nil {
		return nil, err
	}
	h, body, status, err := c.read()
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("next: status %d: %s", status, body)
	}
	return &Event{RequestID: h.Get("Lambda-Runtime-Aws-Request-Id"), Header: h, Payload: body}, nil
}

// Answer sends a response or an error.
func (c *Client) Answer(id string, a Answer) error {
	kind, field := "response", ""
	if a.ErrorType != "" {
		kind, field = "error", "Lambda-Runtime-Function-Error-Type: "+a.ErrorType+"\r\n"
	}
	return c.post("/2018-06-01/runtime/invocation/"+id+"/"+kind, field, a.Payload)
}

// InitError tells that INIT failed.
func (c *Client) InitError(errorType string, body []byte) error {
	return c.post("/2018-06-01/runtime/init/error", "Lambda-Runtime-Function-Error-Type: "+errorType+"\r\n", body)
}

func (c *Client) post(path, fields string, body []byte) error {
	b := append(c.out[:0], "POST "...)
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: r\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n"...)
	b = append(b, fields...)
	b = append(b, "\r\n"...)
	c.out = append(b, body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	_, answer, status, err := c.read()
	if err == nil && status != http.StatusAccepted && status != http.StatusRequestEntityTooLarge {
		err = fmt.Errorf("%s: status %d: %s", path, status, answer)
	}
	return err
}

func (c *Client) read() (textproto.MIMEHeader, []byte, int, error) {
	line, err := c.tp.ReadLine()
	if err != nil {
		return nil, nil, 0, err
	}
	_, rest, _ := strings.Cut(line, " ")
	if len(rest) < 3 {
		return nil, nil, 0, errors.New("bad status line " + line)
	}
	status, err := strconv.Atoi(rest[:3])
	if err != nil {
		return nil, nil, 0, err
	}
	h, err := c.tp.ReadMIMEHeader()
	if err != nil {
		return nil, nil, 0, err
	}
	n, _ := strconv.Atoi(h.Get("Content-Length")) // absent: no body
	body := make([]byte, n)
	_, err = io.ReadFull(c.in, body)
	return h, body, status, err
}
