package sqs

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	testAccount = aws.AccountID("111111111111")
	testRegion  = aws.Region("us-east-1")
)

type object = map[string]any

// house serves the operations over HTTP on a store in memory.
type house struct {
	*testing.T
	url     string
	sqs     *Service
	records store.Store
	clock   atomic.Int64 // milliseconds
	form    bool         // ask speaks the query protocol
}

// anyone is the root of the account that the key names.
type anyone struct{}

func (anyone) Authenticate(r *http.Request, _ []byte, _ string, _ wire.Protocol) (wire.Identity, error) {
	account := testAccount
	if other := r.Header.Get("X-Test-Account"); other != "" {
		account = aws.AccountID(other)
	}
	return wire.Identity{
		Principal: aws.Principal{Type: aws.PrincipalRoot, Account: account, ARN: "arn:aws:iam::" + string(account) + ":root"}, Region: testRegion, Service: "sqs",
	}, nil
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{T: t, records: mem.New()}
	t.Cleanup(func() { h.records.Close() })
	h.clock.Store(1_767_225_600_000)
	h.open()
	return h
}

// open starts a service on the records that are there.
func (h *house) open() {
	h.Helper()
	var err error
	if h.sqs, err = Open(h.Context(), Options{Records: h.records, Now: h.now, Region: testRegion}); err != nil {
		h.Fatal(err)
	}
	server, err := wire.NewServer(wire.Config{Services: []*wire.Service{h.sqs.API()}, Authenticator: anyone{}, Region: testRegion})
	if err != nil {
		h.Fatal(err)
	}
	web := httptest.NewServer(server)
	h.url = web.URL
	service := h.sqs
	h.Cleanup(func() {
		service.Drain()
		web.Close()
		if err := service.Close(); err != nil {
			h.Error(err)
		}
	})
}

func (h *house) now() time.Time              { return time.UnixMilli(h.clock.Load()) }
func (h *house) pass(d time.Duration)        { h.clock.Add(d.Milliseconds()) }
func (h *house) queueURL(name string) string { return h.url + "/" + string(testAccount) + "/" + name }

// queue makes a queue and returns its URL.
func (h *house) queue(name string, attributes object) string {
	h.Helper()
	in := object{"QueueName": name}
	if strings.HasSuffix(name, ".fifo") {
		if attributes == nil {
			attributes = object{}
		}
		attributes["FifoQueue"] = "true"
	}
	if attributes != nil {
		in["Attributes"] = attributes
	}
	return h.must("CreateQueue", in)["QueueUrl"].(string)
}

// ask makes a request as the AWS clients do and gives the answer in boto3's form.
func (h *house) ask(operation string, in object) object {
	h.Helper()
	if h.form {
		return h.askForm(operation, in)
	}
	return h.askJSON(operation, in)
}

func (h *house) askJSON(operation string, in object) object {
	h.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		h.Fatal(err)
	}
	resp, answer := h.post(body, map[string]string{"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS." + operation})
	out := object{}
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &out); err != nil {
			h.Fatalf("%v: %s", err, answer)
		}
	}
	if resp.StatusCode >= 300 {
		code, side, _ := strings.Cut(resp.Header.Get("x-amzn-query-error"), ";")
		name, _ := out["__type"].(string)
		out = object{"Error": object{"Code": code, "Type": side, "QueryErrorCode": name, "Message": out["message"]}}
	}
	return finished(out, resp.StatusCode)
}

func (h *house) post(body []byte, header map[string]string) (*http.Response, []byte) {
	h.Helper()
	req, err := http.NewRequestWithContext(h.Context(), http.MethodPost, h.url+"/", bytes.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		h.Fatal(err)
	}
	return resp, answer
}

// finished adds the status, and makes numbers of times as the recordings have them.
func finished(out object, status int) object {
	numbersOfTimes(out)
	out["ResponseMetadata"] = object{"HTTPHeaders": object{}, "HTTPStatusCode": float64(status)}
	return out
}

func numbersOfTimes(v any) {
	switch v := v.(type) {
	case object:
		for key, inner := range v {
			if text, ok := inner.(string); ok && strings.HasSuffix(key, "Timestamp") {
				var n float64
				if _, err := fmt.Sscan(text, &n); err == nil {
					v[key] = n
				}
			}
			numbersOfTimes(inner)
		}
	case []any:
		for _, inner := range v {
			numbersOfTimes(inner)
		}
	}
}

// must asks and fails the test on an error.
func (h *house) must(operation string, in object) object {
	h.Helper()
	out := h.ask(operation, in)
	if e, ok := out["Error"]; ok {
		h.Fatalf("%s: %v", operation, e)
	}
	return out
}

// refused asks for what must fail and returns code and message.
func (h *house) refused(operation string, in object) (code, message string) {
	h.Helper()
	e, ok := h.ask(operation, in)["Error"].(object)
	if !ok {
		h.Fatalf("%s %v was not refused", operation, in)
	}
	code, _ = e["Code"].(string)
	message, _ = e["Message"].(string)
	return code, message
}

func (h *house) send(queue, body string, more object) object {
	h.Helper()
	in := object{"QueueUrl": queue, "MessageBody": body}
	maps.Copy(in, more)
	return h.must("SendMessage", in)
}

