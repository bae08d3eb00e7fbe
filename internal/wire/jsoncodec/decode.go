package jsoncodec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/lambdad/lambdad/internal/wire/shape"
	"github.com/lambdad/lambdad/internal/wire/timestamp"
)

// Decoder reads JSON, strict about types as AWS is. It implements shape.Decoder.
type Decoder struct {
	data  []byte
	pos   int
	depth int
	// bodyOnly leaves out members that are placed elsewhere in the message; it
	// holds for the outermost structure alone.
	bodyOnly bool
}

// Options tell how a body is read.
type Options struct {
	// BodyOnly leaves out the members of the outermost structure that are bound
	// to headers, query or path.
	BodyOnly bool
}

// Unmarshal reads a whole body into v. An empty body sets nothing.
func Unmarshal(data []byte, v shape.Structure, opt Options) error {
	d := Decoder{data: data, bodyOnly: opt.BodyOnly}
	if d.peek() == 0 && d.pos >= len(data) {
		return nil
	}
	if err := d.structure(v, v.WireSchema().Union); err != nil {
		return err
	}
	return d.Finish()
}

// NewDecoder reads the one value in data; after it call Finish.
func NewDecoder(data []byte) *Decoder { return &Decoder{data: data} }

// Finish checks that nothing follows the value.
func (d *Decoder) Finish() error {
	if d.space(); d.pos < len(d.data) {
		return d.unexpected("the end")
	}
	return nil
}

func (d *Decoder) String(m *shape.Member) (string, error) { return d.text() }

func (d *Decoder) Bool(m *shape.Member) (bool, error) {
	switch {
	case d.literal("true"):
		return true, nil
	case d.literal("false"):
		return false, nil
	}
	return false, d.unexpected("a boolean")
}

// Int reads a whole number. 1.0 is one, 1.5 is not.
func (d *Decoder) Int(m *shape.Member) (int64, error) {
	text, whole, err := d.number()
	if err != nil {
		return 0, err
	}
	if whole {
		return shape.ParseInt(m.Kind, string(text))
	}
	f, err := strconv.ParseFloat(string(text), 64)
	const exact = 1 << 53 // beyond it a float is not every whole number
	if err != nil || f != float64(int64(f)) || f < -exact || f > exact {
		return 0, shape.Malformed("%s is not a valid %s", clip(text), m.Kind)
	}
	return int64(f), shape.CheckInt(m.Kind, int64(f))
}

func (d *Decoder) Float(m *shape.Member) (float64, error) {
	if d.peek() == '"' {
		s, err := d.text()
		if err != nil {
			return 0, err
		}
		if s != "NaN" && s != "Infinity" && s != "-Infinity" {
			return 0, shape.Malformed("a string where a number belongs")
		}
		return shape.ParseFloat(s)
	}
	text, _, err := d.number()
	if err != nil {
		return 0, err
	}
	return shape.ParseFloat(string(text))
}

func (d *Decoder) Time(m *shape.Member) (time.Time, error) {
	f := timestamp.Or(m.Time, shape.TimestampUnix)
	if f == shape.TimestampUnix {
		text, _, err := d.number()
		if err != nil {
			return time.Time{}, err
		}
		return timestamp.Parse(string(text), f)
	}
	s, err := d.text()
	if err != nil {
		return time.Time{}, err
	}
	return timestamp.Parse(s, f)
}

// Blob decodes base64 straight from the body.
func (d *Decoder) Blob(m *shape.Member) ([]byte, error) {
	raw, simple, err := d.rawString()
	if err != nil {
		return nil, err
	}
	if !simple { // "\/" is the one escape that base64 can need
		s, err := unescape(raw)
		if err != nil {
			return nil, err
		}
		raw = []byte(s)
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(raw)))
	n, err := base64.StdEncoding.Decode(out, raw)
	if err != nil {
		return nil, shape.Malformed("a blob is not base64")
	}
	return out[:n], nil
}

func (d *Decoder) Stream(m *shape.Member) (io.ReadCloser, error) {
	b, err := d.Blob(m)
	return io.NopCloser(bytes.NewReader(b)), err
}

