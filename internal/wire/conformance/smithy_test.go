package conformance

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/wire/model"
)

// row is one of Smithy's vectors. It names an operation (or an error) and gives
// no model: that comes from botocore's suites, or from testdata/models, which
// were written after the vectors.
type row struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Protocol string `json:"protocol"`
	Shape    string `json:"shape"`
	NS       string `json:"ns"`
	request
	Params   map[string]any `json:"params"`
	Code     int            `json:"code"`
	Request  *request       `json:"request"`  // of a malformed request
	Response *malformed     `json:"response"` // to it
	anyBody  bool           // the row says nothing of the body
}

type malformed struct {
	Code    int               `json:"code"`
	Headers map[string]string `json:"headers"`
}

// library finds the models of rows.
type library struct {
	extra  map[string]*model.Model
	inputs map[string]map[string]found // by protocol and operation
	output map[string]map[string]found
	errors map[string]map[string]found
}

type found struct {
	suite *suite
	given *model.Operation
}

// botocoreFiles are the suites of each protocol.
var botocoreFiles = map[string][]string{
	"restJson1": {"rest-json"}, "restXml": {"rest-xml"}, "awsQuery": {"query"}, "awsJson1_1": {"json"},
	"awsJson1_0": {"json_1_0", "json_1_0-query-compatible"},
	"rpcv2Cbor":  {"smithy-rpc-v2-cbor", "smithy-rpc-v2-cbor-query-compatible"},
}

func loadLibrary(t *testing.T) *library {
	l := &library{extra: map[string]*model.Model{}, inputs: map[string]map[string]found{}, output: map[string]map[string]found{}, errors: map[string]map[string]found{}}
	for protocol, files := range botocoreFiles {
		l.inputs[protocol] = collect(t, "input", files, operationName)
		l.output[protocol] = collect(t, "output", files, operationName)
		l.errors[protocol] = collect(t, "output", files, errorName)
		path := filepath.Join("testdata/models", protocol+".json")
		if m, err := model.Load(path); err == nil {
			l.extra[protocol] = m
		} else if protocol != "awsQuery" {
			t.Fatal(err)
		}
	}
	return l
}

func operationName(c *botocoreCase) string {
	if c.Error != nil {
		return ""
	}
	return c.Given.Name
}

func errorName(c *botocoreCase) string {
	if c.Error == nil {
		return ""
	}
	return c.Given.Errors[0].Shape
}

func collect(t *testing.T, dir string, files []string, name func(*botocoreCase) string) map[string]found {
	out := map[string]found{}
	for _, f := range files {
		var suites []suite
		readFile(t, "testdata/protocols/"+dir+"/"+f+".json", &suites)
		for i := range suites {
			for j := range suites[i].Cases {
				c := &suites[i].Cases[j]
				if n := name(c); n != "" {
					if _, ok := out[n]; !ok {
						out[n] = found{&suites[i], &c.Given}
					}
				}
			}
		}
	}
	return out
}

// operation finds what a row is run against.
func (l *library) operation(r *row, in map[string]map[string]found) (*operation, error) {
	name := r.Shape
	if strings.HasSuffix(r.NS, ".xmlns") {
		name = "xmlns." + name // the same name in another service
	}
	if m := l.extra[r.Protocol]; m != nil && m.Operations[name] != nil {
		return &operation{types: newTypes(m), meta: &m.Metadata, given: m.Operations[name]}, nil
	}
	f, ok := in[r.Protocol][r.Shape]
	if !ok {
		return nil, fmt.Errorf("no model has %s", r.Shape)
	}
	meta := f.suite.Metadata
	return &operation{types: newTypes(&model.Model{Metadata: meta, Shapes: f.suite.Shapes}), meta: &meta, given: f.given}, nil
}

func TestSmithy(t *testing.T) {
	skips := loadSkips(t)
	lib := loadLibrary(t)
	var rows []row
	readFile(t, "testdata/smithy-protocol-tests.json", &rows)
	passed, skipped := map[string]int{}, map[string]int{}
	var bodies []struct{ Body *string }
	readFile(t, "testdata/smithy-protocol-tests.json", &bodies)
	for i := range rows {
		r := &rows[i]
		r.anyBody = bodies[i].Body == nil
		r.Protocol = strings.TrimPrefix(r.Protocol, "aws.protocols#")
		id := fmt.Sprintf("smithy/%s/%s/%s", r.Protocol, r.Kind, r.ID)
		if skips.check(t, id, runRow(lib, r)) {
			skipped[r.Kind]++
			continue
		}
		passed[r.Kind]++
	}
	for _, kind := range []string{"httpRequestTests", "httpResponseTests", "httpMalformedRequestTests"} {
		t.Logf("smithy %s: %d passed, %d skipped", kind, passed[kind], skipped[kind])
	}
	skips.finish(t, "smithy/")
}

func runRow(lib *library, r *row) error {
	switch r.Kind {
	case "httpRequestTests":
		o, err := lib.operation(r, lib.inputs)
		if err != nil {
			return err
		}
		o.meta = o.metaFor(r)
		o.strict = true
		req, err := r.request.http(o.meta.Protocol)
		if err != nil {
			return err
		}
		return o.expectInput(req, r.Params)
	case "httpResponseTests":
		return runResponse(lib, r)
	}
	o, err := lib.operation(r, lib.inputs)
	if err != nil {
		return err
	}
	o.strict = true
	req, err := r.Request.http(o.meta.Protocol)
	if err != nil {
		return err
	}
	resp, body, err := o.do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != r.Response.Code {
		return fmt.Errorf("status %d, want %d: %s", resp.StatusCode, r.Response.Code, body)
	}
	// The texts of validation errors are not compared: AWS's services, and we,
	// word them otherwise than Smithy's servers.
	for k, v := range r.Response.Headers {
		if got := header(resp, k); got != v {
			return fmt.Errorf("header %s is %q, want %q: %s", k, got, v, body)
		}
	}
	return nil
}

func runResponse(lib *library, r *row) error {
	want := &response{Status: r.Code, Headers: r.Headers, Body: r.Body, any: r.anyBody}
	if f, ok := lib.errors[r.Protocol][r.Shape]; ok {
		c := &botocoreCase{Given: *f.given, Response: *want}
		s := *f.suite
		o := s.operation(c)
		return o.expectError(r.Shape, r.Params, want)
	}
	o, err := lib.operation(r, lib.output)
	if err != nil {
		return err
	}
	if o.meta.Protocol == "query" && strings.Contains(r.Body, `xmlns="https://example.com/"`) {
		o.meta.XMLNamespace = []byte(`"https://example.com/"`)
	}
	return o.expectOutput(r.Params, want)
}

// metaFor is the metadata with the service that the row addresses.
func (o *operation) metaFor(r *row) *model.Metadata {
	meta := *o.meta
	target := r.Headers["X-Amz-Target"]
	if i := strings.LastIndexByte(target, '.'); i > 0 {
		meta.TargetPrefix = target[:i]
	}
	if parts := strings.Split(r.URI, "/"); slices.Contains(parts, "operation") && len(parts) > 2 {
		meta.TargetPrefix = parts[2]
	}
	return &meta
}
