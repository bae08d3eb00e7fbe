package xmlcodec

import (
	"io"
	"strconv"
	"time"

	"github.com/lambdad/lambdad/internal/wire/shape"
	"github.com/lambdad/lambdad/internal/wire/timestamp"
)

// attributeEncoder writes the members that are attributes, and no others.
type attributeEncoder struct{ e *Encoder }

func (a attributeEncoder) attribute(m *shape.Member, value string) {
	if !m.Attribute {
		return
	}
	a.e.buf = append(a.e.buf, ' ')
	a.e.buf = append(a.e.buf, m.WireName...)
	a.e.buf = append(a.e.buf, '=', '"')
	a.e.buf = appendText(a.e.buf, value, true)
	a.e.buf = append(a.e.buf, '"')
}

func (a attributeEncoder) String(m *shape.Member, v string) { a.attribute(m, v) }
func (a attributeEncoder) Bool(m *shape.Member, v bool)     { a.attribute(m, strconv.FormatBool(v)) }
func (a attributeEncoder) Int(m *shape.Member, v int64)     { a.attribute(m, strconv.FormatInt(v, 10)) }

func (a attributeEncoder) Float(m *shape.Member, v float64) {
	a.attribute(m, string(shape.AppendFloat(nil, m.Kind, v)))
}

func (a attributeEncoder) Time(m *shape.Member, v time.Time) {
	a.attribute(m, string(timestamp.Append(nil, v, timestamp.Or(m.Time, shape.TimestampISO8601))))
}

func (attributeEncoder) Blob(*shape.Member, []byte)                               {}
func (attributeEncoder) Stream(*shape.Member, io.ReadCloser)                      {}
func (attributeEncoder) Document(*shape.Member, any)                              {}
func (attributeEncoder) Structure(*shape.Member, shape.Structure)                 {}
func (attributeEncoder) List(*shape.Member, int, func(shape.Encoder, int))        {}
func (attributeEncoder) Map(*shape.Member, []string, func(shape.Encoder, string)) {}
func (attributeEncoder) Null(*shape.Member)                                       {}
