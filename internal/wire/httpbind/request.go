package httpbind

import (
	"net/http"
	"net/textproto"
	"net/url"
	"sort"
	"strings"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// Label is a part of the path that a route names, already unescaped.
type Label struct{ Name, Value string }

// Request is what a structure is read from.
type Request struct {
	Labels   []Label
	RawQuery string
	Header   http.Header
	Body     []byte
}

// Body reads what is in the body. Protocols implement it with their codec.
type Body interface {
	// Members reads the members of v that are placed in the body.
	Members(data []byte, v shape.Structure) error
	// Payload reads the one value that is the whole body.
	Payload(data []byte, m *shape.Member, read func(shape.Decoder) error) error
}

// Decode reads the members of v from a request.
func Decode(req *Request, v shape.Structure, body Body) error {
	schema := v.WireSchema()
	var query Query
	for i := range schema.Members {
		m := &schema.Members[i]
		var err error
		switch m.Location {
		case shape.LocationURI:
			err = decodeLabel(req, v, m, i)
		case shape.LocationHeader:
			err = decodeHeader(req, v, m, i)
		case shape.LocationHeaders:
			err = decodePrefixed(req, v, m, i)
		case shape.LocationQuery:
			if query == nil {
				if query, err = ParseQuery(req.RawQuery); err != nil {
					return err
				}
			}
			err = decodeQuery(query, v, m, i)
		case shape.LocationPayload:
			err = decodePayload(req, v, m, i, body)
		}
		if err != nil {
			return err
		}
	}
	if schema.Payload >= 0 || !schema.HasBody {
		return nil
	}
	return body.Members(req.Body, v)
}

func decodeLabel(req *Request, v shape.Structure, m *shape.Member, i int) error {
	for _, l := range req.Labels {
		if l.Name == m.WireName {
			return v.DecodeMember(&text{value: l.Value, location: m.Location}, i)
		}
	}
	return nil
}

func decodeHeader(req *Request, v shape.Structure, m *shape.Member, i int) error {
	values := req.Header[textproto.CanonicalMIMEHeaderKey(m.WireName)]
	if len(values) == 0 {
		return nil
	}
	t := &text{value: values[0], location: m.Location}
	if len(values) > 1 {
		t.value, t.values = strings.Join(values, ","), values
	}
	return v.DecodeMember(t, i)
}

// decodePrefixed reads every header that begins with the member's name. Header
// names have no case; AWS hands them out in lower case (S3's metadata).
func decodePrefixed(req *Request, v shape.Structure, m *shape.Member, i int) error {
	prefix := strings.ToLower(m.WireName)
	var t text
	for name, values := range req.Header {
		lower := strings.ToLower(name)
		if !strings.HasPrefix(lower, prefix) || len(values) == 0 {
			continue
		}
		t.entries = append(t.entries, entry{lower[len(prefix):], values[:1]})
	}
	if len(t.entries) == 0 {
		return nil
	}
	sort.Slice(t.entries, func(i, j int) bool { return t.entries[i].key < t.entries[j].key })
	t.location = m.Location
	return v.DecodeMember(&t, i)
}

func decodeQuery(query Query, v shape.Structure, m *shape.Member, i int) error {
	if m.Kind == shape.KindMap {
		t := &text{location: m.Location}
		for _, p := range query {
			t.add(p.Key, p.Value)
		}
		if len(t.entries) == 0 {
			return nil
		}
		return v.DecodeMember(t, i)
	}
	var t *text
	for _, p := range query {
		if p.Key != m.WireName {
			continue
		}
		if t == nil {
			t = &text{value: p.Value, location: m.Location}
		}
		t.values = append(t.values, p.Value)
	}
	if t == nil {
		return nil
	}
	return v.DecodeMember(t, i)
}

func decodePayload(req *Request, v shape.Structure, m *shape.Member, i int, body Body) error {
	switch {
	case len(req.Body) == 0:
		return nil
	case m.Streaming, m.Kind == shape.KindBlob, m.Kind == shape.KindString:
		return v.DecodeMember(raw{req.Body}, i)
	}
	return body.Payload(req.Body, m, func(d shape.Decoder) error { return v.DecodeMember(d, i) })
}

// Pair is one parameter of a query.
type Pair struct{ Key, Value string }

// Query is a parsed query, in order.
type Query []Pair

// queryPairsMax bounds the parameters that a request may have.
const queryPairsMax = 4096

// ParseQuery splits and unescapes a query.
func ParseQuery(raw string) (Query, error) {
	q := Query{}
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		if len(q) == queryPairsMax {
			return nil, shape.Malformed("More than %d query parameters", queryPairsMax)
		}
		key, value, _ := strings.Cut(part, "=")
		key, err := url.QueryUnescape(key)
		if err != nil {
			return nil, shape.Malformed("Bad escape in the query")
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, shape.Malformed("Bad escape in the query")
		}
		q = append(q, Pair{key, value})
	}
	return q, nil
}

// Get is the first value of a parameter.
func (q Query) Get(key string) (string, bool) {
	for _, p := range q {
		if p.Key == key {
			return p.Value, true
		}
	}
	return "", false
}
