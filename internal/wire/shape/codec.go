package shape

import (
	"io"
	"time"
)

// Structure is a generated type (or a value of the conformance tests) that can
// cross the wire.
type Structure interface {
	// WireSchema describes the structure; it is the same for all values of a type.
	WireSchema() *Schema
	// EncodeMembers writes every member that is set, in the model's order, each
	// with the Member of the schema.
	EncodeMembers(Encoder)
	// DecodeMember reads the member at that index of the schema. The decoder
	// stands on its value, which is not null.
	DecodeMember(d Decoder, index int) error
}

// Encoder writes a structure's members in a protocol. Encoders keep the first
// error and ignore what comes after it.
type Encoder interface {
	String(m *Member, v string)
	Bool(m *Member, v bool)
	Int(m *Member, v int64)
	Float(m *Member, v float64)
	Time(m *Member, v time.Time)
	Blob(m *Member, v []byte)
	Stream(m *Member, v io.ReadCloser)
	Document(m *Member, v any)
	Structure(m *Member, v Structure)
	// List writes n elements. item writes the element at an index to the encoder
	// it is given, with m.Element. It may be called again for the same index.
	List(m *Member, n int, item func(e Encoder, i int))
	// Map writes the entries of keys in that order; value writes the value of a
	// key with m.Value.
	Map(m *Member, keys []string, value func(e Encoder, key string))
	// Null writes the null of a sparse list or map.
	Null(m *Member)
}

// Decoder reads members in a protocol. Each call reads the value that the
// decoder stands on.
type Decoder interface {
	String(m *Member) (string, error)
	Bool(m *Member) (bool, error)
	// Int reads a whole number that fits in m.Kind.
	Int(m *Member) (int64, error)
	Float(m *Member) (float64, error)
	Time(m *Member) (time.Time, error)
	// Blob reads bytes. They may alias the request's body, which lives as long
	// as the request.
	Blob(m *Member) ([]byte, error)
	Stream(m *Member) (io.ReadCloser, error)
	Document(m *Member) (any, error)
	// Structure calls v.DecodeMember for each member that is present.
	Structure(m *Member, v Structure) error
	// List calls item on each element. A null element is malformed, unless m is
	// sparse: then item finds Null true.
	List(m *Member, item func(d Decoder) error) error
	// Map calls entry on each value with its key.
	Map(m *Member, entry func(d Decoder, key string) error) error
	// Null reports whether the decoder stands on a null, and steps over it.
	Null() bool
}
