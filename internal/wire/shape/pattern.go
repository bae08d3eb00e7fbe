package shape

import (
	"regexp"
	"sync"
)

// Pattern is a constraint's regular expression. It is compiled on first use,
// because a process serves few of the models' patterns.
type Pattern struct {
	// Source is the expression as AWS writes it, and shows it in messages.
	Source string
	// Expression says the same of a whole value in Go's syntax.
	Expression string
	// Reject must not match: the leading negative lookahead of the source, which
	// Go's syntax does not have.
	Reject string

	once   sync.Once
	accept *regexp.Regexp
	reject *regexp.Regexp
}

// Matches reports whether the whole value fits.
func (p *Pattern) Matches(value string) bool {
	p.once.Do(func() {
		p.accept = regexp.MustCompile(p.Expression)
		if p.Reject != "" {
			p.reject = regexp.MustCompile(p.Reject)
		}
	})
	if p.reject != nil && p.reject.MatchString(value) {
		return false
	}
	return p.accept.MatchString(value)
}
