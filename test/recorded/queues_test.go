package recorded_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/lambdad/lambdad/test/house"
	"github.com/lambdad/lambdad/test/recorded"
)

// queuedMax bounds the wait for what a mapping does.
const queuedMax = 30 * time.Second

// seen logs its event with what it runs as.
const seen = `
import json, os

def handler(event, context):
    print("SEEN " + json.dumps({"CUSTOM_VAR": os.environ.get("CUSTOM_VAR"), "event": event, "function_version": context.function_version}))
`

// attempts fails as often as a message says, and tells the message's queue of each attempt.
const attempts = house.PythonSender + `
def handler(event, context):
    record = event["Records"][0]
    message = json.loads(record["body"])
    error = "failed attempt" if int(record["attributes"]["ApproximateReceiveCount"]) <= message["fail_attempts"] else None
    send(json.dumps({"error": error, "event": event}), message["destination"])
    if error:
        raise Exception(error)
`

// partial names the messages as failed that say so, and tells the queue OUT of each attempt.
const partial = house.PythonSender + `
def handler(event, context):
    failed = [{"itemIdentifier": r["messageId"]} for r in event["Records"]
        if int(r["attributes"]["ApproximateReceiveCount"]) <= json.loads(r["body"])["fail_attempts"]]
    result = {"batchItemFailures": failed} if failed else {}
    send(json.dumps({"event": event, "result": result}))
    return result
`

