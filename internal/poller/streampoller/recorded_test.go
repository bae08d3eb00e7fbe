package streampoller

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/poller/filter"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/test/recorded"
)

// TestRecorded plays what functions and destinations saw of tables' streams on AWS.
func TestRecorded(t *testing.T) {
	suite := recorded.Suite{
		Service: "Lambda, streams of tables", File: "testdata/recorded-streams.json", Account: "000000000000", Region: "us-east-1",
		Exceptions: []recorded.Exception{{Case: "date_time_conversion", Label: "", Reason: "the recorder left out the filter"}},
	}
	suite.Run(t, func(t *testing.T, c recorded.Case) map[string]any {
		play := recordedCases[c.Function()]
		if play == nil {
			return nil
		}
		return play(t, c)
	})
}

const recordedTable = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-01-01T00:00:00.000"

type object = map[string]any

// changeOf is a change as DynamoDB's GetRecords has it, with what the recorder put placeholders for.
func changeOf(t *testing.T, n int, name, view string, size any, keys, newImage, oldImage any) StreamRecord {
	t.Helper()
	item := object{"ApproximateCreationDateTime": 1.7e9, "Keys": keys, "SequenceNumber": fmt.Sprint("10000000000000000000", n), "SizeBytes": size, "StreamViewType": view}
	for name, image := range map[string]any{"NewImage": newImage, "OldImage": oldImage} {
		if image != nil {
			item[name] = image
		}
	}
	text, err := json.Marshal(object{"awsRegion": "us-east-1", "dynamodb": item, "eventID": fmt.Sprintf("%032x", n), "eventName": name, "eventSource": "aws:dynamodb", "eventVersion": "1.1"})
	if err != nil {
		t.Fatal(err)
	}
	c := &change{}
	if err := json.Unmarshal(text, c); err != nil {
		t.Fatal(err)
	}
	return StreamRecord{Sequence: c.Item.Sequence, Key: itemKey(c.Item.Keys), Arrived: c.Item.Time.Time, Change: c}
}

// changesIn takes a recorded event's records back to changes.
func changesIn(t *testing.T, event any) (out []StreamRecord) {
	t.Helper()
	numbers := map[string]int{}
	for _, r := range event.(object)["Records"].([]any) {
		record, item := r.(object), r.(object)["dynamodb"].(object)
		sequence := item["SequenceNumber"].(string)
		if numbers[sequence] == 0 {
			numbers[sequence] = len(numbers) + 1
		}
		out = append(out, changeOf(t, numbers[sequence], record["eventName"].(string), item["StreamViewType"].(string), item["SizeBytes"], item["Keys"], item["NewImage"], item["OldImage"]))
	}
	return out
}

// seen is an event as the recorder has it: times are placeholders.
func seen(t *testing.T, payload []byte) any {
	t.Helper()
	payload = regexp.MustCompile(`("ApproximateCreationDateTime":)[0-9.]+`).ReplaceAll(payload, []byte(`$1"<approximate-creation-datetime>"`))
	payload = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`).ReplaceAll(payload, []byte(`"<timestamp:2022-07-13T13:48:01.000Z>"`))
	payload = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"`).ReplaceAll(payload, []byte(`"<timestamp:2022-07-13T13:48:01Z>"`))
	var v object
	if err := json.Unmarshal(payload, &v); err != nil {
		t.Fatal(err)
	}
	if text, ok := v["payload"].(string); ok { // which the recorder took apart
		v["payload"] = seen(t, []byte(text))
	}
	return v
}

// recordedRun is what a core does with changes that are all there at once.
type recordedRun struct {
	events   []any // seen by the function, one an invoke
	failures []any // sent to the destination
}

