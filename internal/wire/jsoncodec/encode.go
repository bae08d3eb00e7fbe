package jsoncodec

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"sort"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/lambdad/lambdad/internal/wire/shape"
	"github.com/lambdad/lambdad/internal/wire/timestamp"
)

// Encoder writes JSON. The zero value is ready. It implements shape.Encoder.
type Encoder struct {
	buf   []byte
	comma bool // a member came before
	bare  bool // the next value is an element: no name
}

// NewEncoder writes after buf, which may be nil.
func NewEncoder(buf []byte) *Encoder { return &Encoder{buf: buf} }

// Marshal encodes a structure as one object.
func Marshal(v shape.Structure) []byte {
	e := Encoder{buf: make([]byte, 0, 512)}
	e.Begin()
	v.EncodeMembers(&e)
	e.End()
	return e.buf
}

// Bytes is what was written.
func (e *Encoder) Bytes() []byte { return e.buf }

// Begin opens the object of the members that follow.
func (e *Encoder) Begin() {
	e.buf = append(e.buf, '{')
	e.comma = false
}

// End closes it.
func (e *Encoder) End() {
	e.buf = append(e.buf, '}')
	e.comma = true
}

// Field writes a member that no model has, e.g. "__type".
func (e *Encoder) Field(name, value string) {
	e.name(name)
	e.buf = appendString(e.buf, value)
}

// Bare makes the next value one without a name: a payload.
func (e *Encoder) Bare() { e.bare = true }

func (e *Encoder) name(name string) {
	if e.comma {
		e.buf = append(e.buf, ',')
	}
	e.comma = true
	e.buf = appendString(e.buf, name)
	e.buf = append(e.buf, ':')
}

func (e *Encoder) begin(m *shape.Member) {
	if e.bare {
		e.bare = false
		return
	}
	e.name(m.WireName)
}

func (e *Encoder) String(m *shape.Member, v string) {
	e.begin(m)
	e.buf = appendString(e.buf, v)
}

func (e *Encoder) Bool(m *shape.Member, v bool) {
	e.begin(m)
	e.buf = strconv.AppendBool(e.buf, v)
}

func (e *Encoder) Int(m *shape.Member, v int64) {
	e.begin(m)
	e.buf = strconv.AppendInt(e.buf, v, 10)
}

func (e *Encoder) Float(m *shape.Member, v float64) {
	e.begin(m)
	quoted := math.IsNaN(v) || math.IsInf(v, 0)
	if quoted {
		e.buf = append(e.buf, '"')
	}
	e.buf = shape.AppendFloat(e.buf, m.Kind, v)
	if quoted {
		e.buf = append(e.buf, '"')
	}
}

func (e *Encoder) Time(m *shape.Member, v time.Time) {
	e.begin(m)
	f := timestamp.Or(m.Time, shape.TimestampUnix)
	if f != shape.TimestampUnix {
		e.buf = append(e.buf, '"')
	}
	e.buf = timestamp.Append(e.buf, v, f)
	if f != shape.TimestampUnix {
		e.buf = append(e.buf, '"')
	}
}

func (e *Encoder) Blob(m *shape.Member, v []byte) {
	e.begin(m)
	e.buf = append(e.buf, '"')
	e.buf = base64.StdEncoding.AppendEncode(e.buf, v)
	e.buf = append(e.buf, '"')
}

// Stream is never in a JSON body: a streaming member is the whole payload.
func (e *Encoder) Stream(*shape.Member, io.ReadCloser) {
	panic("a streaming member inside a JSON body")
}

func (e *Encoder) Null(m *shape.Member) {
	e.begin(m)
	e.buf = append(e.buf, "null"...)
}

func (e *Encoder) Structure(m *shape.Member, v shape.Structure) {
	e.begin(m)
	e.Begin()
	v.EncodeMembers(e)
	e.End()
}

func (e *Encoder) List(m *shape.Member, n int, item func(shape.Encoder, int)) {
	e.begin(m)
	e.buf = append(e.buf, '[')
	for i := range n {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.bare = true
		item(e, i)
	}
	e.buf = append(e.buf, ']')
	e.comma = true
}

func (e *Encoder) Map(m *shape.Member, keys []string, value func(shape.Encoder, string)) {
	e.begin(m)
	e.Begin()
	for _, key := range keys {
		e.name(key)
		e.bare = true
		value(e, key)
		e.comma = true
	}
	e.End()
}

// Document writes a value of the kinds that Decoder.Document reads.
func (e *Encoder) Document(m *shape.Member, v any) {
	e.begin(m)
	e.document(v)
	e.comma = true
}

func (e *Encoder) document(v any) {
	switch v := v.(type) {
	case nil:
		e.buf = append(e.buf, "null"...)
	case bool:
		e.buf = strconv.AppendBool(e.buf, v)
	case string:
		e.buf = appendString(e.buf, v)
	case json.Number:
		e.buf = append(e.buf, v...)
	case float64:
		e.buf = shape.AppendFloat(e.buf, shape.KindDouble, v)
	case int64:
		e.buf = strconv.AppendInt(e.buf, v, 10)
	case []any:
		e.buf = append(e.buf, '[')
		for i, item := range v {
			if i > 0 {
				e.buf = append(e.buf, ',')
			}
			e.document(item)
		}
		e.buf = append(e.buf, ']')
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		e.buf = append(e.buf, '{')
		for i, k := range keys {
			if i > 0 {
				e.buf = append(e.buf, ',')
			}
			e.buf = appendString(e.buf, k)
			e.buf = append(e.buf, ':')
			e.document(v[k])
		}
		e.buf = append(e.buf, '}')
	default:
		panic("a document holds a Go type that JSON does not have")
	}
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string. Text stays UTF-8; what is not UTF-8 becomes
// the replacement character.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\ufffd"...)
			i++
			start = i
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
