package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// messageMember is the index of the member that holds an error's text, -1 when
// the model has none.
func messageMember(schema *shape.Schema) int {
	for i := range schema.Members {
		if strings.EqualFold(schema.Members[i].Name, "message") && schema.Members[i].Kind == shape.KindString {
			return i
		}
	}
	return -1
}

func (s *service) writeErrors(b *bytes.Buffer) error {
	var body bytes.Buffer
	for _, name := range s.structures() {
		schema, err := s.schema(name)
		if err != nil {
			return err
		}
		if schema.Error == nil {
			continue
		}
		s.writeError(&body, exported(name), schema)
	}
	writeHeader(b, s.Package, body.String())
	b.Write(body.Bytes())
	return nil
}

func (s *service) writeError(b *bytes.Buffer, id string, schema *shape.Schema) {
	message := messageMember(schema)
	fmt.Fprintf(b, "\n// New%s makes the fault with its text.\nfunc New%s(message string) *%s {\nreturn &%s{", id, id, id, id)
	if message >= 0 {
		fmt.Fprintf(b, "%s: &message,", exported(schema.Members[message].Name))
	} else {
		b.WriteString("text: message,")
	}
	for _, m := range schema.Members {
		// Lambda tells in the body whose fault it was (recorded: Type "User").
		if m.Name == "Type" && m.Kind == shape.KindString {
			side := "Service"
			if schema.Error.Sender {
				side = "User"
			}
			fmt.Fprintf(b, "Type: wire.Ptr(%q),", side)
		}
	}
	b.WriteString("}\n}\n")
	fmt.Fprintf(b, "\nfunc (e *%s) Error() string { return %q + e.FaultMessage() }\n", id, schema.Error.Code+": ")
	fmt.Fprintf(b, "func (e *%s) FaultCode() string { return %q }\n", id, s.faultCode(schema))
	fmt.Fprintf(b, "func (e *%s) FaultStatus() int { return %d }\n", id, schema.Error.Status)
	if message >= 0 {
		field := exported(schema.Members[message].Name)
		fmt.Fprintf(b, "func (e *%s) FaultMessage() string {\nif e.%s == nil {\nreturn \"\"\n}\nreturn *e.%s\n}\n", id, field, field)
	} else {
		fmt.Fprintf(b, "func (e *%s) FaultMessage() string { return e.text }\n", id)
	}
}

// faultCode is the code on the wire: the query protocol has its own.
func (s *service) faultCode(schema *shape.Schema) string {
	switch s.Model.Metadata.Protocol {
	case "query", "ec2", "rest-xml":
		if schema.Error.QueryCode != "" {
			return schema.Error.QueryCode
		}
	}
	return schema.Error.Code
}
