package lambda

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/test/recorded"
)

// TestRecorded makes the requests that AWS was asked when testdata/recorded.json was
// recorded, over HTTP, and compares the answers field by field.
func TestRecorded(t *testing.T) {
	playRecorded(t, "Lambda, control plane", "recorded.json", recordedExceptions, scenarios)
}

// playRecorded plays the cases of one file by their scenarios, which are named by class and
// test. Service is the file's row in the guide.
func playRecorded(t *testing.T, service, file string, exceptions []recorded.Exception, scenarios map[string]scenario) {
	suite := recorded.Suite{
		Service: service, File: "testdata/" + file, Account: string(testAccount), Region: string(testRegion),
		Exceptions: exceptions,
		Kinds:      map[string]string{"location": ".*" + regexp.QuoteMeta(CodePath) + ".*"},
	}
	suite.Run(t, func(t *testing.T, c recorded.Case) map[string]any {
		r := &recording{T: t, Case: c, got: object{}}
		if scenario := scenarioOf(c, scenarios); scenario != nil {
			r.house = newHouse(t, withSources)
			r.serve()
			scenario(r)
		}
		return r.got
	})
}

type object = map[string]any

// scenario plays one test; parameter is what stands in brackets.
type scenario func(r *recording, parameter string)

// recording plays one case.
type recording struct {
	*testing.T
	*house
	recorded.Case
	got object // by label
	url string
}

type anyoneAuthenticator struct{}

func (anyoneAuthenticator) Authenticate(*http.Request, []byte, string, wire.Protocol) (wire.Identity, error) {
	return wire.Identity{Principal: aws.Principal{Type: aws.PrincipalRoot, Account: testAccount}, Region: testRegion, Service: "lambda"}, nil
}

func (r *recording) serve() {
	server, err := wire.NewServer(wire.Config{Services: []*wire.Service{api.NewService(r.h)}, Authenticator: anyoneAuthenticator{}, Region: testRegion})
	if err != nil {
		r.T.Fatal(err)
	}
	s := httptest.NewServer(server)
	r.T.Cleanup(s.Close)
	r.url = s.URL
}

// ask makes a request as the AWS clients do and gives the answer in boto3's form.
func (r *recording) ask(operation string, params object) object {
	r.T.Helper()
	svc := api.NewService(r.h)
	i := slices.IndexFunc(svc.Operations, func(op wire.Operation) bool { return op.Name == operation })
	op := svc.Operations[i]
	body, query := maps.Clone(params), url.Values{}
	path := regexp.MustCompile(`\{\w+\}`).ReplaceAllStringFunc(op.URI, func(label string) string {
		member := strings.Trim(label, "{}")
		delete(body, member)
		return url.PathEscape(fmt.Sprint(params[member]))
	})
	for _, member := range []string{"Qualifier", "Marker", "MaxItems", "FunctionVersion", "RevisionId", "Arn", "CompatibleRuntime", "CompatibleArchitecture", "EventSourceArn"} {
		inQuery := op.Method != http.MethodPost && op.Method != http.MethodPut || member == "Qualifier"
		if v, ok := body[member]; ok && inQuery {
			query.Set(member, fmt.Sprint(v))
			delete(body, member)
		}
	}
	if keys, ok := body["TagKeys"]; ok {
		query["tagKeys"] = keys.([]string)
	}
	var content io.Reader
	if op.Method == http.MethodPost || op.Method == http.MethodPut {
		b, err := json.Marshal(body)
		if err != nil {
			r.T.Fatal(err)
		}
		content = bytes.NewReader(b)
	}
	join := "?"
	if strings.Contains(path, "?") {
		join = "&"
	}
	req, err := http.NewRequestWithContext(r.T.Context(), op.Method, r.url+path+join+query.Encode(), content)
	if err != nil {
		r.T.Fatal(err)
	}
	req.Host = "lambda." + testRegion + ".amazonaws.com"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.T.Fatal(err)
	}
	defer resp.Body.Close()
	return answerOf(r.T, resp)
}

// modelledErrorMembers are the members of the errors here; boto3 shows those of the model.
var modelledErrorMembers = map[string][]string{
	"InvalidParameterValueException":                {"Type", "message"},
	"ResourceConflictException":                     {"Type", "message"},
	"PreconditionFailedException":                   {"Type", "message"},
	"ResourceNotFoundException":                     {"Type", "Message"},
	"RequestEntityTooLargeException":                {"Type", "message"},
	"CodeSigningConfigNotFoundException":            {"Type", "Message"},
	"ProvisionedConcurrencyConfigNotFoundException": {"Type", "message"},
}

// answerOf reads a response as boto3 does.
func answerOf(t *testing.T, resp *http.Response) object {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	body := object{}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &body); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
	}
	out := object{}
	if resp.StatusCode >= 300 {
		code, _, _ := strings.Cut(resp.Header.Get("x-amzn-ErrorType"), ":")
		message := body["message"]
		if message == nil {
			message = body["Message"]
		}
		out["Error"] = object{"Code": code, "Message": message}
		for _, member := range modelledErrorMembers[code] {
			if v, ok := body[member]; ok {
				out[member] = v
			}
		}
	} else {
		out = body
	}
	readTimes(out)
	out["ResponseMetadata"] = object{"HTTPHeaders": object{}, "HTTPStatusCode": float64(resp.StatusCode)}
	return out
}

// readTimes writes the seconds of timestamps out, as boto3 does.
func readTimes(v any) {
	switch v := v.(type) {
	case object:
		for name, member := range v {
			if seconds, ok := member.(float64); ok && name == "LastModified" {
				v[name] = time.UnixMilli(int64(seconds * 1000)).UTC().Format(time.RFC3339)
				continue
			}
			readTimes(member)
		}
	case []any:
		for _, member := range v {
			readTimes(member)
		}
	}
}

// match gives an answer to compare with the recorded one.
func (r *recording) match(label string, answer any) { r.got[label] = answer }