// TestRecordedQueues makes the requests behind what functions saw of queues.
func TestRecordedQueues(t *testing.T) {
	h := house.Start(t)
	u := &user{client: newClient(t, h)}
	_, err := u.sdk.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("story"), PolicyName: aws.String("queues"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sqs:*","Resource":"*"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	suite := &recorded.Suite{Service: "Lambda, what functions see of queues", File: "testdata/queues.json", Account: "000000000000", Region: h.Region}
	i := 0
	suite.Run(t, func(t *testing.T, rec recorded.Case) map[string]any {
		i++
		u.name = fmt.Sprintf("queued-%d", i)
		return u.askQueues(t, rec)
	})
}

func (u *user) askQueues(t *testing.T, rec recorded.Case) map[string]any {
	t.Helper()
	switch rec.Function() {
	case "test_sqs_event_filter":
		return u.filtered(t, rec.Parameter())
	case "test_sqs_event_source_mapping_batch_size":
		var size int
		if _, err := fmt.Sscan(rec.Parameter(), &size); err != nil {
			t.Fatal(err)
		}
		u.python(t, seen)
		queue := u.makeQueue(t, "", map[string]any{"VisibilityTimeout": "30"})
		u.mapQueue(t, u.name, map[string]any{"BatchSize": size, "MaximumBatchingWindowInSeconds": 1})
		sent := func(n, batch int) map[string]any {
			var entries []map[string]any
			for i := range n {
				entries = append(entries, map[string]any{"Id": fmt.Sprintf("%d-%d", i, batch), "MessageBody": fmt.Sprintf("%d-%d-message-%d", i, batch, i)})
			}
			return u.queue(t, "SendMessageBatch", map[string]any{"QueueUrl": queue, "Entries": entries})
		}
		got := map[string]any{"send-message-batch-result-10": sent(10, 0), "send-message-batch-result-5": sent(5, 1)}
		got["Records"] = recordsOf(u.waitSeen(t, 15))
		return got
	case "test_sqs_event_source_mapping_batching_reserved_concurrency":
		u.python(t, seen)
		u.call(t, "PUT", "/2017-10-31/functions/"+u.name+"/concurrency", map[string]any{"ReservedConcurrentExecutions": 2})
		queue := u.makeQueue(t, "", map[string]any{"VisibilityTimeout": "30"})
		for batch := range 3 {
			var entries []map[string]any
			for i := range 10 {
				entries = append(entries, map[string]any{"Id": fmt.Sprint(i), "MessageBody": fmt.Sprintf("%d-%d-message", i, batch)})
			}
			u.queue(t, "SendMessageBatch", map[string]any{"QueueUrl": queue, "Entries": entries})
		}
		u.mapQueue(t, u.name, map[string]any{"BatchSize": 20, "MaximumBatchingWindowInSeconds": 1, "ScalingConfig": map[string]any{"MaximumConcurrency": 2}})
		events := u.waitSeen(t, 30)
		return map[string]any{"Records": recordsOf(events), "batch_info": map[string]any{"total_batches_received": len(events)}}
	case "test_sqs_event_source_mapping_update":
		return u.remapped(t)
	case "test_failing_lambda_retries_after_visibility_timeout":
		return u.attempted(t, 1, nil, "first_attempt", "second_attempt")
	case "test_message_body_and_attributes_passed_correctly":
		return u.attempted(t, 0, map[string]any{
			"Title":   map[string]any{"DataType": "String", "StringValue": "The Whistler"},
			"Author":  map[string]any{"DataType": "String", "StringValue": "John Grisham"},
			"WeeksOn": map[string]any{"DataType": "Number", "StringValue": "6"},
		}, "first_attempt")
	case "test_report_batch_item_failures":
		return u.partlyFailed(t)
	case "test_report_batch_item_failures_empty_json_batch_succeeds":
		out := u.makeQueue(t, "-out", nil)
		u.function(t, "python3.12", "handler.handler", map[string]any{"Environment": map[string]any{"Variables": map[string]any{"OUT": out}}}, map[string]string{"handler.py": partial})
		queue := u.makeQueue(t, "", map[string]any{"VisibilityTimeout": "30"})
		u.mapQueue(t, u.name, map[string]any{"FunctionResponseTypes": []string{"ReportBatchItemFailures"}})
		u.queue(t, "SendMessage", map[string]any{"QueueUrl": queue, "MessageBody": `{"message": 1, "fail_attempts": 0}`})
		got := map[string]any{"get_destination_queue_url": u.queue(t, "GetQueueUrl", map[string]any{"QueueName": u.name + "-out"})}
		got["first_invocation"] = u.told(t, out, false)
		return got
	case "test_report_batch_item_failures_on_lambda_error":
		u.function(t, "python3.12", "handler.handler", map[string]any{"Timeout": 2}, map[string]string{"handler.py": "import json\ndef handler(event, context):\n    return {'batchItemFailures': [m for m in [json.loads(r['body']) for r in event['Records']] if m['fail_attempts']]}\n"})
		dead := u.makeQueue(t, "-dead", nil)
		queue := u.makeQueue(t, "", map[string]any{"VisibilityTimeout": "2", "RedrivePolicy": u.redrive("-dead", 1)})
		u.queue(t, "SendMessageBatch", map[string]any{"QueueUrl": queue, "Entries": []map[string]any{
			{"Id": "1", "MessageBody": "{not a json body"}, {"Id": "2", "MessageBody": `{"message": 2, "fail_attempts": 0}`},
		}})
		u.mapQueue(t, u.name, map[string]any{"FunctionResponseTypes": []string{"ReportBatchItemFailures"}, "MaximumBatchingWindowInSeconds": 1})
		var messages []map[string]any
		for len(messages) < 2 {
			for _, m := range u.received(t, dead) {
				messages = append(messages, decodedBody(m))
			}
		}
		slices.SortFunc(messages, func(a, b map[string]any) int { // the text before the object, as recorded
			return strings.Compare(fmt.Sprintf("%T", b["Body"]), fmt.Sprintf("%T", a["Body"]))
		})
		return map[string]any{"dlq_messages": messages}
	}
	t.Fatalf("no requests are written for %s", rec.Name)
	return nil
}

// filtered sends a message that the pattern refuses before one that it lets through.
func (u *user) filtered(t *testing.T, parameter string) map[string]any {
	t.Helper()
	c, ok := map[string]struct{ pattern, matching, other string }{
		"and":               {`{"body": {"my-key-one": ["other-filter", "my-value-one"], "my-key-two": ["my-value-two"]}}`, `{"my-key-one": "my-value-one", "my-key-two": "my-value-two"}`, `{"my-key-one": "my-value-one"}`},
		"exists":            {`{"body": {"my-key": [{"exists": true}]}}`, `{"my-key": "any-value-one"}`, `{"other-key": "any-value-two"}`},
		"numeric-bigger":    {`{"body": {"my-number": [{"numeric": [">", 100]}]}}`, `{"my-number": 101}`, `{"my-number": 100}`},
		"numeric-range":     {`{"body": {"my-number": [{"numeric": [">=", 100, "<", 200]}]}}`, `{"my-number": 100}`, `{"my-number": 200}`},
		"numeric-smaller":   {`{"body": {"my-number": [{"numeric": ["<", 100]}]}}`, `{"my-number": 99}`, `{"my-number": 100}`},
		"or":                {`{"body": {"my-key": ["my-value-one", "my-value-two"]}}`, `{"my-key": "my-value-two"}`, `{"my-key": "my-value-three"}`},
		"prefix":            {`{"body": {"my-key": [{"prefix": "yes"}]}}`, `{"my-key": "yes-value"}`, `{"my-key": "no-value"}`},
		"single":            {`{"body": {"my-key": ["my-value"]}}`, `{"my-key": "my-value"}`, `{"my-key": "other-value"}`},
		"valid-json-filter": {`{"body": {"my-key": ["my-value"]}}`, `{"my-key": "my-value"}`, `my-value`},
	}[parameter]
	if !ok {
		t.Fatalf("no pattern is written for %s", parameter)
	}
	u.python(t, seen)
	queue := u.makeQueue(t, "", map[string]any{"VisibilityTimeout": "30"})
	u.mapQueue(t, u.name, map[string]any{"MaximumBatchingWindowInSeconds": 1, "FilterCriteria": map[string]any{"Filters": []any{map[string]any{"Pattern": c.pattern}}}})
	u.queue(t, "SendMessage", map[string]any{"QueueUrl": queue, "MessageBody": c.other})
	u.queue(t, "SendMessage", map[string]any{"QueueUrl": queue, "MessageBody": c.matching})
	u.drained(t, queue)
	events := []any{}
	for _, s := range u.waitSeen(t, 1) {
		events = append(events, plain(s["event"], true))
	}
	return map[string]any{"invocation_events": events}
}

// remapped moves a mapping from one version to the next.
func (u *user) remapped(t *testing.T) map[string]any {
	t.Helper()
	variable := func(value string) map[string]any {
		return map[string]any{"Environment": map[string]any{"Variables": map[string]any{"CUSTOM_VAR": value}}}
	}
	u.function(t, "python3.12", "handler.handler", variable("a"), map[string]string{"handler.py": seen})
	u.call(t, "POST", functions+u.name+"/versions", map[string]any{})
	queue := u.makeQueue(t, "", map[string]any{"VisibilityTimeout": "30"})
	uuid := u.mapQueue(t, u.name+":1", map[string]any{"MaximumBatchingWindowInSeconds": 1})
	all := func(n int) []map[string]any {
		events := u.waitSeen(t, n)
		slices.SortFunc(events, func(a, b map[string]any) int {
			return strings.Compare(fmt.Sprint(a["function_version"]), fmt.Sprint(b["function_version"]))
		})
		for _, e := range events {
			e["event"] = plain(e["event"], true)
		}
		return events
	}
	u.queue(t, "SendMessage", map[string]any{"QueueUrl": queue, "MessageBody": `{"foo": "bar"}`})
	got := map[string]any{"events": all(1)}
	u.call(t, "PUT", functions+u.name+"/configuration", variable("b"))
	u.wait(t, u.name)
	u.call(t, "POST", functions+u.name+"/versions", map[string]any{})
	u.call(t, "PUT", mappings+uuid, map[string]any{"FunctionName": u.name + ":2"})
	u.enabled(t, uuid)
	u.queue(t, "SendMessage", map[string]any{"QueueUrl": queue, "MessageBody": `{"foo": "bar2"}`})
	got["events_postupdate"] = all(2)
	return got
}

// attempted sends a message that fails some times, and returns what is told of each attempt.
func (u *user) attempted(t *testing.T, failing int, attributes map[string]any, labels ...string) map[string]any {
	t.Helper()
	u.function(t, "python3.12", "handler.handler", map[string]any{"Timeout": 2}, map[string]string{"handler.py": attempts})
	queue, out := u.makeQueue(t, "", map[string]any{"VisibilityTimeout": "3"}), u.makeQueue(t, "-out", nil)
	u.mapQueue(t, u.name, map[string]any{"BatchSize": 1})
	u.queue(t, "SendMessage", map[string]any{"QueueUrl": queue, "MessageBody": fmt.Sprintf(`{"destination": %q, "fail_attempts": %d}`, out, failing), "MessageAttributes": attributes})
	got := map[string]any{"get_destination_queue_url": u.queue(t, "GetQueueUrl", map[string]any{"QueueName": u.name + "-out"})}
	for _, label := range labels {
		got[label] = u.told(t, out, false)
	}
	return got
}

// partlyFailed has messages of a group fail once, twice and never.
func (u *user) partlyFailed(t *testing.T) map[string]any {
	t.Helper()
	out := u.makeQueue(t, "-out", nil)
	u.function(t, "python3.12", "handler.handler", map[string]any{"Timeout": 2, "Environment": map[string]any{"Variables": map[string]any{"OUT": out}}}, map[string]string{"handler.py": partial})
	dead := u.makeQueue(t, "-dead.fifo", map[string]any{"FifoQueue": "true"})
	queue := u.makeQueue(t, ".fifo", map[string]any{"FifoQueue": "true", "VisibilityTimeout": "3", "RedrivePolicy": u.redrive("-dead.fifo", 2)})
	var entries []map[string]any
	for i, failing := range []int{0, 1, 1, 2} {
		entries = append(entries, map[string]any{
			"Id": fmt.Sprintf("message-%d", i+1), "MessageBody": fmt.Sprintf(`{"message": %d, "fail_attempts": %d}`, i+1, failing),
			"MessageGroupId": "1", "MessageDeduplicationId": fmt.Sprintf("dedup-%d", i+1),
		})
	}
	got := map[string]any{
		"get_destination_queue_url": u.queue(t, "GetQueueUrl", map[string]any{"QueueName": u.name + "-out"}),
		"send_message_batch":        u.queue(t, "SendMessageBatch", map[string]any{"QueueUrl": queue, "Entries": entries}),
	}
	u.mapSource(t, u.name, u.name+".fifo", map[string]any{"FunctionResponseTypes": []string{"ReportBatchItemFailures"}})
	got["first_invocation"], got["second_invocation"] = u.told(t, out, true), u.told(t, out, true)
	for _, m := range u.waitReceived(t, dead) {
		got["dlq_response"] = map[string]any{"Messages": []any{decodedBody(m)}, "ResponseMetadata": map[string]any{"HTTPStatusCode": 200}}
	}
	return got
}

const mappings = "/2015-03-31/event-source-mappings/"

// makeQueue makes a queue named after the function and returns its URL.
func (u *user) makeQueue(t *testing.T, suffix string, attributes map[string]any) string {
	t.Helper()
	made := u.queue(t, "CreateQueue", map[string]any{"QueueName": u.name + suffix, "Attributes": attributes})
	url, ok := made["QueueUrl"].(string)
	if !ok {
		t.Fatalf("create %s: %v", suffix, made)
	}
	return url
}

func (u *user) redrive(suffix string, most int) string {
	return fmt.Sprintf(`{"deadLetterTargetArn": "arn:aws:sqs:%s:000000000000:%s", "maxReceiveCount": %d}`, u.house.Region, u.name+suffix, most)
}

func (u *user) mapQueue(t *testing.T, function string, in map[string]any) (uuid string) {
	t.Helper()
	return u.mapSource(t, function, u.name, in)
}

// mapSource makes a mapping and waits until it is enabled.
func (u *user) mapSource(t *testing.T, function, queue string, in map[string]any) (uuid string) {
	t.Helper()
	in["FunctionName"], in["EventSourceArn"] = function, "arn:aws:sqs:"+u.house.Region+":000000000000:"+queue
	made := u.call(t, "POST", mappings, in)
	uuid, ok := made["UUID"].(string)
	if !ok {
		t.Fatalf("create a mapping: %v", made)
	}
	u.enabled(t, uuid)
	return uuid
}

func (u *user) enabled(t *testing.T, uuid string) {
	t.Helper()
	u.until(t, "the mapping is not enabled", func() bool { return u.call(t, "GET", mappings+uuid, nil)["State"] == "Enabled" })
}

// drained waits until a queue has nothing, neither visible nor in flight.
func (u *user) drained(t *testing.T, queue string) {
	t.Helper()
	u.until(t, "the queue does not become empty", func() bool {
		attributes, _ := u.queue(t, "GetQueueAttributes", map[string]any{"QueueUrl": queue, "AttributeNames": []string{"All"}})["Attributes"].(map[string]any)
		return attributes["ApproximateNumberOfMessages"] == "0" && attributes["ApproximateNumberOfMessagesNotVisible"] == "0"
	})
}

func (u *user) until(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(queuedMax); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise)
		}
	}
}

