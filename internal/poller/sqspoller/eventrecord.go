package sqspoller

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/poller/filter"
	"github.com/lambdad/lambdad/internal/services/sqs"
)

// eventRecord is a message as functions see it: AWS's names in AWS's order (recorded:
// test_message_body_and_attributes_passed_correctly).
type eventRecord struct {
	MessageID         string                    `json:"messageId"`
	Receipt           string                    `json:"receiptHandle"`
	Body              string                    `json:"body"`
	Attributes        eventAttributes           `json:"attributes"`
	MessageAttributes map[string]eventAttribute `json:"messageAttributes"`
	AttributesDigest  *json.RawMessage          `json:"md5OfMessageAttributes,omitempty"`
	BodyDigest        string                    `json:"md5OfBody"`
	Source            string                    `json:"eventSource"`
	SourceARN         string                    `json:"eventSourceARN"`
	Region            aws.Region                `json:"awsRegion"`
}

// eventAttributes stand in the order of AWS's examples (Lambda developer guide, "Example Amazon
// SQS message event", standard and FIFO).
type eventAttributes struct {
	Receives string `json:"ApproximateReceiveCount"`
	Trace    string `json:"AWSTraceHeader,omitempty"`
	Sent     string `json:"SentTimestamp"`
	Number   string `json:"SequenceNumber,omitempty"`
	Group    string `json:"MessageGroupId,omitempty"`
	Sender   string `json:"SenderId"`
	DedupID  string `json:"MessageDeduplicationId,omitempty"`
	First    string `json:"ApproximateFirstReceiveTimestamp"`
	DeadFrom string `json:"DeadLetterQueueSourceArn,omitempty"`
}

type eventAttribute struct {
	Text       *string  `json:"stringValue,omitempty"`
	Binary     *string  `json:"binaryValue,omitempty"`
	TextList   []string `json:"stringListValues"`
	BinaryList []string `json:"binaryListValues"`
	Type       string   `json:"dataType"`
}

// null is what stands for a digest that a message without attributes has not.
var null = json.RawMessage("null")

// encodeRecord writes a message of a queue. In batches of a window a message without
// attributes has the digest null; else it has none (recorded: the batch_size tests against
// test_failing_lambda_retries_after_visibility_timeout).
func encodeRecord(m *sqs.Received, queue string, region aws.Region, windowed bool) ([]byte, error) {
	milli := func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
	r := eventRecord{
		MessageID: m.MessageID, Receipt: m.Receipt, Body: m.Body, BodyDigest: m.BodyDigest(),
		Attributes: eventAttributes{
			Receives: strconv.Itoa(m.Receives), Trace: m.Trace, Sent: milli(m.Sent), Group: m.Group, Sender: m.Sender, DedupID: m.DedupID,
			First: milli(m.First), DeadFrom: m.DeadFrom,
		},
		MessageAttributes: map[string]eventAttribute{}, Source: "aws:sqs", SourceARN: queue, Region: region,
	}
	if m.Number != 0 {
		r.Attributes.Number = strconv.FormatUint(m.Number, 10)
	}
	for name, a := range m.Attributes {
		out := eventAttribute{TextList: []string{}, BinaryList: []string{}, Type: a.Type}
		if kind, _, _ := strings.Cut(a.Type, "."); kind == "Binary" {
			text := base64.StdEncoding.EncodeToString(a.Binary)
			out.Binary = &text
		} else {
			out.Text = &a.Text
		}
		r.MessageAttributes[name] = out
	}
	if digest := m.AttributesDigest(); digest != "" {
		quoted := json.RawMessage(strconv.Quote(digest))
		r.AttributesDigest = &quoted
	} else if windowed {
		r.AttributesDigest = &null
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(&r); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// passes matches a record with filters. A body that is a JSON object or array is matched as
// such, and every other as text. Source: Lambda developer guide, "Properly filtering SQS messages".
func passes(filters filter.Set, record []byte) bool {
	if len(filters) == 0 {
		return true
	}
	v, err := filter.Decode(record)
	event, ok := v.(map[string]any)
	if err != nil || !ok {
		return false
	}
	if text, ok := event["body"].(string); ok {
		body, err := filter.Decode([]byte(text))
		switch body.(type) {
		case map[string]any, []any:
			if err == nil {
				event["body"] = body
			}
		}
	}
	return filters.Match(event)
}

// encodeEvent is the payload of a batch.
func encodeEvent(b *Batch) []byte {
	out := make([]byte, 0, b.bytes+len(b.Messages)+16)
	out = append(out, `{"Records":[`...)
	for i, m := range b.Messages {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, m.Record...)
	}
	return append(out, "]}"...)
}
