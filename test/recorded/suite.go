package recorded

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// Suite is a file of recordings, and what is known of the answers in it that do not match.
type Suite struct {
	Service string // the row of docs/guide/compatibility.md that has its figures
	File    string
	Account string
	Region  string
	Kinds   map[string]string // as Comparison's
	// Exceptions are answers that do not match. The first one that selects an answer counts.
	Exceptions []Exception
	// Fields may differ wherever they come; an answer that differs in them alone matches.
	Fields []Field
}

// Exception selects answers by regular expressions for the case's name and for the label. It fails the
// test when a selected answer matches after all, or when it selects none.
type Exception struct {
	Case   string
	Label  string
	Reason string // as the guide tells it
	// Differences that stay, where the rest of the answer must match; without it nothing is compared.
	Difference string
}

// Field is the end of a path, e.g. environment.PATH. It fails the test when it never differs, unless that is up to the host.
type Field struct {
	Path      string
	Reason    string
	HostsOwn  bool
	differing int
}

// Run asks every case by play, which returns the answers by label, and compares them. An answer that play
// does not give must be an exception. The last line counts, and the guide must have the same figures.
func (s *Suite) Run(t *testing.T, play func(t *testing.T, c Case) map[string]any) {
	t.Helper()
	cases, err := Load(s.File)
	if err != nil {
		t.Fatal(err)
	}
	figures, problems := s.count(cases)
	for _, p := range problems {
		t.Error(p)
	}
	matched, left := 0, figures.total
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.Name, "/", "_"), func(t *testing.T) {
			n, problems := s.compare(c, play(t, c))
			for _, p := range problems {
				t.Error(p)
			}
			matched += n
			left -= len(c.Labels)
		})
	}
	for _, f := range s.Fields {
		if f.differing == 0 && !f.HostsOwn && left == 0 {
			t.Errorf("%s is named as a difference, but differs nowhere: %s", f.Path, f.Reason)
		}
	}
	t.Logf("recorded answers of %s: %d of %d match; %d could not be asked on this machine", s.Service, matched, figures.total, left)
	figures.holdGuide(t, s.Service)
}

// compare counts a case's answers that match, and tells what is wrong with the others.
func (s *Suite) compare(c Case, got map[string]any) (matched int, problems []string) {
	for label := range got {
		if _, ok := c.Answers[label]; !ok {
			problems = append(problems, "nothing is recorded as "+label)
		}
	}
	comparison := NewComparison(s.Account, s.Region)
	comparison.Kinds = s.Kinds
	for _, label := range c.Labels {
		exception := s.exceptionOf(c.Name, label)
		mine, given := got[label]
		if !given {
			if exception == nil {
				problems = append(problems, label+": not asked")
			}
			continue
		}
		differing := 0
		for _, d := range comparison.Compare(mine, c.Answers[label]) {
			if s.isField(d) {
				continue
			}
			differing++
			if exception == nil || !regexp.MustCompile(exception.Difference).MatchString(d.String()) {
				problems = append(problems, label+": "+d.String())
			}
		}
		switch {
		case exception != nil && differing == 0:
			problems = append(problems, label+" matches, but is an exception: "+exception.Reason)
		case differing == 0:
			matched++
		}
	}
	return matched, problems
}

func (s *Suite) exceptionOf(name, label string) *Exception {
	for i, e := range s.Exceptions {
		if regexp.MustCompile(e.Case).MatchString(name) && regexp.MustCompile(e.Label).MatchString(label) {
			return &s.Exceptions[i]
		}
	}
	return nil
}

func (s *Suite) isField(d Difference) bool {
	for i, f := range s.Fields {
		if d.Path == f.Path || strings.HasSuffix(d.Path, "."+f.Path) {
			s.Fields[i].differing++
			return true
		}
	}
	return false
}

// count tells from the exceptions alone what should match.
func (s *Suite) count(cases []Case) (figures tally, problems []string) {
	selected := map[*Exception]int{}
	for _, c := range cases {
		for _, label := range c.Labels {
			figures.total++
			if e := s.exceptionOf(c.Name, label); e != nil {
				figures.excepted++
				selected[e]++
			}
		}
	}
	for i := range s.Exceptions {
		e := &s.Exceptions[i]
		if selected[e] == 0 {
			problems = append(problems, fmt.Sprintf("the exception %q %q selects no answer", e.Case, e.Label))
		}
		figures.add(e.Reason, selected[e])
	}
	return figures, problems
}
