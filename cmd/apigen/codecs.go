package main

import (
	"bytes"
	"fmt"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// writeCodecs writes the three methods that make a type a shape.Structure.
func (s *service) writeCodecs(b *bytes.Buffer) error {
	var body bytes.Buffer
	for _, name := range s.structures() {
		schema, err := s.schema(name)
		if err != nil {
			return err
		}
		s.writeCodec(&body, exported(name), schema)
	}
	for _, name := range s.inputlessOperations() {
		s.writeCodec(&body, name+"Input", &shape.Schema{Payload: -1})
	}
	writeHeader(b, s.Package, body.String())
	b.Write(body.Bytes())
	return nil
}

func (s *service) writeCodec(b *bytes.Buffer, id string, schema *shape.Schema) {
	fmt.Fprintf(b, "\n// WireSchema describes %s.\nfunc (v *%s) WireSchema() *shape.Schema { return &schema%s }\n", id, id, id)
	fmt.Fprintf(b, "\n// EncodeMembers writes the members that are set.\nfunc (v *%s) EncodeMembers(e shape.Encoder) {\n", id)
	if len(schema.Members) > 0 {
		fmt.Fprintf(b, "ms := schema%s.Members\n", id)
	}
	for i := range schema.Members {
		writeEncode(b, &schema.Members[i], i)
	}
	b.WriteString("}\n")
	fmt.Fprintf(b, "\n// DecodeMember reads one member.\nfunc (v *%s) DecodeMember(d shape.Decoder, index int) error {\n", id)
	if len(schema.Members) > 0 {
		fmt.Fprintf(b, "m := &schema%s.Members[index]\nswitch index {\n", id)
		for i := range schema.Members {
			m := &schema.Members[i]
			fmt.Fprintf(b, "case %d:\nreturn %s\n", i, decodeMember(m, "&v."+exported(m.Name)))
		}
		b.WriteString("}\n")
	}
	b.WriteString("return nil\n}\n")
}

func writeEncode(b *bytes.Buffer, m *shape.Member, i int) {
	field := "v." + exported(m.Name)
	fmt.Fprintf(b, "if %s != nil {\n", field)
	at := fmt.Sprintf("&ms[%d]", i)
	switch {
	case m.Kind == shape.KindBlob && m.Streaming:
		fmt.Fprintf(b, "e.Stream(%s, %s)\n", at, field)
	case m.Kind == shape.KindBlob:
		fmt.Fprintf(b, "e.Blob(%s, %s)\n", at, field)
	case m.Kind == shape.KindDocument:
		fmt.Fprintf(b, "e.Document(%s, %s)\n", at, field)
	case m.Kind == shape.KindStructure:
		fmt.Fprintf(b, "e.Structure(%s, %s)\n", at, field)
	case m.Kind == shape.KindList:
		fmt.Fprintf(b, "shape.EncodeList(e, %s, %s, %s)\n", at, field, putter(m.Element))
	case m.Kind == shape.KindMap:
		fmt.Fprintf(b, "shape.EncodeMap(e, %s, %s, %s)\n", at, field, putter(m.Value))
	default:
		fmt.Fprintf(b, "%s(e, %s, %s)\n", putter(m), at, field)
	}
	b.WriteString("}\n")
}

// putter is the function that writes an element.
func putter(m *shape.Member) string {
	switch m.Kind {
	case shape.KindStructure:
		return "shape.PutStructure"
	case shape.KindList:
		return fmt.Sprintf("func(e shape.Encoder, m *shape.Member, v *%s) { shape.EncodeList(e, m, *v, %s) }", elementType(m), putter(m.Element))
	case shape.KindMap:
		return fmt.Sprintf("func(e shape.Encoder, m *shape.Member, v *%s) { shape.EncodeMap(e, m, *v, %s) }", elementType(m), putter(m.Value))
	}
	return "shape.Put" + scalarName(m)
}

func getter(m *shape.Member) string {
	switch m.Kind {
	case shape.KindStructure:
		return "shape.GetStructure"
	case shape.KindList:
		return fmt.Sprintf("func(d shape.Decoder, m *shape.Member, v *%s) error { return shape.DecodeList(d, m, v, %s) }", elementType(m), getter(m.Element))
	case shape.KindMap:
		return fmt.Sprintf("func(d shape.Decoder, m *shape.Member, v *%s) error { return shape.DecodeMap(d, m, v, %s) }", elementType(m), getter(m.Value))
	}
	return "shape.Get" + scalarName(m)
}

func decodeMember(m *shape.Member, at string) string {
	switch {
	case m.Kind == shape.KindBlob && m.Streaming:
		return fmt.Sprintf("shape.GetStream(d, m, %s)", at)
	case m.Kind == shape.KindBlob, m.Kind == shape.KindDocument:
		return fmt.Sprintf("%s(d, m, %s)", getter(m), at)
	case m.Kind == shape.KindList:
		return fmt.Sprintf("shape.DecodeList(d, m, %s, %s)", at, getter(m.Element))
	case m.Kind == shape.KindMap:
		return fmt.Sprintf("shape.DecodeMap(d, m, %s, %s)", at, getter(m.Value))
	}
	return fmt.Sprintf("shape.DecodeMember(d, m, %s, %s)", at, getter(m))
}

var scalarNames = map[shape.Kind]string{
	shape.KindString: "String", shape.KindBoolean: "Bool", shape.KindInteger: "Int32", shape.KindLong: "Int64",
	shape.KindFloat: "Float32", shape.KindDouble: "Float64", shape.KindBlob: "Blob", shape.KindTimestamp: "Time",
	shape.KindDocument: "Document",
}

func scalarName(m *shape.Member) string { return scalarNames[m.Kind] }
