package sqs

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Statuses and words that AWS was recorded with elsewhere: JSON has the former protocol's status, and
// the former protocol has words of its own for a queue that is not there.
func TestFormerProtocol(t *testing.T) {
	for _, form := range []bool{false, true} {
		h := newHouse(t)
		h.form = form
		q := h.queue("q", nil)
		h.must("PurgeQueue", object{"QueueUrl": q})
		again := h.ask("PurgeQueue", object{"QueueUrl": q})
		if again["ResponseMetadata"].(object)["HTTPStatusCode"] != 403.0 {
			t.Errorf("form %t: %v", form, again)
		}
		want := "The specified queue does not exist."
		if form {
			want = "The specified queue does not exist for this wsdl version."
		}
		if _, message := h.refused("GetQueueUrl", object{"QueueName": "none"}); message != want {
			t.Errorf("form %t: %s", form, message)
		}
	}
}

// A queue's URL in a form's path, as old clients post it, and what is not valid there.
func TestQueuePath(t *testing.T) {
	h := newHouse(t)
	q := h.queue("q", nil)
	get := func(query string) (int, string) {
		t.Helper()
		resp, err := http.Get(q + "?" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	for _, tc := range []struct {
		query  string
		status int
		part   string
	}{
		{"Action=ReceiveMessage", 200, "<ReceiveMessageResult/>"},
		{"Action=SendMessage&MessageBody=hello", 200, "<SendMessageResult><MD5OfMessageBody>5d41402abc4b2a76b9719d911017c592<"},
		{"Action=ReceiveMessage&VisibilityTimeout=0", 200, "<Body>hello</Body>"},
		{"Action=GetQueueAttributes&AttributeName.1=All", 200, "<Attribute><Name>QueueArn</Name><Value>arn:aws:sqs:us-east-1:111111111111:q</Value></Attribute>"},
		{"Action=GetQueueUrl&QueueName=q", 200, "<QueueUrl>" + q + "</QueueUrl>"},
		{"Action=SendMessage", 400, "<Message>The request must contain the parameter MessageBody.</Message>"},
		{"Action=FooBar&Version=2012-11-05", 400, "<Code>InvalidAction</Code><Message>The action FooBar is not valid for this endpoint.</Message>"},
		{"Action=CreateQueue&QueueName=x", 400, "<Message>The action CreateQueue is not valid for this endpoint.</Message>"},
		{"Action=ListQueues", 400, "<Code>InvalidAction</Code>"},
		{"Action=DeleteQueue", 200, "<DeleteQueueResponse "},
		{"Action=GetQueueAttributes", 400, "for this wsdl version"},
	} {
		if status, text := get(tc.query); status != tc.status || !strings.Contains(text, tc.part) {
			t.Errorf("%s: %d %s", tc.query, status, text)
		}
	}
}

// What AWS was seen to do with groups: one that was served goes behind the others.
func TestGroupTurns(t *testing.T) {
	h := newHouse(t)
	q := h.queue("q.fifo", object{"ContentBasedDeduplication": "true"})
	for _, body := range []string{"g1-m1", "g2-m1", "g2-m2", "g3-m1", "g1-m2"} {
		h.send(q, body, object{"MessageGroupId": body[:2]})
	}
	h.expect(h.receive(q, object{"MaxNumberOfMessages": 3, "VisibilityTimeout": 0}), "g1-m1", "g1-m2", "g2-m1")
	h.expect(h.receive(q, object{"VisibilityTimeout": 0}), "g3-m1", "g1-m1", "g1-m2", "g2-m1", "g2-m2")
	q = h.queue("r.fifo", object{"ContentBasedDeduplication": "true"})
	for _, body := range []string{"g1-m1", "g1-m2", "g2-m1"} {
		h.send(q, body, object{"MessageGroupId": body[:2]})
	}
	first := h.receive(q, object{"MaxNumberOfMessages": 2})
	h.expect(first, "g1-m1", "g1-m2")
	h.must("ChangeMessageVisibility", object{"QueueUrl": q, "ReceiptHandle": first[0]["ReceiptHandle"], "VisibilityTimeout": 0})
	h.expect(h.receive(q, nil), "g2-m1", "g1-m1")
}

func TestSmallMatters(t *testing.T) {
	h := newHouse(t)
	h.queue("q", nil)
	// A name does for a URL.
	if sent := h.send("q", "Using name instead of URL", nil); sent["MD5OfMessageBody"] != "86a83f96652a1bfad3891e7d523750cb" {
		t.Errorf("%v", sent)
	}
	trace := "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	sent := h.send("q", "test", object{"MessageSystemAttributes": object{"AWSTraceHeader": object{"DataType": "String", "StringValue": trace}}})
	if sent["MD5OfMessageSystemAttributes"] != "5ae4d5d7636402d80f4eb6d213245a88" {
		t.Errorf("%v", sent)
	}
	h.send("q", "m", object{"MessageAttributes": object{"attr.1øßä": object{"DataType": "String", "StringValue": "v"}}})
	h.must("SetQueueAttributes", object{"QueueUrl": "q", "Attributes": object{"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sqs:SendMessage","Resource":"'$sqs_queue_arn'","Condition":{"ArnEquals":{"aws:SourceArn":"'$sns_topic_arn'"}}}]}`}})
	h.must("SetQueueAttributes", object{"QueueUrl": "q", "Attributes": object{"Policy": ""}})
	if a := h.must("GetQueueAttributes", object{"QueueUrl": "q", "AttributeNames": []string{"All"}})["Attributes"].(object); a["Policy"] != nil {
		t.Errorf("%v", a)
	}
	// A purge forgets what was sent, and that it was.
	f := h.queue("f.fifo", nil)
	more := object{"MessageGroupId": "g", "MessageDeduplicationId": "d"}
	h.send(f, "message-1", more)
	h.must("PurgeQueue", object{"QueueUrl": f})
	h.send(f, "message-2", more)
	h.expect(h.receive(f, nil), "message-2")
}
