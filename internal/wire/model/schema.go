package model

import (
	"fmt"
	"slices"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// Schema makes the schema of a structure shape. Generated code carries the
// printed form of what it returns, so that generated types and the dynamic values
// of the conformance tests obey one reading of the model.
func (m *Model) Schema(name string) (*shape.Schema, error) {
	s := m.Shapes[name]
	if s == nil || s.Type != "structure" {
		return nil, fmt.Errorf("%s is no structure", name)
	}
	schema := &shape.Schema{Name: name, Payload: -1, Union: s.Union, ElementName: s.LocationName}
	if s.XMLNamespace != nil {
		schema.Namespace, schema.NamespacePrefix = s.XMLNamespace.URI, s.XMLNamespace.Prefix
	}
	for i := range s.Members {
		member, err := m.member(s.Members[i].Name, &s.Members[i].Ref)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", name, s.Members[i].Name, err)
		}
		member.Required = slices.Contains(s.Required, member.Name)
		if s.Payload == member.Name {
			schema.Payload = i
			member.Location = shape.LocationPayload
		}
		if member.Location == shape.LocationBody || member.Location == shape.LocationPayload {
			schema.HasBody = true
		}
		schema.Members = append(schema.Members, *member)
	}
	if s.Exception || s.Error != nil {
		schema.Error = errorTrait(name, s)
	}
	return schema, nil
}

func errorTrait(name string, s *Shape) *shape.ErrorTrait {
	t := &shape.ErrorTrait{Code: name, Status: 400, Sender: !s.Fault}
	if s.Fault {
		t.Status = 500
	}
	if s.Error == nil {
		return t
	}
	if s.Error.HTTPStatusCode != 0 {
		t.Status = s.Error.HTTPStatusCode
		t.Sender = t.Status < 500
	}
	if s.Error.Code != "" {
		t.QueryCode = s.Error.Code
	}
	return t
}

var locations = map[string]shape.Location{
	"header": shape.LocationHeader, "headers": shape.LocationHeaders, "querystring": shape.LocationQuery,
	"uri": shape.LocationURI, "statusCode": shape.LocationStatusCode,
}

var timestampFormats = map[string]shape.TimestampFormat{
	"iso8601": shape.TimestampISO8601, "rfc822": shape.TimestampRFC822, "unixTimestamp": shape.TimestampUnix,
}

var kinds = map[string]shape.Kind{
	"structure": shape.KindStructure, "list": shape.KindList, "map": shape.KindMap, "string": shape.KindString,
	"character": shape.KindString, "boolean": shape.KindBoolean, "byte": shape.KindByte, "short": shape.KindShort, "integer": shape.KindInteger, "long": shape.KindLong,
	"float": shape.KindFloat, "double": shape.KindDouble, "blob": shape.KindBlob, "timestamp": shape.KindTimestamp,
}

// member reads one use of a shape: traits of the use win over those of the shape.
func (m *Model) member(name string, r *Ref) (*shape.Member, error) {
	target := m.Shapes[r.Shape]
	kind, ok := kinds[target.Type]
	if !ok {
		return nil, fmt.Errorf("shape %s has the unknown type %q", r.Shape, target.Type)
	}
	if target.Document {
		kind = shape.KindDocument
	}
	member := &shape.Member{
		Name: name, WireName: name, Shape: r.Shape, Kind: kind,
		Location:    locations[r.Location],
		Time:        timestampFormats[target.TimestampFormat],
		Sparse:      target.Sparse,
		Flattened:   r.Flattened || target.Flattened,
		Attribute:   r.XMLAttribute,
		JSONValue:   r.JSONValue,
		Streaming:   r.Streaming || target.Streaming,
		Event:       r.EventStream || target.EventStream,
		Union:       target.Union,
		Idempotent:  r.Idempotency,
		Sensitive:   target.Sensitive,
		ElementName: target.LocationName,
	}
	if r.EventHeader {
		member.Location = shape.LocationEventHeader
	}
	if r.EventPayload {
		member.Location = shape.LocationEventPayload
	}
	if r.LocationName != "" || r.Location == "headers" {
		member.WireName = r.LocationName // no prefix means every header
	}
	if target.Flattened && !r.Flattened && target.Member != nil && target.Member.LocationName != "" {
		// Where the list itself is flattened, and not its use, the models mean the
		// list by the name of its elements.
		member.WireName = target.Member.LocationName
	}
	if target.Type == "map" && target.Flattened && r.LocationName == "" && r.Location == "" && target.LocationName != "" {
		member.WireName = target.LocationName // SQS's former model names its tags so
	}
	if f := timestampFormats[r.TimestampFormat]; f != shape.TimestampDefault {
		member.Time = f
	}
	// The namespace of the target shape counts where it is the root of a document
	// (Schema.Namespace), not where it is used.
	if n := r.XMLNamespace; n != nil {
		member.Namespace, member.NamespacePrefix = n.URI, n.Prefix
	}
	var err error
	if member.Limits, err = limits(target); err != nil {
		return nil, err
	}
	parts := []struct {
		name string
		ref  *Ref
		at   **shape.Member
	}{{"member", target.Member, &member.Element}, {"key", target.Key, &member.Key}, {"value", target.Value, &member.Value}}
	for _, part := range parts {
		if part.ref == nil {
			continue
		}
		if *part.at, err = m.member(part.name, part.ref); err != nil {
			return nil, err
		}
	}
	return member, nil
}

func limits(s *Shape) (*shape.Limits, error) {
	l := &shape.Limits{Unique: s.UniqueItems}
	if !s.EnumOpen {
		l.Enum = s.Enum
		if s.EnumOrder != nil {
			l.Enum = s.EnumOrder
		}
	}
	if s.Min == nil && s.Max == nil && s.Pattern == "" && len(l.Enum) == 0 && !s.UniqueItems {
		return nil, nil
	}
	if s.Min != nil {
		l.Min, l.HasMin = *s.Min, true
	}
	if s.Max != nil {
		l.Max, l.HasMax = *s.Max, true
	}
	if s.Pattern != "" {
		p, err := TranslatePattern(s.Pattern)
		if err != nil {
			return nil, fmt.Errorf("pattern of a %s: %w", s.Type, err)
		}
		l.Pattern = p
	}
	return l, nil
}
