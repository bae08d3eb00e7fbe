package sqs

import (
	"fmt"
	"strings"
	"testing"
)

// TestRefusals has each operation's errors, in both protocols.
func TestRefusals(t *testing.T) {
	const (
		noQueueCode = "AWS.SimpleQueueService.NonExistentQueue"
		badValue    = "InvalidParameterValue"
		missingCode = "MissingParameter"
		batchCode   = "AWS.SimpleQueueService."
	)
	long := strings.Repeat("n", 81)
	attributes := func(n int) object {
		out := object{}
		for i := range n {
			out[fmt.Sprint("a", i)] = object{"DataType": "String", "StringValue": "v"}
		}
		return out
	}
	attribute := func(name, kind, value string) object {
		return object{"QueueUrl": "Q", "MessageBody": "b", "MessageAttributes": object{name: object{"DataType": kind, "StringValue": value}}}
	}
	set := func(key, v string) object { return object{"QueueUrl": "Q", "Attributes": object{key: v}} }
	create := func(name, key, v string) object { return object{"QueueName": name, "Attributes": object{key: v}} }
	redrive := func(v string) object { return set("RedrivePolicy", v) }
	entry := func(id string) []object { return []object{{"Id": id, "MessageBody": "b", "ReceiptHandle": "h"}} }
	twice := []object{{"Id": "a", "MessageBody": "b", "ReceiptHandle": "h"}, {"Id": "a", "MessageBody": "b", "ReceiptHandle": "h"}}
	for _, tc := range []struct {
		operation string
		in        object
		code      string
		part      string // of the message
	}{
		{"CreateQueue", object{}, missingCode, "QueueName"},
		{"CreateQueue", object{"QueueName": long}, badValue, "1 to 80 in length"},
		{"CreateQueue", object{"QueueName": "a b"}, badValue, "alphanumeric"},
		{"CreateQueue", object{"QueueName": ""}, badValue, "alphanumeric"},
		{"CreateQueue", object{"QueueName": "x.fifo"}, badValue, "alphanumeric"},
		{"CreateQueue", create("x", "FifoQueue", "true"), badValue, ".fifo suffix"},
		{"CreateQueue", create("x", "FifoQueue", "false"), "InvalidAttributeName", "Unknown Attribute FifoQueue."},
		{"CreateQueue", create("x", "Unheard", "1"), "InvalidAttributeName", "Unknown Attribute Unheard."},
		{"CreateQueue", create("x", "QueueArn", "1"), "InvalidAttributeName", "Unknown Attribute QueueArn."},
		{"CreateQueue", create("x", "VisibilityTimeout", "43201"), "InvalidAttributeValue", "Invalid value for the parameter VisibilityTimeout."},
		{"CreateQueue", create("x", "DelaySeconds", "901"), "InvalidAttributeValue", "DelaySeconds"},
		{"CreateQueue", create("x", "MaximumMessageSize", "1048577"), "InvalidAttributeValue", "MaximumMessageSize"},
		{"CreateQueue", create("x", "MaximumMessageSize", "1023"), "InvalidAttributeValue", "MaximumMessageSize"},
		{"CreateQueue", create("x", "MessageRetentionPeriod", "59"), "InvalidAttributeValue", "MessageRetentionPeriod"},
		{"CreateQueue", create("x", "ReceiveMessageWaitTimeSeconds", "21"), "InvalidAttributeValue", "ReceiveMessageWaitTimeSeconds"},
		{"CreateQueue", create("x", "ReceiveMessageWaitTimeSeconds", "abc"), "InvalidAttributeValue", "ReceiveMessageWaitTimeSeconds"},
		{"CreateQueue", create("x", "KmsMasterKeyId", strings.Repeat("k", 2049)), "InvalidAttributeValue", "KmsMasterKeyId"},
		{"CreateQueue", create("x", "KmsDataKeyReusePeriodSeconds", "59"), "InvalidAttributeValue", "KmsDataKeyReusePeriodSeconds"},
		{"CreateQueue", object{"QueueName": "x", "Attributes": object{"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"}}, "InvalidAttributeName", "one type of server-side encryption"},
		{"CreateQueue", create("x", "Policy", "{"), "InvalidAttributeValue", "Policy"},
		{"CreateQueue", create("q", "VisibilityTimeout", "5"), "QueueAlreadyExists", "VisibilityTimeout"},
		{"CreateQueue", object{"QueueName": "x", "tags": object{"aws:x": "y"}}, badValue, "reserved"},

		{"DeleteQueue", object{}, missingCode, "QueueUrl"},
		{"DeleteQueue", object{"QueueUrl": "N"}, noQueueCode, "does not exist"},
		{"DeleteQueue", object{"QueueUrl": "no sense"}, "InvalidAddress", "no sense"},
		{"DeleteQueue", object{"QueueUrl": "none"}, noQueueCode, ""},
		{"GetQueueUrl", object{"QueueName": "none"}, noQueueCode, ""},
		{"GetQueueUrl", object{"QueueName": "q", "QueueOwnerAWSAccountId": "222222222222"}, noQueueCode, ""},
		{"PurgeQueue", object{"QueueUrl": "N"}, noQueueCode, ""},
		{"ListQueues", object{"MaxResults": 0}, badValue, "MaxResults"},
		{"ListQueues", object{"MaxResults": 1001}, badValue, "MaxResults"},
		{"ListQueues", object{"NextToken": "?"}, badValue, "token"},
		{"ListDeadLetterSourceQueues", object{"QueueUrl": "N"}, noQueueCode, ""},
		{"GetQueueAttributes", object{"QueueUrl": "N", "AttributeNames": []string{"All"}}, noQueueCode, ""},
		{"GetQueueAttributes", object{"QueueUrl": "Q", "AttributeNames": []string{"Unheard"}}, "InvalidAttributeName", "Unknown Attribute Unheard."},

		{"SetQueueAttributes", object{"QueueUrl": "N", "Attributes": object{"DelaySeconds": "1"}}, noQueueCode, ""},
		{"SetQueueAttributes", object{"QueueUrl": "Q"}, missingCode, "Attribute.Name"},
		{"SetQueueAttributes", set("DeduplicationScope", "queue"), "InvalidAttributeName", "DeduplicationScope"},
		{"SetQueueAttributes", object{"QueueUrl": "F", "Attributes": object{"DeduplicationScope": "x"}}, "InvalidAttributeValue", "DeduplicationScope"},
		{"SetQueueAttributes", object{"QueueUrl": "F", "Attributes": object{"FifoThroughputLimit": "perMessageGroupId"}}, "InvalidAttributeValue", "FifoThroughputLimit"},
		{"SetQueueAttributes", set("SqsManagedSseEnabled", "maybe"), "InvalidAttributeValue", "SqsManagedSseEnabled"},
		{"SetQueueAttributes", redrive("x"), badValue, "not a valid JSON"},
		{"SetQueueAttributes", redrive(`{"maxReceiveCount":3}`), badValue, "mandatory attribute: deadLetterTargetArn"},
		{"SetQueueAttributes", redrive(`{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111111111111:d"}`), badValue, "mandatory attribute: maxReceiveCount"},
		{"SetQueueAttributes", redrive(`{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111111111111:d","maxReceiveCount":0}`), badValue, "from 1 to 1000"},
		{"SetQueueAttributes", redrive(`{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111111111111:none","maxReceiveCount":3}`), badValue, "Dead letter target does not exist."},
		{"SetQueueAttributes", redrive(`{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111111111111:f.fifo","maxReceiveCount":3}`), badValue, "same type"},
		{"SetQueueAttributes", redrive(`{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111111111111:closed","maxReceiveCount":3}`), badValue, "permission to redrive"},
		{"SetQueueAttributes", set("RedriveAllowPolicy", `{"redrivePermission":"byQueue"}`), badValue, "sourceQueueArns"},
		{"SetQueueAttributes", set("RedriveAllowPolicy", `{"redrivePermission":"x"}`), badValue, "redrivePermission"},

		{"SendMessage", object{"QueueUrl": "N", "MessageBody": "b"}, noQueueCode, ""},
		{"SendMessage", object{"QueueUrl": "Q"}, missingCode, "MessageBody"},
		{"SendMessage", object{"QueueUrl": "Q", "MessageBody": ""}, missingCode, "MessageBody"},
		{"SendMessage", object{"QueueUrl": "Q", "MessageBody": "\x08"}, "InvalidMessageContents", "Invalid characters"},
		{"SendMessage", object{"QueueUrl": "Q", "MessageBody": "b", "DelaySeconds": 901}, badValue, "DelaySeconds"},
		{"SendMessage", object{"QueueUrl": "Q", "MessageBody": "b", "DelaySeconds": -1}, badValue, "DelaySeconds"},
		{"SendMessage", object{"QueueUrl": "Q", "MessageBody": "b", "MessageDeduplicationId": "d"}, badValue, "not valid for this queue type"},
		{"SendMessage", object{"QueueUrl": "F", "MessageBody": "b", "MessageDeduplicationId": "d"}, missingCode, "MessageGroupId"},
		{"SendMessage", object{"QueueUrl": "F", "MessageBody": "b", "MessageGroupId": "a b", "MessageDeduplicationId": "d"}, badValue, "MessageGroupId can only include"},
		{"SendMessage", object{"QueueUrl": "Q", "MessageBody": "b", "MessageAttributes": attributes(11)}, badValue, "exceeds the allowed maximum [10]"},
		{"SendMessage", attribute("a", "Text", "v"), badValue, "supported type prefixes"},
		{"SendMessage", attribute("a", "Number", "x"), badValue, "to a number"},
		{"SendMessage", attribute("AWS.a", "String", "v"), badValue, "reserved"},
		{"SendMessage", attribute(".a", "String", "v"), badValue, "period"},
		{"SendMessage", attribute("a b", "String", "v"), badValue, "alphanumeric"},
		{"SendMessage", object{"QueueUrl": "Q", "MessageBody": "b", "MessageSystemAttributes": object{"Other": object{"DataType": "String", "StringValue": "v"}}}, badValue, "Other"},

		{"ReceiveMessage", object{"QueueUrl": "N"}, noQueueCode, ""},
		{"ReceiveMessage", object{"QueueUrl": "Q", "MaxNumberOfMessages": 0}, badValue, "MaxNumberOfMessages"},
		{"ReceiveMessage", object{"QueueUrl": "Q", "MaxNumberOfMessages": 11}, badValue, "MaxNumberOfMessages"},
		{"ReceiveMessage", object{"QueueUrl": "Q", "WaitTimeSeconds": 21}, badValue, "WaitTimeSeconds"},
		{"ReceiveMessage", object{"QueueUrl": "Q", "VisibilityTimeout": 43201}, badValue, "VisibilityTimeout"},
		{"ReceiveMessage", object{"QueueUrl": "Q", "ReceiveRequestAttemptId": "a"}, badValue, "ReceiveRequestAttemptId"},

		{"DeleteMessage", object{"QueueUrl": "Q"}, missingCode, "ReceiptHandle"},
		{"DeleteMessage", object{"QueueUrl": "Q", "ReceiptHandle": "x"}, "ReceiptHandleIsInvalid", "x"},
		{"DeleteMessage", object{"QueueUrl": "N", "ReceiptHandle": "x"}, noQueueCode, ""},
		{"ChangeMessageVisibility", object{"QueueUrl": "Q", "ReceiptHandle": "x", "VisibilityTimeout": 1}, "ReceiptHandleIsInvalid", ""},
		{"ChangeMessageVisibility", object{"QueueUrl": "Q", "ReceiptHandle": "x", "VisibilityTimeout": 43201}, badValue, "VisibilityTimeout"},
		{"ChangeMessageVisibility", object{"QueueUrl": "Q", "ReceiptHandle": "x"}, missingCode, "VisibilityTimeout"},
		{"SendMessageBatch", object{"QueueUrl": "Q", "Entries": []object{}}, batchCode + "EmptyBatchRequest", "SendMessageBatchRequestEntry"},
		{"SendMessageBatch", object{"QueueUrl": "Q", "Entries": twice}, batchCode + "BatchEntryIdsNotDistinct", "Id a repeated."},
		{"SendMessageBatch", object{"QueueUrl": "Q", "Entries": entry("a.b")}, batchCode + "InvalidBatchEntryId", ""},
		{"SendMessageBatch", object{"QueueUrl": "N", "Entries": entry("a")}, noQueueCode, ""},
		{"SendMessageBatch", object{"QueueUrl": "Q", "Entries": []object{
			{"Id": "a", "MessageBody": strings.Repeat("m", messageBytesMax)}, {"Id": "b", "MessageBody": "m"},
		}}, batchCode + "BatchRequestTooLong", "1048577"},
		{"DeleteMessageBatch", object{"QueueUrl": "Q", "Entries": []object{}}, batchCode + "EmptyBatchRequest", ""},
		{"DeleteMessageBatch", object{"QueueUrl": "Q", "Entries": twice}, batchCode + "BatchEntryIdsNotDistinct", ""},
		{"DeleteMessageBatch", object{"QueueUrl": "Q", "Entries": entry(long)}, batchCode + "InvalidBatchEntryId", ""},
		{"ChangeMessageVisibilityBatch", object{"QueueUrl": "Q", "Entries": []object{}}, batchCode + "EmptyBatchRequest", ""},
		{"ChangeMessageVisibilityBatch", object{"QueueUrl": "Q", "Entries": twice}, batchCode + "BatchEntryIdsNotDistinct", ""},
		{"ChangeMessageVisibilityBatch", object{"QueueUrl": "Q", "Entries": entry("")}, batchCode + "InvalidBatchEntryId", ""},

		{"AddPermission", object{"QueueUrl": "N", "Label": "l", "AWSAccountIds": []string{"222222222222"}, "Actions": []string{"SendMessage"}}, noQueueCode, ""},
		{"AddPermission", object{"QueueUrl": "Q", "Label": "l", "AWSAccountIds": []string{"2"}, "Actions": []string{"SendMessage"}}, badValue, "Unable to verify"},
		{"AddPermission", object{"QueueUrl": "Q", "Label": "l", "AWSAccountIds": []string{"222222222222"}, "Actions": []string{"CreateQueue"}}, badValue, "Only the queue owner"},
		{"AddPermission", object{"QueueUrl": "Q", "Label": "a b", "AWSAccountIds": []string{"222222222222"}, "Actions": []string{"SendMessage"}}, badValue, "Label"},
		{"AddPermission", object{"QueueUrl": "Q", "Label": "l", "AWSAccountIds": []string{"222222222222"}, "Actions": strings.Fields("SendMessage ReceiveMessage DeleteMessage ChangeMessageVisibility GetQueueAttributes GetQueueUrl PurgeQueue *")}, "OverLimit", "maximum allowed is 7"},
		{"RemovePermission", object{"QueueUrl": "Q", "Label": "none"}, badValue, "can't find label"},
		{"RemovePermission", object{"QueueUrl": "N", "Label": "none"}, noQueueCode, ""},

		{"TagQueue", object{"QueueUrl": "N", "Tags": object{"a": "b"}}, noQueueCode, ""},
		{"TagQueue", object{"QueueUrl": "Q", "Tags": object{"": "b"}}, badValue, "between 1 and 128"},
		{"TagQueue", object{"QueueUrl": "Q", "Tags": object{"a": strings.Repeat("v", 257)}}, badValue, "between 0 and 256"},
		{"UntagQueue", object{"QueueUrl": "N", "TagKeys": []string{"a"}}, noQueueCode, ""},
		{"ListQueueTags", object{"QueueUrl": "N"}, noQueueCode, ""},

		{"StartMessageMoveTask", object{"SourceArn": "x"}, badValue, "SourceArn"},
		{"StartMessageMoveTask", object{"SourceArn": "arn:aws:sqs:us-east-1:111111111111:none"}, "ResourceNotFoundException", ""},
		{"StartMessageMoveTask", object{"SourceArn": "arn:aws:sqs:us-east-1:111111111111:q"}, badValue, "Dead Letter Queue"},
		{"ListMessageMoveTasks", object{"SourceArn": "arn:aws:sqs:us-east-1:111111111111:none"}, "ResourceNotFoundException", ""},
		{"ListMessageMoveTasks", object{"SourceArn": "arn:aws:sqs:us-east-1:111111111111:q", "MaxResults": 11}, badValue, "MaxResults"},
		{"CancelMessageMoveTask", object{"TaskHandle": "x"}, badValue, "TaskHandle"},
		{"CancelMessageMoveTask", object{"TaskHandle": moveHandle(&moveRecord{ID: "none", Source: "arn:aws:sqs:us-east-1:111111111111:q"})}, "ResourceNotFoundException", "Task does not exist"},
	} {
		t.Run(tc.operation+" "+tc.code+" "+tc.part, func(t *testing.T) {
			for _, form := range []bool{false, true} {
				h := newHouse(t)
				h.queue("q", nil)
				h.queue("d", nil)
				h.queue("closed", object{"RedriveAllowPolicy": `{"redrivePermission":"denyAll"}`})
				h.queue("f.fifo", nil)
				in := object{}
				for k, v := range tc.in {
					switch v {
					case "Q":
						v = h.queueURL("q")
					case "F":
						v = h.queueURL("f.fifo")
					case "N":
						v = h.queueURL("none")
					}
					in[k] = v
				}
				h.T, h.form = t, form
				code, message := h.refused(tc.operation, in)
				if code != tc.code || !strings.Contains(message, tc.part) {
					t.Errorf("form %t: %s: %s, want %s with %q", form, code, message, tc.code, tc.part)
				}
			}
		})
	}
}
