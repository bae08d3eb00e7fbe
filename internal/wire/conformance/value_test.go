package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/wire/model"
	"github.com/lambdad/lambdad/internal/wire/shape"
)

// value is a structure without a Go type: one field a member, nil where absent.
// Fields hold string, bool, int64, float64, time.Time, []byte, *value, []any or
// map[string]any; any for documents.
type value struct {
	types  *types
	schema *shape.Schema
	fields []any
}

// document wraps a document, so that null is not absent.
type document struct{ v any }

// types makes values of a model, with one schema a structure.
type types struct {
	model   *model.Model
	schemas map[string]*shape.Schema
}

func newTypes(m *model.Model) *types {
	// The dialect has no trait for sparse lists and maps; in the vectors their
	// names tell it.
	for name, s := range m.Shapes {
		if strings.HasPrefix(name, "Sparse") && (s.Type == "list" || s.Type == "map") {
			s.Sparse = true
		}
	}
	return &types{model: m, schemas: map[string]*shape.Schema{}}
}

func (t *types) new(name string) *value {
	if name == "" {
		return &value{types: t, schema: &shape.Schema{Payload: -1}}
	}
	s := t.schemas[name]
	if s == nil {
		var err error
		if s, err = t.model.Schema(name); err != nil {
			panic(err)
		}
		t.schemas[name] = s
	}
	return &value{types: t, schema: s, fields: make([]any, len(s.Members))}
}

func (v *value) WireSchema() *shape.Schema { return v.schema }

func (v *value) EncodeMembers(e shape.Encoder) {
	for i := range v.fields {
		if v.fields[i] != nil {
			encode(e, &v.schema.Members[i], v.fields[i])
		}
	}
}

func encode(e shape.Encoder, m *shape.Member, v any) {
	switch v := v.(type) {
	case nil:
		e.Null(m)
	case string:
		e.String(m, v)
	case bool:
		e.Bool(m, v)
	case int64:
		e.Int(m, v)
	case float64:
		e.Float(m, v)
	case time.Time:
		e.Time(m, v)
	case []byte:
		if m.Streaming {
			e.Stream(m, io.NopCloser(strings.NewReader(string(v))))
			return
		}
		e.Blob(m, v)
	case document:
		e.Document(m, v.v)
	case *value:
		e.Structure(m, v)
	case []any:
		e.List(m, len(v), func(e shape.Encoder, i int) { encode(e, m.Element, v[i]) })
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		e.Map(m, keys, func(e shape.Encoder, k string) { encode(e, m.Value, v[k]) })
	default:
		panic(fmt.Sprintf("%T is no field", v))
	}
}

func (v *value) DecodeMember(d shape.Decoder, i int) (err error) {
	v.fields[i], err = v.types.decode(d, &v.schema.Members[i])
	return err
}

func (t *types) decode(d shape.Decoder, m *shape.Member) (any, error) {
	switch m.Kind {
	case shape.KindStructure:
		v := t.new(m.Shape)
		return v, d.Structure(m, v)
	case shape.KindList:
		out := []any{}
		err := d.List(m, func(d shape.Decoder) error {
			v, err := t.element(d, m, m.Element)
			out = append(out, v)
			return err
		})
		return out, err
	case shape.KindMap:
		out := map[string]any{}
		err := d.Map(m, func(d shape.Decoder, k string) error {
			v, err := t.element(d, m, m.Value)
			out[k] = v
			return err
		})
		return out, err
	case shape.KindString:
		return d.String(m)
	case shape.KindBoolean:
		return d.Bool(m)
	case shape.KindFloat, shape.KindDouble:
		f, err := d.Float(m)
		if m.Kind == shape.KindFloat {
			f = float64(float32(f))
		}
		return f, err
	case shape.KindBlob:
		if m.Streaming {
			r, err := d.Stream(m)
			if err != nil {
				return nil, err
			}
			return io.ReadAll(r)
		}
		return d.Blob(m)
	case shape.KindTimestamp:
		return d.Time(m)
	case shape.KindDocument:
		v, err := d.Document(m)
		return document{v}, err
	}
	return d.Int(m)
}

func (t *types) element(d shape.Decoder, m, element *shape.Member) (any, error) {
	if m.Sparse && d.Null() {
		return nil, nil
	}
	return t.decode(d, element)
}

// convert makes a value of a vector's parameters.
func (t *types) convert(name string, params map[string]any) (*value, error) {
	v := t.new(name)
	for k, p := range params {
		i := -1
		for j := range v.schema.Members {
			if v.schema.Members[j].Name == k {
				i = j
			}
		}
		if i < 0 {
			return nil, fmt.Errorf("%s has no member %s", name, k)
		}
		if p == nil && v.schema.Members[i].Kind != shape.KindDocument {
			continue
		}
		f, err := t.convertAny(&v.schema.Members[i], p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		v.fields[i] = f
	}
	return v, nil
}

func (t *types) convertAny(m *shape.Member, p any) (any, error) {
	switch m.Kind {
	case shape.KindDocument:
		return document{p}, nil
	case shape.KindStructure:
		if obj, ok := p.(map[string]any); ok {
			return t.convert(m.Shape, obj)
		}
	case shape.KindList:
		if list, ok := p.([]any); ok {
			out := []any{}
			for _, item := range list {
				if item == nil {
					out = append(out, nil)
					continue
				}
				v, err := t.convertAny(m.Element, item)
				if err != nil {
					return nil, err
				}
				out = append(out, v)
			}
			return out, nil
		}
	case shape.KindMap:
		if obj, ok := p.(map[string]any); ok {
			out := map[string]any{}
			for k, item := range obj {
				if item == nil {
					out[k] = nil
					continue
				}
				v, err := t.convertAny(m.Value, item)
				if err != nil {
					return nil, err
				}
				out[k] = v
			}
			return out, nil
		}
	case shape.KindString:
		switch p := p.(type) {
		case string:
			return p, nil
		default: // a member with JSON inside
			b, err := json.Marshal(p)
			return string(b), err
		}
	case shape.KindBoolean:
		if b, ok := p.(bool); ok {
			return b, nil
		}
	case shape.KindFloat, shape.KindDouble:
		f, err := toFloat(p)
		if m.Kind == shape.KindFloat {
			f = float64(float32(f))
		}
		return f, err
	case shape.KindBlob:
		if s, ok := p.(string); ok {
			return []byte(s), nil
		}
	case shape.KindTimestamp:
		f, err := toFloat(p)
		return time.UnixMilli(int64(math.Round(f * 1000))).UTC(), err
	default:
		if n, ok := p.(json.Number); ok {
			if i, err := n.Int64(); err == nil {
				return i, nil
			}
			f, err := n.Float64()
			return int64(f), err
		}
	}
	return nil, fmt.Errorf("%T is no %s", p, m.Kind)
}

func toFloat(p any) (float64, error) {
	switch p := p.(type) {
	case json.Number:
		return p.Float64()
	case string:
		return shape.ParseFloat(p)
	}
	return 0, fmt.Errorf("%T is no number", p)
}
