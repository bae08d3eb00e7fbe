package recorded

import (
	"slices"
	"strings"
	"testing"
)

const (
	hash      = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	otherHash = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="
)

func TestCompare(t *testing.T) {
	type object = map[string]any
	for _, tc := range []struct {
		name      string
		got, want any
		differs   int
	}{
		{"equal", object{"a": 1}, object{"a": 1}, 0},
		{"number differs", object{"a": 1}, object{"a": 2}, 1},
		{"missing and added", object{"a": 1}, object{"b": 1}, 2},
		{"another kind", nil, object{"b": 1}, 1},
		{"a longer list", []any{"a", "a"}, []any{"a"}, 1},
		{"a list for a text", []any{"a"}, "a", 1},
		{"placeholder", "x-123", "x-<id:1>", 0},
		{"placeholder for nothing", "x-", "x-<id:1>", 1},
		{"placeholder for a structure", object{"n": object{}}, object{"n": "<id:1>"}, 1},
		{"placeholder for null", object{"n": nil}, object{"n": "<id:1>"}, 1},
		{"number", object{"n": 3}, object{"n": "<code-size>"}, 0},
		{"text for a number", object{"n": "3"}, object{"n": "<code-size>"}, 1},
		{"number by a word", object{"n": 3}, object{"n": "timestamp"}, 0},
		{"text for a number's word", object{"n": "3"}, object{"n": "timestamp"}, 1},
		{"stack trace", object{"s": []any{"a"}}, object{"s": "<stack-trace>"}, 0},
		{"no stack trace", object{"s": "a"}, object{"s": "<stack-trace>"}, 1},
		{"region, partition, account", "arn:aws:lambda:us-east-1:000000000000:function:f", "arn:<partition>:lambda:<region>:111111111111:function:<f:1>", 0},
		{"another region", "arn:aws:lambda:eu-west-1:000000000000:function:f", "arn:<partition>:lambda:<region>:111111111111:function:<f:1>", 1},
		{"same placeholder, two values", []any{"a", "b"}, []any{"<v:1>", "<v:1>"}, 1},
		{"same placeholder without a number, two values", []any{"a", "b"}, []any{"<v>", "<v>"}, 1},
		{"same placeholder twice in a text", []any{"a-b"}, []any{"<v:1>-<v:1>"}, 1},
		{"two placeholders", []any{"a", "b"}, []any{"<v:1>", "<v:2>"}, 0},
		{"two placeholders, same value", []any{"a", "a"}, []any{"<v:1>", "<v:2>"}, 1},
		{"two kinds, same value", []any{"a", "a"}, []any{"<v:1>", "<w:1>"}, 0},
		{"passing", []any{"1 ms", "2 ms"}, []any{"<duration> ms", "<duration> ms"}, 0},
		{"uuid", "5b7a3c0e-0b0d-4c5e-9f0a-1a2b3c4d5e6f", "<uuid:1>", 0},
		{"no uuid", "x", "<uuid:1>", 1},
		{"hashes", []any{hash, otherHash, hash}, []any{"<code-sha256:1>", "<<code-sha-256>:1>", "code-sha256"}, 0},
		{"same hash, two values", []any{hash, otherHash}, []any{"<<code-sha-256>:1>", "<<code-sha-256>:1>"}, 1},
		{"no hash", "x", "code-sha256", 1},
		{"kind of the suite", "/code/1", "<location>", 0},
		{"not of the suite's kind", "/other/1", "<location>", 1},
		{"angle brackets of AWS's own", "<module>", "<module>", 0},
		{"date", "2025-01-01T10:11:12.000+0000", "date", 0},
		{"no date", "2025-01-01", "date", 1},
		{"datetime", "2025-01-01T10:11:12Z", "<datetime>", 0},
		{"no datetime", "now", "<datetime>", 1},
		{"headers are not compared", object{"ResponseMetadata": object{"HTTPHeaders": object{"x": "y"}}}, object{"ResponseMetadata": object{"HTTPHeaders": object{}}}, 0},
		{"status", object{"ResponseMetadata": object{"HTTPStatusCode": 200}}, object{"ResponseMetadata": object{"HTTPStatusCode": 201}}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := NewComparison("000000000000", "us-east-1")
			c.Kinds = map[string]string{"location": "/code/.+"}
			if got := c.Compare(tc.got, tc.want); len(got) != tc.differs {
				t.Errorf("%d differences, want %d: %v", len(got), tc.differs, got)
			}
		})
	}
}

