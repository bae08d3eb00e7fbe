package async

import (
	"encoding/json"

	"github.com/lambdad/lambdad/internal/aws"
)

// invocationRecord is what destinations get, with its members in AWS's order. Source: Lambda
// developer guide, "Retaining records of asynchronous invocations"; recorded: test_reserved_concurrency.
type invocationRecord struct {
	Version         string           `json:"version"`
	Timestamp       string           `json:"timestamp"`
	RequestContext  requestContext   `json:"requestContext"`
	RequestPayload  json.RawMessage  `json:"requestPayload"`
	ResponseContext *responseContext `json:"responseContext,omitempty"`
	ResponsePayload json.RawMessage  `json:"responsePayload,omitempty"`
}

type requestContext struct {
	RequestID              aws.RequestID `json:"requestId"`
	FunctionARN            string        `json:"functionArn"`
	Condition              condition     `json:"condition"`
	ApproximateInvokeCount int           `json:"approximateInvokeCount"`
}

type responseContext struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion"`
	FunctionError   string `json:"functionError,omitempty"`
}

const timestampForm = "2006-01-02T15:04:05.000Z"

// functionARN has the qualifier always: $LATEST where there was none.
func (t *try) functionARN() string {
	key := t.event.Name.PolicyKey()
	return key.ID.QualifiedARN(key.Qualifier)
}

func (t *try) record(c condition) []byte {
	r := invocationRecord{
		Version: "1.0", Timestamp: t.queue.opts.Now().UTC().Format(timestampForm),
		RequestContext: requestContext{t.event.RequestID, t.functionARN(), c, t.event.Attempts},
		RequestPayload: t.event.payload,
	}
	if a := t.answer; a != nil {
		r.ResponseContext = &responseContext{200, a.ExecutedVersion, a.FunctionError}
		if json.Valid(a.Payload) {
			r.ResponsePayload = a.Payload
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		panic("async: a record of valid JSON cannot be written: " + err.Error())
	}
	return b
}

// errorMessageBytesMax bounds ErrorMessage: "the first 1 KB of the error message".
const errorMessageBytesMax = 1 << 10

func (t *try) deadLetter(c condition) *DeadLetter {
	letter := &DeadLetter{ErrorCode: 200, ErrorMessage: string(c)}
	if t.answer == nil {
		if c == zeroReserved {
			letter.ErrorCode = 429
		}
		if c == recursion {
			letter.ErrorCode = 400
		}
		return letter
	}
	var said struct {
		ErrorMessage string `json:"errorMessage"`
	}
	if json.Unmarshal(t.answer.Payload, &said) == nil && said.ErrorMessage != "" {
		letter.ErrorMessage = said.ErrorMessage
	}
	if len(letter.ErrorMessage) > errorMessageBytesMax {
		letter.ErrorMessage = letter.ErrorMessage[:errorMessageBytesMax]
	}
	return letter
}