func (d *Decoder) Null() bool { return d.literal("null") }

func (d *Decoder) Structure(m *shape.Member, v shape.Structure) error {
	return d.structure(v, m.Union || v.WireSchema().Union)
}

func (d *Decoder) structure(v shape.Structure, union bool) error {
	bodyOnly := d.bodyOnly
	d.bodyOnly = false
	schema := v.WireSchema()
	set := 0
	err := d.object(func(key []byte) error {
		i := find(schema, key)
		if i < 0 || bodyOnly && schema.Members[i].Location != shape.LocationBody {
			if d.Null() {
				return nil
			}
			if union && i < 0 && string(key) != "__type" {
				return shape.Malformed("a union has an unknown member")
			}
			return d.skip()
		}
		if d.Null() {
			return nil
		}
		set++
		return v.DecodeMember(d, i)
	})
	if err == nil && union && set != 1 {
		return shape.Malformed("a union needs exactly one member, this has %d", set)
	}
	return err
}

// find is Schema.ByWireName without making a string of the key.
func find(s *shape.Schema, key []byte) int {
	for i := range s.Members {
		if s.Members[i].WireName == string(key) {
			return i
		}
	}
	return -1
}

// object calls member for each name, standing on the value.
func (d *Decoder) object(member func(key []byte) error) error {
	if err := d.expect('{'); err != nil {
		return err
	}
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	for first := true; ; first = false {
		if first && d.peek() == '}' {
			d.pos++
			return nil
		}
		if !first {
			if d.peek() == '}' {
				d.pos++
				return nil
			}
			if err := d.expect(','); err != nil {
				return err
			}
		}
		key, simple, err := d.rawString()
		if err != nil {
			return err
		}
		if !simple {
			s, err := unescape(key)
			if err != nil {
				return err
			}
			key = []byte(s)
		}
		if err := d.expect(':'); err != nil {
			return err
		}
		d.space()
		if err := member(key); err != nil {
			return err
		}
	}
}

func (d *Decoder) array(item func() error) error {
	if err := d.expect('['); err != nil {
		return err
	}
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	for first := true; ; first = false {
		if d.peek() == ']' {
			if !first || d.pos < len(d.data) {
				d.pos++
				return nil
			}
		}
		if !first {
			if err := d.expect(','); err != nil {
				return err
			}
			if d.peek() == ']' {
				return d.unexpected("a value")
			}
		}
		if err := item(); err != nil {
			return err
		}
	}
}

func (d *Decoder) List(m *shape.Member, item func(shape.Decoder) error) error {
	return d.array(func() error {
		if !m.Sparse && d.Null() {
			return shape.Malformed("%s has a null element", m.Name)
		}
		return item(d)
	})
}

func (d *Decoder) Map(m *shape.Member, entry func(shape.Decoder, string) error) error {
	return d.object(func(key []byte) error {
		if !m.Sparse && d.Null() {
			return shape.Malformed("%s has a null value", m.Name)
		}
		if !utf8.Valid(key) {
			return shape.Malformed("Invalid UTF-8 in a key")
		}
		return entry(d, string(key))
	})
}

// Document reads any value: nil, bool, string, json.Number, []any or
// map[string]any.
func (d *Decoder) Document(m *shape.Member) (any, error) {
	switch c := d.peek(); {
	case c == '"':
		return d.text()
	case c == '{':
		out := map[string]any{}
		err := d.object(func(key []byte) error {
			name := string(key)
			v, err := d.Document(m)
			out[name] = v
			return err
		})
		return out, err
	case c == '[':
		out := []any{}
		err := d.array(func() error {
			v, err := d.Document(m)
			out = append(out, v)
			return err
		})
		return out, err
	case d.literal("null"):
		return nil, nil
	case d.literal("true"):
		return true, nil
	case d.literal("false"):
		return false, nil
	}
	text, _, err := d.number()
	return json.Number(text), err
}

func clip(b []byte) string {
	if len(b) > 64 {
		b = b[:64]
	}
	return string(b)
}
