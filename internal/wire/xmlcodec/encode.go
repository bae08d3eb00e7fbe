// Package xmlcodec owns XML bodies: the encoder and the decoder that rest-xml
// shares with the answers of the query protocol. It must never import net/http
// or a service: what stands around the members is written by its callers.
package xmlcodec

import (
	"bytes"
	"encoding/base64"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/lambdad/lambdad/internal/wire/shape"
	"github.com/lambdad/lambdad/internal/wire/timestamp"
)

// Encoder writes elements. The zero value is ready. It implements shape.Encoder.
type Encoder struct {
	buf []byte
	// element names the next value, where it is an element of a list or map.
	element string
	// root makes the next value the root of a payload.
	root bool
}

// Header is the declaration that AWS's answers begin with.
const Header = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// NewEncoder writes after buf, which may be nil.
func NewEncoder(buf []byte) *Encoder { return &Encoder{buf: buf} }

// Bytes is what was written.
func (e *Encoder) Bytes() []byte { return e.buf }

// Root makes the next value the root of the document.
func (e *Encoder) Root() { e.root = true }

// Open writes a start tag with the default namespace, "" without one.
func (e *Encoder) Open(name, namespace string) {
	e.start(name)
	e.namespace(namespace, "")
	e.buf = append(e.buf, '>')
}

// Close writes an end tag.
func (e *Encoder) Close(name string) {
	e.buf = append(e.buf, '<', '/')
	e.buf = append(e.buf, name...)
	e.buf = append(e.buf, '>')
}

// CloseShort closes an element that was opened with Open; one with nothing in it becomes
// an empty tag, as AWS writes empty results.
func (e *Encoder) CloseShort(name string) {
	if open := "<" + name + ">"; bytes.HasSuffix(e.buf, []byte(open)) {
		e.buf = append(e.buf[:len(e.buf)-1], '/', '>')
		return
	}
	e.Close(name)
}

// Field writes an element that no model has, e.g. RequestId.
func (e *Encoder) Field(name, value string) {
	e.Open(name, "")
	e.buf = appendText(e.buf, value, false)
	e.Close(name)
}

// OpenStructure writes the start tag of a structure with its attributes.
func (e *Encoder) OpenStructure(name, namespace, prefix string, v shape.Structure) {
	e.start(name)
	e.namespace(namespace, prefix)
	e.attributes(v)
	e.buf = append(e.buf, '>')
}

func (e *Encoder) start(name string) {
	e.buf = append(e.buf, '<')
	e.buf = append(e.buf, name...)
}

func (e *Encoder) namespace(uri, prefix string) {
	if uri == "" {
		return
	}
	e.buf = append(e.buf, " xmlns"...)
	if prefix != "" {
		e.buf = append(e.buf, ':')
		e.buf = append(e.buf, prefix...)
	}
	e.buf = append(e.buf, '=', '"')
	e.buf = appendText(e.buf, uri, true)
	e.buf = append(e.buf, '"')
}

// name is the name of the next value's element.
func (e *Encoder) name(m *shape.Member) string {
	switch {
	case e.root:
		e.root = false
		return RootName(m)
	case e.element != "":
		name := e.element
		e.element = ""
		return name
	}
	return m.XMLName()
}

// RootName is the element of a payload: the member's own XML name, else that of
// its structure, else the structure's name.
func RootName(m *shape.Member) string {
	switch {
	case m.WireName != m.Name:
		return m.WireName
	case m.ElementName != "":
		return m.ElementName
	}
	return m.Shape
}

// text writes an element with text, unless the member is an attribute: those are
// written with the start tag.
func (e *Encoder) text(m *shape.Member, write func(dst []byte) []byte) {
	if m.Attribute {
		return
	}
	name := e.name(m)
	e.start(name)
	e.namespace(m.Namespace, m.NamespacePrefix)
	e.buf = append(e.buf, '>')
	e.buf = write(e.buf)
	e.Close(name)
}

func (e *Encoder) String(m *shape.Member, v string) {
	e.text(m, func(dst []byte) []byte { return appendText(dst, v, false) })
}

func (e *Encoder) Bool(m *shape.Member, v bool) {
	e.text(m, func(dst []byte) []byte { return strconv.AppendBool(dst, v) })
}

