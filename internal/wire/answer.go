package wire

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/lambdad/lambdad/internal/wire/httpbind"
	"github.com/lambdad/lambdad/internal/wire/shape"
)

// write sends an answer. net/http adds the one Date.
func (x *exchange) write(status int, contentType string, body []byte) error {
	if !validStatus(status) {
		status = http.StatusInternalServerError
	}
	h := x.w.Header()
	h.Del("Date")
	if contentType != "" && h["Content-Type"] == nil {
		h["Content-Type"] = []string{contentType}
	}
	if bodyAllowed(status) {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	x.answered = true
	x.w.WriteHeader(status)
	if bodyAllowed(status) && len(body) > 0 {
		if _, err := x.w.Write(body); err != nil {
			x.server.cfg.Log.Debug("client gone before the answer", "request", string(x.id), "error", err)
		}
	}
	if len(x.after) > 0 {
		x.send()
	}
	return nil
}

// sendTimeMax is how long an answer may take that work waits for. Only a client that sends
// requests and does not read what it is answered can make it that long.
const sendTimeMax = 5 * time.Second

// send has net/http send what was written, instead of when the handler has returned.
func (x *exchange) send() {
	c := http.NewResponseController(x.w)
	_ = c.SetWriteDeadline(time.Now().Add(sendTimeMax)) // a writer without deadlines is no connection
	if err := c.Flush(); err != nil {
		x.server.cfg.Log.Debug("answer not sent", "request", string(x.id), "error", err)
		return // the connection is of no use any more
	}
	_ = c.SetWriteDeadline(time.Time{})
}

// doAfter does what the handler left for later.
func (x *exchange) doAfter() {
	for _, work := range x.after {
		work()
	}
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// stream sends a body of unknown length.
func (x *exchange) stream(status int, contentType string, body io.ReadCloser) error {
	defer body.Close()
	h := x.w.Header()
	h.Del("Date")
	if contentType != "" && h["Content-Type"] == nil {
		h["Content-Type"] = []string{contentType}
	}
	x.answered = true
	x.w.WriteHeader(status)
	if _, err := io.Copy(x.w, body); err != nil {
		return err // the answer has begun: the connection is dropped
	}
	return nil
}

// writeRest sends the answer of a rest protocol: what the members said, and the
// document of the others.
func (x *exchange) writeRest(out shape.Structure, r *httpbind.Response, document func() []byte, mediaType string) error {
	status := x.op.Status
	if r.Status != 0 {
		status = r.Status
	}
	schema := out.WireSchema()
	switch {
	case r.Streamed != nil:
		return x.stream(status, octetStream, r.Streamed)
	case schema.Payload < 0:
		return x.write(status, mediaType, document())
	case !r.HasPayload:
		return x.write(status, "", nil)
	case r.Text:
		return x.write(status, "text/plain", r.Payload)
	case schema.Members[schema.Payload].Kind == shape.KindBlob:
		return x.write(status, octetStream, r.Payload)
	}
	return x.write(status, mediaType, document())
}

const octetStream = "application/octet-stream"

func validStatus(status int) bool { return status >= 200 && status <= 599 }

// genericHeaders adds the headers of a fault that no model has.
func (x *exchange) genericHeaders(f Fault) {
	g, ok := f.(*GenericFault)
	if !ok {
		return
	}
	for name, value := range g.Headers {
		x.w.Header().Set(name, value)
	}
}

// errorMembers writes a fault's members, and its text where the model gives it no
// member.
func errorMembers(f Fault, v shape.Structure, body interface {
	shape.Encoder
	Field(name, value string)
}, header http.Header) {
	if header != nil {
		r := httpbind.Response{Header: header, Body: body}
		v.EncodeMembers(&r)
	} else {
		v.EncodeMembers(body)
	}
	if !hasMessage(v.WireSchema()) && f.FaultMessage() != "" {
		body.Field("message", f.FaultMessage())
	}
}

func hasMessage(s *shape.Schema) bool {
	for i := range s.Members {
		switch s.Members[i].Name {
		case "message", "Message":
			return true
		}
	}
	return false
}

// isSender tells whose fault it was.
func isSender(f Fault) bool {
	if v, ok := f.(shape.Structure); ok && v.WireSchema().Error != nil {
		return v.WireSchema().Error.Sender
	}
	return f.FaultStatus() < 500
}
