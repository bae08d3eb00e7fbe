package policy

import "strings"

// tokenKind is one kind of piece of a pattern.
type tokenKind uint8

const (
	tokLiteral tokenKind = iota
	tokStar              // any run of characters
	tokOne               // any one character
	// The narrow forms do not match a colon: a wildcard inside an ARN's first five
	// segments stays in its segment, unless it is a * that ends the segment
	// (IAM user guide, "IAM JSON policy elements: Resource").
	tokStarNarrow
	tokOneNarrow
	tokVariable
)

type token struct {
	kind     tokenKind
	text     string // literal, or the variable's key in lower case
	fallback string
	hasElse  bool
}

func (t token) star() bool { return t.kind == tokStar || t.kind == tokStarNarrow }

// pattern is a compiled string with wildcards and policy variables.
type pattern struct {
	tokens []token
	fold   bool // letters match in either case
	vars   bool
	// exact is the whole pattern when it is a single literal.
	exact   string
	isExact bool
	all     bool // a lone *
}

// patternForm says which features of a pattern are alive.
type patternForm struct {
	wildcards bool
	variables bool
	fold      bool
	arn       bool // narrow wildcards in the first five segments
}

func compilePattern(s string, f patternForm) pattern {
	p := pattern{fold: f.fold}
	if f.fold {
		s = lowerOutsideVariables(s, f.variables)
	}
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			p.tokens = append(p.tokens, token{kind: tokLiteral, text: lit.String()})
			lit.Reset()
		}
	}
	colons := 0
	for i := 0; i < len(s); {
		if f.variables && strings.HasPrefix(s[i:], "${") {
			if end := strings.IndexByte(s[i:], '}'); end > 0 {
				body := s[i+2 : i+end]
				i += end + 1
				switch body {
				case "*", "?", "$":
					lit.WriteString(body)
				default:
					flush()
					p.tokens = append(p.tokens, variableToken(body))
					p.vars = true
				}
				continue
			}
		}
		switch c := s[i]; {
		case c == '*' && f.wildcards:
			flush()
			kind := tokStar
			if f.arn && colons < 5 && i+1 < len(s) && s[i+1] != ':' && s[i+1] != '*' {
				kind = tokStarNarrow
			}
			// Stars side by side are one, wide if any is: a narrow star right
			// behind a wide one would make matching cubic.
			if n := len(p.tokens); n == 0 || !p.tokens[n-1].star() {
				p.tokens = append(p.tokens, token{kind: kind})
			} else if kind == tokStar {
				p.tokens[n-1].kind = tokStar
			}
		case c == '?' && f.wildcards:
			flush()
			kind := tokOne
			if f.arn && colons < 5 {
				kind = tokOneNarrow
			}
			p.tokens = append(p.tokens, token{kind: kind})
		default:
			if c == ':' {
				colons++
			}
			lit.WriteByte(c)
		}
		i++
	}
	flush()
	switch {
	case len(p.tokens) == 0:
		p.isExact = true
	case len(p.tokens) == 1 && p.tokens[0].kind == tokLiteral:
		p.isExact, p.exact = true, p.tokens[0].text
	case len(p.tokens) == 1 && p.tokens[0].kind == tokStar:
		p.all = true
	}
	return p
}

// variableToken reads "aws:key" or "aws:key, 'default'".
func variableToken(body string) token {
	key, rest, found := strings.Cut(body, ",")
	t := token{kind: tokVariable, text: strings.ToLower(strings.TrimSpace(key))}
	if rest = strings.TrimSpace(rest); found && len(rest) >= 2 && rest[0] == '\'' && rest[len(rest)-1] == '\'' {
		t.fallback, t.hasElse = rest[1:len(rest)-1], true
	}
	return t
}

func lowerOutsideVariables(s string, variables bool) string {
	if !variables || !strings.Contains(s, "${") {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for s != "" {
		i := strings.Index(s, "${")
		j := -1
		if i >= 0 {
			j = strings.IndexByte(s[i:], '}')
		}
		if j < 0 {
			b.WriteString(strings.ToLower(s))
			break
		}
		b.WriteString(strings.ToLower(s[:i]))
		b.WriteString(s[i : i+j+1])
		s = s[i+j+1:]
	}
	return b.String()
}

// match reports whether s matches. A variable that the context does not hold,
// and that has no default, matches nothing.
func (p *pattern) match(s string, ctx Context) bool {
	switch {
	case p.all:
		return true
	case p.isExact:
		return equal(p.exact, s, p.fold)
	case !p.vars:
		return matchTokens(p.tokens, s, p.fold)
	}
	tokens, ok := p.resolve(ctx)
	return ok && matchTokens(tokens, s, p.fold)
}

// resolve puts the values of variables in their places, as literals.
func (p *pattern) resolve(ctx Context) ([]token, bool) {
	out := make([]token, len(p.tokens))
	copy(out, p.tokens)
	for i, t := range out {
		if t.kind != tokVariable {
			continue
		}
		value := t.fallback
		if values, ok := lookup(ctx, t.text); ok && len(values) == 1 {
			value = values[0]
		} else if !t.hasElse {
			return nil, false
		}
		if p.fold {
			value = strings.ToLower(value)
		}
		out[i] = token{kind: tokLiteral, text: value}
	}
	return out, true
}

func equal(pattern, s string, fold bool) bool {
	if fold {
		return len(pattern) == len(s) && hasPrefix(s, pattern, true) || !ascii(s) && strings.EqualFold(pattern, s)
	}
	return pattern == s
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// hasPrefix tests for a literal; with fold the literal is in lower case.
func hasPrefix(s, literal string, fold bool) bool {
	if !fold {
		return strings.HasPrefix(s, literal)
	}
	if len(s) < len(literal) {
		return false
	}
	for i := range len(literal) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != literal[i] {
			return false
		}
	}
	return true
}

// mark is a star to come back to: the tokens behind it and how far it reached.
type mark struct {
	token, at int
	set       bool
}

// matchTokens walks the tokens and, when stuck, lets the last star swallow one
// character more. Only the last narrow and the last wide star need be
// remembered: what an earlier star of the same kind could swallow, the last
// one can too.
func matchTokens(tokens []token, s string, fold bool) bool {
	var wide, narrow mark
	ti, si := 0, 0
	for {
		ok := false
		if ti == len(tokens) {
			if si == len(s) {
				return true
			}
		} else {
			switch t := tokens[ti]; t.kind {
			case tokLiteral:
				if ok = hasPrefix(s[si:], t.text, fold); ok {
					si += len(t.text)
				}
			case tokOne, tokOneNarrow:
				if ok = si < len(s) && (t.kind == tokOne || s[si] != ':'); ok {
					si += runeLen(s[si:])
				}
			case tokStar:
				wide, narrow, ok = mark{ti + 1, si, true}, mark{}, true
			case tokStarNarrow:
				narrow, ok = mark{ti + 1, si, true}, true
			}
			if ok {
				ti++
				continue
			}
		}
		switch {
		case narrow.set && narrow.at < len(s) && s[narrow.at] != ':':
			narrow.at++
			ti, si = narrow.token, narrow.at
		case wide.set && wide.at < len(s):
			wide.at++
			narrow = mark{}
			ti, si = wide.token, wide.at
		default:
			return false
		}
	}
}

// runeLen is the length of the first character: ? stands for one character,
// whatever its length in UTF-8.
func runeLen(s string) int {
	n := 1
	if s[0] >= 0xC0 {
		for n < len(s) && n < 4 && s[n]&0xC0 == 0x80 {
			n++
		}
	}
	return n
}