// waitSeen returns what the function logged, as soon as it has seen so many records.
func (u *user) waitSeen(t *testing.T, records int) (all []map[string]any) {
	t.Helper()
	u.until(t, fmt.Sprintf("the function does not see %d records", records), func() bool {
		all = nil
		for _, line := range u.sdk.With(t).LogLines(u.name, "SEEN ") {
			if text, ok := strings.CutPrefix(line, "SEEN "); ok {
				all = append(all, decoded(t, text).(map[string]any))
			}
		}
		return len(recordsOf(all)) >= records
	})
	return all
}

// recordsOf are the records of all events in the order of their bodies.
func recordsOf(seen []map[string]any) []any {
	all := []any{}
	for _, s := range seen {
		event, _ := plain(s["event"], false).(map[string]any)
		records, _ := event["Records"].([]any)
		all = append(all, records...)
	}
	body := func(record any) string { return fmt.Sprint(record.(map[string]any)["body"]) }
	slices.SortFunc(all, func(a, b any) int { return strings.Compare(body(a), body(b)) })
	return all
}

// plain puts the recorder's words in an event: it left out the time of sending, and mostly the sender, and decoded bodies.
func plain(event any, whole bool) any {
	records, _ := event.(map[string]any)["Records"].([]any)
	for _, r := range records {
		record, _ := r.(map[string]any)
		attributes, _ := record["attributes"].(map[string]any)
		if attributes["SentTimestamp"] != nil {
			attributes["SentTimestamp"] = "sent-timestamp"
		}
		if whole && attributes["SenderId"] != nil {
			attributes["SenderId"] = "sender-id"
		}
		var object map[string]any
		if body, _ := record["body"].(string); whole && json.Unmarshal([]byte(body), &object) == nil {
			record["body"] = object
		}
	}
	return event
}

