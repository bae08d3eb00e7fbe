// Package constraint owns the validation that service models describe: required
// members, lengths, ranges, patterns and enums, with the messages that AWS's
// services give. It must never import a protocol: it sees decoded values.
package constraint

import (
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// Violation is one constraint that a value does not satisfy.
type Violation struct {
	// Path is the member as AWS names it, e.g. "vpcConfig.subnetIds".
	Path string
	// Value is the value in Java's form; Null values have none.
	Value     string
	Null      bool
	Sensitive bool
	// Constraint is what the value must satisfy, in AWS's words.
	Constraint string
}

// violationsMax bounds how many violations are reported of one request.
const violationsMax = 50

// Check walks a structure and returns what it violates, in the model's order.
func Check(v shape.Structure) []Violation {
	w := walker{}
	w.structure(v)
	return w.found
}

// walker is a shape.Encoder that checks instead of writing.
type walker struct {
	found []Violation
	path  []string // of the structures around

	schema  *shape.Schema
	next    int  // the first member not seen yet
	element bool // the next value is an element, checked by its list
}

func (w *walker) structure(v shape.Structure) {
	schema, next := w.schema, w.next
	w.schema, w.next = v.WireSchema(), 0
	v.EncodeMembers(w)
	w.missing(nil)
	w.schema, w.next = schema, next
}

// missing reports the required members between the last one seen and m.
func (w *walker) missing(m *shape.Member) {
	for ; w.next < len(w.schema.Members); w.next++ {
		other := &w.schema.Members[w.next]
		if other == m {
			w.next++
			return
		}
		if other.Required {
			w.report(Violation{Path: w.pathOf(other), Null: true, Constraint: "Member must not be null"})
		}
	}
}

func (w *walker) report(v Violation) {
	if len(w.found) < violationsMax {
		w.found = append(w.found, v)
	}
}

func (w *walker) pathOf(m *shape.Member) string {
	name := lowerFirst(m.Name)
	if len(w.path) == 0 {
		return name
	}
	return strings.Join(w.path, ".") + "." + name
}

// lowerFirst is how AWS's services make a path of a member's name: KMSKeyArn is
// kMSKeyArn.
func lowerFirst(s string) string {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return s
	}
	return string(s[0]+'a'-'A') + s[1:]
}

// scalarAt reports what an unnamed value fails: an element that is a list or map
// itself. Its path is that of the elements around.
func (w *walker) scalarAt(named bool, m *shape.Member, failed []string, value func() string) {
	if named || len(failed) == 0 {
		w.scalar(m, failed, value)
		return
	}
	for _, c := range failed {
		w.report(Violation{Path: strings.Join(w.path, "."), Value: value(), Sensitive: m.Sensitive, Constraint: c})
	}
}

// scalar checks a member that is not an element. value is called for a message.
func (w *walker) scalar(m *shape.Member, failed []string, value func() string) {
	if len(failed) == 0 {
		return
	}
	path, text := w.pathOf(m), value()
	for _, c := range failed {
		w.report(Violation{Path: path, Value: text, Sensitive: m.Sensitive, Constraint: c})
	}
}

// begin is called for every value; it tells whether the value is a member.
func (w *walker) begin(m *shape.Member) bool {
	if w.element {
		w.element = false
		return false
	}
	w.missing(m)
	return true
}

func (w *walker) String(m *shape.Member, v string) {
	if w.begin(m) && m.Limits != nil {
		w.scalar(m, failedString(m.Limits, v), func() string { return v })
	}
}

func (w *walker) Int(m *shape.Member, v int64) {
	if w.begin(m) && m.Limits != nil {
		w.scalar(m, failedRange(m, float64(v)), func() string { return strconv.FormatInt(v, 10) })
	}
}

func (w *walker) Float(m *shape.Member, v float64) {
	if w.begin(m) && m.Limits != nil {
		w.scalar(m, failedRange(m, v), func() string { return javaFloat(m.Kind, v) })
	}
}

func (w *walker) Blob(m *shape.Member, v []byte) {
	if w.begin(m) && m.Limits != nil {
		w.scalar(m, failedLength(m.Limits, len(v)), func() string { return blobText(len(v)) })
	}
}

func (w *walker) Bool(m *shape.Member, _ bool)            { w.begin(m) }
func (w *walker) Time(m *shape.Member, _ time.Time)       { w.begin(m) }
func (w *walker) Stream(m *shape.Member, _ io.ReadCloser) { w.begin(m) }
func (w *walker) Document(m *shape.Member, _ any)         { w.begin(m) }
func (w *walker) Null(m *shape.Member)                    { w.begin(m) }

