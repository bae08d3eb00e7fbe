package sqs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/services/sqs/flow"
)

func counts(h *house, q string) string {
	h.Helper()
	a := h.must("GetQueueAttributes", object{"QueueUrl": q, "AttributeNames": []string{"All"}})["Attributes"].(object)
	return fmt.Sprint(a["ApproximateNumberOfMessages"], " ", a["ApproximateNumberOfMessagesDelayed"], " ", a["ApproximateNumberOfMessagesNotVisible"])
}

func TestDelays(t *testing.T) {
	h := newHouse(t)
	q := h.queue("q", object{"DelaySeconds": "5"})
	h.send(q, "queue's", nil)
	h.send(q, "own", object{"DelaySeconds": 2})
	h.send(q, "none", object{"DelaySeconds": 0})
	if got := counts(h, q); got != "1 2 0" {
		t.Errorf("counts %s", got)
	}
	h.expect(h.receive(q, nil), "none")
	h.pass(2 * time.Second)
	h.expect(h.receive(q, nil), "own")
	h.pass(3 * time.Second)
	h.expect(h.receive(q, nil), "queue's")
	if got := counts(h, q); got != "0 0 3" {
		t.Errorf("counts %s", got)
	}
}

func TestVisibility(t *testing.T) {
	h := newHouse(t)
	q := h.queue("q", nil)
	h.send(q, "m", nil)
	first := h.receive(q, object{"VisibilityTimeout": 10})[0]["ReceiptHandle"]
	h.pass(9 * time.Second)
	h.expect(h.receive(q, nil))
	h.must("ChangeMessageVisibility", object{"QueueUrl": q, "ReceiptHandle": first, "VisibilityTimeout": 20})
	h.pass(19 * time.Second)
	h.expect(h.receive(q, nil))
	if code, message := h.refused("ChangeMessageVisibility", object{"QueueUrl": q, "ReceiptHandle": first, "VisibilityTimeout": 43190}); code != "InvalidParameterValue" || !strings.Contains(message, "beyond the limit") {
		t.Errorf("more than 12 hours in all: %s, %s", code, message)
	}
	h.pass(time.Second)
	second := h.receive(q, nil)[0]["ReceiptHandle"]
	// An older handle hides, but deletes nothing, and says nothing.
	h.must("ChangeMessageVisibility", object{"QueueUrl": q, "ReceiptHandle": first, "VisibilityTimeout": 30})
	h.must("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": first})
	h.must("ChangeMessageVisibility", object{"QueueUrl": q, "ReceiptHandle": second, "VisibilityTimeout": 0})
	if code, _ := h.refused("ChangeMessageVisibility", object{"QueueUrl": q, "ReceiptHandle": second, "VisibilityTimeout": 5}); code != "AWS.SimpleQueueService.MessageNotInflight" {
		t.Errorf("given back: %s", code)
	}
	h.expect(h.receive(q, object{"VisibilityTimeout": 0}), "m")
	batch := h.must("ChangeMessageVisibilityBatch", object{"QueueUrl": q, "Entries": []object{
		{"Id": "a", "ReceiptHandle": h.receive(q, nil)[0]["ReceiptHandle"], "VisibilityTimeout": 0}, {"Id": "b", "ReceiptHandle": "x", "VisibilityTimeout": 0},
	}})
	if len(batch["Successful"].([]any)) != 1 || len(batch["Failed"].([]any)) != 1 {
		t.Errorf("%v", batch)
	}
	third := h.receive(q, nil)[0]["ReceiptHandle"]
	h.must("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": third})
	if code, message := h.refused("ChangeMessageVisibility", object{"QueueUrl": q, "ReceiptHandle": third, "VisibilityTimeout": 5}); code != "InvalidParameterValue" || !strings.Contains(message, "does not exist") {
		t.Errorf("deleted: %s, %s", code, message)
	}
}

// A handle is of one queue alone.
func TestHandlesOfOtherQueues(t *testing.T) {
	h := newHouse(t)
	a, b := h.queue("a", nil), h.queue("b", nil)
	h.send(a, "m", nil)
	handle := h.receive(a, nil)[0]["ReceiptHandle"]
	if code, _ := h.refused("DeleteMessage", object{"QueueUrl": b, "ReceiptHandle": handle}); code != "ReceiptHandleIsInvalid" {
		t.Errorf("%s", code)
	}
}

