package conformance

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/wire/model"
)

// suite is one group of botocore's vectors: a small model and its cases.
type suite struct {
	Metadata model.Metadata          `json:"metadata"`
	Shapes   map[string]*model.Shape `json:"shapes"`
	Cases    []botocoreCase          `json:"cases"`
}

type botocoreCase struct {
	ID         string          `json:"id"`
	Given      model.Operation `json:"given"`
	Params     map[string]any  `json:"params"`
	Serialized request         `json:"serialized"`
	Result     map[string]any  `json:"result"`
	Error      map[string]any  `json:"error"`
	ErrorCode  string          `json:"errorCode"`
	Response   response        `json:"response"`
}

// response is the HTTP side of an answer.
type response struct {
	Status  int               `json:"status_code"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	any     bool              // the body is not compared
}

func (s *suite) operation(c *botocoreCase) *operation {
	if s.Metadata.Protocol == "query" && strings.Contains(c.Response.Body, `xmlns="https://example.com/"`) {
		s.Metadata.XMLNamespace = []byte(`"https://example.com/"`) // the suites leave it out
	}
	return &operation{
		types: newTypes(&model.Model{Metadata: s.Metadata, Shapes: s.Shapes}),
		meta:  &s.Metadata, given: &c.Given,
	}
}

func TestBotocoreInput(t *testing.T) {
	runBotocore(t, "input", func(s *suite, c *botocoreCase) error {
		o := s.operation(c)
		r, err := c.Serialized.http(s.Metadata.Protocol)
		if err != nil {
			return err
		}
		return o.expectInput(r, c.Params)
	})
}

func TestBotocoreOutput(t *testing.T) {
	runBotocore(t, "output", func(s *suite, c *botocoreCase) error {
		o := s.operation(c)
		if c.Error != nil {
			return o.expectError(c.Given.Errors[0].Shape, c.Error, &c.Response)
		}
		return o.expectOutput(c.Result, &c.Response)
	})
}

func runBotocore(t *testing.T, dir string, run func(*suite, *botocoreCase) error) {
	skips := loadSkips(t)
	files, err := filepath.Glob("testdata/protocols/" + dir + "/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	passed, skipped := 0, 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		var suites []suite
		readFile(t, file, &suites)
		for i := range suites {
			for j := range suites[i].Cases {
				c := &suites[i].Cases[j]
				id := fmt.Sprintf("botocore/%s/%s/%s", dir, name, c.ID)
				err := run(&suites[i], c)
				if skips.check(t, id, err) {
					skipped++
					continue
				}
				passed++
			}
		}
	}
	skips.finish(t, "botocore/"+dir+"/")
	t.Logf("botocore %s: %d passed, %d skipped", dir, passed, skipped)
}

// expectInput sends a request and compares what the handler got.
func (o *operation) expectInput(r *http.Request, params map[string]any) error {
	input := ""
	if o.given.Input != nil {
		input = o.given.Input.Shape
	}
	want, err := o.types.convert(input, params)
	if err != nil {
		return err
	}
	if o.given.Output != nil {
		o.result = o.types.new(o.given.Output.Shape)
	}
	resp, body, err := o.do(o.addressed(r))
	if err != nil {
		return err
	}
	if o.got == nil {
		return fmt.Errorf("refused with %d %s", resp.StatusCode, body)
	}
	if !equal(want, o.got) {
		return fmt.Errorf("got  %s\n  want %s", show(o.got), show(want))
	}
	return nil
}

// expectOutput lets the handler answer and compares the response.
func (o *operation) expectOutput(result map[string]any, want *response) error {
	if o.given.Output != nil {
		v, err := o.types.convert(o.given.Output.Shape, result)
		if err != nil {
			return err
		}
		o.result = v
	}
	return o.expectResponse(want)
}

func (o *operation) expectError(name string, params map[string]any, want *response) error {
	v, err := o.types.convert(name, params)
	if err != nil {
		return err
	}
	o.fault = faultValue{v, o.meta.Protocol}
	return o.expectResponse(want)
}

func (o *operation) expectResponse(want *response) error {
	r, err := o.anyRequest()
	if err != nil {
		return err
	}
	resp, body, err := o.do(r)
	if err != nil {
		return err
	}
	if want.Status != resp.StatusCode {
		return fmt.Errorf("status %d, want %d: %s", resp.StatusCode, want.Status, body)
	}
	for k, v := range want.Headers {
		if got := header(resp, k); got != v && !sameType(k, v, got) {
			return fmt.Errorf("header %s is %q, want %q", k, got, v)
		}
	}
	if want.any {
		return nil
	}
	return compareBodies(resp.Header.Get("Content-Type"), want.Body, body)
}

// header reads a header whatever the case of its name.
func header(resp *http.Response, name string) string {
	for k, v := range resp.Header {
		if strings.EqualFold(k, name) {
			return strings.Join(v, ", ")
		}
	}
	return ""
}

// sameType compares error types as clients do: the part between # and :.
func sameType(name, want, got string) bool {
	if !strings.EqualFold(name, "X-Amzn-Errortype") {
		return false
	}
	want, _, _ = strings.Cut(want, ":")
	return want[strings.IndexByte(want, '#')+1:] == got
}
