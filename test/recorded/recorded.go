// Package recorded compares answers with those that the real AWS gave to the same
// requests. It must never import a room: what it compares is what a client decodes.
//
// In a recording, values that differ from run to run are placeholders such as <uuid:1>; the
// same placeholder is the same value within a case. "date" and "<datetime>" are any time; the account is
// 111111111111.
package recorded

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Case is one test run against AWS: its labelled answers.
type Case struct {
	Name    string
	Answers map[string]any
}

// Load reads a file of recordings in the order of their names.
func Load(path string) ([]Case, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file map[string]struct {
		Answers map[string]any `json:"answers"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var cases []Case
	for name, c := range file {
		cases = append(cases, Case{Name: name, Answers: c.Answers})
	}
	slices.SortFunc(cases, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	return cases, nil
}

// Comparison is the memory of one case: what each placeholder stood for.
type Comparison struct {
	Region    string
	Account   string
	Partition string
	bound     map[string]string
}

// NewComparison starts a case.
func NewComparison(account, region string) *Comparison {
	return &Comparison{Region: region, Account: account, Partition: "aws", bound: map[string]string{}}
}

// Compare lists where got differs from what AWS answered, each as "path: got ..., AWS ...". Both are
// decoded JSON. ResponseMetadata.HTTPHeaders is not compared: recordings leave it out.
func (c *Comparison) Compare(got, want any) []string {
	return c.compare("", normal(got), normal(want))
}

func (c *Comparison) compare(path string, got, want any) []string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{differ(path, got, want)}
		}
		var all []string
		for _, key := range unionOfKeys(g, w) {
			if key == "HTTPHeaders" || key == "RetryAttempts" || key == "RequestId" && strings.HasSuffix(path, "ResponseMetadata") {
				continue
			}
			here := strings.TrimPrefix(path+"."+key, ".")
			gv, inGot := g[key]
			wv, inWant := w[key]
			switch {
			case !inWant:
				all = append(all, fmt.Sprintf("%s: got %v, AWS has no such field", here, gv))
			case !inGot:
				all = append(all, fmt.Sprintf("%s: missing, AWS %v", here, wv))
			default:
				all = append(all, c.compare(here, gv, wv)...)
			}
		}
		return all
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []string{differ(path, got, want)}
		}
		var all []string
		for i := range w {
			all = append(all, c.compare(fmt.Sprintf("%s[%d]", path, i), g[i], w[i])...)
		}
		return all
	case string:
		if c.matches(got, w) {
			return nil
		}
		return []string{differ(path, got, want)}
	default:
		if reflect.DeepEqual(got, want) {
			return nil
		}
		return []string{differ(path, got, want)}
	}
}

// placeholder is <name>, <name:1>, and the recordings' occasional <<name>:1>.
var placeholder = regexp.MustCompile(`<(?:<[^<>]*>|[^<>])+>`)

// anyValue are words that the recordings put in a value's place.
var anyValue = map[string]bool{"date": true, "<datetime>": true, "code-sha256": true}

// dateField is a time between the tabs of a log line.
var dateField = regexp.MustCompile(`\tdate\t`)

// matches compares a string that may hold placeholders; a placeholder that is the whole
// string also stands for a number or a structure.
func (c *Comparison) matches(got any, want string) bool {
	if anyValue[want] {
		return got != nil && got != ""
	}
	g, isString := got.(string)
	if !isString {
		return placeholder.FindString(want) == want && got != nil
	}
	var pattern strings.Builder
	var names []string
	rest := want
	for {
		at := placeholder.FindStringIndex(rest)
		if at == nil {
			pattern.WriteString(c.fixed(rest))
			break
		}
		pattern.WriteString(c.fixed(rest[:at[0]]))
		name := rest[at[0]:at[1]]
		rest = rest[at[1]:]
		switch known, isKnown := c.bound[name]; {
		case name == "<region>":
			pattern.WriteString(regexp.QuoteMeta(c.Region))
		case name == "<partition>":
			pattern.WriteString(regexp.QuoteMeta(c.Partition))
		case isKnown && strings.Contains(name, ":"):
			pattern.WriteString(regexp.QuoteMeta(known))
		default:
			pattern.WriteString("(.*?)")
			names = append(names, name)
		}
	}
	found := regexp.MustCompile(`(?s)^` + pattern.String() + `$`).FindStringSubmatch(g)
	if found == nil {
		return false
	}
	for i, name := range names {
		c.bound[name] = found[i+1]
	}
	return true
}

// fixed is the pattern of a part without placeholders.
func (c *Comparison) fixed(s string) string {
	quoted := regexp.QuoteMeta(strings.ReplaceAll(s, "111111111111", c.Account))
	return dateField.ReplaceAllString(quoted, "\t[0-9TZ:.-]+\t")
}

func differ(path string, got, want any) string {
	return fmt.Sprintf("%s: got %s, AWS %s", path, short(got), short(want))
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

func unionOfKeys(a, b map[string]any) []string {
	var keys []string
	for k := range a {
		keys = append(keys, k)
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
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
