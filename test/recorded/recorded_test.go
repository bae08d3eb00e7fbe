package recorded

import "testing"

func TestCompare(t *testing.T) {
	for _, tc := range []struct {
		name      string
		got, want any
		differs   int
	}{
		{"equal", map[string]any{"a": 1}, map[string]any{"a": 1}, 0},
		{"number differs", map[string]any{"a": 1}, map[string]any{"a": 2}, 1},
		{"missing and added", map[string]any{"a": 1}, map[string]any{"b": 1}, 2},
		{"placeholder", "x-123", "x-<id:1>", 0},
		{"placeholder for a number", map[string]any{"n": 3}, map[string]any{"n": "<code-size>"}, 0},
		{"region, partition, account", "arn:aws:lambda:us-east-1:000000000000:function:f", "arn:<partition>:lambda:<region>:111111111111:function:<f:1>", 0},
		{"same placeholder, two values", []any{"a", "b"}, []any{"<v:1>", "<v:1>"}, 1},
		{"two placeholders", []any{"a", "b"}, []any{"<v:1>", "<v:2>"}, 0},
		{"time", "2025-01-01", "date", 0},
		{"no time", "", "date", 1},
		{"headers are not compared", map[string]any{"HTTPHeaders": map[string]any{"x": "y"}}, map[string]any{"HTTPHeaders": map[string]any{}}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := NewComparison("000000000000", "us-east-1").Compare(tc.got, tc.want); len(got) != tc.differs {
				t.Errorf("%d differences, want %d: %v", len(got), tc.differs, got)
			}
		})
	}
}
