package cborcodec

import (
	"bytes"
	"io"
	"math"
	"time"

	"github.com/lambdad/lambdad/internal/wire/shape"
	"github.com/lambdad/lambdad/internal/wire/timestamp"
)

// Decoder reads CBOR, strict about types. It implements shape.Decoder.
type Decoder struct {
	data  []byte
	pos   int
	depth int
}

// Unmarshal reads a whole body into v. An empty body sets nothing.
func Unmarshal(data []byte, v shape.Structure) error {
	if len(data) == 0 {
		return nil
	}
	d := Decoder{data: data}
	if err := d.structure(v, v.WireSchema().Union); err != nil {
		return err
	}
	if d.pos < len(data) {
		return shape.Malformed("bytes after the CBOR item")
	}
	return nil
}

// NewDecoder reads the items in data.
func NewDecoder(data []byte) *Decoder { return &Decoder{data: data} }

func (d *Decoder) String(*shape.Member) (string, error) { return d.text() }

func (d *Decoder) Bool(*shape.Member) (bool, error) {
	if d.pos >= len(d.data) {
		return false, errShort
	}
	switch d.data[d.pos] {
	case simpleTrue:
		d.pos++
		return true, nil
	case simpleFalse:
		d.pos++
		return false, nil
	}
	return false, shape.Malformed("a CBOR item is no boolean")
}

// Int reads a whole number, also one that is written as a float.
func (d *Decoder) Int(m *shape.Member) (int64, error) {
	n, f, whole, err := d.number()
	if err != nil {
		return 0, err
	}
	if !whole {
		const exact = 1 << 53 // beyond it a float is not every whole number
		if f != math.Trunc(f) || f < -exact || f > exact {
			return 0, shape.Malformed("a CBOR number is no valid %s", m.Kind)
		}
		n = int64(f)
	}
	return n, shape.CheckInt(m.Kind, n)
}

func (d *Decoder) Float(*shape.Member) (float64, error) {
	_, f, _, err := d.number()
	return f, err
}

// Time reads tag 1. Other tags on a number are refused, no tag is accepted.
func (d *Decoder) Time(*shape.Member) (time.Time, error) {
	tag, err := d.tags()
	if err != nil {
		return time.Time{}, err
	}
	if tag != tagEpoch && tag != 0 {
		return time.Time{}, shape.Malformed("a CBOR time has the tag %d", tag)
	}
	n, f, whole, err := d.number()
	if err != nil {
		return time.Time{}, err
	}
	if whole {
		f = float64(n)
	}
	return timestamp.FromSeconds(f)
}

func (d *Decoder) Blob(*shape.Member) ([]byte, error) { return d.bytes(majorBytes) }

func (d *Decoder) Stream(*shape.Member) (io.ReadCloser, error) {
	b, err := d.bytes(majorBytes)
	return io.NopCloser(bytes.NewReader(b)), err
}

// Null reads null and undefined.
func (d *Decoder) Null() bool {
	if d.pos < len(d.data) && (d.data[d.pos] == simpleNull || d.data[d.pos] == simpleUndef) {
		d.pos++
		return true
	}
	return false
}

func (d *Decoder) Structure(m *shape.Member, v shape.Structure) error {
	return d.structure(v, m.Union || v.WireSchema().Union)
}

func (d *Decoder) structure(v shape.Structure, union bool) error {
	schema := v.WireSchema()
	set := 0
	err := d.each(majorMap, func() error {
		name, err := d.bytes(majorText)
		if err != nil {
			return err
		}
		i := find(schema, name)
		if d.Null() {
			return nil
		}
		if i < 0 {
			if union && string(name) != "__type" {
				return shape.Malformed("a union has an unknown member")
			}
			return d.skip()
		}
		set++
		return v.DecodeMember(d, i)
	})
	if err == nil && union && set != 1 {
		return shape.Malformed("a union needs exactly one member, this has %d", set)
	}
	return err
}

func find(s *shape.Schema, name []byte) int {
	for i := range s.Members {
		if s.Members[i].WireName == string(name) {
			return i
		}
	}
	return -1
}

func (d *Decoder) List(m *shape.Member, item func(shape.Decoder) error) error {
	return d.each(majorArray, func() error {
		if !m.Sparse && d.Null() {
			return shape.Malformed("%s has a null element", m.Name)
		}
		return item(d)
	})
}

func (d *Decoder) Map(m *shape.Member, entry func(shape.Decoder, string) error) error {
	return d.each(majorMap, func() error {
		key, err := d.text()
		if err != nil {
			return err
		}
		if !m.Sparse && d.Null() {
			return shape.Malformed("%s has a null value", m.Name)
		}
		return entry(d, key)
	})
}

// Document reads any item: nil, bool, string, int64, float64, []any or
// map[string]any. Byte strings are no documents.
func (d *Decoder) Document(m *shape.Member) (any, error) {
	if d.Null() {
		return nil, nil
	}
	if d.pos >= len(d.data) {
		return nil, errShort
	}
	switch first := d.data[d.pos]; {
	case first == simpleTrue, first == simpleFalse:
		return d.Bool(m)
	case first&0xe0 == majorText:
		return d.text()
	case first&0xe0 == majorArray:
		out := []any{}
		err := d.each(majorArray, func() error {
			v, err := d.Document(m)
			out = append(out, v)
			return err
		})
		return out, err
	case first&0xe0 == majorMap:
		out := map[string]any{}
		err := d.each(majorMap, func() error {
			key, err := d.text()
			if err != nil {
				return err
			}
			out[key], err = d.Document(m)
			return err
		})
		return out, err
	}
	n, f, whole, err := d.number()
	if whole {
		return n, err
	}
	return f, err
}
