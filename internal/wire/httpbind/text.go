package httpbind

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lambdad/lambdad/internal/wire/shape"
	"github.com/lambdad/lambdad/internal/wire/timestamp"
)

// text decodes what is written as text: a label, a header, a query parameter.
type text struct {
	value    string
	values   []string // where the name came more than once
	entries  []entry  // of a map
	location shape.Location
}

type entry struct {
	key    string
	values []string
}

func (t *text) add(key, value string) {
	for i := range t.entries {
		if t.entries[i].key == key {
			t.entries[i].values = append(t.entries[i].values, value)
			return
		}
	}
	t.entries = append(t.entries, entry{key, []string{value}})
}

func (t *text) String(m *shape.Member) (string, error) {
	if !utf8.ValidString(t.value) {
		return "", shape.Malformed("Invalid UTF-8 in %s", m.Name)
	}
	if m.JSONValue && t.location == shape.LocationHeader {
		b, err := base64.StdEncoding.DecodeString(t.value)
		if err != nil || !json.Valid(b) {
			return "", shape.Malformed("%s is not JSON in base64", m.Name)
		}
		return string(b), nil
	}
	return t.value, nil
}

func (t *text) Bool(*shape.Member) (bool, error)     { return shape.ParseBool(t.value) }
func (t *text) Int(m *shape.Member) (int64, error)   { return shape.ParseInt(m.Kind, t.value) }
func (t *text) Float(*shape.Member) (float64, error) { return shape.ParseFloat(t.value) }
func (t *text) Null() bool                           { return false }

func (t *text) Time(m *shape.Member) (time.Time, error) {
	f := timestamp.Or(m.Time, defaultTime(t.location))
	if f == shape.TimestampISO8601 && !strings.HasSuffix(t.value, "Z") {
		return time.Time{}, shape.Malformed("%s has a time that is not in UTC", m.Name)
	}
	return timestamp.Parse(t.value, f)
}

// defaultTime is the format of times by their place (Smithy's HTTP bindings).
func defaultTime(l shape.Location) shape.TimestampFormat {
	if l == shape.LocationHeader || l == shape.LocationHeaders {
		return shape.TimestampRFC822
	}
	return shape.TimestampISO8601
}

func (t *text) Blob(m *shape.Member) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(t.value)
	if err != nil {
		return nil, shape.Malformed("%s is not base64", m.Name)
	}
	return b, nil
}

func (t *text) Stream(m *shape.Member) (io.ReadCloser, error) {
	b, err := t.Blob(m)
	return io.NopCloser(bytes.NewReader(b)), err
}

func (t *text) Document(m *shape.Member) (any, error) { return t.String(m) }

func (t *text) Structure(m *shape.Member, _ shape.Structure) error {
	return shape.Malformed("%s is a structure outside the body", m.Name)
}

func (t *text) List(m *shape.Member, item func(shape.Decoder) error) error {
	values := t.values
	if t.location == shape.LocationHeader {
		var err error
		if values, err = splitHeader(t.value, m.Element); err != nil {
			return err
		}
	} else if values == nil {
		values = []string{t.value}
	}
	for _, v := range values {
		if err := item(&text{value: v, location: t.location}); err != nil {
			return err
		}
	}
	return nil
}

func (t *text) Map(m *shape.Member, each func(shape.Decoder, string) error) error {
	for _, e := range t.entries {
		if !utf8.ValidString(e.key) {
			return shape.Malformed("Invalid UTF-8 in a key of %s", m.Name)
		}
		if err := each(&text{value: e.values[0], values: e.values, location: t.location}, e.key); err != nil {
			return err
		}
	}
	return nil
}

// splitHeader splits a header that holds a list. Quoted strings may hold commas;
// dates of RFC 822 have one each.
func splitHeader(s string, element *shape.Member) ([]string, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	dates := element != nil && element.Kind == shape.KindTimestamp && timestamp.Or(element.Time, shape.TimestampRFC822) == shape.TimestampRFC822
	quoted := element != nil && element.Kind == shape.KindString
	var out []string
	for {
		s = strings.TrimLeft(s, " \t")
		if quoted && strings.HasPrefix(s, `"`) {
			value, rest, ok := unquote(s[1:])
			if !ok {
				return nil, shape.Malformed("An unclosed quote in a header")
			}
			out = append(out, value)
			rest = strings.TrimLeft(rest, " \t")
			if rest == "" {
				return out, nil
			}
			if rest[0] != ',' {
				return nil, shape.Malformed("Text after a quoted string in a header")
			}
			s = rest[1:]
			continue
		}
		end := strings.IndexByte(s, ',')
		if dates && end >= 0 {
			if next := strings.IndexByte(s[end+1:], ','); next >= 0 {
				end += 1 + next
			} else {
				end = -1
			}
		}
		if end < 0 {
			return append(out, strings.TrimSpace(s)), nil
		}
		out = append(out, strings.TrimSpace(s[:end]))
		s = s[end+1:]
	}
}

// unquote reads up to the closing quote.
func unquote(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// raw decodes a payload that is the body itself. It does not copy.
type raw struct{ data []byte }

func (r raw) Blob(*shape.Member) ([]byte, error) { return r.data, nil }

func (r raw) String(m *shape.Member) (string, error) {
	if !utf8.Valid(r.data) {
		return "", shape.Malformed("Invalid UTF-8 in %s", m.Name)
	}
	return string(r.data), nil
}

func (r raw) Stream(*shape.Member) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(r.data)), nil
}

func (r raw) Null() bool { return false }

func (r raw) refuse(m *shape.Member) error {
	return shape.Malformed("%s of kind %s is no raw payload", m.Name, m.Kind)
}

func (r raw) Bool(m *shape.Member) (bool, error)                             { return false, r.refuse(m) }
func (r raw) Int(m *shape.Member) (int64, error)                             { return 0, r.refuse(m) }
func (r raw) Float(m *shape.Member) (float64, error)                         { return 0, r.refuse(m) }
func (r raw) Time(m *shape.Member) (time.Time, error)                        { return time.Time{}, r.refuse(m) }
func (r raw) Document(m *shape.Member) (any, error)                          { return nil, r.refuse(m) }
func (r raw) Structure(m *shape.Member, _ shape.Structure) error             { return r.refuse(m) }
func (r raw) List(m *shape.Member, _ func(shape.Decoder) error) error        { return r.refuse(m) }
func (r raw) Map(m *shape.Member, _ func(shape.Decoder, string) error) error { return r.refuse(m) }
