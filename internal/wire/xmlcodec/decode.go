package xmlcodec

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/wire/shape"
	"github.com/lambdad/lambdad/internal/wire/timestamp"
)

// Unmarshal reads the members of v that are placed in the body. An empty body
// sets nothing. The name of the root is not looked at: the path has told what
// it is.
func Unmarshal(data []byte, v shape.Structure) error {
	root, err := parse(data)
	if err != nil || root == nil {
		return err
	}
	return decodeStructure(root, v, true)
}

// UnmarshalPayload reads the one value that is the whole body.
func UnmarshalPayload(data []byte, read func(shape.Decoder) error) error {
	root, err := parse(data)
	if err != nil || root == nil {
		return err
	}
	return read(&decoder{elements: []*element{root}})
}

// decoder stands on one element, or on all elements of a flattened list or map.
// It implements shape.Decoder.
type decoder struct {
	elements []*element
	// attribute is the text, where the value is an attribute.
	attribute *string
}

func (d *decoder) text() string {
	if d.attribute != nil {
		return *d.attribute
	}
	return d.elements[0].text
}

func (d *decoder) trimmed() string { return strings.TrimSpace(d.text()) }

func (d *decoder) String(*shape.Member) (string, error) { return d.text(), nil }
func (d *decoder) Bool(*shape.Member) (bool, error)     { return shape.ParseBool(d.trimmed()) }
func (d *decoder) Int(m *shape.Member) (int64, error)   { return shape.ParseInt(m.Kind, d.trimmed()) }
func (d *decoder) Float(*shape.Member) (float64, error) { return shape.ParseFloat(d.trimmed()) }
func (d *decoder) Document(*shape.Member) (any, error)  { return d.text(), nil }
func (d *decoder) Null() bool                           { return false }

func (d *decoder) Time(m *shape.Member) (time.Time, error) {
	return timestamp.Parse(d.trimmed(), timestamp.Or(m.Time, shape.TimestampISO8601))
}

func (d *decoder) Blob(m *shape.Member) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(d.trimmed())
	if err != nil {
		return nil, shape.Malformed("%s is not base64", m.Name)
	}
	return b, nil
}

func (d *decoder) Stream(m *shape.Member) (io.ReadCloser, error) {
	b, err := d.Blob(m)
	return io.NopCloser(bytes.NewReader(b)), err
}

func (d *decoder) Structure(m *shape.Member, v shape.Structure) error {
	el := d.elements[0]
	if (m.Union || v.WireSchema().Union) && (len(el.children) != 1 || v.WireSchema().ByWireName(el.children[0].name) < 0) {
		return shape.Malformed("a union needs exactly one member that it has, this has %d", len(el.children))
	}
	return decodeStructure(el, v, false)
}

// decodeStructure goes by the model, so that the elements of a flattened list
// are found together wherever they stand.
func decodeStructure(el *element, v shape.Structure, bodyOnly bool) error {
	schema := v.WireSchema()
	for i := range schema.Members {
		m := &schema.Members[i]
		if bodyOnly && m.Location != shape.LocationBody {
			continue
		}
		if m.Attribute {
			for _, a := range el.attrs {
				if a.Name.Local == localName(m.WireName) && a.Name.Space != "xmlns" {
					if err := v.DecodeMember(&decoder{attribute: &a.Value}, i); err != nil {
						return err
					}
					break
				}
			}
			continue
		}
		found := childrenNamed(el, localName(m.WireName))
		if len(found) == 0 {
			continue
		}
		if err := v.DecodeMember(&decoder{elements: found}, i); err != nil {
			return err
		}
	}
	return nil
}

func childrenNamed(el *element, name string) []*element {
	var found []*element
	for _, c := range el.children {
		if c.name == name {
			found = append(found, c)
		}
	}
	return found
}

func (d *decoder) List(m *shape.Member, item func(shape.Decoder) error) error {
	items := d.elements
	if !m.Flattened {
		items = childrenNamed(d.elements[0], localName(m.Element.WireName))
	}
	for _, el := range items {
		if err := item(&decoder{elements: []*element{el}}); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) Map(m *shape.Member, entry func(shape.Decoder, string) error) error {
	entries := d.elements
	if !m.Flattened {
		entries = childrenNamed(d.elements[0], "entry")
	}
	for _, el := range entries {
		keys := childrenNamed(el, localName(m.Key.WireName))
		values := childrenNamed(el, localName(m.Value.WireName))
		if len(keys) != 1 || len(values) != 1 {
			return shape.Malformed("an entry of %s needs one %s and one %s", m.Name, m.Key.WireName, m.Value.WireName)
		}
		if err := entry(&decoder{elements: values}, keys[0].text); err != nil {
			return err
		}
	}
	return nil
}
