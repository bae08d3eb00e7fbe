package compat

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestAWSCLIQueues tells a queue's story with each aws command line that there is: those of
// before 2.14 and 1.30 speak the query protocol, and post to the queue's URL.
func TestAWSCLIQueues(t *testing.T) {
	seen := map[string]bool{}
	for _, candidate := range []string{"aws", "/usr/bin/aws"} {
		path, err := exec.LookPath(candidate)
		if err != nil || seen[path] {
			continue
		}
		seen[path] = true
		t.Run(path, func(t *testing.T) { cliQueues(t, path) })
	}
	if len(seen) == 0 {
		t.Skip("needs the aws command line")
	}
}

func cliQueues(t *testing.T, path string) {
	h := house.Start(t)
	dir := t.TempDir()
	// Version 1 does not read AWS_ENDPOINT_URL for SQS: it sets an old name of AWS's itself.
	cli := writeFile(t, dir, "aws", []byte("#!/bin/sh\nexec '"+path+"' --endpoint-url '"+h.Endpoint+"' \"$@\"\n"))
	if err := os.Chmod(cli, 0o755); err != nil {
		t.Fatal(err)
	}
	ask := func(args ...string) map[string]any {
		t.Helper()
		out := run(t, h, dir, cli, append([]string{"sqs"}, append(args, "--output", "json")...)...)
		if strings.TrimSpace(out) == "" {
			return nil
		}
		return decode(t, out)
	}
	refused := func(part string, args ...string) {
		t.Helper()
		if _, failure := try(t, h, dir, cli, append([]string{"sqs"}, args...)...); !strings.Contains(failure, part) {
			t.Errorf("%v: %q, want %q", args, failure, part)
		}
	}
	url := ask("create-queue", "--queue-name", "q", "--attributes", "VisibilityTimeout=40", "--tags", "a=b")["QueueUrl"].(string)
	if url != h.Endpoint+"/000000000000/q" || ask("get-queue-url", "--queue-name", "q")["QueueUrl"] != url {
		t.Fatalf("the queue's URL is %s", url)
	}
	sent := ask("send-message", "--queue-url", url, "--message-body", "a <b> & \"c\" é", "--message-attributes",
		`{"k":{"DataType":"String","StringValue":"v"},"b":{"DataType":"Binary","BinaryValue":"AP8="}}`, "--message-system-attributes",
		`{"AWSTraceHeader":{"DataType":"String","StringValue":"Root=1"}}`)
	got := ask("receive-message", "--queue-url", url, "--attribute-names", "All", "--message-attribute-names", "All")["Messages"].([]any)[0].(map[string]any)
	if got["Body"] != "a <b> & \"c\" é" || got["MessageId"] != sent["MessageId"] || got["MD5OfMessageAttributes"] != sent["MD5OfMessageAttributes"] {
		t.Errorf("sent %v, received %v", sent, got)
	}
	if a := got["Attributes"].(map[string]any); a["AWSTraceHeader"] != "Root=1" || a["ApproximateReceiveCount"] != "1" {
		t.Errorf("attributes %v", a)
	}
	if binary := got["MessageAttributes"].(map[string]any)["b"].(map[string]any)["BinaryValue"]; binary != "AP8=" && binary != "QVA4PQ==" { // version 1 takes the text itself for the value
		t.Errorf("a binary attribute is %v", binary)
	}
	handle := got["ReceiptHandle"].(string)
	ask("change-message-visibility", "--queue-url", url, "--receipt-handle", handle, "--visibility-timeout", "50")
	ask("delete-message", "--queue-url", url, "--receipt-handle", handle)
	batch := ask("send-message-batch", "--queue-url", url, "--entries", `[{"Id":"a","MessageBody":"1"},{"Id":"b","MessageBody":"2","DelaySeconds":900}]`)
	if len(batch["Successful"].([]any)) != 2 {
		t.Errorf("%v", batch)
	}
	attributes := ask("get-queue-attributes", "--queue-url", url, "--attribute-names", "All")["Attributes"].(map[string]any)
	if attributes["ApproximateNumberOfMessages"] != "1" || attributes["ApproximateNumberOfMessagesDelayed"] != "1" || attributes["VisibilityTimeout"] != "40" {
		t.Errorf("%v", attributes)
	}
	ask("set-queue-attributes", "--queue-url", url, "--attributes", "VisibilityTimeout=5")
	ask("tag-queue", "--queue-url", url, "--tags", "c=d,e=f")
	ask("untag-queue", "--queue-url", url, "--tag-keys", "a", "c")
	if tags := ask("list-queue-tags", "--queue-url", url)["Tags"]; fmt.Sprint(tags) != "map[e:f]" {
		t.Errorf("tags %v", tags)
	}
	ask("add-permission", "--queue-url", url, "--label", "l", "--aws-account-ids", "111111111111", "222222222222", "--actions", "SendMessage", "ReceiveMessage")
	ask("remove-permission", "--queue-url", url, "--label", "l")
	if urls := ask("list-queues")["QueueUrls"].([]any); len(urls) != 1 || urls[0] != url {
		t.Errorf("queues %v", urls)
	}
	refused("AWS.SimpleQueueService.NonExistentQueue", "get-queue-url", "--queue-name", "none")
	refused("InvalidParameterValue", "receive-message", "--queue-url", url, "--max-number-of-messages", "20")
	refused("ReceiptHandleIsInvalid", "delete-message", "--queue-url", url, "--receipt-handle", "x")
	refused("AWS.SimpleQueueService.EmptyBatchRequest", "send-message-batch", "--queue-url", url, "--entries", "[]")
	ask("purge-queue", "--queue-url", url)
	ask("delete-queue", "--queue-url", url)
}

