package story

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/lambdad/lambdad/test/house"
)

// TestLogSubscription has one function run for what another one logs, also after a kill -9.
func TestLogSubscription(t *testing.T) {
	t.Parallel()
	h := house.Start(t)
	c := h.Client(t)
	writer := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("writer")}, map[string]string{"app.py": "def handler(event, context):\n    print(event)\n"})
	mayStreams(t, c)
	q := &queues{t: t, h: h, client: sqs.NewFromConfig(c.Config)}
	q.create("out", nil)
	env := &types.Environment{Variables: map[string]string{"OUT": *q.url("out")}}
	reader := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("reader"), Environment: env}, map[string]string{"app.py": house.PythonSender + `
import base64, gzip

def handler(event, context):
    batch = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    for e in batch["logEvents"]:
        print("GOT", batch["messageType"], batch["owner"], batch["logGroup"], batch["subscriptionFilters"][0], e["message"].strip())
        send(e["message"].strip())
`})
	arn := func(name string) *string { return aws.String("arn:aws:lambda:us-east-1:000000000000:function:" + name) }
	subscribe := func(group, function string) error {
		_, err := c.Logs.PutSubscriptionFilter(t.Context(), &cloudwatchlogs.PutSubscriptionFilterInput{
			LogGroupName: &group, FilterName: aws.String("errors"), FilterPattern: aws.String("ERROR"), DestinationArn: arn(function),
		})
		return err
	}
	c.Invoke(writer, `"ERROR before"`)
	c.LogLines(writer, "ERROR before")
	group := "/aws/lambda/" + writer
	refused := func(group, function, want string) {
		t.Helper()
		var invalid *logtypes.InvalidParameterException
		if err := subscribe(group, function); !errors.As(err, &invalid) || !strings.Contains(*invalid.Message, want) {
			t.Errorf("%s to %s: %v, want %s", group, function, err, want)
		}
	}
	refused(group, "none", "Could not execute the lambda function")
	refused(group, reader, "Could not execute the lambda function")
	for _, name := range []string{reader, writer} {
		_, err := c.Lambda.AddPermission(t.Context(), &lambda.AddPermissionInput{
			FunctionName: &name, StatementId: aws.String("logs"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("logs.amazonaws.com"),
			SourceArn: aws.String("arn:aws:logs:us-east-1:000000000000:log-group:" + group + ":*"), SourceAccount: aws.String("000000000000"),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	refused(group, writer, "writes to the log group "+group+" itself")
	if err := subscribe(group, reader); err != nil {
		t.Fatal(err)
	}
	c.Invoke(writer, `"fine"`)
	c.Invoke(writer, `"ERROR one"`)
	lines := strings.Join(c.LogLines(reader, "ERROR one"), "")
	if !strings.Contains(lines, "GOT DATA_MESSAGE 000000000000 "+group+" errors ERROR one") || strings.Contains(lines, "fine") || strings.Contains(lines, "before") {
		t.Errorf("%s", lines)
	}
	// What the function got is on disk elsewhere before it ends: its own last lines a kill may lose.
	c.Invoke(writer, `"ERROR killed"`)
	c.LogLines(writer, "ERROR killed")
	h.Kill()
	h.Run()
	q.client = sqs.NewFromConfig(c.Again(h).Config)
	q.collect("out", time.Minute, func(all []string) bool { return slices.Contains(all, "ERROR killed") })
}
