package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/lambdad/lambdad/internal/wire/model"
)

// writeOperations writes the Handlers type: one slot an operation.
func (s *service) writeOperations(b *bytes.Buffer) error {
	if err := s.declare("Handlers", "the handler slots"); err != nil {
		return err
	}
	var body bytes.Buffer
	fmt.Fprintf(&body, "\n// Handlers has a slot for each operation of %s. An empty slot answers 501 and\n// names the operation.\ntype Handlers struct {\n", s.Model.Metadata.ServiceID)
	body.WriteString("// Authorize, where set, is asked once a request, after decoding and before\n// validation; in is the operation's input.\n")
	body.WriteString("Authorize func(ctx context.Context, call *wire.Call, operation string, in any) error\n\n")
	for _, name := range s.Model.OperationNames() {
		op := s.Model.Operations[name]
		result := "error"
		if op.Output != nil {
			result = "(*" + exported(op.Output.Shape) + ", error)"
		}
		if event := s.eventShape(op); event != "" {
			fmt.Fprintf(&body, "%s func(ctx context.Context, call *wire.Call, in *%s, answer wire.EventStream[*%s, *%s]) error\n", name, inputType(op), exported(op.Output.Shape), exported(event))
			continue
		}
		fmt.Fprintf(&body, "%s func(ctx context.Context, call *wire.Call, in *%s) %s\n", name, inputType(op), result)
	}
	body.WriteString("}\n")
	writeHeader(b, s.Package, body.String())
	b.Write(body.Bytes())
	return nil
}

// writeService writes NewService: the model's operations with the handlers.
func (s *service) writeService(b *bytes.Buffer) error {
	if err := s.declare("NewService", "the service"); err != nil {
		return err
	}
	protocols, err := s.protocols()
	if err != nil {
		return err
	}
	md := &s.Model.Metadata
	namespace := md.Namespace()
	if s.Query != nil {
		protocols += "wire.Query,"
		namespace = s.Query.Metadata.Namespace()
	}
	signing := md.SigningName
	if signing == "" {
		signing = md.EndpointPrefix
	}
	var body bytes.Buffer
	fmt.Fprintf(&body, "\n// NewService makes %s of its handlers.\nfunc NewService(h Handlers) *wire.Service {\nreturn &wire.Service{\n", md.ServiceID)
	writeFields(&body, "\n", []literal{
		{"Name", text(s.Package)}, {"SigningName", text(signing)}, {"EndpointName", text(md.EndpointPrefix)}, {"ServiceID", text(md.ServiceID)},
		{"APIVersion", text(md.APIVersion)}, {"TargetPrefix", text(md.TargetPrefix)}, {"XMLNamespace", text(namespace)},
		{"Protocols", "[]wire.Protocol{" + protocols + "}"}, {"QueryCompatible", boolean(md.QueryCompatible != nil)},
		{"FormerStatus", boolean(s.Query != nil)},
		{"ValidationCode", text(s.validationCode())}, {"Authorize", "h.Authorize"},
		{"HideValues", boolean(s.Overrides.HideValues.value())}, {"MalformedCode", text(s.Overrides.MalformedCode.value())},
		{"MalformedPrefix", text(s.Overrides.MalformedPrefix.value())}, {"InternalCode", text(s.Overrides.InternalCode.value())},
		{"BodyMax", integer(s.Overrides.BodyMax.value())},
		{"QueryDetail", boolean(s.Overrides.NoDetail != nil)}, {"QueryNoDetail", stringsLiteral(s.Overrides.NoDetail.value())},
	})
	body.WriteString("Operations: []wire.Operation{\n")
	for _, name := range s.Model.OperationNames() {
		op := s.Model.Operations[name]
		body.WriteString("{")
		s.writeOperation(&body, op)
		body.WriteString("},\n")
	}
	body.WriteString("},\n}\n}\n")
	writeHeader(b, s.Package, body.String())
	b.Write(body.Bytes())
	return nil
}

func (s *service) writeOperation(b *bytes.Buffer, op *model.Operation) {
	status := op.HTTP.ResponseCode
	if status == 0 {
		status = 200
	}
	slot, handle, output, wrapper := "Handle", "HandleNoOutput", "", ""
	if s.Query != nil && s.Query.Operations[op.Name] != nil && s.Query.Operations[op.Name].Output != nil {
		wrapper = s.Query.Operations[op.Name].Output.ResultWrapper
	}
	if op.Output != nil {
		handle, output = "Handle", "&schema"+exported(op.Output.Shape)
		if op.Output.ResultWrapper != "" {
			wrapper = op.Output.ResultWrapper
		}
	}
	if s.eventShape(op) != "" {
		slot, handle = "Stream", "HandleStream"
	}
	over := s.Overrides.Operations[op.Name]
	noAuth := op.AuthType == "none" || slices.Contains(op.Auth, "smithy.api#noAuth")
	writeFields(b, "", []literal{
		{"Name", text(op.Name)}, {"Method", text(op.HTTP.Method)}, {"URI", text(op.HTTP.RequestURI)}, {"Status", strconv.Itoa(status)},
		{"NoAuth", boolean(noAuth)}, {"ResultWrapper", text(wrapper)},
		{"Compressed", boolean(slices.Contains(op.Compression.Encodings, "gzip"))},
		{"BodyMax", integer(over.BodyMax)}, {"BodyMaxName", text(over.Name)},
		{"HasInput", boolean(op.Input != nil)},
		{"NewInput", fmt.Sprintf("func() shape.Structure { return new(%s) }", inputType(op))},
		{"Output", output}, {slot, fmt.Sprintf("wire.%s(h.%s)", handle, op.Name)},
	})
}

// eventShape is the union of the events that an operation answers with, "" if it does not.
func (s *service) eventShape(op *model.Operation) string {
	if op.Output == nil {
		return ""
	}
	for _, m := range s.Model.Shapes[op.Output.Shape].Members {
		if m.EventStream || s.Model.Shapes[m.Shape].EventStream {
			return m.Shape
		}
	}
	return ""
}

// protocols are the protocols of the model as Go identifiers.
func (s *service) protocols() (string, error) {
	md := &s.Model.Metadata
	names := md.Protocols
	if len(names) == 0 {
		names = []string{md.Protocol}
	}
	var b bytes.Buffer
	for _, name := range names {
		switch name {
		case "rest-json":
			b.WriteString("wire.RestJSON,")
		case "rest-xml":
			b.WriteString("wire.RestXML,")
		case "query":
			b.WriteString("wire.Query,")
		case "smithy-rpc-v2-cbor":
			b.WriteString("wire.RPCv2CBOR,")
		case "json":
			if md.JSONVersion == "1.0" {
				b.WriteString("wire.JSON10,")
			} else {
				b.WriteString("wire.JSON11,")
			}
		default:
			return "", fmt.Errorf("unknown protocol %q", name)
		}
	}
	return b.String(), nil
}

func (s *service) validationCode() string {
	if code := s.Overrides.ValidationCode.value(); code != "" {
		return code
	}
	if s.Model.Metadata.Protocol == "query" {
		return "ValidationError"
	}
	return "ValidationException"
}

func stringsLiteral(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprintf("%#v", list)
}

func integer(v int64) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatInt(v, 10)
}
