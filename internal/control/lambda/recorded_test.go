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
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/wire"
)

// TestRecorded makes the requests that AWS was asked when testdata/recorded.json was
// recorded, over HTTP, and compares the answers field by field. What cannot match is in
// recordedExceptions with its reason; anything else that differs fails, and so does
// an exception that matches after all. The last line counts, for
// docs/guide/compatibility.md.
func TestRecorded(t *testing.T) {
	cases := readRecorded(t)
	matched, total := 0, 0
	var unmatched []string
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		r := &recording{name: name, answers: cases[name], done: map[string]bool{}, bound: map[string]string{}}
		if scenario := scenarioOf(name, r.answers); scenario != nil {
			t.Run(name, func(t *testing.T) {
				r.T = t
				r.house = newHouse(t)
				r.serve()
				scenario(r)
			})
		}
		for label := range r.answers {
			total++
			reason, excepted := exceptionOf(name, label)
			switch {
			case r.done[label] && excepted:
				t.Errorf("%s %s matches, but is listed as an exception: %s", name, label, reason)
			case r.done[label]:
				matched++
			case excepted:
				unmatched = append(unmatched, fmt.Sprintf("%s %s: %s", name, label, reason))
			default:
				t.Errorf("%s %s was not compared or does not match", name, label)
			}
		}
	}
	slices.Sort(unmatched)
	for _, line := range unmatched {
		t.Log(line)
	}
	t.Logf("recorded answers of Lambda's control plane: %d of %d match", matched, total)
}

type object = map[string]any

func readRecorded(t *testing.T) map[string]object {
	t.Helper()
	b, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases map[string]object }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	return file.Cases
}

// recording plays one case.
type recording struct {
	*testing.T
	*house
	name    string
	answers object
	done    map[string]bool
	bound   map[string]string // placeholder -> what it stands for in this case
	url     string
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
		return url.PathEscape(params[member].(string))
	})
	for _, member := range []string{"Qualifier", "Marker", "MaxItems", "FunctionVersion"} {
		if v, ok := body[member]; ok && op.Method != http.MethodPost {
			query.Set(member, fmt.Sprint(v))
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
	req, err := http.NewRequestWithContext(r.T.Context(), op.Method, r.url+path+"?"+query.Encode(), content)
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
	"InvalidParameterValueException": {"Type", "message"},
	"ResourceConflictException":      {"Type", "message"},
	"PreconditionFailedException":    {"Type", "message"},
	"ResourceNotFoundException":      {"Type", "Message"},
	"RequestEntityTooLargeException": {"Type", "message"},
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
	out["ResponseMetadata"] = object{"HTTPHeaders": object{}, "HTTPStatusCode": float64(resp.StatusCode)}
	return out
}

// match compares an answer with the recorded one, and reports and counts it.
func (r *recording) match(label string, answer any) {
	r.T.Helper()
	want, ok := r.answers[label]
	if !ok {
		r.T.Errorf("nothing is recorded as %s", label)
		return
	}
	differences := r.differences(label, want, answer)
	r.done[label] = len(differences) == 0
	if _, excepted := exceptionOf(r.name, label); !excepted {
		for _, d := range differences {
			r.T.Error(d)
		}
	}
}

func (r *recording) differences(at string, want, got any) []string {
	switch want := want.(type) {
	case object:
		got, ok := got.(object)
		if !ok {
			return []string{fmt.Sprintf("%s: got %v, want an object", at, got)}
		}
		var out []string
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if v, ok := got[key]; ok {
				out = append(out, r.differences(at+"."+key, want[key], v)...)
			} else {
				out = append(out, fmt.Sprintf("%s.%s: missing, want %v", at, key, want[key]))
			}
		}
		for _, key := range slices.Sorted(maps.Keys(got)) {
			if _, ok := want[key]; !ok {
				out = append(out, fmt.Sprintf("%s.%s: got %v, want none", at, key, got[key]))
			}
		}
		return out
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			return []string{fmt.Sprintf("%s: got %v, want %v", at, got, want)}
		}
		var out []string
		for i := range want {
			out = append(out, r.differences(fmt.Sprintf("%s[%d]", at, i), want[i], got[i])...)
		}
		return out
	case string:
		if r.same(at, want, got) {
			return nil
		}
	default:
		if want == got {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s:\n got %v\nwant %v", at, got, want)}
}

var placeholder = regexp.MustCompile(`<<?[a-zA-Z0-9_-]+>?(:\d+)?>?`)

// same compares a recorded text with ours. A placeholder stands for one value
// in the whole case, and two of them never for the same.
func (r *recording) same(at, want string, got any) bool {
	text, isText := got.(string)
	switch {
	case want == "date":
		return regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$`).MatchString(text)
	case strings.HasSuffix(at, ".CodeSha256") && (want == "code-sha256" || strings.Contains(want, "code-sha-256")):
		return len(text) == 44
	case want == "<code-size>":
		_, isNumber := got.(float64)
		return isNumber
	case !isText:
		return false
	case want == text:
		return true
	case want == "<location>":
		return strings.Contains(text, CodePath)
	}
	var names []string
	pattern, last := "", 0
	for _, m := range placeholder.FindAllStringIndex(want, -1) {
		pattern += regexp.QuoteMeta(want[last:m[0]])
		name := want[m[0]:m[1]]
		switch value, known := r.bound[name]; {
		case name == "<region>":
			pattern += testRegion
		case name == "<partition>":
			pattern += "aws"
		case known:
			pattern += regexp.QuoteMeta(value)
		default:
			names = append(names, name)
			pattern += "(.+)"
		}
		last = m[1]
	}
	found := regexp.MustCompile("^" + pattern + regexp.QuoteMeta(want[last:]) + "$").FindStringSubmatch(text)
	if found == nil {
		return false
	}
	for i, name := range names {
		for other, value := range r.bound {
			if value == found[i+1] && kindOf(other) == kindOf(name) {
				return false
			}
		}
		r.bound[name] = found[i+1]
	}
	return true
}

// kindOf is a placeholder without its number.
func kindOf(name string) string {
	kind, _, _ := strings.Cut(name, ":")
	return kind
}
