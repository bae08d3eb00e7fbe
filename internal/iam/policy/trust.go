package policy

import (
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
)

// edit replaces a part of a text.
type edit struct {
	start, end int
	with       string
}

// TrustAsRead is a trust policy as IAM gives it back: it keeps who is trusted and not the text, so that a list of one
// principal or action comes back as that one, and an account's number as the ARN of its root. Sources: the
// CLI reference's answers of create-service-linked-role and list-roles; User Guide, "AWS JSON policy elements: Principal".
// A text that is no policy stays as it is.
func TrustAsRead(text string) string {
	root, err := readTree(text)
	if err != nil {
		return text
	}
	var edits []edit
	for _, m := range root.members {
		if m.name != "Statement" {
			continue
		}
		statements := []*node{m.value}
		if m.value.kind == nodeArray {
			statements = m.value.items
		}
		for _, s := range statements {
			edits = append(edits, trustEdits(text, s)...)
		}
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.start - b.start })
	var out strings.Builder
	at := 0
	for _, e := range edits {
		out.WriteString(text[at:e.start])
		out.WriteString(e.with)
		at = e.end
	}
	return out.String() + text[at:]
}

func trustEdits(text string, statement *node) []edit {
	var edits []edit
	for _, m := range statement.members {
		switch m.name {
		case "Action", "NotAction":
			edits = append(edits, lone(text, m.value)...)
		case "Principal", "NotPrincipal":
			for _, kind := range m.value.members {
				edits = append(edits, lone(text, kind.value)...)
				if kind.name != "AWS" {
					continue
				}
				values := []*node{kind.value}
				if kind.value.kind == nodeArray {
					values = kind.value.items
				}
				for _, v := range values {
					edits = append(edits, accountEdit(text, v)...)
				}
			}
		}
	}
	return edits
}

// lone takes the brackets off a list of one.
func lone(text string, list *node) []edit {
	if list.kind != nodeArray || len(list.items) != 1 || list.items[0].kind != nodeString {
		return nil
	}
	inner := text[list.start+1 : list.end-1]
	before := len(inner) - len(strings.TrimLeft(inner, " \t\r\n"))
	after := len(inner) - len(strings.TrimRight(inner, " \t\r\n"))
	return []edit{{start: list.start, end: list.start + 1 + before}, {start: list.end - 1 - after, end: list.end}}
}

// accountEdit writes an account's number as the ARN of its root.
func accountEdit(text string, value *node) []edit {
	quoted := `"` + value.text + `"`
	start := value.end - len(quoted)
	if value.kind != nodeString || !aws.AccountID(value.text).Valid() || start < 0 || text[start:value.end] != quoted {
		return nil
	}
	return []edit{{start: start, end: value.end, with: `"arn:aws:iam::` + value.text + `:root"`}}
}
