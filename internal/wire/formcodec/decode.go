// Package formcodec owns the requests of the query protocol: parameters whose
// names spell out the way to a member, Tags.member.1.Key. It must never import
// net/http or a service: it is handed parameters that are already split.
package formcodec

import (
	"bytes"
	"encoding/base64"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lambdad/lambdad/internal/wire/httpbind"
	"github.com/lambdad/lambdad/internal/wire/shape"
	"github.com/lambdad/lambdad/internal/wire/timestamp"
)

// Unmarshal reads the members of v.
func Unmarshal(params httpbind.Query, v shape.Structure) error {
	root := &param{}
	for _, p := range params {
		if err := root.put(p.Key, p.Value); err != nil {
			return err
		}
	}
	return root.structure(v)
}

// depthMax bounds the dots of a name: each makes a place in a tree, so that a
// small form could else cost much memory.
const depthMax = 32

// param is a place in the tree that the names spell out. It implements
// shape.Decoder.
type param struct {
	value string
	set   bool
	kids  map[string]*param
}

func (p *param) put(name, value string) error {
	at := p
	for depth := 0; name != ""; depth++ {
		if depth == depthMax {
			return shape.Malformed("a parameter is nested deeper than %d", depthMax)
		}
		var step string
		step, name, _ = strings.Cut(name, ".")
		if at.kids == nil {
			at.kids = map[string]*param{}
		}
		next := at.kids[step]
		if next == nil {
			next = new(param)
			at.kids[step] = next
		}
		at = next
	}
	at.value, at.set = value, true
	return nil
}

func (p *param) structure(v shape.Structure) error {
	schema := v.WireSchema()
	for i := range schema.Members {
		m := &schema.Members[i]
		kid := p.kids[m.XMLName()]
		if kid == nil {
			continue
		}
		if err := v.DecodeMember(kid, i); err != nil {
			return err
		}
	}
	return nil
}

func (p *param) String(m *shape.Member) (string, error) {
	if !utf8.ValidString(p.value) {
		return "", shape.Malformed("Invalid UTF-8 in %s", m.Name)
	}
	return p.value, nil
}

func (p *param) Bool(*shape.Member) (bool, error)     { return shape.ParseBool(p.value) }
func (p *param) Int(m *shape.Member) (int64, error)   { return shape.ParseInt(m.Kind, p.value) }
func (p *param) Float(*shape.Member) (float64, error) { return shape.ParseFloat(p.value) }
func (p *param) Document(m *shape.Member) (any, error) {
	return nil, shape.Malformed("%s is a document, which a form cannot hold", m.Name)
}
func (p *param) Null() bool { return false }

func (p *param) Time(m *shape.Member) (time.Time, error) {
	return timestamp.Parse(p.value, timestamp.Or(m.Time, shape.TimestampISO8601))
}

func (p *param) Blob(m *shape.Member) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(p.value)
	if err != nil {
		return nil, shape.Malformed("%s is not base64", m.Name)
	}
	return b, nil
}

func (p *param) Stream(m *shape.Member) (io.ReadCloser, error) {
	b, err := p.Blob(m)
	return io.NopCloser(bytes.NewReader(b)), err
}

func (p *param) Structure(_ *shape.Member, v shape.Structure) error { return p.structure(v) }

func (p *param) List(m *shape.Member, item func(shape.Decoder) error) error {
	holder := p
	if !m.Flattened {
		if holder = p.kids[m.Element.XMLName()]; holder == nil {
			return nil // "Tags=" is how clients send an empty list
		}
	}
	items, err := holder.numbered(m)
	if err != nil {
		return err
	}
	for _, it := range items {
		if err := item(it); err != nil {
			return err
		}
	}
	return nil
}

func (p *param) Map(m *shape.Member, entry func(shape.Decoder, string) error) error {
	holder := p
	if !m.Flattened {
		if holder = p.kids["entry"]; holder == nil {
			return nil
		}
	}
	items, err := holder.numbered(m)
	if err != nil {
		return err
	}
	for _, it := range items {
		key, value := it.kids[m.Key.XMLName()], it.kids[m.Value.XMLName()]
		if key == nil || value == nil {
			return shape.Malformed("an entry of %s needs %s and %s", m.Name, m.Key.XMLName(), m.Value.XMLName())
		}
		name, err := key.String(m.Key)
		if err != nil {
			return err
		}
		if err := entry(value, name); err != nil {
			return err
		}
	}
	return nil
}

// numbered lists the kids 1, 2, 3 ... in order. Gaps are closed.
func (p *param) numbered(m *shape.Member) ([]*param, error) {
	numbers := make([]int, 0, len(p.kids))
	for name := range p.kids {
		n, err := strconv.Atoi(name)
		if err != nil || n < 1 || strconv.Itoa(n) != name {
			return nil, shape.Malformed("%s has the element %q, which is no number", m.Name, name)
		}
		numbers = append(numbers, n)
	}
	sort.Ints(numbers)
	items := make([]*param, len(numbers))
	for i, n := range numbers {
		items[i] = p.kids[strconv.Itoa(n)]
	}
	return items, nil
}
