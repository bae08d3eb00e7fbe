package functionurl

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"time"

	"github.com/lambdad/lambdad/internal/frontend"
)

// modeStream is the InvokeMode that passes an answer on while the function writes it.
const modeStream = "RESPONSE_STREAM"

const (
	// preludeType says that an answer begins with a prelude: a JSON document with the status
	// and the headers, and eight NUL bytes. Source: Lambda developer guide, "Response
	// streaming for custom runtimes".
	preludeType = "application/vnd.awslambda.http-integration-response"
	// preludeBytesMax bounds what is held back to find a prelude's end.
	preludeBytesMax = 64 << 10
	// writeMax is how long a client may not read before it is given up.
	writeMax = time.Minute
)

var preludeEnd = make([]byte, 8)

// streamed passes an answer on while it is written. A client that has gone changes nothing:
// the function runs to its end, as on AWS.
type streamed struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	cors http.Header

	began   bool // the function streams
	opened  bool // the status is on its way
	held    []byte
	waits   bool // for the prelude's end
	invalid bool // the prelude is none
	gone    bool
}

func newStreamed(w http.ResponseWriter, cors http.Header) *streamed {
	return &streamed{w: w, rc: http.NewResponseController(w), cors: cors}
}

// Begin implements frontend.Stream.
func (s *streamed) Begin(head frontend.StreamHead) {
	s.began = true
	s.w.Header()["X-Amzn-Trace-Id"] = []string{head.TraceID}
	if head.ContentType == preludeType {
		s.waits = true
		return
	}
	s.w.Header().Set("Content-Type", head.ContentType)
	s.open(http.StatusOK)
}

// Send implements frontend.Stream.
func (s *streamed) Send(p []byte) {
	switch {
	case s.gone || s.invalid:
	case s.waits:
		s.prelude(p)
	default:
		s.write(p)
	}
}

// prelude holds bytes back until the prelude is whole.
func (s *streamed) prelude(p []byte) {
	s.held = append(s.held, p...)
	i := bytes.Index(s.held, preludeEnd)
	if i < 0 {
		s.invalid = len(s.held) > preludeBytesMax
		return
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(s.held[:i], &members) != nil {
		s.invalid = true
		return
	}
	e, err := envelopeOf(members)
	if err != nil {
		s.invalid = true
		return
	}
	status := cmp.Or(e.status, http.StatusOK)
	s.waits = false
	e.setHeaders(s.w.Header(), s.cors)
	if s.w.Header().Get("Content-Type") == "" {
		s.w.Header().Set("Content-Type", "application/octet-stream")
	}
	s.open(status)
	rest := s.held[i+len(preludeEnd):]
	if s.held = nil; len(rest) > 0 && status != http.StatusNoContent && status != http.StatusNotModified {
		s.write(rest)
	}
}

func (s *streamed) open(status int) {
	s.opened = true
	s.time(writeMax)
	s.w.WriteHeader(status)
	s.gone = s.rc.Flush() != nil
}

func (s *streamed) write(p []byte) {
	s.time(writeMax)
	_, err := s.w.Write(p)
	s.gone = err != nil || s.rc.Flush() != nil
}

// time bounds the next write. A writer that has no deadlines is a test's.
func (s *streamed) time(d time.Duration) {
	_ = s.rc.SetWriteDeadline(time.Now().Add(d))
}

// end answers what was not streamed, and cuts off an answer that broke: its status has gone.
func (s *streamed) end(answer *frontend.Answer) {
	switch {
	case !s.began && answer.FunctionError == "":
		// The function does not stream: what it answers is the body, envelope or not.
		s.w.Header()["X-Amzn-Trace-Id"] = []string{answer.TraceID}
		write(s.w, http.StatusOK, orJSON(answer.ContentType), answer.Payload)
	case !s.opened:
		badGateway(s.w)
	case answer.FunctionError != "" || s.gone:
		panic(http.ErrAbortHandler)
	default:
		_ = s.rc.SetWriteDeadline(time.Time{})
	}
}

func orJSON(contentType string) string {
	if contentType == "" {
		return "application/json"
	}
	return contentType
}
