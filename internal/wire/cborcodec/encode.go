// Package cborcodec owns CBOR bodies (RFC 8949) as Smithy's RPC v2 protocol uses
// them. It must never import net/http or a service: where a body goes is decided
// by its callers.
package cborcodec

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"sort"
	"time"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// The major types, in the three high bits of an item's first byte.
const (
	majorUnsigned = 0 << 5
	majorNegative = 1 << 5
	majorBytes    = 2 << 5
	majorText     = 3 << 5
	majorArray    = 4 << 5
	majorMap      = 5 << 5
	majorTag      = 6 << 5
	majorSimple   = 7 << 5
)

const (
	indefinite   = 31
	simpleFalse  = majorSimple | 20
	simpleTrue   = majorSimple | 21
	simpleNull   = majorSimple | 22
	simpleUndef  = majorSimple | 23
	simpleHalf   = majorSimple | 25
	simpleFloat  = majorSimple | 26
	simpleDouble = majorSimple | 27
	breakCode    = majorSimple | indefinite
	tagEpoch     = 1
)

// Encoder writes CBOR. The zero value is ready. It implements shape.Encoder.
// Structures are maps of indefinite length, because their members are counted by
// being written.
type Encoder struct {
	buf  []byte
	bare bool // the next value is an element: no name
}

// Marshal encodes a structure as one map.
func Marshal(v shape.Structure) []byte {
	e := Encoder{buf: make([]byte, 0, 512)}
	e.Begin()
	v.EncodeMembers(&e)
	e.End()
	return e.buf
}

// NewEncoder writes after buf, which may be nil.
func NewEncoder(buf []byte) *Encoder { return &Encoder{buf: buf} }

// Bytes is what was written.
func (e *Encoder) Bytes() []byte { return e.buf }

// Begin opens the map of the members that follow.
func (e *Encoder) Begin() { e.buf = append(e.buf, majorMap|indefinite) }

// End closes it.
func (e *Encoder) End() { e.buf = append(e.buf, breakCode) }

// Field writes a member that no model has, e.g. "__type".
func (e *Encoder) Field(name, value string) {
	e.text(name)
	e.text(value)
}

func (e *Encoder) head(major byte, n uint64) {
	switch {
	case n < 24:
		e.buf = append(e.buf, major|byte(n))
	case n <= math.MaxUint8:
		e.buf = append(e.buf, major|24, byte(n))
	case n <= math.MaxUint16:
		e.buf = binary.BigEndian.AppendUint16(append(e.buf, major|25), uint16(n))
	case n <= math.MaxUint32:
		e.buf = binary.BigEndian.AppendUint32(append(e.buf, major|26), uint32(n))
	default:
		e.buf = binary.BigEndian.AppendUint64(append(e.buf, major|27), n)
	}
}

func (e *Encoder) text(s string) {
	e.head(majorText, uint64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *Encoder) begin(m *shape.Member) {
	if e.bare {
		e.bare = false
		return
	}
	e.text(m.WireName)
}

func (e *Encoder) String(m *shape.Member, v string) {
	e.begin(m)
	e.text(v)
}

func (e *Encoder) Bool(m *shape.Member, v bool) {
	e.begin(m)
	e.bool(v)
}

func (e *Encoder) bool(v bool) {
	if v {
		e.buf = append(e.buf, simpleTrue)
	} else {
		e.buf = append(e.buf, simpleFalse)
	}
}

func (e *Encoder) Int(m *shape.Member, v int64) {
	e.begin(m)
	e.int(v)
}

func (e *Encoder) int(v int64) {
	if v < 0 {
		e.head(majorNegative, uint64(-1-v))
		return
	}
	e.head(majorUnsigned, uint64(v))
}

func (e *Encoder) Float(m *shape.Member, v float64) {
	e.begin(m)
	if m.Kind == shape.KindFloat {
		e.buf = binary.BigEndian.AppendUint32(append(e.buf, simpleFloat), math.Float32bits(float32(v)))
		return
	}
	e.double(v)
}

func (e *Encoder) double(v float64) {
	e.buf = binary.BigEndian.AppendUint64(append(e.buf, simpleDouble), math.Float64bits(v))
}

// Time writes tag 1: seconds since 1970, to the millisecond.
func (e *Encoder) Time(m *shape.Member, v time.Time) {
	e.begin(m)
	e.head(majorTag, tagEpoch)
	if millis := v.UnixMilli(); millis%1000 != 0 {
		e.double(float64(millis) / 1000)
		return
	}
	e.int(v.Unix())
}

func (e *Encoder) Blob(m *shape.Member, v []byte) {
	e.begin(m)
	e.head(majorBytes, uint64(len(v)))
	e.buf = append(e.buf, v...)
}

// Stream is never in CBOR: RPC v2 streams events only.
func (e *Encoder) Stream(*shape.Member, io.ReadCloser) {
	panic("a streaming member inside a CBOR body")
}

func (e *Encoder) Null(m *shape.Member) {
	e.begin(m)
	e.buf = append(e.buf, simpleNull)
}

func (e *Encoder) Structure(m *shape.Member, v shape.Structure) {
	e.begin(m)
	e.Begin()
	v.EncodeMembers(e)
	e.End()
}

func (e *Encoder) List(m *shape.Member, n int, item func(shape.Encoder, int)) {
	e.begin(m)
	e.head(majorArray, uint64(n))
	for i := range n {
		e.bare = true
		item(e, i)
	}
}

func (e *Encoder) Map(m *shape.Member, keys []string, value func(shape.Encoder, string)) {
	e.begin(m)
	e.head(majorMap, uint64(len(keys)))
	for _, key := range keys {
		e.text(key)
		e.bare = true
		value(e, key)
	}
}

// Document writes the kinds that Decoder.Document reads.
func (e *Encoder) Document(m *shape.Member, v any) {
	e.begin(m)
	e.document(v)
}

func (e *Encoder) document(v any) {
	switch v := v.(type) {
	case nil:
		e.buf = append(e.buf, simpleNull)
	case bool:
		e.bool(v)
	case string:
		e.text(v)
	case int64:
		e.int(v)
	case float64:
		e.double(v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			e.int(n)
			return
		}
		f, _ := v.Float64() // out of range becomes infinite, as in any float
		e.double(f)
	case []any:
		e.head(majorArray, uint64(len(v)))
		for _, item := range v {
			e.document(item)
		}
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		e.head(majorMap, uint64(len(keys)))
		for _, k := range keys {
			e.text(k)
			e.document(v[k])
		}
	default:
		panic("a document holds a Go type that CBOR documents do not have")
	}
}
