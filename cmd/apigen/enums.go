package main

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
)

func (s *service) writeEnums(b *bytes.Buffer) error {
	fmt.Fprintf(b, "package %s\n", s.Package)
	for _, name := range s.Model.ShapeNames() {
		enum := s.Model.Shapes[name].Enum
		if len(enum) == 0 {
			continue
		}
		var consts []string
		fmt.Fprintf(b, "\n// The values of the enum %s.\nconst (\n", name)
		for _, value := range enum {
			id := exported(name) + enumWord(value)
			for s.names[id] != "" {
				id += "_"
			}
			if err := s.declare(id, "a value of "+name); err != nil {
				return err
			}
			consts = append(consts, id)
			fmt.Fprintf(b, "%s = %q\n", id, value)
		}
		b.WriteString(")\n")
		list := exported(name) + "Values"
		if err := s.declare(list, "the values of "+name); err != nil {
			return err
		}
		fmt.Fprintf(b, "\n// %s lists the enum %s in the model's order.\nfunc %s() []string {\nreturn []string{\n", list, name, list)
		for _, id := range consts {
			fmt.Fprintf(b, "%s,\n", id)
		}
		b.WriteString("}\n}\n")
	}
	return nil
}

// enumWord makes a value the end of an identifier: python3.12 is Python312,
// READ_ONLY is ReadOnly, InProgress stays.
func enumWord(value string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if strings.ToUpper(word) == word {
			word = strings.ToLower(word)
		}
		b.WriteString(exported(word))
	}
	if b.Len() == 0 {
		return "Empty"
	}
	return b.String()
}
