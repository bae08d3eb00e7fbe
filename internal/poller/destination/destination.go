// Package destination owns how what became of an invoke reaches a service outside of lambdad: SNS,
// EventBridge and S3, at the endpoints that the operator named, in those services' own protocols. It
// knows requests and signatures only, and must never import the pollers that use it, or a view of
// records: who may send what where is decided before.
package destination

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

const (
	// sendTimeout bounds one request.
	sendTimeout = 30 * time.Second
	// answerBytesMax bounds what is read of an answer.
	answerBytesMax = 64 << 10
)

// ErrNoEndpoint is returned of services that the operator has named no endpoint of.
var ErrNoEndpoint = errors.New("poller/destination: no endpoint of this service is configured")

// Message is one record or dead letter.
type Message struct {
	Destination string // ARN
	Region      string // of the function, where the ARN has none
	Function    string // its name
	FunctionARN string // with the qualifier
	TraceID     string
	Success     bool
	Body        []byte
	// ObjectKey is where in a bucket it lies; "" is the form of asynchronous invokes.
	ObjectKey string
	// Attributes are those of a dead letter.
	Attributes []Attribute
	Time       time.Time
}

// Attribute is a message attribute.
type Attribute struct{ Name, Type, Value string }

// Send delivers a message; nil means that the service has taken it.
func (e Endpoints) Send(ctx context.Context, m *Message, sign sigv4.Credentials) error {
	arn, err := aws.ParseARN(m.Destination)
	if err != nil {
		return fmt.Errorf("poller/destination: %w", err)
	}
	base, ok := e[arn.Service]
	if !ok {
		return ErrNoEndpoint
	}
	var r *http.Request
	switch arn.Service {
	case "sns":
		r, err = publish(base, m)
	case "events":
		r, err = putEvents(base, m)
	case "s3":
		r, err = putObject(base, arn.Resource, m)
	default:
		return ErrNoEndpoint
	}
	if err != nil {
		return fmt.Errorf("poller/destination: %w", err)
	}
	region := string(arn.Region)
	if region == "" {
		region = m.Region
	}
	return e.do(ctx, r, sign, sigv4.SignOptions{Region: region, Service: arn.Service, Time: time.Now()})
}

// do sends a request; the messages are small, so its body is read for the signature.
func (e Endpoints) do(ctx context.Context, r *http.Request, sign sigv4.Credentials, options sigv4.SignOptions) error {
	body, err := r.GetBody()
	if err != nil {
		return fmt.Errorf("poller/destination: %w", err)
	}
	whole, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("poller/destination: %w", err)
	}
	options.PayloadHash = sigv4.HashPayload(whole)
	sigv4.Sign(r, sign, options)
	// A redirect would carry a signed request to who knows where.
	client := http.Client{Timeout: sendTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("poller/destination: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerBytesMax))
	if err != nil {
		return fmt.Errorf("poller/destination: %w", err)
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("poller/destination: %s answers %d: %.300s", options.Service, answer.StatusCode, text)
	}
	if options.Service == "events" {
		return entryTaken(text)
	}
	return nil
}

// publish is SNS's Publish in the query protocol.
func publish(base *url.URL, m *Message) (*http.Request, error) {
	form := url.Values{"Action": {"Publish"}, "Version": {"2010-03-31"}, "TopicArn": {m.Destination}, "Message": {string(m.Body)}}
	for i, a := range m.Attributes {
		at := "MessageAttributes.entry." + strconv.Itoa(i+1)
		form.Set(at+".Name", a.Name)
		form.Set(at+".Value.DataType", a.Type)
		form.Set(at+".Value.StringValue", a.Value)
	}
	r, err := http.NewRequest(http.MethodPost, base.JoinPath("/").String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if m.TraceID != "" {
		r.Header.Set("X-Amzn-Trace-Id", m.TraceID)
	}
	return r, nil
}

// entry is what EventBridge gets. Source: Lambda developer guide, "Retaining records of
// asynchronous invocations": source, detail-type, and the ARNs of destination and function.
type entry struct {
	Source       string
	DetailType   string
	Detail       string
	Resources    []string
	EventBusName string
	Time         float64
	TraceHeader  string `json:",omitempty"`
}

// putEvents is EventBridge's PutEvents.
func putEvents(base *url.URL, m *Message) (*http.Request, error) {
	outcome := "Failure"
	if m.Success {
		outcome = "Success"
	}
	body, err := json.Marshal(struct{ Entries []entry }{[]entry{{
		Source: "lambda", DetailType: "Lambda Function Invocation Result - " + outcome, Detail: string(m.Body),
		Resources: []string{m.Destination, m.FunctionARN}, EventBusName: m.Destination,
		Time: float64(m.Time.UnixMilli()) / 1000, TraceHeader: m.TraceID,
	}}})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(http.MethodPost, base.JoinPath("/").String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AWSEvents.PutEvents")
	return r, nil
}

// entryTaken reads the answer of PutEvents, which is 200 for entries that were refused, too.
func entryTaken(answer []byte) error {
	var said struct {
		FailedEntryCount int
		Entries          []struct{ ErrorCode, ErrorMessage string }
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return fmt.Errorf("poller/destination: EventBridge's answer: %w", err)
	}
	if said.FailedEntryCount > 0 {
		return fmt.Errorf("poller/destination: EventBridge refuses the entry: %.300q", said.Entries)
	}
	return nil
}

// putObject is S3's PutObject with the bucket in the path.
func putObject(base *url.URL, bucket string, m *Message) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPut, base.JoinPath(bucket, objectKey(m)).String(), bytes.NewReader(m.Body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// objectKey is the form that S3 destinations have: aws/lambda/async/FUNCTION/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-UUID.
// Source: Lambda developer guide, "Retaining records of asynchronous invocations", S3.
func objectKey(m *Message) string {
	if m.ObjectKey != "" {
		return m.ObjectKey
	}
	at := m.Time.UTC()
	return "aws/lambda/async/" + m.Function + "/" + at.Format("2006/01/02/2006-01-02T15.04.05") + "-" + string(aws.NewRequestID())
}
