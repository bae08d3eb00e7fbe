package wire

import (
	"github.com/lambdad/lambdad/internal/wire/httpbind"
	"github.com/lambdad/lambdad/internal/wire/jsoncodec"
	"github.com/lambdad/lambdad/internal/wire/shape"
)

// restJSON is the protocol rest-json.
type restJSON struct{}

func (restJSON) protocol() Protocol { return RestJSON }
func (restJSON) malformed() string  { return "SerializationException" }

// request is what the HTTP bindings read.
func (x *exchange) request() *httpbind.Request {
	return &httpbind.Request{Labels: x.match.Labels(), RawQuery: x.r.URL.RawQuery, Header: x.r.Header, Body: x.body}
}

func (restJSON) decode(x *exchange, in shape.Structure) error {
	return httpbind.Decode(x.request(), in, jsonBody{})
}

type jsonBody struct{}

func (jsonBody) Members(data []byte, v shape.Structure) error {
	return jsoncodec.Unmarshal(data, v, jsoncodec.Options{BodyOnly: true})
}

func (jsonBody) Payload(data []byte, m *shape.Member, read func(shape.Decoder) error) error {
	d := jsoncodec.NewDecoder(data)
	if d.Null() {
		return d.Finish()
	}
	if err := read(d); err != nil {
		return err
	}
	return d.Finish()
}

const jsonType = "application/json"

func (restJSON) answer(x *exchange, out shape.Structure) error {
	if out == nil {
		contentType := ""
		if x.op.Output != nil {
			contentType = jsonType
		}
		return x.write(x.op.Status, contentType, nil)
	}
	schema := out.WireSchema()
	enc := jsoncodec.NewEncoder(nil)
	r := httpbind.Response{Header: x.w.Header(), Body: enc}
	if schema.Payload >= 0 {
		enc.Bare()
		out.EncodeMembers(&r)
		return x.writeRest(out, &r, enc.Bytes, jsonType)
	}
	enc.Begin()
	out.EncodeMembers(&r)
	enc.End()
	return x.writeRest(out, &r, enc.Bytes, jsonType)
}

func (restJSON) fault(x *exchange, f Fault) {
	h := x.w.Header()
	h["x-amzn-ErrorType"] = []string{f.FaultCode()}
	x.genericHeaders(f)
	enc := jsoncodec.NewEncoder(nil)
	enc.Begin()
	if v, ok := f.(shape.Structure); ok {
		errorMembers(f, v, enc, h)
	} else {
		// AWS's front door says "Message" where access is denied or a request is
		// too large (recorded: TestLambdaSizeLimits), its services say "message";
		// clients read both.
		name := "message"
		switch f.FaultCode() {
		case "AccessDeniedException", "RequestEntityTooLargeException":
			name = "Message"
		}
		enc.Field(name, f.FaultMessage())
	}
	enc.End()
	_ = x.write(f.FaultStatus(), jsonType, enc.Bytes())
}
