package constraint

import (
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// skeleton is an encoder that writes nothing, to be embedded.
type skeleton struct{}

func (skeleton) String(*shape.Member, string)                             {}
func (skeleton) Bool(*shape.Member, bool)                                 {}
func (skeleton) Int(*shape.Member, int64)                                 {}
func (skeleton) Float(*shape.Member, float64)                             {}
func (skeleton) Time(*shape.Member, time.Time)                            {}
func (skeleton) Blob(*shape.Member, []byte)                               {}
func (skeleton) Stream(*shape.Member, io.ReadCloser)                      {}
func (skeleton) Document(*shape.Member, any)                              {}
func (skeleton) Structure(*shape.Member, shape.Structure)                 {}
func (skeleton) List(*shape.Member, int, func(shape.Encoder, int))        {}
func (skeleton) Map(*shape.Member, []string, func(shape.Encoder, string)) {}
func (skeleton) Null(*shape.Member)                                       {}

// javaText is an encoder that writes a value as Java's toString does, because
// that is how AWS's messages show values: [a, b], {k=v}, Name(member=value).
type javaText struct {
	skeleton
	b strings.Builder
	// in is set inside a structure: members get names, and absent ones null.
	in   *shape.Schema
	next int
	// element tells that the next value is an element.
	element bool
}

func (t *javaText) begin(m *shape.Member) {
	if t.in == nil || t.element {
		t.element = false
		return
	}
	t.absent(m)
	t.name(m)
}

func (t *javaText) name(m *shape.Member) {
	if t.next > 1 {
		t.b.WriteString(", ")
	}
	t.b.WriteString(lowerFirst(m.Name) + "=")
}

// absent writes the members before m that are not set.
func (t *javaText) absent(m *shape.Member) {
	for t.next < len(t.in.Members) {
		other := &t.in.Members[t.next]
		t.next++
		if other == m {
			return
		}
		t.name(other)
		t.b.WriteString("null")
	}
}

func (t *javaText) write(m *shape.Member, s string) {
	t.begin(m)
	if m.Sensitive {
		s = "***Sensitive Data Redacted***"
	}
	t.b.WriteString(s)
}

func (t *javaText) String(m *shape.Member, v string)  { t.write(m, v) }
func (t *javaText) Bool(m *shape.Member, v bool)      { t.write(m, strconv.FormatBool(v)) }
func (t *javaText) Int(m *shape.Member, v int64)      { t.write(m, strconv.FormatInt(v, 10)) }
func (t *javaText) Float(m *shape.Member, v float64)  { t.write(m, javaFloat(m.Kind, v)) }
func (t *javaText) Time(m *shape.Member, v time.Time) { t.write(m, v.UTC().Format(time.UnixDate)) }
func (t *javaText) Null(m *shape.Member)              { t.write(m, "null") }
func (t *javaText) Document(m *shape.Member, _ any)   { t.write(m, "{}") }

func (t *javaText) Blob(m *shape.Member, v []byte) {
	t.write(m, blobText(len(v)))
}

func (t *javaText) Structure(m *shape.Member, v shape.Structure) {
	t.begin(m)
	in, next, element := t.in, t.next, t.element
	t.in, t.next, t.element = v.WireSchema(), 0, false
	t.b.WriteString(t.in.Name + "(")
	v.EncodeMembers(t)
	t.absent(nil)
	t.b.WriteByte(')')
	t.in, t.next, t.element = in, next, element
}

func (t *javaText) List(m *shape.Member, n int, item func(shape.Encoder, int)) {
	t.begin(m)
	t.b.WriteByte('[')
	for i := range n {
		if i > 0 {
			t.b.WriteString(", ")
		}
		t.element = true
		item(t, i)
	}
	t.element = false
	t.b.WriteByte(']')
}

func (t *javaText) Map(m *shape.Member, keys []string, value func(shape.Encoder, string)) {
	t.begin(m)
	t.b.WriteByte('{')
	for i, k := range keys {
		if i > 0 {
			t.b.WriteString(", ")
		}
		t.b.WriteString(k + "=")
		t.element = true
		value(t, k)
	}
	t.element = false
	t.b.WriteByte('}')
}

func javaList(m *shape.Member, n int, item func(shape.Encoder, int)) string {
	var t javaText
	t.List(m, n, item)
	return t.b.String()
}

func javaMap(m *shape.Member, keys []string, value func(shape.Encoder, string)) string {
	var t javaText
	t.Map(m, keys, value)
	return t.b.String()
}

// javaFloat is Double.toString for the sizes that constraints have.
func javaFloat(kind shape.Kind, v float64) string {
	bits := 64
	if kind == shape.KindFloat {
		bits = 32
	}
	if abs := math.Abs(v); abs != 0 && (abs < 1e-3 || abs >= 1e7) {
		s := strings.Replace(strconv.FormatFloat(v, 'E', -1, bits), "E+0", "E", 1)
		s = strings.Replace(strings.Replace(s, "E-0", "E-", 1), "E+", "E", 1)
		if !strings.Contains(s, ".") {
			s = strings.Replace(s, "E", ".0E", 1)
		}
		return s
	}
	return string(shape.AppendFloat(nil, kind, v))
}
