package conformance

import (
	"strings"
	"testing"
)

// skips are the vectors that do not apply, each with its reason. They are run
// all the same: one that passes must leave the list.
type skips map[string]*skip

type skip struct {
	reason string
	seen   bool
}

func loadSkips(t *testing.T) skips {
	t.Helper()
	var groups []struct {
		Reason string   `json:"reason"`
		IDs    []string `json:"ids"`
	}
	readFile(t, "testdata/skip.json", &groups)
	s := skips{}
	for _, g := range groups {
		for _, id := range g.IDs {
			if s[id] != nil {
				t.Errorf("%s is skipped twice", id)
			}
			if g.Reason == "" {
				t.Errorf("%s is skipped without a reason", id)
			}
			s[id] = &skip{reason: g.Reason}
		}
	}
	return s
}

// check reports whether a vector is skipped, and fails the test where the list
// and the outcome disagree.
func (s skips) check(t *testing.T, id string, err error) bool {
	t.Helper()
	entry := s[id]
	if entry == nil {
		if err != nil {
			t.Errorf("%s: %v", id, err)
		}
		return false
	}
	entry.seen = true
	if err == nil {
		t.Errorf("%s passes: take it off the skip list", id)
	}
	return true
}

// finish fails the test for entries that name no vector.
func (s skips) finish(t *testing.T, prefix string) {
	t.Helper()
	for id, entry := range s {
		if strings.HasPrefix(id, prefix) && !entry.seen {
			t.Errorf("the skip list names %s, which does not exist", id)
		}
	}
}
