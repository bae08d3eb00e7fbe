package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"
)

// report collects tables and prints them as Markdown.
type report struct {
	text strings.Builder
}

func newReport(machine string) *report {
	r := &report{}
	fmt.Fprintf(&r.text, "# Benchmarks\n\nMade by `make bench`; every table has its peers in the same run. Machine: %s.\n", machine)
	return r
}

// aims says which figures are what was aimed at, and why others are not.
//
//go:embed aims.md
var aims string

func (r *report) String() string { return r.text.String() + aims }

// table adds one table under a heading, with notes below it.
func (r *report) table(title string, header []string, rows [][]string, notes ...string) {
	fmt.Fprintf(&r.text, "\n## %s\n\n| %s |\n|%s\n", title, strings.Join(header, " | "), strings.Repeat("---|", len(header)))
	for _, row := range rows {
		fmt.Fprintf(&r.text, "| %s |\n", strings.Join(row, " | "))
	}
	for _, note := range notes {
		fmt.Fprintf(&r.text, "\n%s\n", note)
	}
}

// sample is a set of latencies.
type sample []time.Duration

func (s sample) percentile(p float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Clone(s)
	slices.Sort(sorted)
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

func (s sample) p50() time.Duration { return s.percentile(0.50) }
func (s sample) p99() time.Duration { return s.percentile(0.99) }

func micros(d time.Duration) string { return fmt.Sprintf("%d", d.Microseconds()) }
func millis(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000) }
func ratio(a, b time.Duration) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}
