package conformance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/wire/model"
	"github.com/lambdad/lambdad/internal/wire/shape"
)

// anybody lets everybody in.
type anybody struct{}

func (anybody) Authenticate(*http.Request, []byte, string, wire.Protocol) (wire.Identity, error) {
	return wire.Identity{Principal: aws.Principal{Type: aws.PrincipalRoot}}, nil
}

// operation is what a case is run against.
type operation struct {
	types  *types
	meta   *model.Metadata
	given  *model.Operation
	strict bool
	result shape.Structure // what the handler answers
	fault  error
	got    *value // what the handler was called with
}

var protocols = map[string]wire.Protocol{
	"rest-json": wire.RestJSON, "rest-xml": wire.RestXML, "query": wire.Query, "smithy-rpc-v2-cbor": wire.RPCv2CBOR,
}

// server makes a server with this operation alone.
func (o *operation) server() (*wire.Server, error) {
	protocol := protocols[o.meta.Protocol]
	if o.meta.Protocol == "json" {
		protocol = wire.JSON11
		if o.meta.JSONVersion == "1.0" {
			protocol = wire.JSON10
		}
	}
	input := ""
	if o.given.Input != nil {
		input = o.given.Input.Shape
	}
	op := wire.Operation{
		Name: o.given.Name, Method: o.given.HTTP.Method, URI: o.given.HTTP.RequestURI, Status: o.given.HTTP.ResponseCode,
		HasInput: input != "", NewInput: func() shape.Structure { return o.types.new(input) },
		Compressed: len(o.given.Compression.Encodings) > 0,
		Handle: func(_ context.Context, _ *wire.Call, in shape.Structure) (shape.Structure, error) {
			o.got = in.(*value)
			return o.result, o.fault
		},
	}
	if op.Status == 0 {
		op.Status = 200
	}
	if o.given.Output != nil {
		op.Output = o.types.new(o.given.Output.Shape).schema
		op.ResultWrapper = o.given.Output.ResultWrapper
	}
	return wire.NewServer(wire.Config{
		Services: []*wire.Service{{
			Name: "test", SigningName: "test", EndpointName: "test", ServiceID: "Test", APIVersion: o.meta.APIVersion,
			TargetPrefix: o.meta.TargetPrefix, XMLNamespace: o.meta.Namespace(), Protocols: []wire.Protocol{protocol},
			QueryCompatible: o.meta.QueryCompatible != nil, Operations: []wire.Operation{op},
			ValidationCode: "ValidationException", StrictMedia: o.strict,
		}},
		Authenticator: anybody{},
		Region:        "us-east-1",
	})
}

// faultValue is an error shape without a Go type.
type faultValue struct {
	*value
	protocol string
}

func (f faultValue) Error() string    { return f.FaultCode() }
func (f faultValue) FaultStatus() int { return f.schema.Error.Status }

func (f faultValue) FaultCode() string {
	if code := f.schema.Error.QueryCode; code != "" && (f.protocol == "query" || f.protocol == "rest-xml") {
		return code
	}
	return f.schema.Error.Code
}

func (f faultValue) FaultMessage() string {
	for i, m := range f.schema.Members {
		if s, ok := f.fields[i].(string); ok && strings.EqualFold(m.Name, "message") {
			return s
		}
	}
	return ""
}

// request is the HTTP side of a vector.
type request struct {
	Method      string            `json:"method"`
	URI         string            `json:"uri"`
	Headers     map[string]string `json:"headers"`
	Body        string            `json:"body"`
	Host        string            `json:"host"`
	QueryParams []string          `json:"queryParams"`
}

func (r *request) http(protocol string) (*http.Request, error) {
	body := r.Body
	if protocol == "smithy-rpc-v2-cbor" {
		raw, err := base64.StdEncoding.DecodeString(body)
		if err != nil {
			return nil, fmt.Errorf("the vector's body is not base64: %w", err)
		}
		body = string(raw)
	}
	uri := r.URI
	if len(r.QueryParams) > 0 {
		glue := "?"
		if strings.Contains(uri, "?") {
			glue = "&"
		}
		uri += glue + strings.Join(r.QueryParams, "&")
	}
	req, err := http.NewRequest(r.Method, "http://localhost"+uri, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.RequestURI, req.RemoteAddr = uri, "127.0.0.1:1"
	for k, v := range r.Headers {
		req.Header.Set(k, v)
	}
	return req, nil
}

// addressed adds the headers that say protocol and operation, where a vector
// leaves them out because it is about something else.
func (o *operation) addressed(r *http.Request) *http.Request {
	if o.meta.Protocol == "json" && r.Header.Get("X-Amz-Target") == "" {
		r.Header.Set("X-Amz-Target", o.meta.TargetPrefix+"."+o.given.Name)
	}
	return r
}

func (o *operation) do(r *http.Request) (*http.Response, []byte, error) {
	s, err := o.server()
	if err != nil {
		return nil, nil, err
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result(), w.Body.Bytes(), nil
}

// anyRequest reaches the operation, whatever it takes.
func (o *operation) anyRequest() (*http.Request, error) {
	r := request{Method: o.given.HTTP.Method, URI: fillLabels(o.given.HTTP.RequestURI), Headers: map[string]string{}}
	switch o.meta.Protocol {
	case "json":
		r.Headers["X-Amz-Target"] = o.meta.TargetPrefix + "." + o.given.Name
		r.Headers["Content-Type"] = "application/x-amz-json-" + o.meta.JSONVersion
	case "query":
		r.Headers["Content-Type"] = "application/x-www-form-urlencoded"
		r.Body = "Action=" + o.given.Name + "&Version=" + o.meta.APIVersion
	case "smithy-rpc-v2-cbor":
		r.URI = "/service/" + o.meta.TargetPrefix + "/operation/" + o.given.Name
		r.Headers["smithy-protocol"] = "rpc-v2-cbor"
	}
	return r.http(o.meta.Protocol)
}

func fillLabels(uri string) string {
	for strings.Contains(uri, "{") {
		open, end := strings.IndexByte(uri, '{'), strings.IndexByte(uri, '}')
		uri = uri[:open] + "x" + uri[end+1:]
	}
	return uri
}

func readFile(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