func runRecorded(t *testing.T, config Config, filters filter.Set, changes []StreamRecord, destination string, function func(b *Batch) (frontend.Answer, error)) recordedRun {
	t.Helper()
	var out recordedRun
	const shard = "shardId-00000000000000000001-00000001"
	config.Start.Position, config.ReadMax, config.IdlePause, config.Lanes = record.PositionTrimHorizon, tableReadMax, idleTable, 1
	o := &origin{source: recordedTable, shard: shard, region: "us-east-1"}
	core, now := NewCore(), time.Unix(1.7e9, 0)
	queue := []any{Restored{}, Configured{config}}
	read := false
	for steps := 0; steps < 1000; steps++ {
		if len(queue) == 0 {
			now = now.Add(time.Second)
			queue = append(queue, Tick{})
			if core.progress.Result != "" && len(core.running) == 0 && len(core.shards[shard].entries) == 0 {
				return out
			}
		}
		event := queue[0]
		queue = queue[1:]
		for _, e := range core.Step(now, event) {
			switch e := e.(type) {
			case List:
				queue = append(queue, Listed{Shards: []ShardInfo{{ID: shard}}})
			case Save:
				queue = append(queue, Saved{})
			case ReadShard:
				page := Read{Shard: shard, Next: "next"}
				for i := range changes {
					if body, err := o.encode(&changes[i]); err != nil {
						t.Fatal(err)
					} else if !read {
						page.Records = append(page.Records, Record{Sequence: changes[i].Sequence, Key: changes[i].Key, Arrived: changes[i].Arrived, Passes: passes(filters, &changes[i], body), Body: body})
					}
				}
				read = true
				queue = append(queue, page)
			case Invoke:
				payload, err := encodeEvent(e.Batch, o)
				if err != nil {
					t.Fatal(err)
				}
				out.events = append(out.events, seen(t, payload))
				answer, err := function(e.Batch)
				if err != nil {
					t.Fatal(err)
				}
				done := Invoked{Number: e.Batch.Number, RequestID: "c9b8fa9f-5a7f-4a4b-af9c-0c604cde93a5", Version: record.Latest, FunctionError: answer.FunctionError, Outcome: Failed}
				if answer.FunctionError == "" {
					var ok bool
					if done.Done, _, ok = verdict(answer.Payload, e.Batch, config.ReportFailures); ok {
						done.Outcome = Succeeded
					}
				}
				queue = append(queue, done)
			case Report:
				var payload []byte
				if strings.HasPrefix(destination, "arn:aws:s3") {
					var err error
					if payload, err = encodeEvent(e.Batch, o); err != nil {
						t.Fatal(err)
					}
				}
				body, err := encodeFailure(now, &e, "arn:aws:lambda:us-east-1:000000000000:function:f", recordedTable, payload)
				if err != nil {
					t.Fatal(err)
				}
				out.failures = append(out.failures, seen(t, body))
				queue = append(queue, Reported{e.Batch.Number})
			}
		}
	}
	t.Fatal("the core does not end")
	return out
}

func succeeds(*Batch) (frontend.Answer, error) { return frontend.Answer{}, nil }

func fails(*Batch) (frontend.Answer, error) {
	var a frontend.Answer
	a.FunctionError = "Unhandled"
	return a, nil
}

// filtersOf are those of the recorded tests, and changes beside those that came through.
var filtersOf = map[string]struct{ pattern, other string }{
	"content_filter_type":      {`{"dynamodb":{"NewImage":{"presentKey":{"S":["presentValue"]}}}}`, `{"id":{"S":"id_value_2"},"presentKey":{"S":"otherValue"}}`},
	"content_multiple_filters": {`{"eventName":["INSERT"],"eventSource":["aws:dynamodb"]}`, ""},
	"content_or_filter":        {`{"eventName":["INSERT","MODIFY"]}`, ""},
	"exists_false_filter":      {`{"dynamodb":{"NewImage":{"presentKey":[{"exists":false}]}}}`, ""},
	"exists_filter_type":       {`{"dynamodb":{"NewImage":{"presentKey":{"S":[{"exists":true}]}}}}`, `{"id":{"S":"id_value_2"}}`},
	"insert_same_entry_twice":  {`{"eventName":["INSERT"]}`, ""},
	"numeric_filter":           {`{"dynamodb":{"NewImage":{"numericFilter":{"N":[{"numeric":[">",100]},{"anything-but":"101"}]}}}}`, `{"id":{"S":"id_value_2"},"numericFilter":{"N":"101"}}`},
	"prefix_filter":            {`{"dynamodb":{"NewImage":{"prefix":{"S":[{"prefix":"us-1"}]}}}}`, `{"id":{"S":"id_value_2"},"prefix":{"S":"us-2-other-suffix"}}`},
}

