package story

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/lambdad/lambdad/test/house"
)

// consumer sends what it gets to the queue "out", on disk there before it answers. It names
// messages as failed that say "reject", and fails on those that say "raise".
const consumer = house.PythonSender + `
def handler(event, context):
    rejected = []
    for r in event["Records"]:
        body = r["body"]
        send(json.dumps({"body": body, "count": r["attributes"]["ApproximateReceiveCount"], "batch": len(event["Records"]), "version": context.function_version}))
        if "raise" in body:
            raise Exception("no")
        if "reject" in body:
            rejected.append({"itemIdentifier": r["messageId"]})
    return {"batchItemFailures": rejected}
`

// queues is a client of SQS with the queues of a story.
type queues struct {
	t      *testing.T
	h      *house.House
	client *sqs.Client
}

func (q *queues) url(name string) *string { return aws.String(q.h.Endpoint + "/000000000000/" + name) }

func (q *queues) arn(name string) *string {
	return aws.String("arn:aws:sqs:us-east-1:000000000000:" + name)
}

func (q *queues) create(name string, attributes map[string]string) {
	q.t.Helper()
	if _, err := q.client.CreateQueue(q.t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes}); err != nil {
		q.t.Fatal(err)
	}
}

func (q *queues) send(name string, bodies ...string) {
	q.t.Helper()
	for chunk := range slices.Chunk(bodies, 10) {
		in := &sqs.SendMessageBatchInput{QueueUrl: q.url(name)}
		for i, body := range chunk {
			e := sqstypes.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String(body)}
			if strings.HasSuffix(name, ".fifo") {
				group, _, _ := strings.Cut(body, ":")
				e.MessageGroupId, e.MessageDeduplicationId = &group, aws.String(body)
			}
			in.Entries = append(in.Entries, e)
		}
		out, err := q.client.SendMessageBatch(q.t.Context(), in)
		if err != nil || len(out.Failed) > 0 {
			q.t.Fatalf("%+v, %v", out, err)
		}
	}
}

// collect takes messages out of a queue until enough says so.
func (q *queues) collect(name string, within time.Duration, enough func([]string) bool) []string {
	q.t.Helper()
	var all []string
	for deadline := time.Now().Add(within); !enough(all); {
		if time.Now().After(deadline) {
			q.t.Fatalf("waited too long; %d messages came out of %s: %.2000q\n%s", len(all), name, all, q.h.Log())
		}
		got, err := q.client.ReceiveMessage(q.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: q.url(name), MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
		if err != nil {
			q.t.Fatal(err)
		}
		for _, m := range got.Messages {
			all = append(all, *m.Body)
			if _, err := q.client.DeleteMessage(q.t.Context(), &sqs.DeleteMessageInput{QueueUrl: q.url(name), ReceiptHandle: m.ReceiptHandle}); err != nil {
				q.t.Fatal(err)
			}
		}
	}
	return all
}

// empty waits until a queue has nothing, neither visible nor in flight.
func (q *queues) empty(name string) {
	q.t.Helper()
	for range 300 {
		got, err := q.client.GetQueueAttributes(q.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: q.url(name), AttributeNames: []sqstypes.QueueAttributeName{"All"}})
		if err != nil {
			q.t.Fatal(err)
		}
		if got.Attributes["ApproximateNumberOfMessages"] == "0" && got.Attributes["ApproximateNumberOfMessagesNotVisible"] == "0" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	q.t.Errorf("%s does not become empty", name)
}

// mapped waits until a mapping has a state.
func mapped(t *testing.T, c *house.Client, uuid *string, want string) {
	t.Helper()
	for range 100 {
		got, err := c.Lambda.GetEventSourceMapping(t.Context(), &lambda.GetEventSourceMappingInput{UUID: uuid})
		var missing *types.ResourceNotFoundException
		if err == nil && *got.State == want || want == "" && errors.As(err, &missing) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the mapping does not become %q", want)
}

// mayQueues lets the story's role read and write queues.
func mayQueues(t *testing.T, c *house.Client) {
	t.Helper()
	const document = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:GetQueueAttributes","sqs:SendMessage"],"Resource":"*"}}`
	if _, err := c.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("story"), PolicyName: aws.String("queues"), PolicyDocument: aws.String(document)}); err != nil {
		t.Fatal(err)
	}
}

func has(all []string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool {
		return !slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, part) })
	})
}

