package httpbind

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/wire/shape"
	"github.com/lambdad/lambdad/internal/wire/timestamp"
)

// Response is a shape.Encoder for the outermost structure of an answer: it puts
// each member into its place, and passes those of the body on.
type Response struct {
	Header http.Header
	// Body gets the members in the body, and a payload that is no blob or string.
	Body shape.Encoder

	// Status is the status that a member gave, 0 when none did.
	Status int
	// Payload is the body where a blob or a string is the payload; not copied.
	Payload []byte
	// Text tells that the payload is a string.
	Text bool
	// Streamed is the body where it is a stream.
	Streamed io.ReadCloser
	// HasPayload tells that the payload member was set.
	HasPayload bool
}

func (r *Response) set(m *shape.Member, value string) {
	key := textproto.CanonicalMIMEHeaderKey(m.WireName)
	r.Header[key] = []string{value}
}

func (r *Response) String(m *shape.Member, v string) {
	switch m.Location {
	case shape.LocationHeader:
		if m.JSONValue {
			v = base64.StdEncoding.EncodeToString([]byte(v))
		}
		r.set(m, v)
	case shape.LocationPayload:
		r.HasPayload, r.Text, r.Payload = true, true, []byte(v)
	default:
		r.Body.String(m, v)
	}
}

func (r *Response) Bool(m *shape.Member, v bool) {
	if m.Location == shape.LocationHeader {
		r.set(m, strconv.FormatBool(v))
		return
	}
	r.Body.Bool(m, v)
}

func (r *Response) Int(m *shape.Member, v int64) {
	switch m.Location {
	case shape.LocationHeader:
		r.set(m, strconv.FormatInt(v, 10))
	case shape.LocationStatusCode:
		r.Status = int(v)
	default:
		r.Body.Int(m, v)
	}
}

func (r *Response) Float(m *shape.Member, v float64) {
	if m.Location == shape.LocationHeader {
		r.set(m, headerFloat(m, v))
		return
	}
	r.Body.Float(m, v)
}

func headerFloat(m *shape.Member, v float64) string {
	s := string(shape.AppendFloat(nil, m.Kind, v))
	return strings.TrimSuffix(s, ".0")
}

func (r *Response) Time(m *shape.Member, v time.Time) {
	if m.Location == shape.LocationHeader {
		r.set(m, string(timestamp.Append(nil, v, timestamp.Or(m.Time, shape.TimestampRFC822))))
		return
	}
	r.Body.Time(m, v)
}

func (r *Response) Blob(m *shape.Member, v []byte) {
	switch m.Location {
	case shape.LocationHeader:
		r.set(m, base64.StdEncoding.EncodeToString(v))
	case shape.LocationPayload:
		r.HasPayload, r.Payload = true, v
	default:
		r.Body.Blob(m, v)
	}
}

func (r *Response) Stream(m *shape.Member, v io.ReadCloser) {
	r.HasPayload, r.Streamed = true, v
}

func (r *Response) Document(m *shape.Member, v any) {
	r.payload(m)
	r.Body.Document(m, v)
}

func (r *Response) Structure(m *shape.Member, v shape.Structure) {
	r.payload(m)
	r.Body.Structure(m, v)
}

func (r *Response) payload(m *shape.Member) {
	if m.Location == shape.LocationPayload {
		r.HasPayload = true
	}
}

func (r *Response) Null(m *shape.Member) {
	if m.Location == shape.LocationBody {
		r.Body.Null(m)
	}
}

func (r *Response) List(m *shape.Member, n int, item func(shape.Encoder, int)) {
	if m.Location != shape.LocationHeader {
		r.payload(m)
		r.Body.List(m, n, item)
		return
	}
	if n == 0 {
		return // AWS leaves the header out
	}
	var list headerList
	for i := range n {
		item(&list, i)
	}
	r.set(m, strings.Join(list.values, ", "))
}

func (r *Response) Map(m *shape.Member, keys []string, value func(shape.Encoder, string)) {
	if m.Location != shape.LocationHeaders {
		r.payload(m)
		r.Body.Map(m, keys, value)
		return
	}
	for _, key := range keys {
		var list headerList
		value(&list, key)
		name := textproto.CanonicalMIMEHeaderKey(m.WireName + key)
		if len(list.values) == 0 || r.Header[name] != nil {
			continue // a header with a member of its own wins
		}
		r.Header[name] = []string{list.plain}
	}
}

// headerList collects the elements of a list in a header.
type headerList struct {
	values []string
	plain  string // the last string, not quoted
}

func (l *headerList) add(s string) { l.values, l.plain = append(l.values, s), s }

func (l *headerList) String(_ *shape.Member, v string) {
	l.add(v)
	if strings.ContainsAny(v, `",`) {
		v = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
		l.values[len(l.values)-1] = v
	}
}

func (l *headerList) Bool(_ *shape.Member, v bool)        { l.add(strconv.FormatBool(v)) }
func (l *headerList) Int(_ *shape.Member, v int64)        { l.add(strconv.FormatInt(v, 10)) }
func (l *headerList) Float(m *shape.Member, v float64)    { l.add(headerFloat(m, v)) }
func (l *headerList) Blob(_ *shape.Member, v []byte)      { l.add(base64.StdEncoding.EncodeToString(v)) }
func (l *headerList) Null(*shape.Member)                  {}
func (l *headerList) Stream(*shape.Member, io.ReadCloser) {}
func (l *headerList) Document(*shape.Member, any)         {}
func (l *headerList) Structure(*shape.Member, shape.Structure) {
}
func (l *headerList) List(m *shape.Member, n int, item func(shape.Encoder, int)) {
	for i := range n {
		item(l, i)
	}
}
func (l *headerList) Map(*shape.Member, []string, func(shape.Encoder, string)) {}

func (l *headerList) Time(m *shape.Member, v time.Time) {
	l.add(string(timestamp.Append(nil, v, timestamp.Or(m.Time, shape.TimestampRFC822))))
}