// TestGoSDKQueues sends and receives with the AWS SDK for Go, which checks every digest, and
// knows the service's errors by their types.
func TestGoSDKQueues(t *testing.T) {
	h := house.Start(t)
	ctx := t.Context()
	client := sqs.NewFromConfig(h.SDKConfig(t))
	var none *types.QueueDoesNotExist
	if _, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("none")}); !errors.As(err, &none) || none.ErrorCode() != "AWS.SimpleQueueService.NonExistentQueue" {
		t.Errorf("no queue: %v", err)
	}
	created, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("go.fifo"), Attributes: map[string]string{"FifoQueue": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	url := created.QueueUrl
	var entries []types.SendMessageBatchRequestEntry
	for i := range 10 {
		entries = append(entries, types.SendMessageBatchRequestEntry{
			Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String(fmt.Sprint("body ", i)), MessageGroupId: aws.String(fmt.Sprint(i % 2)), MessageDeduplicationId: aws.String(fmt.Sprint(i)),
			MessageAttributes: map[string]types.MessageAttributeValue{"n": {DataType: aws.String("Number"), StringValue: aws.String(fmt.Sprint(i))}},
		})
	}
	if sent, err := client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: entries}); err != nil || len(sent.Successful) != 10 {
		t.Fatalf("%v, %v", sent, err)
	}
	last := map[string]string{}
	for n := 0; n < 10; {
		got, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: url, MaxNumberOfMessages: 3, WaitTimeSeconds: 5, MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		})
		if err != nil || len(got.Messages) == 0 {
			t.Fatalf("%v, %v", got, err)
		}
		for _, m := range got.Messages {
			group, number := m.Attributes["MessageGroupId"], m.Attributes["SequenceNumber"]
			if number <= last[group] || "body "+*m.MessageAttributes["n"].StringValue != *m.Body {
				t.Errorf("%s after %s: %s", number, last[group], *m.Body)
			}
			last[group] = number
			if _, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	var invalid *types.ReceiptHandleIsInvalid
	if _, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: aws.String("x")}); !errors.As(err, &invalid) {
		t.Errorf("a bad handle: %v", err)
	}
}

// TestTerraformQueues applies queues, their policies and dead letters, sees no difference, changes
// them in place and destroys them.
func TestTerraformQueues(t *testing.T) {
	h, dir, terraform := startTerraform(t, "terraform-queues")
	apply := []string{"apply", "-auto-approve", "-input=false", "-no-color"}
	plan := []string{"plan", "-detailed-exitcode", "-input=false", "-no-color"}
	run(t, h, dir, terraform, apply...)
	run(t, h, dir, terraform, plan...)
	if out := run(t, h, dir, terraform, "output", "-raw", "found"); out != "arn:aws:sqs:"+h.Region+":000000000000:work" {
		t.Errorf("the queue's ARN is %s", out)
	}
	changed := []string{"-var", "visibility=45", "-var", "team=b"}
	if out := run(t, h, dir, terraform, append(apply, changed...)...); !strings.Contains(out, "0 destroyed") {
		t.Errorf("the change was not made in place:\n%s", out)
	}
	run(t, h, dir, terraform, append(plan, changed...)...)
	run(t, h, dir, terraform, "destroy", "-auto-approve", "-input=false", "-no-color")
}

// startTerraform starts a house and initialises a stack of testdata.
func startTerraform(t *testing.T, stack string) (h *house.House, dir, terraform string) {
	t.Helper()
	terraform = needTerraform(t)
	mirror := needMirror(t)
	h, dir = house.Start(t), t.TempDir()
	rc := writeFile(t, dir, "terraformrc", fmt.Appendf(nil, "provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror))
	t.Setenv("TF_CLI_CONFIG_FILE", rc)
	t.Setenv("TF_IN_AUTOMATION", "1")
	t.Setenv("CHECKPOINT_DISABLE", "1")
	writeFile(t, dir, "main.tf", mustRead(t, filepath.Join("testdata", stack, "main.tf")))
	run(t, h, dir, terraform, "init", "-input=false", "-no-color")
	return h, dir, terraform
}
