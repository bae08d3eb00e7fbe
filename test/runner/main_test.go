package main

import (
	"strings"
	"testing"
)

func TestSkipReason(t *testing.T) {
	for _, tc := range []struct {
		name   string
		output []string
		want   string
	}{
		{"of a test", []string{"=== RUN   TestX\n", "    x_test.go:12: needs root\n", "--- SKIP: TestX (0.00s)\n"}, "needs root"},
		{"of a suite", []string{"        life.go:67: does not outlive its process\n"}, "does not outlive its process"},
		{"with colons", []string{"    x_test.go:12: no nftables: exit status 1: no\n"}, "no nftables: exit status 1: no"},
		{"none", []string{"=== RUN   TestX\n", "--- SKIP: TestX (0.00s)\n"}, noReason},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := skipReason(tc.output); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestTake(t *testing.T) {
	for _, tc := range []struct {
		name                    string
		last                    event
		output                  string
		passed, failed, skipped int
	}{
		{"pass", event{Action: "pass", Test: "TestX"}, "", 1, 0, 0},
		{"fail", event{Action: "fail", Test: "TestX"}, "", 0, 1, 0},
		{"package", event{Action: "pass"}, "", 0, 0, 0},
		{"package that crashed", event{Action: "fail"}, "", 0, 1, 0},
		{"skip", event{Action: "skip", Test: "TestX"}, "    x_test.go:12: needs root\n", 0, 0, 1},
		{"skip without a reason", event{Action: "skip", Test: "TestX"}, "--- SKIP: TestX (0.00s)\n", 0, 1, 1},
		{"package without tests", event{Action: "skip"}, "", 0, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := result{skips: map[string]int{}, output: map[string][]string{}}
			for line := range strings.Lines(tc.output) {
				r.take(event{Action: "output", Test: tc.last.Test, Output: line})
			}
			r.take(tc.last)
			skipped := 0
			for _, n := range r.skips {
				skipped += n
			}
			if r.passed != tc.passed || r.failed != tc.failed || skipped != tc.skipped {
				t.Errorf("%d passed, %d failed, %d skipped", r.passed, r.failed, skipped)
			}
		})
	}
}