func (w *walker) Structure(m *shape.Member, v shape.Structure) {
	if !w.begin(m) {
		w.structure(v) // an element: the list has extended the path
		return
	}
	w.path = append(w.path, lowerFirst(m.Name))
	w.structure(v)
	w.path = w.path[:len(w.path)-1]
}

func (w *walker) List(m *shape.Member, n int, item func(shape.Encoder, int)) {
	named := w.begin(m)
	text := func() string { return javaList(m, n, item) }
	if m.Limits != nil {
		failed := failedLength(m.Limits, n)
		if m.Limits.Unique && hasDuplicates(m, n, item) {
			failed = append(failed, "Member must have unique values")
		}
		w.scalarAt(named, m, failed, text)
	}
	if m.Element == nil {
		return
	}
	if isScalar(m.Element) {
		if m.Element.Limits != nil && anyFails(n, item) {
			w.scalarAt(named, m, []string{"Member must satisfy constraint: [" + strings.Join(allTexts(m.Element), ", ") + "]"}, text)
		}
		return
	}
	if named {
		w.path = append(w.path, lowerFirst(m.Name))
	}
	for i := range n {
		w.path = append(w.path, strconv.Itoa(i+1), "member")
		w.element = true
		item(w, i)
		w.element = false
		w.path = w.path[:len(w.path)-2]
	}
	if named {
		w.path = w.path[:len(w.path)-1]
	}
}

func (w *walker) Map(m *shape.Member, keys []string, value func(shape.Encoder, string)) {
	named := w.begin(m)
	text := func() string { return javaMap(m, keys, value) }
	if m.Limits != nil {
		w.scalarAt(named, m, failedLength(m.Limits, len(keys)), text)
	}
	if m.Key != nil && m.Key.Limits != nil {
		for _, k := range keys {
			if len(failedString(m.Key.Limits, k)) > 0 {
				w.scalarAt(named, m, []string{"Map keys must satisfy constraint: [" + strings.Join(keyTexts(m.Key), ", ") + "]"}, text)
				break
			}
		}
	}
	if m.Value == nil {
		return
	}
	if isScalar(m.Value) {
		if m.Value.Limits != nil && anyFails(len(keys), func(e shape.Encoder, i int) { value(e, keys[i]) }) {
			w.scalarAt(named, m, []string{"Map value must satisfy constraint: [" + strings.Join(allTexts(m.Value), ", ") + "]"}, text)
		}
		return
	}
	if named {
		w.path = append(w.path, lowerFirst(m.Name))
	}
	for _, k := range keys {
		w.path = append(w.path, k, "member")
		w.element = true
		value(w, k)
		w.element = false
		w.path = w.path[:len(w.path)-2]
	}
	if named {
		w.path = w.path[:len(w.path)-1]
	}
}

func isScalar(m *shape.Member) bool {
	switch m.Kind {
	case shape.KindStructure, shape.KindList, shape.KindMap, shape.KindDocument:
		return false
	}
	return true
}

// probe is an encoder that only tells whether scalars fail their limits.
type probe struct {
	skeleton
	failed bool
}

func (p *probe) String(m *shape.Member, v string) {
	p.failed = p.failed || len(failedString(m.Limits, v)) > 0
}
func (p *probe) Int(m *shape.Member, v int64) {
	p.failed = p.failed || len(failedRange(m, float64(v))) > 0
}
func (p *probe) Float(m *shape.Member, v float64) {
	p.failed = p.failed || len(failedRange(m, v)) > 0
}
func (p *probe) Blob(m *shape.Member, v []byte) {
	p.failed = p.failed || len(failedLength(m.Limits, len(v))) > 0
}

func anyFails(n int, item func(shape.Encoder, int)) bool {
	var p probe
	for i := 0; i < n && !p.failed; i++ {
		item(&p, i)
	}
	return p.failed
}

func hasDuplicates(m *shape.Member, n int, item func(shape.Encoder, int)) bool {
	seen := make(map[string]bool, n)
	for i := range n {
		var t javaText
		item(&t, i)
		if seen[t.b.String()] {
			return true
		}
		seen[t.b.String()] = true
	}
	return false
}

func blobText(n int) string {
	return "java.nio.HeapByteBuffer[pos=0 lim=" + strconv.Itoa(n) + " cap=" + strconv.Itoa(n) + "]"
}

func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
