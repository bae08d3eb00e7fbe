package policy

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
)

// Bounds of a document's shape; beyond them it is malformed. Its length is
// bounded by the quotas of what it is attached to.
const (
	documentBytesMax = 256 << 10
	statementsMax    = 2048
	depthMax         = 8
)

// Parse reads and compiles a document without asking what it is for. The
// error is a *MalformedError.
func Parse(text string) (*Document, error) {
	if len(text) > documentBytesMax {
		return nil, malformed(syntaxErrors)
	}
	root, err := readTree(text)
	if err != nil {
		return nil, malformed(syntaxErrors)
	}
	if root.kind != nodeObject {
		return nil, malformed(syntaxErrors)
	}
	d := &Document{}
	var statements *node
	for _, m := range root.members {
		switch m.name {
		case "Version":
			if m.value.kind != nodeString || (m.value.text != Version2012 && m.value.text != Version2008) {
				return nil, malformed(syntaxErrors)
			}
			d.Version = m.value.text
		case "Id":
			if m.value.kind != nodeString {
				return nil, malformed(syntaxErrors)
			}
			d.ID = m.value.text
		case "Statement":
			statements = m.value
		default:
			return nil, malformed(syntaxErrors)
		}
	}
	if statements == nil {
		return nil, malformed(syntaxErrors)
	}
	list := []*node{statements}
	if statements.kind == nodeArray {
		list = statements.items
	}
	if len(list) > statementsMax {
		return nil, malformed(syntaxErrors)
	}
	lines := newLineIndex(text)
	for _, n := range list {
		s, err := compileStatement(n, d.Version)
		if err != nil {
			return nil, err
		}
		s.Start, s.End = lines.at(n.start), lines.at(n.end-1)
		d.Statements = append(d.Statements, s)
	}
	return d, nil
}

func compileStatement(n *node, version string) (Statement, error) {
	var s Statement
	if n.kind != nodeObject {
		return s, malformed(syntaxErrors)
	}
	seenAction, seenResource := false, false
	for _, m := range n.members {
		switch m.name {
		case "Sid":
			if m.value.kind != nodeString {
				return s, malformed(syntaxErrors)
			}
			s.Sid = m.value.text
		case "Effect":
			switch m.value.text {
			case "Allow":
				s.Effect = EffectAllow
			case "Deny":
				s.Effect = EffectDeny
			}
		case "Action", "NotAction":
			values, ok := m.value.strings()
			if !ok || seenAction {
				return s, malformed(syntaxErrors)
			}
			seenAction, s.notActions, s.rawActions = true, m.name == "NotAction", values
			for _, v := range values {
				s.actions = append(s.actions, compilePattern(v, patternForm{wildcards: true, fold: true}))
			}
		case "Resource", "NotResource":
			values, ok := m.value.strings()
			if !ok || seenResource {
				return s, malformed(syntaxErrors)
			}
			seenResource, s.hasResource, s.notResources, s.rawResources = true, true, m.name == "NotResource", values
			for _, v := range values {
				s.resources = append(s.resources, compileARN(v, patternForm{wildcards: true, arn: true, variables: version == Version2012}))
			}
		case "Principal", "NotPrincipal":
			p, err := compilePrincipals(m.value)
			if err != nil || s.principals != nil {
				return s, malformed(syntaxErrors)
			}
			p.not = m.name == "NotPrincipal"
			s.principals = p
		case "Condition":
			conditions, ok := compileConditions(m.value, version)
			if !ok {
				return s, malformed(syntaxErrors)
			}
			s.conditions = conditions
		default:
			return s, malformed(syntaxErrors)
		}
	}
	if s.Effect == 0 {
		return s, malformed(syntaxErrors)
	}
	return s, nil
}