var recordedCases = map[string]func(*testing.T, recorded.Case) map[string]any{
	"test_dynamodb_event_filter": func(t *testing.T, c recorded.Case) map[string]any {
		f, ok := filtersOf[c.Parameter()]
		if !ok {
			return nil
		}
		filters, err := filter.CompileSet([]string{f.pattern})
		if err != nil {
			t.Fatal(err)
		}
		config := Config{BatchSize: 1, MaxRetries: 1}
		first := changesIn(t, c.Answers["lambda-log-events"].([]any)[0])
		all := c.Answers["lambda-multiple-log-events"].([]any)
		var changes []StreamRecord
		for i, event := range all {
			for _, r := range changesIn(t, event) {
				r.Change.EventID, r.Change.Item.Sequence = fmt.Sprintf("%032x", i+1), fmt.Sprint("10000000000000000000", i+1)
				r.Sequence = r.Change.Item.Sequence
				changes = append(changes, r)
			}
		}
		if f.other != "" {
			changes = append(changes, changeOf(t, 9, "INSERT", "NEW_AND_OLD_IMAGES", 1, object{"id": object{"S": "id_value_2"}}, json.RawMessage(f.other), nil))
		}
		return map[string]any{
			"lambda-log-events":          runRecorded(t, config, filters, first, "", succeeds).events,
			"lambda-multiple-log-events": runRecorded(t, config, filters, changes, "", succeeds).events,
		}
	},
	"test_dynamodb_event_source_mapping_with_s3_on_failure_destination": func(t *testing.T, c recorded.Case) map[string]any {
		got := runRecorded(t, Config{BatchSize: 1, MaxRetries: 1}, nil, changesIn(t, c.Answers["record_body"].(object)["payload"]), "arn:aws:s3:::b", fails)
		return map[string]any{"record_body": got.failures[0]}
	},
	"test_dynamodb_event_source_mapping_with_sns_on_failure_destination_config": func(t *testing.T, c recorded.Case) map[string]any {
		changes := []StreamRecord{changeOf(t, 1, "INSERT", "NEW_IMAGE", 54, object{"my_partition_key": object{"S": "hello world"}}, nil, nil)}
		got := runRecorded(t, Config{BatchSize: 1, MaxRetries: 1}, nil, changes, "arn:aws:sns:us-east-1:000000000000:t", fails)
		// What SNS puts around it is SNS' own.
		around := object{}
		for name, v := range c.Answers["failure_sns_message"].(object) {
			around[name] = v
		}
		around["Message"], around["TopicArn"] = got.failures[0], "arn:aws:sns:us-east-1:000000000000:topic"
		for name, v := range map[string]string{"MessageId": "b5ac14e2-7f4b-4ac2-9a0d-0c1d1e8d6c6a", "UnsubscribeURL": "<unsubscribe-domain>/?Action=Unsubscribe&SubscriptionArn=arn:aws:sns:us-east-1:000000000000:topic:sub"} {
			around[name] = v
		}
		return map[string]any{"failure_sns_message": around}
	},
	"test_dynamodb_report_batch_item_failures": func(t *testing.T, c recorded.Case) map[string]any {
		changes := changesIn(t, c.Answers["dynamodb_records"])[:6] // then the last one comes again
		got := runRecorded(t, Config{BatchSize: 3, MaxRetries: 3, ReportFailures: true}, nil, changes, "arn:aws:sqs:us-east-1:000000000000:q", func(b *Batch) (frontend.Answer, error) {
			var a frontend.Answer
			items := []object{}
			for _, r := range b.Records {
				if strings.Contains(string(r.Body), `"BOOL":true`) {
					items = append(items, object{"itemIdentifier": r.Sequence})
				}
			}
			var err error
			a.Payload, err = json.Marshal(object{"batchItemFailures": items})
			return a, err
		})
		var records []any
		for _, e := range got.events {
			records = append(records, e.(object)["Records"].([]any)...)
		}
		if len(got.failures) != 1 {
			t.Error(errors.New("not one failure"))
		}
		message := object{}
		for name, v := range c.Answers["destination_queue_messages"].(object)["Messages"].([]any)[0].(object) {
			message[name] = v
		}
		message["Body"], message["MessageId"] = got.failures[0], "b5ac14e2-7f4b-4ac2-9a0d-0c1d1e8d6c6a"
		return map[string]any{
			"dynamodb_records":           object{"Records": records},
			"destination_queue_messages": object{"Messages": []any{message}, "ResponseMetadata": c.Answers["destination_queue_messages"].(object)["ResponseMetadata"]},
		}
	},
}
