package main

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lambdad/lambdad/internal/wire/model"
	"github.com/lambdad/lambdad/internal/wire/shape"
)

// exported is a model's name as a Go identifier.
func exported(name string) string {
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(r)) + name[n:]
}

func unexported(name string) string {
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(r)) + name[n:]
}

// elementType is the Go type of a value that is present.
func elementType(m *shape.Member) string {
	switch m.Kind {
	case shape.KindStructure:
		return exported(m.Shape)
	case shape.KindList:
		return "[]" + elementType(m.Element)
	case shape.KindMap:
		return "map[string]" + elementType(m.Value)
	case shape.KindString:
		return "string"
	case shape.KindBoolean:
		return "bool"
	case shape.KindInteger:
		return "int32"
	case shape.KindLong:
		return "int64"
	case shape.KindFloat:
		return "float32"
	case shape.KindDouble:
		return "float64"
	case shape.KindBlob:
		return "[]byte"
	case shape.KindTimestamp:
		return "time.Time"
	case shape.KindDocument:
		return "any"
	}
	panic("no Go type for kind " + m.Kind.String())
}

// memberType is the Go type of a member, which may be absent.
func memberType(m *shape.Member) string {
	if m.Kind == shape.KindBlob && m.Streaming {
		return "io.ReadCloser"
	}
	switch m.Kind {
	case shape.KindList, shape.KindMap, shape.KindBlob, shape.KindDocument:
		return elementType(m)
	}
	return "*" + elementType(m)
}

// schema reads a structure and drops its event stream: streams of events are
// sent by the transport, not held in a field.
func (s *service) schema(name string) (*shape.Schema, error) {
	schema, err := s.Model.Schema(name)
	if err != nil {
		return nil, err
	}
	kept := make([]shape.Member, 0, len(schema.Members))
	for i, m := range schema.Members {
		if m.Event {
			if schema.Payload == i {
				schema.Payload = -1
			}
			continue
		}
		if schema.Payload == i {
			schema.Payload = len(kept)
		}
		kept = append(kept, m)
	}
	schema.Members = kept
	return schema, s.formerly(schema)
}

func (s *service) writeShapes(b *bytes.Buffer) error {
	var body bytes.Buffer
	for _, name := range s.structures() {
		if err := s.declare(exported(name), "shape "+name); err != nil {
			return err
		}
		schema, err := s.schema(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&body, "\n// %s is the structure %s of the model.\n", exported(name), name)
		fmt.Fprintf(&body, "type %s struct {\n", exported(name))
		fields := map[string]bool{}
		for i := range schema.Members {
			m := &schema.Members[i]
			field := exported(m.Name)
			if fields[field] {
				return fmt.Errorf("%s has two members called %s", name, field)
			}
			fields[field] = true
			fmt.Fprintf(&body, "%s %s\n", field, memberType(m))
		}
		if schema.Error != nil && messageMember(schema) < 0 {
			body.WriteString("text string // the model gives the message no member\n")
		}
		body.WriteString("}\n")
	}
	for _, name := range s.inputlessOperations() {
		input := name + "Input"
		if err := s.declare(input, "the input of "+name); err != nil {
			return err
		}
		fmt.Fprintf(&body, "\n// %s is the input of %s, which takes none.\ntype %s struct{}\n", input, name, input)
	}
	writeHeader(b, s.Package, body.String())
	b.Write(body.Bytes())
	return nil
}

// inputlessOperations have no input shape; they get an empty one.
func (s *service) inputlessOperations() []string {
	var names []string
	for _, name := range s.Model.OperationNames() {
		if s.Model.Operations[name].Input == nil {
			names = append(names, name)
		}
	}
	return names
}

func inputType(op *model.Operation) string {
	if op.Input == nil {
		return op.Name + "Input"
	}
	return exported(op.Input.Shape)
}

// imports are found in the text that uses them.
var knownImports = []struct{ use, path string }{
	{"context.", "context"},
	{"io.", "io"},
	{"time.", "time"},
	{"wire.", "github.com/lambdad/lambdad/internal/wire"},
	{"shape.", "github.com/lambdad/lambdad/internal/wire/shape"},
}

func writeHeader(b *bytes.Buffer, pkg, body string) {
	fmt.Fprintf(b, "package %s\n\n", pkg)
	var std, own []string
	for _, imp := range knownImports {
		if !usesPackage(body, imp.use) {
			continue
		}
		if strings.Contains(imp.path, ".") {
			own = append(own, imp.path)
		} else {
			std = append(std, imp.path)
		}
	}
	if len(std)+len(own) == 0 {
		return
	}
	b.WriteString("import (\n")
	for _, p := range std {
		fmt.Fprintf(b, "%q\n", p)
	}
	if len(std) > 0 && len(own) > 0 {
		b.WriteString("\n")
	}
	for _, p := range own {
		fmt.Fprintf(b, "%q\n", p)
	}
	b.WriteString(")\n")
}

// usesPackage looks for a qualified identifier outside comments and strings.
func usesPackage(body, use string) bool {
	for line := range strings.Lines(body) {
		if strings.HasPrefix(strings.TrimSpace(line), "//") {
			continue
		}
		for i := 0; ; {
			j := strings.Index(line[i:], use)
			if j < 0 {
				break
			}
			j += i
			if j == 0 || !isWord(line[j-1]) {
				if strings.Count(line[:j], `"`)%2 == 0 && strings.Count(line[:j], "`")%2 == 0 {
					return true
				}
			}
			i = j + len(use)
		}
	}
	return false
}

func isWord(c byte) bool {
	return c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
