package recorded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const guidePath = "docs/guide/compatibility.md"

// tally is a row of the guide's table.
type tally struct {
	total, excepted int
	groups          []group // in the order of the exceptions
}

type group struct {
	reason string
	count  int
}

func (c *tally) add(reason string, count int) {
	for i := range c.groups {
		if c.groups[i].reason == reason {
			c.groups[i].count += count
			return
		}
	}
	c.groups = append(c.groups, group{reason, count})
}

func (c *tally) row(service string) string {
	var reasons []string
	for _, g := range c.groups {
		reasons = append(reasons, fmt.Sprintf("%d: %s", g.count, g.reason))
	}
	return fmt.Sprintf("| %s | %d | %d | %s |", service, c.total-c.excepted, c.total, strings.Join(reasons, "<br>"))
}

// holdGuide holds the service's row of the guide to the figures, or writes it with UPDATE=1.
func (c *tally) holdGuide(t *testing.T, service string) {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, guidePath)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "| "+service+" |") {
			continue
		}
		want := c.row(service)
		if line == want {
			return
		}
		if os.Getenv("UPDATE") == "" {
			t.Fatalf("%s does not have the figures of this test; run with UPDATE=1. They are:\n%s", guidePath, want)
		}
		lines[i] = want
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("%s has no row for %s", guidePath, service)
}

// moduleRoot is the folder above the test's that has go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod above the test: %w", err)
		}
		dir = filepath.Dir(dir)
	}
}
