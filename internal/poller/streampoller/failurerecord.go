package streampoller

import (
	"encoding/json"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// failureRecord is what an on-failure destination gets, with its members in AWS's order. Sources: Lambda developer
// guide, "Retain discarded batch records"; recorded: test_dynamodb_report_batch_item_failures,
// test_dynamodb_event_source_mapping_with_s3_on_failure_destination.
type failureRecord struct {
	Request  requestContext   `json:"requestContext"`
	Response *responseContext `json:"responseContext,omitempty"`
	Version  string           `json:"version"`
	Time     string           `json:"timestamp"`
	Kinesis  *batchInfo       `json:"KinesisBatchInfo,omitempty"`
	DynamoDB *batchInfo       `json:"DDBStreamBatchInfo,omitempty"`
	// Payload is the event as text; only buckets get it.
	Payload string `json:"payload,omitempty"`
}

type requestContext struct {
	RequestID   string    `json:"requestId"`
	FunctionARN string    `json:"functionArn"`
	Condition   Condition `json:"condition"`
	Invokes     int       `json:"approximateInvokeCount"`
}

type responseContext struct {
	Status        int     `json:"statusCode"`
	Version       string  `json:"executedVersion"`
	FunctionError *string `json:"functionError"` // null where the function named what failed
}

type batchInfo struct {
	Shard  string `json:"shardId"`
	First  string `json:"startSequenceNumber"`
	Last   string `json:"endSequenceNumber"`
	From   string `json:"approximateArrivalOfFirstRecord"`
	To     string `json:"approximateArrivalOfLastRecord"`
	Count  int    `json:"batchSize"`
	Stream string `json:"streamArn"`
}

const timestampForm = "2006-01-02T15:04:05.000Z"

// instant is a time as Java writes one: with milliseconds where there are some (recorded: arrivals of
// DynamoDB, which are whole seconds, have none).
func instant(t time.Time) string {
	if t = t.UTC(); t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format(timestampForm)
}

// encodeFailure writes the record of what is given up. payload is the event, for buckets.
func encodeFailure(now time.Time, e *Report, functionARN, stream string, payload []byte) ([]byte, error) {
	first, last := e.Records[0], e.Records[len(e.Records)-1]
	info := &batchInfo{e.Batch.Shard, first.Sequence, last.Sequence, instant(first.Arrived), instant(last.Arrived), len(e.Records), stream}
	out := failureRecord{
		Request: requestContext{e.Batch.Last.RequestID, functionARN, e.Condition, e.Batch.Invokes},
		Version: "1.0", Time: now.UTC().Format(timestampForm), Payload: string(payload),
	}
	if out.Request.RequestID == "" { // it never ran
		out.Request.RequestID = string(aws.NewRequestID())
	}
	if e.Condition == RetryAttemptsExhausted {
		out.Response = &responseContext{Status: 200, Version: e.Batch.Last.Version}
		if f := e.Batch.Last.FunctionError; f != "" {
			out.Response.FunctionError = &f
		}
	}
	if isTable(stream) {
		out.DynamoDB = info
	} else {
		out.Kinesis = info
	}
	return json.Marshal(out)
}

// objectKey is where a bucket keeps the record: aws/lambda/UUID/SHARD/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-UUID. Source:
// Lambda developer guide, "Retain discarded batch records", S3.
func objectKey(now time.Time, mapping, shard string) string {
	at := now.UTC()
	return "aws/lambda/" + mapping + "/" + shard + "/" + at.Format("2006/01/02/2006-01-02T15.04.05") + "-" + string(aws.NewRequestID())
}
