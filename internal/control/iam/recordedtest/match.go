package recordedtest

import (
	"fmt"
	"regexp"
	"strings"
)

// Recordings were made in this account; ours is the default one.
const recordedAccount = "111111111111"

// Match compares an answer with the recorded one, field by field. A placeholder
// stands for any text, the same one wherever it comes again in a case (bound
// remembers), and a date for any.
func Match(recorded, got any, bound map[string]string) []string {
	return match("", recorded, got, bound)
}

func match(path string, want, got any, bound map[string]string) []string {
	switch want := want.(type) {
	case Object:
		g, ok := got.(Object)
		if !ok {
			return []string{fmt.Sprintf("%s: %v, want %v", path, got, want)}
		}
		var bad []string
		for k, v := range want {
			if _, ok := g[k]; !ok {
				bad = append(bad, fmt.Sprintf("%s.%s: absent, want %v", path, k, v))
				continue
			}
			bad = append(bad, match(path+"."+k, v, g[k], bound)...)
		}
		for k, v := range g {
			if _, ok := want[k]; !ok {
				bad = append(bad, fmt.Sprintf("%s.%s: %v, want it absent", path, k, v))
			}
		}
		return bad
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return []string{fmt.Sprintf("%s: %v, want %v", path, got, want)}
		}
		var bad []string
		for i := range want {
			bad = append(bad, match(fmt.Sprintf("%s[%d]", path, i), want[i], g[i], bound)...)
		}
		return bad
	case string:
		g, ok := got.(string)
		if ok && matchText(want, g, bound) {
			return nil
		}
	default:
		if want == got {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: %v, want %v", path, got, want)}
}

var placeholder = regexp.MustCompile(`<[a-z-]+(:\d+)?>`)

func matchText(want, got string, bound map[string]string) bool {
	want = strings.ReplaceAll(want, recordedAccount, "000000000000")
	var names []string
	var pattern strings.Builder
	pattern.WriteString("^")
	last := 0
	for _, at := range placeholder.FindAllStringIndex(want, -1) {
		name := want[at[0]:at[1]]
		pattern.WriteString(regexp.QuoteMeta(want[last:at[0]]))
		if v, ok := bound[name]; ok {
			pattern.WriteString(regexp.QuoteMeta(v))
		} else {
			pattern.WriteString("(.+?)")
			names = append(names, name)
		}
		last = at[1]
	}
	pattern.WriteString(regexp.QuoteMeta(want[last:]) + "$")
	m := regexp.MustCompile(pattern.String()).FindStringSubmatch(got)
	if m == nil {
		return false
	}
	for i, name := range names {
		if strings.Contains(name, ":") { // numbered ones are one value in a case
			bound[name] = m[i+1]
		}
	}
	return true
}
