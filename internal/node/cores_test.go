package node

import "testing"

func TestCoresTime(t *testing.T) {
	for _, test := range []struct {
		stat       string
		spare, all uint64
		ok         bool
	}{
		{"cpu  1 2 3 40 5 6 7 8 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n", 45, 72, true},
		{"cpu  1 2 3 40 5 6 7 8", 45, 72, true},
		{"cpu  1 2 3", 0, 6, false},
		{"", 0, 0, false},
		{"intr 1 2 3 4 5 6 7 8", 0, 0, false},
	} {
		if spare, all, ok := coresTime([]byte(test.stat)); spare != test.spare || all != test.all || ok != test.ok {
			t.Errorf("%q: %d of %d, %v", test.stat, spare, all, ok)
		}
	}
}