func TestRestart(t *testing.T) {
	h := newHouse(t)
	q, f := "q", "f.fifo"
	h.queue(q, nil)
	h.queue(f, nil)
	for i := range 20 {
		h.send(h.queueURL(q), fmt.Sprint("m", i), nil)
	}
	taken := h.receive(h.queueURL(q), object{"VisibilityTimeout": 60})
	first := h.send(h.queueURL(f), "one", object{"MessageGroupId": "g", "MessageDeduplicationId": "d"})
	big := strings.Repeat("x", messageBytesMax)
	h.send(h.queueURL(f), big, object{"MessageGroupId": "g", "MessageDeduplicationId": "e"})
	if err := h.sqs.Close(); err != nil { // writes what is known of the deliveries
		t.Fatal(err)
	}
	h.open()
	if got := counts(h, h.queueURL(q)); got != "10 0 10" {
		t.Errorf("counts %s", got)
	}
	for _, m := range taken { // handles outlive the process
		h.must("DeleteMessage", object{"QueueUrl": h.queueURL(q), "ReceiptHandle": m["ReceiptHandle"]})
	}
	h.expect(h.receive(h.queueURL(q), nil), "m10", "m11", "m12", "m13", "m14", "m15", "m16", "m17", "m18", "m19")
	h.pass(time.Minute)
	if got := len(h.receive(h.queueURL(q), nil)); got != 10 {
		t.Errorf("%d messages after the timeout", got)
	}
	again := h.send(h.queueURL(f), "one", object{"MessageGroupId": "g", "MessageDeduplicationId": "d"})
	if again["MessageId"] != first["MessageId"] || again["SequenceNumber"] != first["SequenceNumber"] {
		t.Errorf("a duplicate after the restart: %v, first %v", again, first)
	}
	h.expect(h.receive(h.queueURL(f), nil), "one", big)
	h.pass(5 * time.Minute)
	if third := h.send(h.queueURL(f), "one", object{"MessageGroupId": "g", "MessageDeduplicationId": "d"}); third["MessageId"] == first["MessageId"] {
		t.Error("still a duplicate after five minutes")
	}
}

