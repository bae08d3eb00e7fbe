package cborcodec

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

var errShort = shape.Malformed("the CBOR ends inside an item")

// head reads an item's first byte and its argument. info is 31 for indefinite
// lengths.
func (d *Decoder) head() (major, info byte, arg uint64, err error) {
	if d.pos >= len(d.data) {
		return 0, 0, 0, errShort
	}
	first := d.data[d.pos]
	d.pos++
	major, info = first&0xe0, first&0x1f
	size := 0
	switch info {
	case 24, 25, 26, 27:
		size = 1 << (info - 24)
	case 28, 29, 30:
		return 0, 0, 0, shape.Malformed("a reserved CBOR item")
	case indefinite:
		return major, info, 0, nil
	default:
		return major, info, uint64(info), nil
	}
	if len(d.data)-d.pos < size {
		return 0, 0, 0, errShort
	}
	var b [8]byte
	copy(b[8-size:], d.data[d.pos:d.pos+size])
	d.pos += size
	return major, info, binary.BigEndian.Uint64(b[:]), nil
}

// tags steps over tags and returns the innermost, 0 without one.
func (d *Decoder) tags() (tag uint64, err error) {
	for d.pos < len(d.data) && d.data[d.pos]&0xe0 == majorTag {
		_, info, arg, err := d.head()
		if err != nil {
			return 0, err
		}
		if info == indefinite {
			return 0, shape.Malformed("a reserved CBOR item")
		}
		tag = arg
	}
	return tag, nil
}

// bytes reads a byte or text string. Definite ones alias the body.
func (d *Decoder) bytes(major byte) ([]byte, error) {
	if _, err := d.tags(); err != nil {
		return nil, err
	}
	got, info, n, err := d.head()
	if err != nil {
		return nil, err
	}
	if got != major {
		return nil, shape.Malformed("a CBOR item has the wrong type")
	}
	if info != indefinite {
		return d.take(n)
	}
	out := []byte{}
	for {
		got, info, n, err := d.head()
		switch {
		case err != nil:
			return nil, err
		case got == majorSimple && info == indefinite:
			return out, nil
		case got != major || info == indefinite:
			return nil, shape.Malformed("a CBOR string has a chunk of another type")
		}
		chunk, err := d.take(n)
		if err != nil {
			return nil, err
		}
		out = append(out, chunk...)
	}
}

func (d *Decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.data)-d.pos) {
		return nil, errShort
	}
	b := d.data[d.pos : d.pos+int(n) : d.pos+int(n)]
	d.pos += int(n)
	return b, nil
}

func (d *Decoder) text() (string, error) {
	b, err := d.bytes(majorText)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", shape.Malformed("invalid UTF-8 in a CBOR string")
	}
	return string(b), nil
}

// number reads a whole number or a float.
func (d *Decoder) number() (whole int64, f float64, isWhole bool, err error) {
	if _, err := d.tags(); err != nil {
		return 0, 0, false, err
	}
	major, info, arg, err := d.head()
	if err != nil {
		return 0, 0, false, err
	}
	switch {
	case info == indefinite:
	case major == majorUnsigned:
		if arg > math.MaxInt64 {
			return 0, float64(arg), false, nil
		}
		return int64(arg), float64(arg), true, nil
	case major == majorNegative:
		if arg > math.MaxInt64 {
			return 0, -1 - float64(arg), false, nil
		}
		return -1 - int64(arg), -1 - float64(arg), true, nil
	case major == majorSimple && info == 25:
		return 0, halfFloat(uint16(arg)), false, nil
	case major == majorSimple && info == 26:
		return 0, float64(math.Float32frombits(uint32(arg))), false, nil
	case major == majorSimple && info == 27:
		return 0, math.Float64frombits(arg), false, nil
	}
	return 0, 0, false, shape.Malformed("a CBOR item is no number")
}

// halfFloat is RFC 8949 appendix D.
func halfFloat(bits uint16) float64 {
	exp, mant := int(bits>>10&0x1f), float64(bits&0x3ff)
	var f float64
	switch exp {
	case 0:
		f = math.Ldexp(mant, -24)
	case 31:
		f = math.Inf(1)
		if mant != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(mant+1024, exp-25)
	}
	if bits&0x8000 != 0 {
		return -f
	}
	return f
}

// each calls item for every element of an array, or key of a map.
func (d *Decoder) each(major byte, item func() error) error {
	if _, err := d.tags(); err != nil {
		return err
	}
	got, info, n, err := d.head()
	if err != nil {
		return err
	}
	if got != major {
		return shape.Malformed("a CBOR item has the wrong type")
	}
	if d.depth++; d.depth > shape.DepthMax {
		return shape.Malformed("nested deeper than %d", shape.DepthMax)
	}
	defer func() { d.depth-- }()
	for i := uint64(0); info == indefinite || i < n; i++ {
		if d.pos >= len(d.data) {
			return errShort
		}
		if info == indefinite && d.data[d.pos] == breakCode {
			d.pos++
			return nil
		}
		if err := item(); err != nil {
			return err
		}
	}
	return nil
}

// skip steps over any item.
func (d *Decoder) skip() error {
	if _, err := d.tags(); err != nil {
		return err
	}
	if d.pos >= len(d.data) {
		return errShort
	}
	switch major := d.data[d.pos] & 0xe0; major {
	case majorBytes, majorText:
		_, err := d.bytes(major)
		return err
	case majorArray:
		return d.each(major, d.skip)
	case majorMap:
		return d.each(major, func() error {
			if err := d.skip(); err != nil {
				return err
			}
			return d.skip()
		})
	}
	_, info, _, err := d.head()
	if err == nil && info == indefinite {
		return shape.Malformed("a CBOR break where an item belongs")
	}
	return err
}
