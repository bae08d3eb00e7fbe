package streampoller

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/poller/filter"
	"github.com/lambdad/lambdad/internal/record"
)

const testStream = "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"

var testOrigin = &origin{source: testStream, shard: "shardId-000000000006", role: "arn:aws:iam::123456789012:role/lambda-role", region: "us-east-2"}

// TestKinesisEvent: AWS's example, to the order of its members.
func TestKinesisEvent(t *testing.T) {
	r := StreamRecord{Sequence: "49590338271490256608559692538361571095921575989136588898", Key: "1", Arrived: time.UnixMilli(1545084650987), Data: "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg=="}
	const want = `{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"1","sequenceNumber":"49590338271490256608559692538361571095921575989136588898",` +
		`"data":"SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==","approximateArrivalTimestamp":1545084650.987},"eventSource":"aws:kinesis","eventVersion":"1.0",` +
		`"eventID":"shardId-000000000006:49590338271490256608559692538361571095921575989136588898","eventName":"aws:kinesis:record",` +
		`"invokeIdentityArn":"arn:aws:iam::123456789012:role/lambda-role","awsRegion":"us-east-2","eventSourceARN":"arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"}`
	got, err := testOrigin.encode(&r)
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	b := &Batch{Shard: testOrigin.shard, Records: []Record{{Body: got}}, Window: &Window{StreamWindow: record.StreamWindow{
		Start: time.Date(2020, 12, 9, 7, 4, 0, 0, time.UTC), End: time.Date(2020, 12, 9, 7, 6, 0, 0, time.UTC), State: json.RawMessage(`{"1":282,"2":715}`),
	}}}
	event, err := encodeEvent(b, testOrigin)
	if err != nil || string(event) != `{"Records":[`+want+`],"window":{"start":"2020-12-09T07:04:00Z","end":"2020-12-09T07:06:00Z"},"state":{"1":282,"2":715},"shardId":"shardId-000000000006",`+
		`"eventSourceARN":"`+testStream+`","isFinalInvokeForWindow":false,"isWindowTerminatedEarly":false}` {
		t.Errorf("%s, %v", event, err)
	}
}