func (e *Encoder) Int(m *shape.Member, v int64) {
	e.text(m, func(dst []byte) []byte { return strconv.AppendInt(dst, v, 10) })
}

func (e *Encoder) Float(m *shape.Member, v float64) {
	e.text(m, func(dst []byte) []byte { return shape.AppendFloat(dst, m.Kind, v) })
}

func (e *Encoder) Time(m *shape.Member, v time.Time) {
	e.text(m, func(dst []byte) []byte {
		return timestamp.Append(dst, v, timestamp.Or(m.Time, shape.TimestampISO8601))
	})
}

func (e *Encoder) Blob(m *shape.Member, v []byte) {
	e.text(m, func(dst []byte) []byte { return base64.StdEncoding.AppendEncode(dst, v) })
}

// Null writes an empty element: XML has no null.
func (e *Encoder) Null(m *shape.Member) {
	e.text(m, func(dst []byte) []byte { return dst })
}

// Stream and Document are never in XML: a stream is the whole payload, and
// documents exist in JSON protocols only.
func (e *Encoder) Stream(*shape.Member, io.ReadCloser) {
	panic("a streaming member inside an XML body")
}
func (e *Encoder) Document(*shape.Member, any) { panic("a document inside an XML body") }

func (e *Encoder) Structure(m *shape.Member, v shape.Structure) {
	uri, prefix := m.Namespace, m.NamespacePrefix
	if e.root && uri == "" {
		uri, prefix = v.WireSchema().Namespace, v.WireSchema().NamespacePrefix
	}
	name := e.name(m)
	e.start(name)
	e.namespace(uri, prefix)
	e.attributes(v)
	e.buf = append(e.buf, '>')
	v.EncodeMembers(e)
	e.Close(name)
}

func (e *Encoder) List(m *shape.Member, n int, item func(shape.Encoder, int)) {
	if m.Flattened {
		for i := range n {
			e.element = m.XMLName()
			item(e, i)
		}
		return
	}
	name := e.name(m)
	e.start(name)
	e.namespace(m.Namespace, m.NamespacePrefix)
	e.buf = append(e.buf, '>')
	for i := range n {
		e.element = m.Element.XMLName()
		item(e, i)
	}
	e.Close(name)
}

func (e *Encoder) Map(m *shape.Member, keys []string, value func(shape.Encoder, string)) {
	entry, name := "entry", ""
	if m.Flattened {
		entry = m.XMLName()
	} else {
		name = e.name(m)
		e.start(name)
		e.namespace(m.Namespace, m.NamespacePrefix)
		e.buf = append(e.buf, '>')
	}
	for _, key := range keys {
		e.start(entry)
		if m.Flattened {
			e.namespace(m.Namespace, m.NamespacePrefix)
		}
		e.buf = append(e.buf, '>')
		e.element = ""
		e.String(m.Key, key)
		e.element = m.Value.XMLName()
		value(e, key)
		e.Close(entry)
	}
	if !m.Flattened {
		e.Close(name)
	}
}

// attributes writes the members of v that belong into its start tag.
func (e *Encoder) attributes(v shape.Structure) {
	schema := v.WireSchema()
	for i := range schema.Members {
		if schema.Members[i].Attribute {
			v.EncodeMembers(attributeEncoder{e})
			return
		}
	}
}

// appendText escapes. Line ends that a parser would change are escaped too;
// characters that XML does not have become the replacement character.
func appendText(dst []byte, s string, attribute bool) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '&':
			dst = append(dst, "&amp;"...)
		case r == '<':
			dst = append(dst, "&lt;"...)
		case r == '>':
			dst = append(dst, "&gt;"...)
		case r == '"':
			dst = append(dst, "&quot;"...)
		case r == '\r':
			dst = append(dst, "&#xD;"...)
		case r == '\n' && attribute:
			dst = append(dst, "&#xA;"...)
		case r == '\t' && attribute:
			dst = append(dst, "&#x9;"...)
		case r == 0x85:
			dst = append(dst, "&#x85;"...)
		case r == 0x2028:
			dst = append(dst, "&#x2028;"...)
		case r == utf8.RuneError && size == 1, r < 0x20 && r != '\t' && r != '\n', r == 0xfffe, r == 0xffff:
			dst = append(dst, "\ufffd"...)
		default:
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return dst
}
