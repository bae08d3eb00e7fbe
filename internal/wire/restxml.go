package wire

import (
	"github.com/lambdad/lambdad/internal/wire/httpbind"
	"github.com/lambdad/lambdad/internal/wire/shape"
	"github.com/lambdad/lambdad/internal/wire/xmlcodec"
)

// restXML is the protocol rest-xml.
type restXML struct{}

func (restXML) protocol() Protocol { return RestXML }
func (restXML) malformed() string  { return "MalformedXML" }

func (restXML) decode(x *exchange, in shape.Structure) error {
	return httpbind.Decode(x.request(), in, xmlBody{})
}

type xmlBody struct{}

func (xmlBody) Members(data []byte, v shape.Structure) error { return xmlcodec.Unmarshal(data, v) }

func (xmlBody) Payload(data []byte, _ *shape.Member, read func(shape.Decoder) error) error {
	return xmlcodec.UnmarshalPayload(data, read)
}

const xmlType = "application/xml"

func (restXML) answer(x *exchange, out shape.Structure) error {
	if out == nil {
		return x.write(x.op.Status, "", nil)
	}
	schema := out.WireSchema()
	enc := xmlcodec.NewEncoder(nil)
	r := httpbind.Response{Header: x.w.Header(), Body: enc}
	if schema.Payload >= 0 {
		enc.Root()
		out.EncodeMembers(&r)
		return x.writeRest(out, &r, enc.Bytes, xmlType)
	}
	if !answersWithBody(schema) {
		out.EncodeMembers(&r)
		return x.writeRest(out, &r, func() []byte { return nil }, "")
	}
	name, namespace, prefix := schema.ElementName, schema.Namespace, schema.NamespacePrefix
	if name == "" {
		name = schema.Name
	}
	if namespace == "" {
		namespace = x.endpoint.XMLNamespace
	}
	enc.OpenStructure(name, namespace, prefix, out)
	out.EncodeMembers(&r)
	enc.Close(name)
	return x.writeRest(out, &r, enc.Bytes, xmlType)
}

// answersWithBody is HasBody of an answer, where query and path do not count:
// members bound to them are in the body.
func answersWithBody(s *shape.Schema) bool {
	for i := range s.Members {
		switch s.Members[i].Location {
		case shape.LocationHeader, shape.LocationHeaders, shape.LocationStatusCode:
		default:
			return true
		}
	}
	return false
}

func (restXML) fault(x *exchange, f Fault) {
	x.genericHeaders(f)
	enc := xmlcodec.NewEncoder(nil)
	if x.endpoint != nil && x.endpoint.NoErrorWrapping {
		// S3's errors stand alone and say no type.
		enc.Open("Error", "")
		enc.Field("Code", f.FaultCode())
		if v, ok := f.(shape.Structure); ok {
			errorMembers(f, v, messageRenamer{enc}, x.w.Header())
		} else {
			enc.Field("Message", f.FaultMessage())
		}
		enc.Field("RequestId", string(x.id))
		enc.Close("Error")
		_ = x.write(f.FaultStatus(), xmlType, enc.Bytes())
		return
	}
	namespace := ""
	if x.endpoint != nil {
		namespace = x.endpoint.XMLNamespace
	}
	enc.Open("ErrorResponse", namespace)
	writeXMLError(enc, f, errorForm{code: f.FaultCode(), header: x.w.Header()})
	enc.Field("RequestId", string(x.id))
	enc.Close("ErrorResponse")
	_ = x.write(f.FaultStatus(), xmlType, enc.Bytes())
}