// TestQueueMapping is the life of a mapping of a queue, with filters, partial answers, redrive,
// and an alias that moves.
func TestQueueMapping(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	q := &queues{t, h, sqs.NewFromConfig(c.Config)}
	q.create("out", nil)
	q.create("dead", nil)
	q.create("in", map[string]string{"VisibilityTimeout": "3", "RedrivePolicy": `{"deadLetterTargetArn":"` + *q.arn("dead") + `","maxReceiveCount":"2"}`})
	env := &types.Environment{Variables: map[string]string{"OUT": *q.url("out")}}
	name := c.Function(lambda.CreateFunctionInput{Environment: env, Timeout: aws.Int32(3), Publish: true}, map[string]string{"app.py": consumer})
	if _, err := c.Lambda.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: &name, Name: aws.String("live"), FunctionVersion: aws.String("1")}); err != nil {
		t.Fatal(err)
	}
	in := &lambda.CreateEventSourceMappingInput{
		FunctionName: aws.String(name + ":live"), EventSourceArn: q.arn("in"), FunctionResponseTypes: []types.FunctionResponseType{"ReportBatchItemFailures"},
		FilterCriteria: &types.FilterCriteria{Filters: []types.Filter{{Pattern: aws.String(`{"body":{"kind":["a",{"prefix":"b"}]}}`)}}},
	}
	if _, err := c.Lambda.CreateEventSourceMapping(t.Context(), in); err == nil || !strings.Contains(err.Error(), "The provided execution role does not have permissions to call ReceiveMessage on SQS") {
		t.Fatalf("a role that may not read the queue: %v", err)
	}
	mayQueues(t, c)
	made, err := c.Lambda.CreateEventSourceMapping(t.Context(), in)
	if err != nil || *made.State != "Creating" {
		t.Fatalf("%+v, %v", made, err)
	}
	mapped(t, c, made.UUID, "Enabled")

	q.send("in", `{"kind":"a","n":1}`, `{"kind":"c"}`, `plain`, `{"kind":"b1","say":"reject"}`, `{"kind":"a","n":2}`)
	first := q.collect("out", 30*time.Second, func(all []string) bool {
		return has(all, `\"n\":1`, `\"n\":2`) && strings.Count(strings.Join(all, ""), "reject") == 2
	})
	if len(first) != 4 || has(first, "plain") || has(first, `\"c\"`) || !has(first, `"version": "1"`) {
		t.Errorf("the function got %q", first)
	}
	if dead := q.collect("dead", 20*time.Second, func(all []string) bool { return len(all) > 0 }); dead[0] != `{"kind":"b1","say":"reject"}` {
		t.Errorf("the dead letter is %q", dead)
	}
	q.empty("in")

	// Disabled, nothing is read; enabled again, it is.
	set := func(on bool, transitional, state string) {
		t.Helper()
		got, err := c.Lambda.UpdateEventSourceMapping(t.Context(), &lambda.UpdateEventSourceMappingInput{UUID: made.UUID, Enabled: &on})
		if err != nil || *got.State != transitional {
			t.Fatalf("%+v, %v", got, err)
		}
		mapped(t, c, made.UUID, state)
	}
	set(false, "Disabling", "Disabled")
	q.send("in", `{"kind":"a","n":3}`)
	time.Sleep(500 * time.Millisecond)
	if got, err := q.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: q.url("out")}); err != nil || len(got.Messages) > 0 {
		t.Errorf("a disabled mapping read: %+v, %v", got, err)
	}
	set(true, "Enabling", "Enabled")
	q.collect("out", 30*time.Second, func(all []string) bool { return has(all, `\"n\":3`) })
	if _, err := c.Lambda.DeleteEventSourceMapping(t.Context(), &lambda.DeleteEventSourceMappingInput{UUID: made.UUID}); err != nil {
		t.Fatal(err)
	}
	mapped(t, c, made.UUID, "")
}

