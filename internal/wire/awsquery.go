package wire

import (
	"slices"

	"github.com/lambdad/lambdad/internal/wire/formcodec"
	"github.com/lambdad/lambdad/internal/wire/shape"
	"github.com/lambdad/lambdad/internal/wire/xmlcodec"
)

// awsQuery is the protocol query: forms in, XML out.
type awsQuery struct{}

func (awsQuery) protocol() Protocol { return Query }
func (awsQuery) malformed() string  { return "MalformedInput" }

func (awsQuery) decode(x *exchange, in shape.Structure) error {
	form, err := x.readForm(x.endpoint)
	if err != nil {
		return err
	}
	return formcodec.Unmarshal(form, in)
}

const xmlTextType = "text/xml"

func (awsQuery) answer(x *exchange, out shape.Structure) error {
	enc := xmlcodec.NewEncoder(nil)
	response := x.op.Name + "Response"
	enc.Open(response, x.endpoint.XMLNamespace)
	if x.op.Output != nil {
		wrapper := x.op.ResultWrapper
		if wrapper == "" {
			wrapper = x.op.Name + "Result"
		}
		enc.Open(wrapper, "")
		if out != nil {
			out.EncodeMembers(enc)
		}
		enc.CloseShort(wrapper)
	}
	enc.Open("ResponseMetadata", "")
	enc.Field("RequestId", string(x.id))
	enc.Close("ResponseMetadata")
	enc.Close(response)
	return x.write(x.op.Status, xmlTextType, enc.Bytes())
}

func (awsQuery) fault(x *exchange, f Fault) {
	x.genericHeaders(f)
	enc := xmlcodec.NewEncoder(nil)
	namespace, as := "", errorForm{code: f.FaultCode()}
	if x.endpoint != nil {
		namespace = x.endpoint.XMLNamespace
		if x.endpoint.QueryCompatible {
			as.code = QueryCode(f)
		}
		as.detail = x.endpoint.QueryDetail && !slices.Contains(x.endpoint.QueryNoDetail, as.code)
	}
	enc.Open("ErrorResponse", namespace)
	writeXMLError(enc, f, as)
	enc.Field("RequestId", string(x.id))
	enc.Close("ErrorResponse")
	_ = x.write(f.FaultStatus(), xmlTextType, enc.Bytes())
}

// errorForm is how a protocol writes the element Error.
type errorForm struct {
	code   string
	header map[string][]string // takes the members that are headers, nil: all are elements
	detail bool                // an empty Detail stands at the end
}

// writeXMLError writes the element Error, which the XML protocols share.
func writeXMLError(enc *xmlcodec.Encoder, f Fault, as errorForm) {
	enc.Open("Error", "")
	side := "Receiver"
	if isSender(f) {
		side = "Sender"
	}
	enc.Field("Type", side)
	enc.Field("Code", as.code)
	if v, ok := f.(shape.Structure); ok {
		// AWS writes "Message" here, whatever the model calls the member.
		errorMembers(f, v, messageRenamer{enc}, as.header)
	} else if f.FaultMessage() != "" {
		enc.Field("Message", f.FaultMessage())
	}
	if as.detail {
		enc.Field("Detail", "")
	}
	enc.Close("Error")
}

// messageRenamer writes the member message as Message.
type messageRenamer struct{ *xmlcodec.Encoder }

func (r messageRenamer) String(m *shape.Member, v string) {
	if m.Name == "message" && m.WireName == "message" {
		r.Encoder.Field("Message", v)
		return
	}
	r.Encoder.String(m, v)
}

func (r messageRenamer) Field(name, value string) {
	if name == "message" {
		name = "Message"
	}
	r.Encoder.Field(name, value)
}
