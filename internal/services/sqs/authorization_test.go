package sqs

import (
	"context"
	"errors"
	"reflect"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/wire"
)

// asked remembers what was asked for.
type asked struct{ list []iam.Access }

func (a *asked) AuthorizeAccess(_ context.Context, _ *wire.Call, access iam.Access) error {
	a.list = append(a.list, access)
	return nil
}

func callOf(account aws.AccountID) *wire.Call {
	return &wire.Call{
		Service: "sqs", Account: account, Region: testRegion, Endpoint: "http://127.0.0.1:1", Path: "/",
		Principal: aws.Principal{Type: aws.PrincipalRoot, Account: account, ARN: "arn:aws:iam::" + string(account) + ":root"},
	}
}

// TestActions has each operation's action and resource; a batch is asked as the action it repeats.
func TestActions(t *testing.T) {
	h := newHouse(t)
	h.queue("q", nil)
	h.queue("d", nil)
	url := wire.Ptr("http://anywhere/111111111111/q")
	const arn = "arn:aws:sqs:us-east-1:111111111111:q"
	for _, tc := range []struct {
		operation string
		in        any
		want      []string
	}{
		{"CreateQueue", &api.CreateQueueRequest{QueueName: wire.Ptr("q")}, []string{"sqs:CreateQueue " + arn}},
		{"ListQueues", &api.ListQueuesRequest{}, []string{"sqs:ListQueues *"}},
		{"GetQueueUrl", &api.GetQueueUrlRequest{QueueName: wire.Ptr("q")}, []string{"sqs:GetQueueUrl " + arn}},
		{"GetQueueUrl", &api.GetQueueUrlRequest{QueueName: wire.Ptr("q"), QueueOwnerAWSAccountId: wire.Ptr("222222222222")}, []string{"sqs:GetQueueUrl arn:aws:sqs:us-east-1:222222222222:q"}},
		{"SendMessageBatch", &api.SendMessageBatchRequest{QueueUrl: url}, []string{"sqs:SendMessage " + arn}},
		{"DeleteMessageBatch", &api.DeleteMessageBatchRequest{QueueUrl: url}, []string{"sqs:DeleteMessage " + arn}},
		{"ChangeMessageVisibilityBatch", &api.ChangeMessageVisibilityBatchRequest{QueueUrl: url}, []string{"sqs:ChangeMessageVisibility " + arn}},
		{"ReceiveMessage", &api.ReceiveMessageRequest{QueueUrl: url}, []string{"sqs:ReceiveMessage " + arn}},
		{"PurgeQueue", &api.PurgeQueueRequest{QueueUrl: wire.Ptr("/222222222222/other")}, []string{"sqs:PurgeQueue arn:aws:sqs:us-east-1:222222222222:other"}},
		{"TagQueue", &api.TagQueueRequest{QueueUrl: url}, []string{"sqs:TagQueue " + arn}},
		{"UntagQueue", &api.UntagQueueRequest{QueueUrl: url}, []string{"sqs:UntagQueue " + arn}},
		{"StartMessageMoveTask", &api.StartMessageMoveTaskRequest{SourceArn: wire.Ptr(arn), DestinationArn: wire.Ptr("arn:aws:sqs:us-east-1:111111111111:d")}, []string{
			"sqs:StartMessageMoveTask " + arn, "sqs:ReceiveMessage " + arn, "sqs:DeleteMessage " + arn, "sqs:GetQueueAttributes " + arn, "sqs:SendMessage arn:aws:sqs:us-east-1:111111111111:d",
		}},
		{"ListMessageMoveTasks", &api.ListMessageMoveTasksRequest{SourceArn: wire.Ptr(arn)}, []string{"sqs:ListMessageMoveTasks " + arn}},
		{"CancelMessageMoveTask", &api.CancelMessageMoveTaskRequest{TaskHandle: wire.Ptr(moveHandle(&moveRecord{ID: "i", Source: arn}))}, []string{"sqs:CancelMessageMoveTask " + arn}},
	} {
		door := &asked{}
		h.sqs.authorize = door
		if err := h.sqs.authorizeCall(t.Context(), callOf(testAccount), tc.operation, tc.in); err != nil {
			t.Errorf("%s: %v", tc.operation, err)
		}
		var got []string
		for _, a := range door.list {
			got = append(got, a.Action+" "+a.Resource)
		}
		if !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s asks for %v, want %v", tc.operation, got, tc.want)
		}
	}
	h.sqs.authorize = nil
}

// TestQueuePolicies has the queue's policy beside the caller's own rights, within the account and
// from another one, with the evaluator that the program has.
func TestQueuePolicies(t *testing.T) {
	h := newHouse(t)
	q := h.queue("q", nil)
	authority, err := iam.Open(t.Context(), iam.Options{Records: h.records, Now: h.now})
	if err != nil {
		t.Fatal(err)
	}
	defer authority.Close()
	h.sqs.authorize = authority
	const other = aws.AccountID("222222222222")
	may := func(account aws.AccountID, operation string, in any) bool {
		t.Helper()
		err := h.sqs.authorizeCall(t.Context(), callOf(account), operation, in)
		var f *wire.GenericFault
		if err != nil && (!errors.As(err, &f) || f.Code != "AccessDeniedException" || f.QueryCode != "AccessDenied") {
			t.Fatalf("%v", err)
		}
		return err == nil
	}
	send := &api.SendMessageRequest{QueueUrl: &q}
	receive := &api.ReceiveMessageRequest{QueueUrl: &q}
	destroy := &api.DeleteQueueRequest{QueueUrl: &q}
	policy := func(text string) {
		t.Helper()
		owned := h.sqs.authorize
		h.sqs.authorize = nil
		h.must("SetQueueAttributes", object{"QueueUrl": q, "Attributes": object{"Policy": text}})
		h.sqs.authorize = owned
	}
	if !may(testAccount, "SendMessage", send) || may(other, "SendMessage", send) {
		t.Error("without a policy the queue is its owner's alone")
	}
	policy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":"SQS:*","Resource":"arn:aws:sqs:us-east-1:111111111111:q"}]}`)
	if !may(other, "SendMessage", send) || !may(other, "SendMessageBatch", &api.SendMessageBatchRequest{QueueUrl: &q}) || !may(other, "ReceiveMessage", receive) {
		t.Error("the policy lets the other account in")
	}
	if may(other, "DeleteQueue", destroy) {
		t.Error("no policy gives a queue's deletion to another account")
	}
	policy(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"sqs:ReceiveMessage","Resource":"*"}]}`)
	if may(testAccount, "ReceiveMessage", receive) || !may(testAccount, "SendMessage", send) {
		t.Error("a denial in the policy binds the owner too")
	}
}
