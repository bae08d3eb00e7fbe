package recordedtest

import "testing"

func TestMatch(t *testing.T) {
	want := Object{"A": "x-<id:1>", "B": []any{Object{"C": "<id:1>"}}, "D": 1.0, "E": "<datetime>"}
	good := Object{"A": "x-7", "B": []any{Object{"C": "7"}}, "D": 1.0, "E": "now"}
	if bad := Match(want, good, map[string]string{}); len(bad) > 0 {
		t.Error(bad)
	}
	for name, got := range map[string]any{
		"absent":          Object{"A": "x-7", "B": []any{Object{"C": "7"}}, "D": 1.0},
		"more":            Object{"A": "x-7", "B": []any{Object{"C": "7"}}, "D": 1.0, "E": "now", "F": 1},
		"another value":   Object{"A": "x-7", "B": []any{Object{"C": "7"}}, "D": 2.0, "E": "now"},
		"not the same id": Object{"A": "x-7", "B": []any{Object{"C": "8"}}, "D": 1.0, "E": "now"},
		"a longer list":   Object{"A": "x-7", "B": []any{Object{"C": "7"}, Object{"C": "7"}}, "D": 1.0, "E": "now"},
		"another kind":    nil,
	} {
		if len(Match(want, got, map[string]string{})) == 0 {
			t.Errorf("%s: matches", name)
		}
	}
}