func compilePrincipals(n *node) (*principals, error) {
	p := &principals{}
	if n.kind == nodeString {
		if n.text != "*" {
			return nil, malformed(syntaxErrors)
		}
		p.everyone = true
		return p, nil
	}
	if n.kind != nodeObject || len(n.members) == 0 {
		return nil, malformed(syntaxErrors)
	}
	for _, m := range n.members {
		values, ok := m.value.strings()
		if !ok {
			return nil, malformed(syntaxErrors)
		}
		switch m.name {
		case "AWS":
			p.aws = values
		case "Service":
			p.service = values
		case "Federated":
			p.federated = values
		case "CanonicalUser": // S3 only; names nobody here
		default:
			return nil, malformed(syntaxErrors)
		}
	}
	return p, nil
}

func compileConditions(n *node, version string) ([]condition, bool) {
	if n.kind != nodeObject {
		return nil, false
	}
	var out []condition
	for _, op := range n.members {
		if op.value.kind != nodeObject {
			return nil, false
		}
		for _, key := range op.value.members {
			values, ok := key.value.strings()
			if !ok {
				return nil, false
			}
			c, ok := compileCondition(op.name, key.name, values, version)
			if !ok {
				return nil, false
			}
			out = append(out, c)
		}
	}
	return out, true
}

type nodeKind uint8

const (
	nodeString nodeKind = iota
	nodeScalar          // a number or a boolean, its text as written
	nodeNull
	nodeArray
	nodeObject
)

// node is a JSON value that knows where it stands in the text, which the
// policy simulator has to tell.
type node struct {
	kind       nodeKind
	text       string
	items      []*node
	members    []member
	start, end int // bytes, end exclusive
}

type member struct {
	name  string
	value *node
}

// strings reads a value that may be one scalar or a list of them.
func (n *node) strings() ([]string, bool) {
	switch n.kind {
	case nodeString, nodeScalar:
		return []string{n.text}, true
	case nodeArray:
		out := make([]string, 0, len(n.items))
		for _, item := range n.items {
			if item.kind != nodeString && item.kind != nodeScalar {
				return nil, false
			}
			out = append(out, item.text)
		}
		return out, true
	}
	return nil, false
}

func readTree(text string) (*node, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	n, err := readNode(dec, depthMax)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errTree
	}
	return n, nil
}

var errTree = malformed(syntaxErrors)

func readNode(dec *json.Decoder, depth int) (*node, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	return nodeFrom(dec, tok, depth)
}

func nodeFrom(dec *json.Decoder, tok json.Token, depth int) (*node, error) {
	if depth == 0 {
		return nil, errTree
	}
	end := int(dec.InputOffset())
	switch v := tok.(type) {
	case string:
		return &node{kind: nodeString, text: v, end: end}, nil
	case json.Number:
		return &node{kind: nodeScalar, text: v.String(), end: end}, nil
	case bool:
		return &node{kind: nodeScalar, text: strconv.FormatBool(v), end: end}, nil
	case nil:
		return &node{kind: nodeNull, end: end}, nil
	case json.Delim:
		n := &node{kind: nodeObject, start: end - 1}
		if v == '[' {
			n.kind = nodeArray
		}
		for dec.More() {
			if n.kind == nodeArray {
				item, err := readNode(dec, depth-1)
				if err != nil {
					return nil, err
				}
				n.items = append(n.items, item)
				continue
			}
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			key, ok := name.(string)
			if !ok || n.has(key) {
				return nil, errTree
			}
			value, err := readNode(dec, depth-1)
			if err != nil {
				return nil, err
			}
			n.members = append(n.members, member{key, value})
		}
		if _, err := dec.Token(); err != nil {
			return nil, err
		}
		n.end = int(dec.InputOffset())
		return n, nil
	}
	return nil, errTree
}

func (n *node) has(name string) bool {
	for _, m := range n.members {
		if m.name == name {
			return true
		}
	}
	return false
}

// lineIndex turns byte offsets into lines and columns.
type lineIndex struct{ text []byte }

func newLineIndex(text string) lineIndex { return lineIndex{[]byte(text)} }

func (l lineIndex) at(offset int) Position {
	offset = min(max(offset, 0), len(l.text))
	before := l.text[:offset]
	return Position{Line: bytes.Count(before, []byte{'\n'}) + 1, Column: offset - bytes.LastIndexByte(before, '\n')}
}