func TestDeadLetters(t *testing.T) {
	for _, suffix := range []string{"", ".fifo"} {
		h := newHouse(t)
		dead := h.queue("dead"+suffix, nil)
		arn := "arn:aws:sqs:us-east-1:111111111111:dead" + suffix
		q := h.queue("q"+suffix, object{"VisibilityTimeout": "1", "RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"2"}`, arn)})
		more := object{}
		if suffix != "" {
			more = object{"MessageGroupId": "g", "MessageDeduplicationId": "d"}
		}
		sent := h.send(q, "poison", more)
		for range 2 {
			h.expect(h.receive(q, nil), "poison")
			h.pass(time.Second)
		}
		h.expect(h.receive(q, nil))
		got := h.receive(dead, object{"AttributeNames": []string{"All"}})
		h.expect(got, "poison")
		a := got[0]["Attributes"].(object)
		if got[0]["MessageId"] != sent["MessageId"] || a["DeadLetterQueueSourceArn"] != "arn:aws:sqs:us-east-1:111111111111:q"+suffix || a["ApproximateReceiveCount"] != "1" {
			t.Errorf("%v", got)
		}
		if counts(h, q) != "0 0 0" || counts(h, dead) != "0 0 1" {
			t.Errorf("%s and %s", counts(h, q), counts(h, dead))
		}
		sources := h.must("ListDeadLetterSourceQueues", object{"QueueUrl": dead})
		urls, _ := sources["queueUrls"].([]any)
		if len(urls) != 1 || urls[0] != q {
			t.Errorf("%v", sources)
		}
		// The dead letter comes back.
		h.pass(time.Minute)
		handle := h.must("StartMessageMoveTask", object{"SourceArn": arn})["TaskHandle"]
		task := h.task(arn)
		if task["Status"] != moveCompleted || task["ApproximateNumberOfMessagesMoved"] != 1.0 || task["SourceArn"] != arn {
			t.Errorf("%v", task)
		}
		if code, _ := h.refused("CancelMessageMoveTask", object{"TaskHandle": handle}); code != "AWS.SimpleQueueService.UnsupportedOperation" {
			t.Errorf("cancelled when done: %s", code)
		}
		h.expect(h.receive(q, nil), "poison")
	}
}

// task waits for a move to end.
func (h *house) task(source string) object {
	h.Helper()
	for range 1000 {
		task := h.must("ListMessageMoveTasks", object{"SourceArn": source})["Results"].([]any)[0].(object)
		if s := task["Status"]; s != moveRunning && s != moveCancelling {
			return task
		}
		time.Sleep(time.Millisecond)
	}
	h.Fatal("the move does not end")
	return nil
}

func TestMoves(t *testing.T) {
	h := newHouse(t)
	dead, other := h.queue("dead", nil), h.queue("other", nil)
	const arn, otherARN = "arn:aws:sqs:us-east-1:111111111111:dead", "arn:aws:sqs:us-east-1:111111111111:other"
	h.queue("q", object{"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":1}`, arn)})
	for i := range 30 {
		h.send(dead, fmt.Sprint(i), nil)
	}
	// A message that no queue's policy brought has no way back.
	h.must("StartMessageMoveTask", object{"SourceArn": arn})
	if task := h.task(arn); task["Status"] != moveFailed || task["FailureReason"] != "CouldNotDetermineMessageSource" {
		t.Errorf("%v", task)
	}
	h.pass(time.Second) // tasks are listed by time
	handle := h.must("StartMessageMoveTask", object{"SourceArn": arn, "DestinationArn": otherARN, "MaxNumberOfMessagesPerSecond": 1})["TaskHandle"]
	if code, _ := h.refused("StartMessageMoveTask", object{"SourceArn": arn, "DestinationArn": otherARN}); code != "InvalidParameterValue" {
		t.Errorf("a second task: %s", code)
	}
	h.must("CancelMessageMoveTask", object{"TaskHandle": handle})
	if task := h.task(arn); task["Status"] != moveCancelled {
		t.Errorf("%v", task)
	}
	h.pass(time.Second)
	h.must("StartMessageMoveTask", object{"SourceArn": arn, "DestinationArn": otherARN})
	if task := h.task(arn); task["Status"] != moveCompleted {
		t.Errorf("%v", task)
	}
	if counts(h, dead) != "0 0 0" || counts(h, other) != "30 0 0" {
		t.Errorf("%s and %s", counts(h, dead), counts(h, other))
	}
	if tasks := h.must("ListMessageMoveTasks", object{"SourceArn": arn, "MaxResults": 10})["Results"].([]any); len(tasks) != 3 {
		t.Errorf("%d tasks", len(tasks))
	}
}

func TestAttemptIDs(t *testing.T) {
	h := newHouse(t)
	q := h.queue("q.fifo", object{"ContentBasedDeduplication": "true"})
	for _, body := range []string{"1", "2", "3"} {
		h.send(q, body, object{"MessageGroupId": "g"})
	}
	ask := object{"ReceiveRequestAttemptId": "try", "MaxNumberOfMessages": 2}
	first := h.receive(q, ask)
	h.expect(first, "1", "2")
	again := h.receive(q, ask)
	h.expect(again, "1", "2")
	if first[0]["ReceiptHandle"] != again[0]["ReceiptHandle"] {
		t.Error("the same attempt has another handle")
	}
	h.expect(h.receive(q, object{"ReceiveRequestAttemptId": "other"}))
	h.must("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": first[0]["ReceiptHandle"]})
	h.expect(h.receive(q, ask)) // its messages have changed
	h.must("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": first[1]["ReceiptHandle"]})
	h.expect(h.receive(q, ask), "3")
	h.pass(31 * time.Second)
	if code, message := h.refused("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": h.receive(q, object{"VisibilityTimeout": 0})[0]["ReceiptHandle"]}); code != "InvalidParameterValue" || !strings.Contains(message, "has expired") {
		t.Errorf("%s: %s", code, message)
	}
}

func TestPurgeAndDelete(t *testing.T) {
	h := newHouse(t)
	q := h.queue("q", nil)
	for range 5 {
		h.send(q, "m", nil)
	}
	handle := h.receive(q, object{"MaxNumberOfMessages": 1})[0]["ReceiptHandle"]
	h.must("PurgeQueue", object{"QueueUrl": q})
	if got := counts(h, q); got != "0 0 0" {
		t.Errorf("counts %s", got)
	}
	h.must("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": handle})
	if code, message := h.refused("PurgeQueue", object{"QueueUrl": q}); code != "AWS.SimpleQueueService.PurgeQueueInProgress" || !strings.Contains(message, "every 60 seconds") {
		t.Errorf("%s: %s", code, message)
	}
	h.pass(time.Millisecond)
	h.send(q, "after", nil)
	if err := h.sqs.Close(); err != nil {
		t.Fatal(err)
	}
	h.open()
	q = h.queueURL("q")
	h.expect(h.receive(q, object{"VisibilityTimeout": 0}), "after")
	h.pass(time.Minute)
	h.must("PurgeQueue", object{"QueueUrl": q})

	h.must("DeleteQueue", object{"QueueUrl": q})
	if code, _ := h.refused("SendMessage", object{"QueueUrl": q, "MessageBody": "m"}); code != "AWS.SimpleQueueService.NonExistentQueue" {
		t.Errorf("%s", code)
	}
	if code, message := h.refused("CreateQueue", object{"QueueName": "q"}); code != "AWS.SimpleQueueService.QueueDeletedRecently" || !strings.Contains(message, "60 seconds") {
		t.Errorf("%s: %s", code, message)
	}
	h.pass(time.Minute)
	h.queue("q", nil)
	h.expect(h.receive(q, nil))
}

func TestRetention(t *testing.T) {
	h := newHouse(t)
	q := h.queue("q", object{"MessageRetentionPeriod": "60"})
	h.send(q, "old", nil)
	h.pass(59 * time.Second)
	h.send(q, "new", nil)
	h.pass(time.Second)
	h.expect(h.receive(q, object{"VisibilityTimeout": 0}), "new")
	h.pass(time.Minute)
	h.sqs.sweepOnce(t.Context())
	if got := counts(h, q); got != "0 0 0" {
		t.Errorf("counts %s", got)
	}
	page, _, err := h.records.List(t.Context(), "sqs/b/", "", 10)
	if err != nil || len(page) != 0 {
		t.Errorf("%d contents are left on disk, %v", len(page), err)
	}
}

// A long poll is woken by a send, by a delay's end, and by a queue's end.
func TestLongPolls(t *testing.T) {
	h := newHouse(t)
	q := h.queue("q", object{"ReceiveMessageWaitTimeSeconds": "20"})
	poll := func() <-chan object {
		c := make(chan object, 1)
		go func() { c <- h.ask("ReceiveMessage", object{"QueueUrl": q}) }()
		return c
	}
	waiting := func(n int) {
		t.Helper()
		for range 5000 {
			all := h.sqs.all()[0]
			all.mu.Lock()
			have := len(all.waiting.list)
			all.mu.Unlock()
			if have == n {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Fatal("nobody waits")
	}
	a, b := poll(), poll()
	waiting(2)
	h.send(q, "1", nil)
	h.send(q, "2", nil)
	for _, c := range []<-chan object{a, b} {
		if got := <-c; got["Messages"] == nil {
			t.Errorf("woken without a message: %v", got)
		}
	}
	c := poll()
	waiting(1)
	h.must("DeleteQueue", object{"QueueUrl": q})
	if e, ok := (<-c)["Error"].(object); !ok || e["Code"] != "AWS.SimpleQueueService.NonExistentQueue" {
		t.Error("a poll outlives its queue")
	}
}

func TestPages(t *testing.T) {
	h := newHouse(t)
	var want []string
	for i := range 25 {
		want = append(want, h.queue(fmt.Sprintf("p%02d", i), nil))
	}
	var got []string
	token := any(nil)
	for {
		in := object{"MaxResults": 10, "QueueNamePrefix": "p"}
		if token != nil {
			in["NextToken"] = token
		}
		page := h.must("ListQueues", in)
		for _, u := range page["QueueUrls"].([]any) {
			got = append(got, u.(string))
		}
		if token = page["NextToken"]; token == nil {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if _, ok := h.must("ListQueues", object{"QueueNamePrefix": "p"})["NextToken"]; ok {
		t.Error("a token without MaxResults")
	}
}

// What the disk holds is not for everybody to read.
func TestSealed(t *testing.T) {
	h := newHouse(t)
	sealed, plain := h.queue("sealed", nil), h.queue("plain", object{"SqsManagedSseEnabled": "false"})
	kms := h.queue("kms", object{"KmsMasterKeyId": "alias/k", "KmsDataKeyReusePeriodSeconds": "60"})
	h.send(kms, "kms secret", nil)
	h.send(sealed, "sealed secret", nil)
	h.send(plain, "plain secret", nil)
	page, _, err := h.records.List(t.Context(), "sqs/b/", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, r := range page {
		all.Write(r.Value)
	}
	if strings.Contains(all.String(), "sealed secret") || !strings.Contains(all.String(), "plain secret") {
		t.Error("contents do not rest as SqsManagedSseEnabled says")
	}
	if strings.Contains(all.String(), "kms secret") {
		t.Error("contents do not rest as KmsMasterKeyId says")
	}
	h.pass(time.Minute) // another data key is in use
	h.send(kms, "kms later", nil)
	h.expect(h.receive(kms, nil), "kms secret", "kms later")
	names := []string{"KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"}
	if a := h.must("GetQueueAttributes", object{"QueueUrl": kms, "AttributeNames": names})["Attributes"]; fmt.Sprint(a) != "map[KmsDataKeyReusePeriodSeconds:60 KmsMasterKeyId:alias/k SqsManagedSseEnabled:false]" {
		t.Errorf("%v", a)
	}
	h.must("SetQueueAttributes", object{"QueueUrl": kms, "Attributes": object{"SqsManagedSseEnabled": "true"}})
	if a := h.must("GetQueueAttributes", object{"QueueUrl": kms, "AttributeNames": names})["Attributes"]; fmt.Sprint(a) != "map[SqsManagedSseEnabled:true]" {
		t.Errorf("%v", a)
	}
	h.expect(h.receive(sealed, nil), "sealed secret")
	h.expect(h.receive(plain, nil), "plain secret")
}

// A backlog is read in pages, comes out whole, and leaves nothing on disk.
func TestBacklog(t *testing.T) {
	h := newHouse(t)
	q := h.queue("q", nil)
	for i := range 130 {
		var batch []object
		for j := range 10 {
			batch = append(batch, object{"Id": fmt.Sprint(j), "MessageBody": fmt.Sprint(i*10 + j)})
		}
		h.must("SendMessageBatch", object{"QueueUrl": q, "Entries": batch})
	}
	if err := h.sqs.Close(); err != nil {
		t.Fatal(err)
	}
	h.open()
	q = h.queueURL("q")
	if got := counts(h, q); got != "1300 0 0" {
		t.Errorf("counts %s", got)
	}
	seen := map[string]bool{}
	for {
		got := h.receive(q, nil)
		if len(got) == 0 {
			break
		}
		var batch []object
		for i, m := range got {
			seen[m["Body"].(string)] = true
			batch = append(batch, object{"Id": fmt.Sprint(i), "ReceiptHandle": m["ReceiptHandle"]})
		}
		h.must("DeleteMessageBatch", object{"QueueUrl": q, "Entries": batch})
	}
	if len(seen) != 1300 || counts(h, q) != "0 0 0" {
		t.Errorf("%d messages came, %s are left", len(seen), counts(h, q))
	}
	page, _, err := h.records.List(t.Context(), "sqs/", "", 10)
	for _, r := range page {
		if strings.HasPrefix(r.Key, "sqs/i/") || strings.HasPrefix(r.Key, "sqs/b/") || strings.HasPrefix(r.Key, "sqs/r/") {
			t.Errorf("%s is left, %v", r.Key, err)
		}
	}
}

func TestPolicyDocumentSurvives(t *testing.T) {
	h := newHouse(t)
	q := h.queue("q", object{"Policy": `{"Version":"2012-10-17","Statement":{"Sid":"own","Effect":"Allow","Principal":"*","Action":"sqs:*","Resource":"*"}}`})
	h.must("AddPermission", object{"QueueUrl": q, "Label": "l", "AWSAccountIds": []string{"222222222222"}, "Actions": []string{"SendMessage"}})
	text := h.must("GetQueueAttributes", object{"QueueUrl": q, "AttributeNames": []string{"Policy"}})["Attributes"].(object)["Policy"].(string)
	var p struct{ Statement []struct{ Sid string } }
	if err := json.Unmarshal([]byte(text), &p); err != nil || len(p.Statement) != 2 || p.Statement[0].Sid != "own" || p.Statement[1].Sid != "l" {
		t.Errorf("%s, %v", text, err)
	}
}

// Many dead messages before a living one are moved first, by one receive.
func TestManyDeadLetters(t *testing.T) {
	h := newHouse(t)
	dead := h.queue("dead", nil)
	q := h.queue("q", object{"VisibilityTimeout": "0", "RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111111111111:dead","maxReceiveCount":1}`})
	for i := range 30 {
		var batch []object
		for j := range 10 {
			batch = append(batch, object{"Id": fmt.Sprint(j), "MessageBody": fmt.Sprint(i*10 + j)})
		}
		h.must("SendMessageBatch", object{"QueueUrl": q, "Entries": batch})
	}
	all, err := h.sqs.find(Name{testAccount, testRegion, "q"})
	if err != nil {
		t.Fatal(err)
	}
	all.mu.Lock()
	for range 30 { // without a visibility timeout each is delivered again at once
		if _, err := all.flow.Receive(h.sqs.instant(), flow.Ask{Limit: 300, Visibility: 1}); err != nil {
			t.Fatal(err)
		}
	}
	all.mu.Unlock()
	h.pass(time.Second)
	h.send(q, "alive", nil)
	h.expect(h.receive(q, object{"MaxNumberOfMessages": 1}), "alive")
	if counts(h, dead) != "300 0 0" {
		t.Errorf("%s dead", counts(h, dead))
	}
}