// receive returns the messages.
func (h *house) receive(queue string, more object) []object {
	h.Helper()
	in := object{"QueueUrl": queue, "MaxNumberOfMessages": 10}
	maps.Copy(in, more)
	var out []object
	if list, ok := h.must("ReceiveMessage", in)["Messages"].([]any); ok {
		for _, m := range list {
			out = append(out, m.(object))
		}
	}
	return out
}

func bodies(messages []object) []string {
	var out []string
	for _, m := range messages {
		out = append(out, m["Body"].(string))
	}
	return out
}

func (h *house) expect(got []object, want ...string) {
	h.Helper()
	if b := bodies(got); !slices.Equal(b, want) {
		h.Fatalf("received %q, want %q", b, want)
	}
}

// The query protocol, as clients of before 2023 speak it.

// forms are the names of members in forms, where they are others.
var forms = map[string]string{
	"AttributeNames": "AttributeName", "MessageAttributeNames": "MessageAttributeName", "MessageSystemAttributeNames": "MessageSystemAttributeName",
	"Attributes": "Attribute", "Tags": "Tag", "tags": "Tag", "TagKeys": "TagKey", "MessageAttributes": "MessageAttribute",
	"MessageSystemAttributes": "MessageSystemAttribute", "AWSAccountIds": "AWSAccountId", "Actions": "ActionName",
}

func (h *house) askForm(operation string, in object) object {
	h.Helper()
	form := url.Values{"Action": {operation}, "Version": {"2012-11-05"}}
	fill(form, "", operation, in)
	resp, answer := h.post([]byte(form.Encode()), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
	var root element
	if err := xml.Unmarshal(answer, &root); err != nil {
		h.Fatalf("%v: %s", err, answer)
	}
	if resp.StatusCode >= 300 {
		e := object{}
		for _, kid := range root.Kids[0].Kids {
			e[kid.XMLName.Local] = kid.Text
			if kid.XMLName.Local == "Detail" {
				e["Detail"] = nil
			}
		}
		return finished(object{"Error": e}, resp.StatusCode)
	}
	out := object{}
	if root.Kids[0].XMLName.Local == operation+"Result" {
		out = root.Kids[0].object()
	}
	return finished(out, resp.StatusCode)
}

func fill(form url.Values, prefix, operation string, v any) {
	switch v := v.(type) {
	case object:
		for key, inner := range v {
			name := key
			if f, ok := forms[key]; ok {
				name = f
			}
			if key == "Entries" {
				name = operation + "RequestEntry"
			}
			if pairs, ok := inner.(object); ok {
				fillMap(form, prefix+name, operation, key, pairs)
				continue
			}
			fill(form, prefix+name, operation, inner)
		}
	case []object:
		for i, inner := range v {
			fill(form, fmt.Sprintf("%s.%d.", prefix, i+1), operation, inner)
		}
	case []string:
		for i, inner := range v {
			form.Set(fmt.Sprintf("%s.%d", prefix, i+1), inner)
		}
	default:
		form.Set(prefix, fmt.Sprint(v))
	}
}

func fillMap(form url.Values, prefix, operation, key string, pairs object) {
	keyName, valueName := "Name", "Value"
	if strings.EqualFold(key, "tags") {
		keyName = "Key"
	}
	for i, k := range slices.Sorted(maps.Keys(pairs)) {
		at := fmt.Sprintf("%s.%d.", prefix, i+1)
		form.Set(at+keyName, k)
		if inner, ok := pairs[k].(object); ok {
			fill(form, at+valueName+".", operation, inner)
			continue
		}
		form.Set(at+valueName, fmt.Sprint(pairs[k]))
	}
}

type element struct {
	XMLName xml.Name
	Text    string    `xml:",chardata"`
	Kids    []element `xml:",any"`
}

// lists and pairs are the names of repeated elements, with those of their members.
var (
	lists = map[string]string{
		"Message": "Messages", "QueueUrl": "QueueUrls", "BatchResultErrorEntry": "Failed", "SendMessageBatchResultEntry": "Successful",
		"DeleteMessageBatchResultEntry": "Successful", "ChangeMessageVisibilityBatchResultEntry": "Successful", "ListMessageMoveTasksResultEntry": "Results",
	}
	pairs = map[string]string{"Attribute": "Attributes", "Tag": "Tags", "MessageAttribute": "MessageAttributes"}
)

func (e element) object() object {
	out := object{}
	for _, kid := range e.Kids {
		name := kid.XMLName.Local
		single := name == "QueueUrl" && (e.XMLName.Local == "CreateQueueResult" || e.XMLName.Local == "GetQueueUrlResult") || len(e.Kids) > 0 && e.XMLName.Local == "BatchResultErrorEntry"
		if list, ok := lists[name]; ok && !single {
			have, _ := out[list].([]any)
			out[list] = append(have, kid.value())
			continue
		}
		if member, ok := pairs[name]; ok {
			if out[member] == nil {
				out[member] = object{}
			}
			out[member].(object)[kid.Kids[0].Text] = kid.Kids[1].value()
			continue
		}
		out[name] = kid.value()
	}
	return out
}

func (e element) value() any {
	if len(e.Kids) > 0 {
		return e.object()
	}
	return e.Text
}
