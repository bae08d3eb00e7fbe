package wire

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/lambdad/lambdad/internal/wire/eventstream"
	"github.com/lambdad/lambdad/internal/wire/httpbind"
	"github.com/lambdad/lambdad/internal/wire/jsoncodec"
	"github.com/lambdad/lambdad/internal/wire/shape"
)

const (
	eventStreamType = "application/vnd.amazon.eventstream"
	// eventWriteMax is how long a client may not read before it is given up.
	eventWriteMax = time.Minute
)

// EventStream is the answer of an operation that answers with events: first what is no event,
// then the events, each sent at once. An error says that the client has gone.
type EventStream[O, E shape.Structure] interface {
	Begin(out O) error
	Send(event E) error
}

// StreamFunc is a handler that answers with events, with its types erased. An error before
// the stream began is answered as any other.
type StreamFunc func(ctx context.Context, call *Call, in shape.Structure, to *events) error

// HandleStream erases the types of a handler that answers with events.
func HandleStream[I, O, E any, PI Pointer[I], PO Pointer[O], PE Pointer[E]](f func(context.Context, *Call, PI, EventStream[PO, PE]) error) StreamFunc {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, call *Call, in shape.Structure, to *events) error {
		defer to.end()
		return f(ctx, call, in.(PI), typedEvents[PO, PE]{to})
	}
}

type typedEvents[O, E shape.Structure] struct{ *events }

func (t typedEvents[O, E]) Begin(out O) error  { return t.begin(out) }
func (t typedEvents[O, E]) Send(event E) error { return t.send(event) }

// events writes the answer of one operation in the protocol rest-json.
type events struct {
	x    *exchange
	buf  []byte
	gone error // the client's end
}

func (e *events) begin(out shape.Structure) error {
	x := e.x
	h := x.w.Header()
	r := httpbind.Response{Header: h, Body: jsoncodec.NewEncoder(nil)}
	out.EncodeMembers(&r)
	h.Del("Date")
	h["Content-Type"] = []string{eventStreamType}
	x.answered = true
	status := x.op.Status
	if r.Status != 0 {
		status = r.Status
	}
	e.time()
	x.w.WriteHeader(status)
	return e.flush()
}

func (e *events) send(event shape.Structure) error {
	if e.gone != nil {
		return e.gone
	}
	var u eventUnion
	event.EncodeMembers(&u)
	var err error
	if e.buf, err = eventstream.Append(e.buf[:0], &u.message); err != nil {
		return fmt.Errorf("wire: event of %s: %w", e.x.op.Name, err)
	}
	e.time()
	if _, e.gone = e.x.w.Write(e.buf); e.gone != nil {
		return e.gone
	}
	return e.flush()
}

func (e *events) flush() error {
	e.gone = http.NewResponseController(e.x.w).Flush()
	return e.gone
}

// time gives the client some time to read. A writer that has no deadlines is a test's.
func (e *events) time() {
	_ = http.NewResponseController(e.x.w).SetWriteDeadline(time.Now().Add(eventWriteMax))
}

// end takes the deadline away: the connection lives on.
func (e *events) end() {
	if e.gone == nil {
		_ = http.NewResponseController(e.x.w).SetWriteDeadline(time.Time{})
	}
}

// eventUnion encodes the one member of a union of events that is set. Events are structures,
// so no other method is ever called.
type eventUnion struct {
	shape.Encoder
	message eventstream.Message
}

func (u *eventUnion) Structure(m *shape.Member, v shape.Structure) {
	doc := jsoncodec.NewEncoder(nil)
	doc.Begin()
	b := eventBody{Encoder: doc}
	v.EncodeMembers(&b)
	doc.End()
	if b.whole {
		u.message = eventstream.Event(m.WireName, octetStream, b.payload)
	} else {
		u.message = eventstream.Event(m.WireName, jsonType, doc.Bytes())
	}
	u.message.Headers = append(u.message.Headers, b.headers...)
}

// eventBody takes out what is not in the document.
type eventBody struct {
	shape.Encoder
	headers []eventstream.Header
	payload []byte
	whole   bool // payload is all of it
}

func (b *eventBody) Blob(m *shape.Member, v []byte) {
	if m.Location == shape.LocationEventPayload {
		b.payload, b.whole = v, true
		return
	}
	b.Encoder.Blob(m, v)
}

func (b *eventBody) String(m *shape.Member, v string) {
	if m.Location == shape.LocationEventHeader {
		b.headers = append(b.headers, eventstream.Header{Name: m.WireName, Value: eventstream.String(v)})
		return
	}
	b.Encoder.String(m, v)
}