// received takes messages as they come, and leaves none.
func (u *user) received(t *testing.T, queue string) (all []map[string]any) {
	t.Helper()
	got := u.queue(t, "ReceiveMessage", map[string]any{"QueueUrl": queue, "WaitTimeSeconds": 20, "MaxNumberOfMessages": 1})
	messages, _ := got["Messages"].([]any)
	for _, m := range messages {
		message := m.(map[string]any)
		u.queue(t, "DeleteMessage", map[string]any{"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]})
		all = append(all, message)
	}
	return all
}

func (u *user) waitReceived(t *testing.T, queue string) []map[string]any {
	t.Helper()
	messages := u.received(t, queue)
	if len(messages) != 1 {
		t.Fatalf("%d messages came", len(messages))
	}
	return messages
}

// told is ReceiveMessage's answer with what a function told of an attempt.
func (u *user) told(t *testing.T, queue string, decode bool) map[string]any {
	t.Helper()
	message := decodedBody(u.waitReceived(t, queue)[0])
	body, _ := message["Body"].(map[string]any)
	words := plain(body["event"], decode)
	for _, r := range words.(map[string]any)["Records"].([]any) {
		r.(map[string]any)["attributes"].(map[string]any)["SenderId"] = "sender-id"
	}
	return map[string]any{"Messages": []any{message}, "ResponseMetadata": map[string]any{"HTTPStatusCode": 200}}
}

func decodedBody(message map[string]any) map[string]any {
	var object map[string]any
	if body, _ := message["Body"].(string); json.Unmarshal([]byte(body), &object) == nil {
		message["Body"] = object
	}
	return message
}
