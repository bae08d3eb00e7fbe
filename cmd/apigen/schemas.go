package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

func (s *service) writeSchemas(b *bytes.Buffer) error {
	var body bytes.Buffer
	for _, name := range s.structures() {
		schema, err := s.schema(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&body, "\nvar schema%s = shape.Schema{\nName: %q,\nPayload: %d,\n", exported(name), schema.Name, schema.Payload)
		writeFields(&body, "\n", []literal{
			{"HasBody", boolean(schema.HasBody)}, {"Union", boolean(schema.Union)},
			{"ElementName", text(schema.ElementName)}, {"Namespace", text(schema.Namespace)},
			{"NamespacePrefix", text(schema.NamespacePrefix)},
		})
		if t := schema.Error; t != nil {
			body.WriteString("Error: &shape.ErrorTrait{")
			writeFields(&body, "", []literal{
				{"Code", text(t.Code)}, {"Status", strconv.Itoa(t.Status)}, {"Sender", boolean(t.Sender)}, {"QueryCode", text(t.QueryCode)},
			})
			body.WriteString("},\n")
		}
		if len(schema.Members) > 0 {
			body.WriteString("Members: []shape.Member{\n")
			for i := range schema.Members {
				body.WriteByte('{')
				writeMember(&body, &schema.Members[i])
				body.WriteString("},\n")
			}
			body.WriteString("},\n")
		}
		body.WriteString("}\n")
	}
	for _, name := range s.inputlessOperations() {
		fmt.Fprintf(&body, "\nvar schema%sInput = shape.Schema{Name: %q, Payload: -1}\n", name, name+"Input")
	}
	writeHeader(b, s.Package, body.String())
	b.Write(body.Bytes())
	return nil
}

type literal struct{ name, value string }

func text(v string) string {
	if v == "" {
		return ""
	}
	return strconv.Quote(v)
}

func boolean(v bool) string {
	if !v {
		return ""
	}
	return "true"
}

// writeFields writes the fields that are not zero.
func writeFields(b *bytes.Buffer, end string, fields []literal) {
	for _, f := range fields {
		if f.value != "" {
			fmt.Fprintf(b, "%s: %s,%s", f.name, f.value, end)
		}
	}
}

var kindIdents = map[shape.Kind]string{
	shape.KindStructure: "KindStructure", shape.KindList: "KindList", shape.KindMap: "KindMap", shape.KindString: "KindString",
	shape.KindBoolean: "KindBoolean", shape.KindByte: "KindByte", shape.KindShort: "KindShort", shape.KindInteger: "KindInteger", shape.KindLong: "KindLong", shape.KindFloat: "KindFloat",
	shape.KindDouble: "KindDouble", shape.KindBlob: "KindBlob", shape.KindTimestamp: "KindTimestamp", shape.KindDocument: "KindDocument",
}

var locationIdents = map[shape.Location]string{
	shape.LocationHeader: "shape.LocationHeader", shape.LocationHeaders: "shape.LocationHeaders", shape.LocationQuery: "shape.LocationQuery",
	shape.LocationURI: "shape.LocationURI", shape.LocationStatusCode: "shape.LocationStatusCode", shape.LocationPayload: "shape.LocationPayload",
	shape.LocationEventHeader: "shape.LocationEventHeader", shape.LocationEventPayload: "shape.LocationEventPayload",
}

var timestampIdents = map[shape.TimestampFormat]string{
	shape.TimestampISO8601: "shape.TimestampISO8601", shape.TimestampRFC822: "shape.TimestampRFC822", shape.TimestampUnix: "shape.TimestampUnix",
}

func writeMember(b *bytes.Buffer, m *shape.Member) {
	limits := ""
	if m.Limits != nil {
		limits = "&limits" + exported(m.Shape)
	}
	writeFields(b, "", []literal{
		{"Name", text(m.Name)}, {"WireName", text(m.WireName)}, {"FormName", text(m.FormName)}, {"Shape", text(m.Shape)}, {"Kind", "shape." + kindIdents[m.Kind]},
		{"Location", locationIdents[m.Location]}, {"Time", timestampIdents[m.Time]},
		{"Required", boolean(m.Required)}, {"Sparse", boolean(m.Sparse)}, {"Flattened", boolean(m.Flattened)},
		{"Attribute", boolean(m.Attribute)}, {"JSONValue", boolean(m.JSONValue)}, {"Streaming", boolean(m.Streaming)},
		{"Event", boolean(m.Event)}, {"Union", boolean(m.Union)}, {"Idempotent", boolean(m.Idempotent)}, {"Sensitive", boolean(m.Sensitive)},
		{"Namespace", text(m.Namespace)}, {"NamespacePrefix", text(m.NamespacePrefix)}, {"ElementName", text(m.ElementName)},
		{"Limits", limits},
	})
	for _, part := range []struct {
		name   string
		member *shape.Member
	}{{"Element", m.Element}, {"Key", m.Key}, {"Value", m.Value}} {
		if part.member != nil {
			fmt.Fprintf(b, "%s: &shape.Member{", part.name)
			writeMember(b, part.member)
			b.WriteString("},")
		}
	}
}

// writeLimits writes the constraints of the shapes that structures use.
func (s *service) writeLimits(b *bytes.Buffer) error {
	used := map[string]*shape.Limits{}
	var collect func(m *shape.Member)
	collect = func(m *shape.Member) {
		if m == nil {
			return
		}
		if m.Limits != nil {
			used[exported(m.Shape)] = m.Limits
		}
		collect(m.Element)
		collect(m.Key)
		collect(m.Value)
	}
	for _, name := range s.structures() {
		schema, err := s.schema(name)
		if err != nil {
			return err
		}
		for i := range schema.Members {
			collect(&schema.Members[i])
		}
	}
	var body bytes.Buffer
	for _, name := range sortedNames(used) {
		l := used[name]
		fmt.Fprintf(&body, "\nvar limits%s = shape.Limits{", name)
		writeFields(&body, "", []literal{
			{"Min", number(l.Min)}, {"HasMin", boolean(l.HasMin)}, {"Max", number(l.Max)}, {"HasMax", boolean(l.HasMax)}, {"Unique", boolean(l.Unique)},
		})
		if l.Pattern != nil {
			fmt.Fprintf(&body, "Pattern: &shape.Pattern{Source: %q, Expression: %q,", l.Pattern.Source, l.Pattern.Expression)
			writeFields(&body, "", []literal{{"Reject", text(l.Pattern.Reject)}})
			body.WriteString("},")
		}
		if len(l.Enum) > 0 {
			quoted := make([]string, len(l.Enum))
			for i, v := range l.Enum {
				quoted[i] = strconv.Quote(v)
			}
			fmt.Fprintf(&body, "Enum: []string{%s},", strings.Join(quoted, ", "))
		}
		body.WriteString("}\n")
	}
	writeHeader(b, s.Package, body.String())
	b.Write(body.Bytes())
	return nil
}

func number(v float64) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