func TestSuite(t *testing.T) {
	c := Case{Name: "file::Class::test[p]", Labels: []string{"one", "two", "three"}, Answers: map[string]any{
		"one": map[string]any{"a": "A"}, "two": map[string]any{"b": "B", "env": map[string]any{"PATH": "/bin"}}, "three": "C",
	}}
	s := Suite{
		Exceptions: []Exception{
			{Case: "test", Label: "one", Difference: "^a:", Reason: "on purpose"},
			{Case: "test", Label: "three", Reason: "not built"},
		},
		Fields: []Field{{Path: "env.PATH"}},
	}
	two := map[string]any{"b": "B", "env": map[string]any{"PATH": "/usr/bin"}}
	for _, tc := range []struct {
		name    string
		got     map[string]any
		matched int
		problem string // a part of the only one
	}{
		{"as excepted", map[string]any{"one": map[string]any{"a": "X"}, "two": two}, 1, ""},
		{"an excepted answer may be asked", map[string]any{"one": map[string]any{"a": "X"}, "two": two, "three": "X"}, 1, ""},
		{"not asked", map[string]any{"one": map[string]any{"a": "X"}}, 0, "two: not asked"},
		{"another difference", map[string]any{"one": map[string]any{"a": "X", "z": 1}, "two": two}, 1, "one: z:"},
		{"matches after all", map[string]any{"one": map[string]any{"a": "A"}, "two": two}, 1, "one matches"},
		{"matches after all, whole", map[string]any{"one": map[string]any{"a": "X"}, "two": two, "three": "C"}, 1, "three matches"},
		{"not recorded", map[string]any{"one": map[string]any{"a": "X"}, "two": two, "four": 4}, 1, "nothing is recorded as four"},
		{"differs", map[string]any{"one": map[string]any{"a": "X"}, "two": map[string]any{"b": "X", "env": nil}}, 0, "two: b:"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			matched, problems := s.compare(c, tc.got)
			text := strings.Join(problems, "\n")
			if matched != tc.matched || (tc.problem == "") != (len(problems) == 0) || !strings.Contains(text, tc.problem) {
				t.Errorf("%d matched, want %d; problems %q, want %q", matched, tc.matched, text, tc.problem)
			}
		})
	}
	figures, problems := s.count([]Case{c})
	if row := figures.row("S"); row != "| S | 1 | 3 | 1: on purpose<br>1: not built |" || len(problems) > 0 {
		t.Errorf("%s %v", row, problems)
	}
	s.Exceptions = append(s.Exceptions, Exception{Case: "gone"})
	if _, problems = s.count([]Case{c}); len(problems) != 1 {
		t.Errorf("an exception that selects nothing: %v", problems)
	}
}

func TestCaseNames(t *testing.T) {
	c := Case{Name: "file::Class::test_x[a::b[c]]"}
	if c.Test() != "Class::test_x" || c.Function() != "test_x" || c.Parameter() != "a::b[c]" {
		t.Errorf("%s, %s, %s", c.Test(), c.Function(), c.Parameter())
	}
	if c = (Case{Name: "file::test_y"}); c.Test() != "test_y" || c.Function() != "test_y" || c.Parameter() != "" {
		t.Errorf("%s, %s, %s", c.Test(), c.Function(), c.Parameter())
	}
}

func TestKeysKeepTheirOrder(t *testing.T) {
	got, err := keys([]byte(`{"b": {"x": [1, "}"]}, "a": 1, "c": null}`))
	if err != nil || !slices.Equal(got, []string{"b", "a", "c"}) {
		t.Errorf("%v, %v", got, err)
	}
}
