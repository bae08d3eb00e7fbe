package wire

import (
	"bytes"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// headKept is how much of a request is kept to tell whose protocol it speaks, should
// net/http not understand it: enough for a request line and a signature.
const headKept = 2 << 10

// refusalMax is longer than each of net/http's own refusals.
const refusalMax = 512

// Listener wraps l so that requests which net/http's own parser refuses are answered in their
// protocol's form, too: net/http offers no hook for them and writes plain text.
func (s *Server) Listener(l net.Listener) net.Listener { return &listener{l, s} }

type listener struct {
	net.Listener
	server *Server
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, server: l.server}, nil
}

// conn keeps the beginning of each request, and replaces net/http's own refusals.
type conn struct {
	net.Conn
	server *Server

	// mu is for net/http's background read, which may run beside a write.
	mu       sync.Mutex
	head     []byte
	answered bool // the next read begins another request
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.mu.Lock()
		if c.answered {
			c.head, c.answered = c.head[:0], false
		}
		if room := headKept - len(c.head); room > 0 {
			c.head = append(c.head, p[:min(n, room)]...)
		}
		c.mu.Unlock()
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.answered = true
	var own []byte
	if status, reason, ok := refusal(p); ok {
		own = c.server.refuse(c.head, status, reason)
	}
	c.mu.Unlock()
	if own == nil {
		return c.Conn.Write(p)
	}
	if _, err := c.Conn.Write(own); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite lets net/http send what it wrote before it hangs up on a client that still sends.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// refusal tells net/http's own answers from handlers': they have these headers alone, in this
// order, and no Date. Source: net/http, conn.serve, errorHeaders.
func refusal(p []byte) (status int, reason string, ok bool) {
	if len(p) > refusalMax {
		return 0, "", false
	}
	line, rest, found := bytes.Cut(p, []byte("\r\n"))
	if !found {
		return 0, "", false
	}
	if bytes.HasPrefix(line, []byte("HTTP/1.1 417 ")) { // nobody else answers that
		return http.StatusExpectationFailed, "the Expect header is unknown", true
	}
	body, found := bytes.CutPrefix(rest, []byte("Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"))
	if !found {
		return 0, "", false
	}
	_, code, found := strings.Cut(string(line), " ")
	if !found || len(code) < 3 {
		return 0, "", false
	}
	status, err := strconv.Atoi(code[:3])
	if err != nil || !validStatus(status) {
		return 0, "", false
	}
	text := string(body)
	if _, after, found := strings.Cut(text, ": "); found {
		text = after
	} else {
		text = strings.TrimPrefix(text, code[:3]+" ")
	}
	return status, text, true
}

// refuse makes a whole answer to a request of which no more than the head's text is known.
func (s *Server) refuse(head []byte, status int, reason string) []byte {
	w := &rawAnswer{header: http.Header{}}
	x := exchange{server: s, w: w, r: looseRequest(head), id: aws.NewRequestID(), received: time.Now(), codec: restJSON{}}
	w.header["x-amzn-RequestId"] = []string{string(x.id)}
	x.hints = s.readHints(x.r)
	if eps, named := x.candidates(); named {
		x.endpoint, x.codec = eps[0], eps[0].usualCodec(x.r)
	}
	// Source: "Common Error Types" of the services' API references.
	x.codec.fault(&x, NewFault(status, "MalformedHttpRequestException", "The request is no HTTP request that can be read: %s", reason))
	return w.bytes()
}

// usualCodec is that of requests of which only the service is known.
func (ep *endpoint) usualCodec(r *http.Request) codec {
	switch {
	case ep.speaks(JSON10) || ep.speaks(JSON11):
		return awsJSON{version: jsonVersion(r, ep)}
	case ep.speaks(RestXML):
		return restXML{}
	case ep.speaks(Query):
		return awsQuery{}
	case ep.speaks(RPCv2CBOR) && !ep.speaks(RestJSON):
		return rpcCBOR{}
	}
	return restJSON{}
}

// looseRequest reads what can be read of a request's beginning, line by line.
func looseRequest(head []byte) *http.Request {
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/"}, Header: http.Header{}, Body: http.NoBody}
	line, rest, _ := strings.Cut(string(head), "\n")
	if parts := strings.Fields(line); len(parts) >= 2 {
		r.Method = parts[0]
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(parts[1], "?")
	}
	for line := range strings.Lines(rest) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if !ok {
			break
		}
		r.Header.Add(name, strings.TrimSpace(value))
	}
	r.Host = r.Header.Get("Host")
	return r
}

// rawAnswer is the ResponseWriter of an answer that net/http does not send.
type rawAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *rawAnswer) Header() http.Header         { return w.header }
func (w *rawAnswer) WriteHeader(status int)      { w.status = status }
func (w *rawAnswer) Write(p []byte) (int, error) { return w.body.Write(p) }

func (w *rawAnswer) bytes() []byte {
	var out bytes.Buffer
	out.WriteString("HTTP/1.1 " + strconv.Itoa(w.status) + " " + http.StatusText(w.status) + "\r\n")
	w.header["Date"] = []string{time.Now().UTC().Format(http.TimeFormat)}
	w.header["Connection"] = []string{"close"}
	_ = w.header.Write(&out) // to memory
	out.WriteString("\r\n")
	out.Write(w.body.Bytes())
	return out.Bytes()
}
