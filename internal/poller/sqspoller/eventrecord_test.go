package sqspoller

import (
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/poller/filter"
	"github.com/lambdad/lambdad/internal/services/sqs"
)

const queueARN = "arn:aws:sqs:us-east-1:000000000000:q"

// TestRecordForm is the form of test_message_body_and_attributes_passed_correctly,
// test_report_batch_item_failures and test_sqs_event_filter, in AWS's order.
func TestRecordForm(t *testing.T) {
	sent := time.UnixMilli(1700000000001)
	plain := sqs.Received{MessageID: "m", Receipt: "r", Body: `{"a": "<b>"}`, Sender: "AIDA", Receives: 1, Sent: sent, First: sent.Add(time.Second)}
	rich := plain
	rich.Attributes = map[string]sqs.Attribute{
		"Title": {Type: "String", Text: "The Whistler"}, "Author": {Type: "String", Text: "John Grisham"}, "WeeksOn": {Type: "Number", Text: "6"},
	}
	binary := plain
	binary.Attributes = map[string]sqs.Attribute{"b": {Type: "Binary", Binary: []byte{1, 2}}}
	ordered := plain
	ordered.Group, ordered.DedupID, ordered.Number, ordered.Trace = "1", "dedup-1", 18446744073709551000, "Root=1-5f"
	const (
		head       = `{"messageId":"m","receiptHandle":"r","body":"{\"a\": \"<b>\"}","attributes":{"ApproximateReceiveCount":"1",`
		attributes = head + `"SentTimestamp":"1700000000001","SenderId":"AIDA","ApproximateFirstReceiveTimestamp":"1700000001001"},`
		tail       = `"md5OfBody":"f73ea1bb3d6e62be1dac1c53b2fe33ec","eventSource":"aws:sqs","eventSourceARN":"` + queueARN + `","awsRegion":"us-east-1"}`
	)
	for name, tc := range map[string]struct {
		m        sqs.Received
		windowed bool
		want     string
	}{
		"plain":         {plain, false, attributes + `"messageAttributes":{},` + tail},
		"with a window": {plain, true, attributes + `"messageAttributes":{},"md5OfMessageAttributes":null,` + tail},
		"attributes": {rich, false, attributes + `"messageAttributes":{"Author":{"stringValue":"John Grisham","stringListValues":[],"binaryListValues":[],"dataType":"String"},` +
			`"Title":{"stringValue":"The Whistler","stringListValues":[],"binaryListValues":[],"dataType":"String"},"WeeksOn":{"stringValue":"6","stringListValues":[],"binaryListValues":[],"dataType":"Number"}},` +
			`"md5OfMessageAttributes":"d25a6aea97eb8f585bfa92d314504a92",` + tail},
		"binary": {binary, false, attributes + `"messageAttributes":{"b":{"binaryValue":"AQI=","stringListValues":[],"binaryListValues":[],"dataType":"Binary"}},"md5OfMessageAttributes":"` + binary.AttributesDigest() + `",` + tail},
		"FIFO": {ordered, false, head + `"AWSTraceHeader":"Root=1-5f","SentTimestamp":"1700000000001","SequenceNumber":"18446744073709551000","MessageGroupId":"1","SenderId":"AIDA",` +
			`"MessageDeduplicationId":"dedup-1","ApproximateFirstReceiveTimestamp":"1700000001001"},"messageAttributes":{},` + tail},
	} {
		got, err := encodeRecord(&tc.m, queueARN, "us-east-1", tc.windowed)
		want := tc.want
		if err != nil || replaceDigest(string(got), tc.m.BodyDigest()) != replaceDigest(want, "f73ea1bb3d6e62be1dac1c53b2fe33ec") {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
		}
	}
	b := &Batch{Messages: []Message{{Record: []byte("{}")}, {Record: []byte(`{"a":1}`)}}}
	if got := string(encodeEvent(b)); got != `{"Records":[{},{"a":1}]}` {
		t.Error(got)
	}
}

func replaceDigest(s, digest string) string {
	const place = `"md5OfBody":"`
	for i := range len(s) - len(place) {
		if s[i:i+len(place)] == place && s[i+len(place):i+len(place)+len(digest)] == digest {
			return s[:i] + s[i+len(place)+len(digest):]
		}
	}
	return s
}

// TestPasses is the table of the Lambda developer guide, "Properly filtering SQS messages".
func TestPasses(t *testing.T) {
	for _, tc := range []struct {
		name, body, pattern string
		want                bool
	}{
		{"text by text", "hello", `{"body":["hello"]}`, true},
		{"other text", "bye", `{"body":["hello"]}`, false},
		{"text by metadata", "hello", `{"awsRegion":["us-east-1"]}`, true},
		{"text by JSON", "hello", `{"body":{"a":["b"]}}`, false},
		{"JSON by text", `{"a":"b"}`, `{"body":["{\"a\":\"b\"}"]}`, false},
		{"JSON by metadata", `{"a":"b"}`, `{"messageId":["m"]}`, true},
		{"JSON by JSON", `{"a":"b"}`, `{"body":{"a":["b"]}}`, true},
		{"a number is text", `5`, `{"body":["5"]}`, true},
		{"attributes", "x", `{"messageAttributes":{"k":{"stringValue":["v"]}}}`, true},
	} {
		set, err := filter.CompileSet([]string{tc.pattern})
		if err != nil {
			t.Fatal(err)
		}
		m := sqs.Received{MessageID: "m", Body: tc.body, Attributes: map[string]sqs.Attribute{"k": {Type: "String", Text: "v"}}}
		r, err := encodeRecord(&m, queueARN, "us-east-1", false)
		if err != nil {
			t.Fatal(err)
		}
		if got := passes(set, r); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
