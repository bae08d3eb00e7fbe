package conformance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"math"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/wire/cborcodec"
)

// equal compares fields of values; it knows that NaN is NaN.
func equal(a, b any) bool {
	switch a := a.(type) {
	case *value:
		b, ok := b.(*value)
		if !ok || len(a.fields) != len(b.fields) {
			return false
		}
		for i := range a.fields {
			if !equal(a.fields[i], b.fields[i]) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k := range a {
			if other, ok := b[k]; !ok || !equal(a[k], other) {
				return false
			}
		}
		return true
	case float64:
		b, ok := b.(float64)
		return ok && (a == b || math.IsNaN(a) && math.IsNaN(b))
	case time.Time:
		b, ok := b.(time.Time)
		return ok && a.Equal(b)
	case string:
		b, ok := b.(string)
		if ok && a != b {
			ta, errA := time.Parse(time.RFC3339, a)
			tb, errB := time.Parse(time.RFC3339, b)
			return errA == nil && errB == nil && ta.Equal(tb) // offsets say the same time
		}
		return ok
	case document:
		b, ok := b.(document)
		return ok && equal(a.v, b.v)
	case json.Number:
		b, ok := b.(json.Number)
		if !ok {
			return false
		}
		fa, errA := a.Float64()
		fb, errB := b.Float64()
		return errA == nil && errB == nil && fa == fb
	}
	return reflect.DeepEqual(a, b)
}

// show prints a value for a failure.
func show(v any) string {
	switch v := v.(type) {
	case *value:
		var parts []string
		for i, f := range v.fields {
			if f != nil {
				parts = append(parts, v.schema.Members[i].Name+": "+show(f))
			}
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		var parts []string
		for _, f := range v {
			parts = append(parts, show(f))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for k, f := range v {
			parts = append(parts, k+": "+show(f))
		}
		sort.Strings(parts)
		return "map{" + strings.Join(parts, ", ") + "}"
	case []byte:
		return fmt.Sprintf("b%q", v)
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}

func parseJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	return v, err
}

// compareBodies compares by media type; an empty expectation wants an empty body.
func compareBodies(contentType, want string, got []byte) error {
	media, _, _ := strings.Cut(contentType, ";")
	switch {
	case want == "" && isEmptyDocument(media, got):
		return nil // clients accept no body for a document without members
	case len(got) == 0 && isEmptyDocument(media, []byte(want)):
		return nil // AWS's json services answer so where there is no output
	case strings.HasSuffix(media, "json") || strings.Contains(media, "x-amz-json"):
		return compareJSON(want, got)
	case strings.HasSuffix(media, "xml"):
		return compareXML(want, got)
	case strings.HasSuffix(media, "cbor"):
		return compareCBOR(want, got)
	}
	if want != string(got) {
		return fmt.Errorf("body %q, want %q", got, want)
	}
	return nil
}

// isEmptyDocument tells a body that says nothing.
func isEmptyDocument(media string, got []byte) bool {
	switch s := string(got); {
	case s == "":
		return true
	case strings.Contains(media, "json"):
		return s == "{}"
	case strings.HasSuffix(media, "cbor"):
		return s == "\xbf\xff"
	}
	return false
}

func compareJSON(want string, got []byte) error {
	w, err := parseJSON([]byte(want))
	if err != nil {
		return fmt.Errorf("the vector is not JSON: %w", err)
	}
	g, err := parseJSON(got)
	if err != nil {
		return fmt.Errorf("not JSON: %w: %s", err, got)
	}
	sanitizeType(w)
	if !equal(w, g) {
		return fmt.Errorf("body %s, want %s", got, want)
	}
	return nil
}

// sanitizeType drops the namespace of an error's type, as clients do.
func sanitizeType(v any) {
	if obj, ok := v.(map[string]any); ok {
		if s, ok := obj["__type"].(string); ok {
			s, _, _ = strings.Cut(s, ":")
			obj["__type"] = s[strings.IndexByte(s, '#')+1:]
		}
	}
}

func compareCBOR(want string, got []byte) error {
	raw, err := base64.StdEncoding.DecodeString(want)
	if err != nil {
		return fmt.Errorf("the vector is not base64: %w", err)
	}
	w, err := genericCBOR(raw)
	if err != nil {
		return fmt.Errorf("the vector is not CBOR: %w", err)
	}
	g, err := genericCBOR(got)
	if err != nil {
		return fmt.Errorf("not CBOR: %w: %x", err, got)
	}
	sanitizeType(w)
	if !equal(w, g) {
		return fmt.Errorf("body %s, want %s", show(g), show(w))
	}
	return nil
}

// genericCBOR decodes without a model; whole floats become numbers like any.
func genericCBOR(data []byte) (any, error) {
	if len(data) == 0 {
		return map[string]any{}, nil
	}
	// Byte strings are no documents: make text strings of them, so that only the
	// bytes are compared. The vectors have short ones only.
	v, err := cborcodec.NewDecoder(bytesToText(data)).Document(nil)
	return normalize(v), err
}

func normalize(v any) any {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case []any:
		for i := range v {
			v[i] = normalize(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = normalize(v[k])
		}
	}
	return v
}

// bytesToText walks the items and turns major type 2 into 3.
func bytesToText(data []byte) []byte {
	out := bytes.Clone(data)
	for i := 0; i < len(out); {
		major, info := out[i]>>5, out[i]&31
		size, arg := 0, int(info)
		if info >= 24 && info <= 27 {
			size = 1 << (info - 24)
			arg = 0
			for _, b := range out[i+1 : i+1+size] {
				arg = arg<<8 | int(b)
			}
		}
		if major == 2 {
			out[i] += 1 << 5
		}
		i += 1 + size
		if (major == 2 || major == 3) && info != 31 {
			i += arg
		}
	}
	return out
}

// xmlNode is an element for comparison: order among differently named siblings
// does not matter, white space around elements neither.
type xmlNode struct {
	name     string
	attrs    []string
	text     string
	children []*xmlNode
}

func parseXML(data []byte) (*xmlNode, error) {
	dec := xml.NewDecoder(bytes.NewReader(data))
	root := &xmlNode{}
	stack := []*xmlNode{root}
	for {
		tok, err := dec.RawToken()
		if err != nil {
			if len(root.children) == 1 {
				return root.children[0], nil
			}
			return nil, fmt.Errorf("no root element: %w", err)
		}
		top := stack[len(stack)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			n := &xmlNode{name: qualified(tok.Name)}
			for _, a := range tok.Attr {
				n.attrs = append(n.attrs, qualified(a.Name)+"="+a.Value)
			}
			sort.Strings(n.attrs)
			top.children = append(top.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(tok)
		}
	}
}

func qualified(n xml.Name) string {
	if n.Space != "" {
		return n.Space + ":" + n.Local
	}
	return n.Local
}

func (n *xmlNode) String() string {
	var b strings.Builder
	b.WriteString("<" + n.name)
	for _, a := range n.attrs {
		b.WriteString(" " + a)
	}
	b.WriteString(">")
	if len(n.children) == 0 {
		text := n.text
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			text = t.UTC().Format(time.RFC3339Nano)
		}
		if strings.TrimSpace(text) != "" {
			b.WriteString(text)
		}
	}
	children := append([]*xmlNode(nil), n.children...)
	sort.SliceStable(children, func(i, j int) bool {
		a, b := children[i], children[j]
		if a.name != b.name {
			return a.name < b.name
		}
		// The entries of a map have no order; they are the elements with two parts.
		return len(a.children) == 2 && len(b.children) == 2 && a.String() < b.String()
	})
	for _, c := range children {
		b.WriteString(c.String())
	}
	return b.String() + "</>"
}

func compareXML(want string, got []byte) error {
	w, err := parseXML([]byte(want))
	if err != nil {
		return fmt.Errorf("the vector is not XML: %w", err)
	}
	g, err := parseXML(got)
	if err != nil {
		return fmt.Errorf("not XML: %w: %s", err, got)
	}
	dropRequestID(w)
	dropRequestID(g)
	if w.String() != g.String() {
		return fmt.Errorf("body %s\n  want %s", g, w)
	}
	return nil
}

// dropRequestID takes out what differs from run to run.
func dropRequestID(n *xmlNode) {
	kept := n.children[:0]
	for _, c := range n.children {
		if c.name != "RequestId" && c.name != "ResponseMetadata" {
			kept = append(kept, c)
		}
	}
	n.children = kept
}
