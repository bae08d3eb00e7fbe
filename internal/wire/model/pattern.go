package model

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// TranslatePattern says a model's Java expression in Go's syntax. Java matches
// whole values; Go needs anchors. A negative lookahead at the very start becomes
// a second expression that must not match; any other lookaround is an error.
func TranslatePattern(source string) (*shape.Pattern, error) {
	if p, ok := rewritten[source]; ok {
		return &shape.Pattern{Source: source, Expression: p.expression, Reject: p.reject}, nil
	}
	body, lookahead := source, ""
	for _, prefix := range []string{"^(?!", "((?!", "(?!"} {
		if !strings.HasPrefix(body, prefix) {
			continue
		}
		open := strings.Index(body, "(?!")
		end := closing(body, open)
		if end < 0 {
			return nil, fmt.Errorf("%q: unbalanced lookahead", source)
		}
		lookahead = body[open+len("(?!") : end]
		body = body[:open] + body[end+1:]
		break
	}
	p := &shape.Pattern{Source: source, Expression: `\A(?:` + goSyntax(body) + `)\z`}
	if _, err := regexp.Compile(p.Expression); err != nil {
		return nil, fmt.Errorf("%q: %w", source, err)
	}
	if lookahead != "" {
		p.Reject = `\A(?:` + goSyntax(lookahead) + `)`
		if _, err := regexp.Compile(p.Reject); err != nil {
			return nil, fmt.Errorf("%q: %w", source, err)
		}
	}
	return p, nil
}

// rewritten holds the expressions whose lookaround stands elsewhere than at the
// start, each said again as what must match and what must not.
var rewritten = map[string]struct{ expression, reject string }{
	// No two hyphens in a row.
	`^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`: {`\A[a-z0-9][a-z0-9-]{1,61}[a-z0-9]\z`, `--`},
	// Not below "system.".
	`(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)`: {`\A[_a-zA-Z0-9][^$]*\z`, `\Asystem\.`},
	// No dot at the end.
	`[0-9A-Za-z\.\-_]*(?<!\.)`: {`\A[0-9A-Za-z.\-_]*\z`, `\.\z`},
}

// closing finds the parenthesis that closes the one at open, -1 when none does.
func closing(s string, open int) int {
	depth, inClass := 0, false
	for i := open; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '[':
			inClass = true
		case ']':
			inClass = false
		case '(':
			if !inClass {
				depth++
			}
		case ')':
			if !inClass {
				if depth--; depth == 0 {
					return i
				}
			}
		}
	}
	return -1
}

// goSyntax rewrites the spellings of Java that Go's parser does not know.
func goSyntax(s string) string {
	return javaUnicode.ReplaceAllString(s, `\x{$1}`)
}

var javaUnicode = regexp.MustCompile(`\\u([0-9a-fA-F]{4})`)
