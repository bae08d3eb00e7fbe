package recorded

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// recordedAccount is the account in the recordings.
const recordedAccount = "111111111111"

// Comparison is the memory of one case: what each placeholder stood for.
//
// In a recording, values that differ from run to run are placeholders such as <uuid:1>. The same
// placeholder is the same value within a case, and two of one kind are two values.
type Comparison struct {
	Account string
	Region  string
	// Kinds adds patterns to those that the values of a kind of placeholder must match.
	Kinds map[string]string
	bound map[string]string
}

// NewComparison starts a case.
func NewComparison(account, region string) *Comparison {
	return &Comparison{Account: account, Region: region, bound: map[string]string{}}
}

// Difference is one field that is not as AWS answered it.
type Difference struct {
	Path string // e.g. Payload.environment.PATH, items[0].arn
	Text string
}

func (d Difference) String() string { return d.Path + ": " + d.Text }

// Compare lists where got differs from what AWS answered. Both are decoded JSON. HTTP headers are not
// compared: recordings leave them out.
func (c *Comparison) Compare(got, want any) []Difference {
	return c.compare("", normal(got), normal(want))
}

// unrecorded are fields of ResponseMetadata that the recordings leave out or empty.
var unrecorded = map[string]bool{"HTTPHeaders": true, "RetryAttempts": true, "RequestId": true}

func (c *Comparison) compare(path string, got, want any) []Difference {
	var all []Difference
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []Difference{differ(path, got, want)}
		}
		union := maps.Clone(g)
		maps.Copy(union, w)
		for _, key := range slices.Sorted(maps.Keys(union)) {
			here := strings.TrimPrefix(path+"."+key, ".")
			gv, inGot := g[key]
			wv, inWant := w[key]
			switch {
			case unrecorded[key] && strings.HasSuffix(path, "ResponseMetadata"):
			case !inWant:
				all = append(all, Difference{here, fmt.Sprintf("got %s, AWS has no such field", short(gv))})
			case !inGot:
				all = append(all, Difference{here, fmt.Sprintf("missing, AWS %s", short(wv))})
			default:
				all = append(all, c.compare(here, gv, wv)...)
			}
		}
		return all
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []Difference{differ(path, got, want)}
		}
		for i := range w {
			all = append(all, c.compare(fmt.Sprintf("%s[%d]", path, i), g[i], w[i])...)
		}
		return all
	case string:
		if c.matches(got, w) {
			return nil
		}
	default:
		if reflect.DeepEqual(got, want) {
			return nil
		}
	}
	return []Difference{differ(path, got, want)}
}

// placeholder is <name>, <name:1>, and the recordings' occasional <<name>:1>.
var placeholder = regexp.MustCompile(`<(?:<[\w-]+>|[\w-]+)(?::\d+)?>`)

// words are put in a value's place without brackets; they stand for different values each time.
var words = map[string]*regexp.Regexp{
	"date":         regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$`),
	"<datetime>":   regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$`),
	"function-url": regexp.MustCompile(`^https?://[^/]+/`),
	"lambda-url":   regexp.MustCompile(`^https?://[^/]+/`),
	"datetime":     regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$`),
	"code-sha256":  regexp.MustCompile(`^` + kinds["code-sha256"] + `$`),
}

// kinds of placeholders whose values have a form.
var kinds = map[string]string{
	"code-sha256":  `(?:[A-Za-z0-9+/]{43}=|[0-9a-f]{64})`, // of an image in hex
	"code-sha-256": `[A-Za-z0-9+/]{43}=`,
	"uuid":         `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
}

// numbers are the words and the kinds that stand for a number.
var numbers = map[string]bool{
	"timestamp": true, "create-time": true, "last-updated-time": true, "too-new-log-event-start-index": true,
	"<code-size>": true, "<remaining-time-in-millis>": true, "<deadline:1>": true, "<deadline:2>": true,
}

// passing kinds stand for another value each time: what was measured, times, and links signed for a while.
var passing = map[string]bool{"duration": true, "memory": true, "location": true, "approximate-first-receive-timestamp": true}

// dateField is a time between the tabs of a log line.
var dateField = regexp.MustCompile(`\tdate\t`)

// matches compares a value with a string that may hold placeholders.
func (c *Comparison) matches(got any, want string) bool {
	if numbers[want] {
		_, isNumber := got.(float64)
		return isNumber
	}
	if want == "<stack-trace>" {
		_, isList := got.([]any)
		return isList
	}
	g, isString := got.(string)
	if !isString {
		return false
	}
	if form, ok := words[want]; ok {
		return form.MatchString(g)
	}
	return g == want || c.bind(g, want)
}

// bind finds what the placeholders of want stand for in got, and remembers it.
func (c *Comparison) bind(got, want string) bool {
	var pattern strings.Builder
	var names []string
	last := 0
	for _, at := range placeholder.FindAllStringIndex(want, -1) {
		pattern.WriteString(c.fixed(want[last:at[0]]))
		name := want[at[0]:at[1]]
		last = at[1]
		switch value, known := c.bound[name]; {
		case name == "<region>":
			pattern.WriteString(regexp.QuoteMeta(c.Region))
		case name == "<partition>":
			pattern.WriteString("aws")
		case known:
			pattern.WriteString(regexp.QuoteMeta(value))
		default:
			pattern.WriteString("(" + c.form(kindOf(name)) + ")")
			names = append(names, name)
		}
	}
	pattern.WriteString(c.fixed(want[last:]))
	found := regexp.MustCompile(`^` + pattern.String() + `$`).FindStringSubmatch(got)
	if found == nil {
		return false
	}
	for i, name := range names {
		if !c.remember(name, found[i+1]) {
			return false
		}
	}
	return true
}

func (c *Comparison) form(kind string) string {
	if form, ok := c.Kinds[kind]; ok {
		return form
	}
	if form, ok := kinds[kind]; ok {
		return form
	}
	return ".+?"
}

// remember refuses a value that another placeholder of the kind, or this one earlier in the text, has not.
func (c *Comparison) remember(name, value string) bool {
	if passing[kindOf(name)] {
		return true
	}
	if before, ok := c.bound[name]; ok {
		return before == value
	}
	for other, taken := range c.bound {
		if taken == value && kindOf(other) == kindOf(name) {
			return false
		}
	}
	c.bound[name] = value
	return true
}

// kindOf is a placeholder without its brackets and its number.
func kindOf(name string) string {
	kind, _, _ := strings.Cut(strings.Trim(name, "<>"), ":")
	return strings.Trim(kind, "<>")
}

// fixed is the pattern of a part without placeholders.
func (c *Comparison) fixed(s string) string {
	quoted := regexp.QuoteMeta(strings.ReplaceAll(s, recordedAccount, c.Account))
	return dateField.ReplaceAllString(quoted, "\t[0-9TZ:.-]+\t")
}

func differ(path string, got, want any) Difference {
	return Difference{path, fmt.Sprintf("got %s, AWS %s", short(got), short(want))}
}

func short(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const most = 300
	if len(text) > most {
		return string(text[:most]) + "..."
	}
	return string(text)
}

// normal brings a Go value into the form that encoding/json decodes.
func normal(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if json.Unmarshal(text, &out) != nil {
		return v
	}
	return out
}