// TestQueueMappingWindow: a window gathers more than a receive brings.
func TestQueueMappingWindow(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	mayQueues(t, c)
	q := &queues{t, h, sqs.NewFromConfig(c.Config)}
	q.create("out", nil)
	q.create("in", nil)
	env := &types.Environment{Variables: map[string]string{"OUT": *q.url("out")}}
	name := c.Function(lambda.CreateFunctionInput{Environment: env, Timeout: aws.Int32(30)}, map[string]string{"app.py": consumer})
	made, err := c.Lambda.CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{
		FunctionName: &name, EventSourceArn: q.arn("in"), BatchSize: aws.Int32(40), MaximumBatchingWindowInSeconds: aws.Int32(3), Enabled: aws.Bool(false),
		ScalingConfig: &types.ScalingConfig{MaximumConcurrency: aws.Int32(2)},
	})
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	for i := range 60 {
		bodies = append(bodies, fmt.Sprintf("<%d>", i))
	}
	q.send("in", bodies...)
	if _, err := c.Lambda.UpdateEventSourceMapping(t.Context(), &lambda.UpdateEventSourceMappingInput{UUID: made.UUID, Enabled: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	got := q.collect("out", time.Minute, func(all []string) bool { return has(all, bodies...) })
	if !has(got, `"batch": 40`, `"batch": 20`) || len(got) != 60 {
		t.Errorf("%d messages in batches other than 40 and 20: %q", len(got), got)
	}
	q.empty("in")
}

// inOrder checks that each message of a group was first handled after the one before it.
func inOrder(t *testing.T, group string, handled []string) {
	t.Helper()
	next := 0
	for _, line := range handled {
		_, rest, ok := strings.Cut(line, `"`+group+":")
		if !ok {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(rest, "%d.", &n); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if n > next {
			t.Fatalf("%s: %d is handled before %d", group, n, next)
		}
		next = max(next, n+1)
	}
}

// TestKilledQueueMapping kills lambdad again and again while functions read a standard and a
// FIFO queue: every message is handled, and a FIFO group in its order.
func TestKilledQueueMapping(t *testing.T) {
	const kills, messages, groups = 4, 160, 4
	h := house.Start(t)
	c := h.Client(t)
	mayQueues(t, c)
	q := &queues{t, h, sqs.NewFromConfig(c.Config)}
	var bodies []string
	for i := range messages {
		bodies = append(bodies, fmt.Sprintf("g%d:%03d.", i%groups, i/groups))
	}
	for _, in := range []string{"in", "in.fifo"} {
		attributes, out := map[string]string{"VisibilityTimeout": "3"}, map[string]string{}
		if in == "in.fifo" {
			attributes["FifoQueue"], out["FifoQueue"] = "true", "true" // the order of what comes out tells
		}
		q.create("out-"+in, out)
		q.create(in, attributes)
		env := &types.Environment{Variables: map[string]string{"OUT": *q.url("out-" + in)}}
		name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("f-" + strings.ReplaceAll(in, ".", "-")), Environment: env, Timeout: aws.Int32(3)}, map[string]string{"app.py": consumer})
		if _, err := c.Lambda.CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{FunctionName: &name, EventSourceArn: q.arn(in), BatchSize: aws.Int32(3)}); err != nil {
			t.Fatal(err)
		}
	}
	for round := range kills {
		part := bodies[round*messages/kills : (round+1)*messages/kills]
		q.send("in", part...)
		q.send("in.fifo", part...)
		time.Sleep(time.Duration(200+rand.IntN(900)) * time.Millisecond)
		h.Kill()
		h.Run()
		c = c.Again(h)
		q.client = sqs.NewFromConfig(c.Config)
	}
	for _, in := range []string{"in", "in.fifo"} {
		got := q.collect("out-"+in, 2*time.Minute, func(all []string) bool { return has(all, bodies...) })
		q.empty(in)
		if in == "in.fifo" {
			var order []string
			for _, body := range bodies {
				order = append(order, body[:strings.IndexByte(body, ':')])
			}
			for _, group := range slices.Compact(slices.Sorted(slices.Values(order))) {
				inOrder(t, group, got)
			}
		}
		t.Logf("%s: %d messages were handled %d times after %d kills", in, messages, len(got), kills)
	}
}

// TestRemoteQueueMapping reads a queue of another endpoint that speaks SQS.
func TestRemoteQueueMapping(t *testing.T) {
	other := house.Start(t, "--auth", "none")
	h := house.Start(t, "--endpoint", "sqs="+other.Endpoint)
	c := h.Client(t)
	mayQueues(t, c)
	there := &queues{t, other, sqs.NewFromConfig(c.Config, func(o *sqs.Options) { o.BaseEndpoint = &other.Endpoint })}
	here := &queues{t, h, sqs.NewFromConfig(c.Config)}
	here.create("out", nil)
	there.create("in", nil)
	env := &types.Environment{Variables: map[string]string{"OUT": *here.url("out")}}
	name := c.Function(lambda.CreateFunctionInput{Environment: env}, map[string]string{"app.py": consumer})
	create := func(queue string) error {
		_, err := c.Lambda.CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{FunctionName: &name, EventSourceArn: here.arn(queue)})
		return err
	}
	if err := create("nowhere"); err == nil || !strings.Contains(err.Error(), "AWS.SimpleQueueService.NonExistentQueue") {
		t.Errorf("a queue that is not there: %v", err)
	}
	if err := create("in"); err != nil {
		t.Fatal(err)
	}
	there.send("in", "one", "two")
	here.collect("out", 30*time.Second, func(all []string) bool { return has(all, `"one"`, `"two"`) })
	there.empty("in")
}
