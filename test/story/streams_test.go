package story

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/lambdad/lambdad/test/house"
	"github.com/lambdad/lambdad/test/streams"
)

// streamConsumer sends what it gets to the queue "out", and fails on records that say "raise".
const streamConsumer = house.PythonSender + `
import base64, time

def handler(event, context):
    for r in event["Records"]:
        body = base64.b64decode(r["kinesis"]["data"]).decode() if "kinesis" in r else r["dynamodb"]["NewImage"]["data"]["S"]
        send(json.dumps({"body": body, "batch": len(event["Records"]), "id": r["eventID"], "source": r["eventSourceARN"], "by": r.get("invokeIdentityArn")}))
        if "raise" in body:
            raise Exception("no")
        time.sleep(float(os.environ.get("SLOW", 0)))
    return {}
`

// mayStreams lets the story's role read streams and write queues.
func mayStreams(t *testing.T, c *house.Client) {
	t.Helper()
	const document = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["kinesis:Get*","kinesis:Describe*","kinesis:List*","dynamodb:GetRecords","dynamodb:GetShardIterator","dynamodb:DescribeStream","dynamodb:ListStreams","sqs:SendMessage"],"Resource":"*"}}`
	if _, err := c.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("story"), PolicyName: aws.String("streams"), PolicyDocument: aws.String(document)}); err != nil {
		t.Fatal(err)
	}
}

// withoutKeys takes the operator's keys out of lambdad's environment, so that the role's own sign.
func withoutKeys(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
}

// TestStreamMapping is the life of mappings of a Kinesis data stream and of a table's stream.
func TestStreamMapping(t *testing.T) {
	withoutKeys(t)
	server := streams.Start(t)
	h := house.Start(t, "--endpoint", "kinesis="+server.URL+",dynamodbstreams="+server.URL)
	c := h.Client(t)
	q := &queues{t, h, sqs.NewFromConfig(c.Config)}
	q.create("out", nil)
	q.create("dead", nil)
	env := &types.Environment{Variables: map[string]string{"OUT": *q.url("out")}}
	name := c.Function(lambda.CreateFunctionInput{Environment: env}, map[string]string{"app.py": streamConsumer})
	stream, table := server.Stream("s"), server.Table("t")
	create := func(change func(*lambda.CreateEventSourceMappingInput)) (*lambda.CreateEventSourceMappingOutput, error) {
		in := &lambda.CreateEventSourceMappingInput{FunctionName: &name, EventSourceArn: &stream, StartingPosition: types.EventSourcePositionTrimHorizon, MaximumRetryAttempts: aws.Int32(1)}
		if change != nil {
			change(in)
		}
		return c.Lambda.CreateEventSourceMapping(t.Context(), in)
	}
	refused := func(want string, change func(*lambda.CreateEventSourceMappingInput)) {
		t.Helper()
		if _, err := create(change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	refused("Cannot access stream "+stream+". Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, ListShards, and ListStreams Actions on your stream in IAM.", nil)
	refused("Cannot access stream "+table+". Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM.",
		func(in *lambda.CreateEventSourceMappingInput) { in.EventSourceArn = &table })
	mayStreams(t, c)
	for source, want := range map[string]string{
		stream + "-gone":         "Stream not found: " + stream + "-gone",
		stream + "/consumer/c:1": "it reads streams, not their consumers",
		"arn:aws:kafka:us-east-1:000000000000:cluster/c/1": "is not supported here",
		"arn:aws:mq:us-east-1:000000000000:broker:b:1":     "is not supported here",
		"arn:aws:rds:us-east-1:000000000000:cluster:c":     "is not supported here",
	} {
		refused(want, func(in *lambda.CreateEventSourceMappingInput) { in.EventSourceArn = &source })
	}
	// Bound by the model; a role that may not send to the destination.
	for want, change := range map[string]func(*lambda.CreateEventSourceMappingInput){
		"less than or equal to 10000": func(in *lambda.CreateEventSourceMappingInput) { in.BatchSize = aws.Int32(10001) },
		"less than or equal to 300":   func(in *lambda.CreateEventSourceMappingInput) { in.MaximumBatchingWindowInSeconds = aws.Int32(301) },
		"less than or equal to 10":    func(in *lambda.CreateEventSourceMappingInput) { in.ParallelizationFactor = aws.Int32(11) },
		"less than or equal to 900":   func(in *lambda.CreateEventSourceMappingInput) { in.TumblingWindowInSeconds = aws.Int32(901) },
		"cannot be in the future": func(in *lambda.CreateEventSourceMappingInput) {
			in.StartingPosition, in.StartingPositionTimestamp = types.EventSourcePositionAtTimestamp, aws.Time(time.Now().Add(time.Hour))
		},
	} {
		refused(want, change)
	}

	server.Put(stream, "k", "one", "raise", "two")
	made, err := create(func(in *lambda.CreateEventSourceMappingInput) {
		in.BisectBatchOnFunctionError, in.DestinationConfig = aws.Bool(true), &types.DestinationConfig{OnFailure: &types.OnFailure{Destination: q.arn("dead")}}
	})
	if err != nil || *made.State != "Creating" || *made.LastProcessingResult != "No records processed" {
		t.Fatalf("%+v, %v", made, err)
	}
	mapped(t, c, made.UUID, "Enabled")
	q.collect("out", 30*time.Second, func(all []string) bool {
		return has(all, `"one"`, `"two"`, `"source": "`+stream+`"`, `"by": "arn:aws:iam::000000000000:role/story"`)
	})
	dead := q.collect("dead", 30*time.Second, func(all []string) bool { return len(all) > 0 })
	var told struct {
		KinesisBatchInfo struct {
			BatchSize int
			StreamArn string
		}
		ResponseContext struct{ FunctionError string }
	}
	if err := json.Unmarshal([]byte(dead[0]), &told); err != nil || told.KinesisBatchInfo.BatchSize != 1 || told.KinesisBatchInfo.StreamArn != stream || told.ResponseContext.FunctionError != "Unhandled" {
		t.Errorf("%s, %v", dead[0], err)
	}
	ofTable, err := create(func(in *lambda.CreateEventSourceMappingInput) {
		in.EventSourceArn = &table
		in.FilterCriteria = &types.FilterCriteria{Filters: []types.Filter{{Pattern: aws.String(`{"dynamodb":{"NewImage":{"data":{"S":[{"prefix":"t"}]}}}}`)}}}
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Put(table, "k", "another", "three")
	if got := q.collect("out", 30*time.Second, func(all []string) bool { return has(all, `"three"`) }); has(got, "another") {
		t.Errorf("a change that no filter lets pass: %q", got)
	}
	for range 100 {
		got, err := c.Lambda.GetEventSourceMapping(t.Context(), &lambda.GetEventSourceMappingInput{UUID: ofTable.UUID})
		if err != nil {
			t.Fatal(err)
		}
		if *got.LastProcessingResult == "OK" {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}

	// Disabled, nothing is read; enabled again, it goes on where it was.
	mapped(t, c, ofTable.UUID, "Enabled")
	for _, on := range []bool{false, true} {
		state := map[bool]string{false: "Disabled", true: "Enabled"}[on]
		got, err := c.Lambda.UpdateEventSourceMapping(t.Context(), &lambda.UpdateEventSourceMappingInput{UUID: ofTable.UUID, Enabled: &on})
		if err != nil || !on && *got.LastProcessingResult != "OK" {
			t.Fatalf("%+v, %v", got, err)
		}
		mapped(t, c, ofTable.UUID, state)
		if !on {
			server.Put(table, "k", "though disabled")
		}
	}
	q.collect("out", 30*time.Second, func(all []string) bool { return has(all, "though disabled") })
	if _, err := c.Lambda.DeleteEventSourceMapping(t.Context(), &lambda.DeleteEventSourceMappingInput{UUID: ofTable.UUID}); err != nil {
		t.Fatal(err)
	}
	mapped(t, c, ofTable.UUID, "")
}

// TestStreamsNeedAnEndpoint: without one, mappings of streams are refused.
func TestStreamsNeedAnEndpoint(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	mayStreams(t, c)
	name := c.Function(lambda.CreateFunctionInput{}, map[string]string{"app.py": streamConsumer})
	for source, want := range map[string]string{
		"arn:aws:kinesis:us-east-1:000000000000:stream/s":                                "--endpoint kinesis=URL",
		"arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-01-01T00:00:00.000": "--endpoint dynamodbstreams=URL",
	} {
		_, err := c.Lambda.CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{FunctionName: &name, EventSourceArn: &source, StartingPosition: types.EventSourcePositionLatest})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestKilledStreamMapping kills lambdad again and again while functions read streams that are split and merged: every
// record is handled, and those of a key in their order.
func TestKilledStreamMapping(t *testing.T) {
	const kills, records, keys = 4, 160, 4
	withoutKeys(t)
	server := streams.Start(t)
	h := house.Start(t, "--endpoint", "kinesis="+server.URL+",dynamodbstreams="+server.URL)
	c := h.Client(t)
	mayStreams(t, c)
	q := &queues{t, h, sqs.NewFromConfig(c.Config)}
	sources := map[string]string{"stream": server.Stream("s"), "table": server.Table("t")}
	for kind, source := range sources {
		q.create(kind+".fifo", map[string]string{"FifoQueue": "true"}) // the order of what comes out tells
		env := &types.Environment{Variables: map[string]string{"OUT": *q.url(kind + ".fifo"), "SLOW": "0.05"}}
		name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("f-" + kind), Environment: env}, map[string]string{"app.py": streamConsumer})
		if _, err := c.Lambda.CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{
			FunctionName: &name, EventSourceArn: &source, BatchSize: aws.Int32(3), ParallelizationFactor: aws.Int32(2), StartingPosition: types.EventSourcePositionTrimHorizon,
		}); err != nil {
			t.Fatal(err)
		}
	}
	var bodies []string
	for i := range records {
		bodies = append(bodies, fmt.Sprintf("g%d:%03d.", i%keys, i/keys))
	}
	for round := range kills {
		for _, source := range sources {
			for _, body := range bodies[round*records/kills : (round+1)*records/kills] {
				server.Put(source, body[:2], body)
			}
			if round%2 == 0 {
				server.Split(source)
			} else {
				server.Merge(source)
			}
		}
		time.Sleep(time.Duration(500+rand.IntN(1500)) * time.Millisecond)
		h.Kill()
		h.Run()
		c = c.Again(h)
		q.client = sqs.NewFromConfig(c.Config)
	}
	for kind := range sources {
		got := q.collect(kind+".fifo", 2*time.Minute, func(all []string) bool { return has(all, bodies...) })
		for i := range keys {
			inOrder(t, fmt.Sprint("g", i), got)
		}
		t.Logf("%s: %d records were handled %d times after %d kills", kind, records, len(got), kills)
	}
}

// TestMotoStreams reads streams of an implementation that is not ours.
func TestMotoStreams(t *testing.T) {
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("needs moto_server")
	}
	withoutKeys(t)
	at := serveMoto(t, program)
	h := house.Start(t, "--endpoint", "kinesis="+at+",dynamodbstreams="+at)
	c := h.Client(t)
	mayStreams(t, c)
	q := &queues{t, h, sqs.NewFromConfig(c.Config)}
	q.create("out", nil)
	env := &types.Environment{Variables: map[string]string{"OUT": *q.url("out")}}
	name := c.Function(lambda.CreateFunctionInput{Environment: env}, map[string]string{"app.py": streamConsumer})
	ask := func(service, target, body string) map[string]any {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", target)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s, %v", target, answer.StatusCode, text, err)
		}
		out := map[string]any{}
		_ = json.Unmarshal(text, &out) // some answers are empty
		return out
	}
	ask("kinesis", "Kinesis_20131202.CreateStream", `{"StreamName":"s","ShardCount":2}`)
	table := ask("dynamodb", "DynamoDB_20120810.CreateTable", `{"TableName":"t","AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],
		"BillingMode":"PAY_PER_REQUEST","StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"}}`)
	about, _ := table["TableDescription"].(map[string]any)
	latest, _ := about["LatestStreamArn"].(string)
	for _, source := range []string{"arn:aws:kinesis:us-east-1:123456789012:stream/s", latest} {
		if _, err := c.Lambda.CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{
			FunctionName: &name, EventSourceArn: &source, StartingPosition: types.EventSourcePositionTrimHorizon,
		}); err != nil {
			t.Fatalf("%s: %v", source, err)
		}
	}
	ask("kinesis", "Kinesis_20131202.PutRecord", `{"StreamName":"s","PartitionKey":"a","Data":"b25l"}`)
	ask("kinesis", "Kinesis_20131202.PutRecord", `{"StreamName":"s","PartitionKey":"b","Data":"dHdv"}`)
	for i := range 2 {
		ask("dynamodb", "DynamoDB_20120810.PutItem", fmt.Sprintf(`{"TableName":"t","Item":{"id":{"S":"i%d"},"data":{"S":"item%d"}}}`, i, i))
	}
	q.collect("out", time.Minute, func(all []string) bool { return has(all, `"one"`, `"two"`, `"item0"`, `"item1"`) })
	ask("kinesis", "Kinesis_20131202.SplitShard", `{"StreamName":"s","ShardToSplit":"shardId-000000000000","NewStartingHashKey":"1000"}`)
	ask("kinesis", "Kinesis_20131202.PutRecord", `{"StreamName":"s","PartitionKey":"a","Data":"dGhyZWU="}`)
	q.collect("out", time.Minute, func(all []string) bool { return has(all, `"three"`) })
}

func serveMoto(t *testing.T, program string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(address)
	ctx, stop := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, program, "-H", "127.0.0.1", "-p", port)
	if err := server.Start(); err != nil {
		stop()
		t.Skipf("moto_server does not start: %v", err)
	}
	t.Cleanup(func() { stop(); _ = server.Wait() })
	for ended := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return "http://" + address
		}
		if time.Now().After(ended) {
			t.Skip("moto_server does not listen: is moto installed with its server?")
		}
	}
}