// TestTableEvent: what DynamoDB removes for its age names who did it, and times come in many forms.
func TestTableEvent(t *testing.T) {
	const in = `{"awsRegion":"us-east-1","eventID":"e","eventName":"REMOVE","eventSource":"aws:dynamodb","eventVersion":"1.1","userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"},` +
		`"dynamodb":{"ApproximateCreationDateTime":1.7E9,"Keys":{"b":{"S":"<&>"}, "a":{"N":"1"}},"OldImage":{"b":{"S":"x"}},"SequenceNumber":"1","SizeBytes":26,"StreamViewType":"OLD_IMAGE"}}`
	c := &change{}
	if err := json.Unmarshal([]byte(in), c); err != nil {
		t.Fatal(err)
	}
	got, err := testOrigin.encode(&StreamRecord{Change: c})
	const want = `{"eventID":"e","eventName":"REMOVE","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1",` +
		`"dynamodb":{"ApproximateCreationDateTime":1700000000,"Keys":{"b":{"S":"<&>"},"a":{"N":"1"}},"OldImage":{"b":{"S":"x"}},"SequenceNumber":"1","SizeBytes":26,"StreamViewType":"OLD_IMAGE"},` +
		`"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"eventSourceARN":"` + testStream + `"}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	if a, b := itemKey(c.Item.Keys), itemKey(json.RawMessage(`{"a":{"N":"1"},"b":{"S":"<&>"}}`)); a != b {
		t.Errorf("one item has the keys %s and %s", a, b)
	}
	for _, bad := range []string{`"x"`, `1e300`, `{}`} {
		if err := json.Unmarshal([]byte(bad), &epoch{}); err == nil {
			t.Errorf("%s is taken for a time", bad)
		}
	}
}

// TestKinesisFilters follows the table of the guide: data as JSON or as text, and what a pattern of the other kind does.
func TestKinesisFilters(t *testing.T) {
	for _, tc := range []struct {
		pattern, data string
		want          bool
	}{
		{`{"data":{"City":["Seattle"]}}`, `{"City":"Seattle","n":1}`, true},
		{`{"data":{"City":["Seattle"]}}`, `{"City":"Paris"}`, false},
		{`{"data":{"City":["Seattle"]}}`, `Seattle`, false},
		{`{"data":["Seattle"]}`, `Seattle`, true},
		{`{"data":["Seattle"]}`, `{"City":"Seattle"}`, false},
		{`{"data":["1"]}`, `1`, true}, // a number alone is text
		{`{"data":[{"exists":true}]}`, "\xff\xfe", true},
		{`{"partitionKey":["k"]}`, `anything`, true},
		{`{"partitionKey":["other"]}`, `anything`, false},
		{`{"kinesis":{"partitionKey":["k"]},"eventSource":["aws:kinesis"]}`, `anything`, true},
	} {
		filters, err := filter.CompileSet([]string{tc.pattern})
		if err != nil {
			t.Fatal(err)
		}
		r := &StreamRecord{Sequence: "1", Key: "k", Data: base64.StdEncoding.EncodeToString([]byte(tc.data))}
		body, err := testOrigin.encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := passes(filters, r, body); got != tc.want {
			t.Errorf("%s with %q: %v", tc.pattern, tc.data, got)
		}
	}
}

func TestVerdict(t *testing.T) {
	batch := &Batch{Records: []Record{{Sequence: "10"}, {Sequence: "11"}, {Sequence: "12"}}}
	for answer, want := range map[string]int{ // -1: all failed
		``: 3, `null`: 3, `""`: 3, `{}`: 3, `{"batchItemFailures":null}`: 3, `{"batchItemFailures":[]}`: 3, `{"other":1}`: 3,
		`{"batchItemFailures":[{"itemIdentifier":"12"}]}`:                         2,
		`{"batchItemFailures":[{"itemIdentifier":"12"},{"itemIdentifier":"11"}]}`: 1,
		`{"batchItemFailures":[{"itemIdentifier":"10"}]}`:                         -1,
		`{"batchItemFailures":[{"itemIdentifier":""}]}`:                           -1,
		`{"batchItemFailures":[{"itemIdentifier":null}]}`:                         -1,
		`{"batchItemFailures":[{"id":"11"}]}`:                                     -1,
		`{"batchItemFailures":[{"itemIdentifier":"13"}]}`:                         -1,
		`{"batchItemFailures":[null]}`:                                            -1,
		`{"batchItemFailures":{}}`:                                                -1,
		`"text"`:                                                                  -1, `[]`: -1, `{"batchItemFailures"`: -1,
	} {
		if done, _, ok := verdict([]byte(answer), batch, true); ok != (want >= 0) || ok && done != want {
			t.Errorf("%s: %d, %v", answer, done, ok)
		}
		if done, _, ok := verdict([]byte(answer), batch, false); !ok || done != 3 {
			t.Errorf("%s of a function that names no failures: %d, %v", answer, done, ok)
		}
	}
	windowed := &Batch{Records: batch.Records, Window: &Window{}}
	for answer, want := range map[string]string{`{"state":{"a": "<"}}`: `{"a":"\u003c"}`, `{"state":1}`: `1`, `{"state":null}`: "", `{}`: "", ``: "", `null`: ""} {
		if _, state, ok := verdict([]byte(answer), windowed, false); ok != (want != "") || string(state) != want {
			t.Errorf("%s: %s, %v", answer, state, ok)
		}
	}
	if done, _, ok := verdict([]byte("null"), &Batch{Window: &Window{Final: true}}, true); !ok || done != 0 {
		t.Error("a last invoke needs no state")
	}
}

func TestFailureRecord(t *testing.T) {
	b := &Batch{Shard: "shardId-000000000001", Invokes: 1, Last: Invoked{RequestID: "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5", Version: "$LATEST", FunctionError: "Unhandled"}}
	e := &Report{Batch: b, Condition: RetryAttemptsExhausted, Records: []Record{
		{Sequence: "1", Arrived: time.UnixMilli(1573691884835)}, {Sequence: "2", Arrived: time.UnixMilli(1573691885000)},
	}}
	now := time.UnixMilli(1573691886021)
	const arn = "arn:aws:lambda:us-east-2:123456789012:function:myfunction"
	got, err := encodeFailure(now, e, arn, testStream, nil)
	const head = `{"requestContext":{"requestId":"c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5","functionArn":"` + arn + `","condition":"`
	const tail = `"version":"1.0","timestamp":"2019-11-14T00:38:06.021Z","KinesisBatchInfo":{"shardId":"shardId-000000000001","startSequenceNumber":"1","endSequenceNumber":"2",` +
		`"approximateArrivalOfFirstRecord":"2019-11-14T00:38:04.835Z","approximateArrivalOfLastRecord":"2019-11-14T00:38:05Z","batchSize":2,"streamArn":"` + testStream + `"}}`
	if want := head + `RetryAttemptsExhausted","approximateInvokeCount":1},"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},` + tail; err != nil || string(got) != want {
		t.Errorf("%s\n%s, %v", got, want, err)
	}
	e.Condition = RecordAgeExceeded
	got, err = encodeFailure(now, e, arn, testStream, nil)
	if want := head + `RecordAgeExceeded","approximateInvokeCount":1},` + tail; err != nil || string(got) != want {
		t.Errorf("%s\n%s, %v", got, want, err)
	}
	if key := objectKey(now, "u", "shardId-1"); !strings.HasPrefix(key, "aws/lambda/u/shardId-1/2019/11/14/2019-11-14T00.38.06-") {
		t.Error(key)
	}
}

// FuzzChange: whatever a stream answers, functions get JSON.
func FuzzChange(f *testing.F) {
	f.Add([]byte(`{"eventID":"e","dynamodb":{"ApproximateCreationDateTime":1.7E9,"Keys":{"b":{"S":"x"}},"SequenceNumber":"1"},"userIdentity":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &change{}
		if json.Unmarshal(b, c) != nil {
			return
		}
		_ = itemKey(c.Item.Keys)
		if got, err := testOrigin.encode(&StreamRecord{Change: c}); err == nil && !json.Valid(got) {
			t.Errorf("%q becomes %q", b, got)
		}
	})
}

// FuzzVerdict: whatever a function answers, no more is done than there is, and states are JSON.
func FuzzVerdict(f *testing.F) {
	f.Add([]byte(`{"batchItemFailures":[{"itemIdentifier":"11"}],"state":{"a":1}}`), true, true)
	f.Fuzz(func(t *testing.T, answer []byte, windowed, reports bool) {
		b := &Batch{Records: []Record{{Sequence: "10"}, {Sequence: "11"}}}
		if windowed {
			b.Window = &Window{}
		}
		done, state, ok := verdict(answer, b, reports)
		if ok && (done < 1 || done > 2) || state != nil && !json.Valid(state) || ok && windowed && state == nil {
			t.Errorf("%q: %d, %q, %v", answer, done, state, ok)
		}
	})
}
