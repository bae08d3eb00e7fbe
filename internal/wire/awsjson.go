package wire

import (
	"net/http"

	"github.com/lambdad/lambdad/internal/wire/jsoncodec"
	"github.com/lambdad/lambdad/internal/wire/shape"
)

// awsJSON is the protocols json 1.0 and 1.1.
type awsJSON struct{ version string }

func (c awsJSON) protocol() Protocol {
	if c.version == "1.0" {
		return JSON10
	}
	return JSON11
}

func (awsJSON) malformed() string { return "SerializationException" }

func (awsJSON) decode(x *exchange, in shape.Structure) error {
	return jsoncodec.Unmarshal(x.body, in, jsoncodec.Options{})
}

func (c awsJSON) contentType() string { return "application/x-amz-json-" + c.version }

func (c awsJSON) answer(x *exchange, out shape.Structure) error {
	if out == nil {
		if x.op.Output == nil {
			return x.write(x.op.Status, c.contentType(), nil)
		}
		return x.write(x.op.Status, c.contentType(), []byte("{}"))
	}
	return x.write(x.op.Status, c.contentType(), jsoncodec.Marshal(out))
}

func (c awsJSON) fault(x *exchange, f Fault) {
	x.genericHeaders(f)
	x.queryCompatible(f)
	enc := jsoncodec.NewEncoder(nil)
	enc.Begin()
	enc.Field("__type", f.FaultCode())
	if v, ok := f.(shape.Structure); ok {
		errorMembers(f, v, enc, nil)
	} else if f.FaultMessage() != "" {
		enc.Field("message", f.FaultMessage())
	}
	enc.End()
	_ = x.write(c.status(x, f), c.contentType(), enc.Bytes())
}

// status is 400 for every refusal: services that were born with this protocol know no 403 (recorded by users of
// Logs, DynamoDB and others: "400 Bad Request" with UnrecognizedClientException, AccessDeniedException and the like).
func (awsJSON) status(x *exchange, f Fault) int {
	status := x.faultStatus(f)
	if status == http.StatusForbidden && (x.endpoint == nil || !x.endpoint.QueryCompatible) {
		return http.StatusBadRequest
	}
	return status
}

// faultStatus is the status of a fault. Where a service once spoke the query
// protocol, the status that the model gives is that protocol's: the others say
// 400 and 500 (Smithy's awsQueryError trait).
func (x *exchange) faultStatus(f Fault) int {
	if v, ok := f.(shape.Structure); ok && x.endpoint != nil && x.endpoint.QueryCompatible && !x.endpoint.FormerStatus && v.WireSchema().Error != nil {
		if isSender(f) {
			return 400
		}
		return 500
	}
	return f.FaultStatus()
}

// queryCompatible tells the code that the service's former query protocol had:
// old clients look for it.
func (x *exchange) queryCompatible(f Fault) {
	if x.endpoint == nil || !x.endpoint.QueryCompatible {
		return
	}
	side := ";Receiver"
	if isSender(f) {
		side = ";Sender"
	}
	x.w.Header()["x-amzn-query-error"] = []string{QueryCode(f) + side}
}
