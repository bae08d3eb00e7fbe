package story

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambdad/lambdad/test/house"
)

// TestInsights asks a function's log for what it printed as JSON and for what Lambda reported of its invokes.
func TestInsights(t *testing.T) {
	t.Parallel()
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{}, map[string]string{"app.py": "import json\ndef handler(event, context):\n    print(json.dumps(event))\n"})
	for _, event := range []string{`{"user": "ann", "ms": 10}`, `{"user": "bob", "ms": 30}`, `{"user": "ann", "ms": 20}`} {
		c.Invoke(name, event)
	}
	c.LogLines(name, "REPORT")
	query := func(text string) (rows []string) {
		t.Helper()
		started, err := c.Logs.StartQuery(t.Context(), &cloudwatchlogs.StartQueryInput{
			LogGroupName: aws.String("/aws/lambda/" + name), QueryString: &text,
			StartTime: aws.Int64(time.Now().Add(-time.Hour).Unix()), EndTime: aws.Int64(time.Now().Unix() + 1),
		})
		if err != nil {
			t.Fatal(err)
		}
		for {
			out, err := c.Logs.GetQueryResults(t.Context(), &cloudwatchlogs.GetQueryResultsInput{QueryId: started.QueryId})
			if err != nil {
				t.Fatal(err)
			}
			if out.Status == logtypes.QueryStatusScheduled || out.Status == logtypes.QueryStatusRunning {
				time.Sleep(20 * time.Millisecond)
				continue
			}
			if out.Status != logtypes.QueryStatusComplete {
				t.Fatalf("%s is %s", text, out.Status)
			}
			for _, row := range out.Results {
				var fields []string
				for _, f := range row {
					fields = append(fields, *f.Field+"="+*f.Value)
				}
				rows = append(rows, strings.Join(fields, " "))
			}
			return rows
		}
	}
	// The log is written beside the answers' way.
	for range 100 {
		if rows := query(`filter @type = "REPORT" | stats count(*) as n, min(@billedDuration) as least, max(@memorySize) / 1000 / 1000 as memory`); len(rows) == 1 && strings.HasPrefix(rows[0], "n=3 ") {
			if !strings.HasSuffix(rows[0], " memory=128") || strings.Contains(rows[0], "least=0") {
				t.Errorf("%s", rows[0])
			}
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if rows := query(`filter ispresent(user) | stats sum(ms) as total, count(*) as n by user | sort total desc, user`); len(rows) != 2 || rows[0] != "user=ann total=30 n=2" && rows[0] != "user=bob total=30 n=1" {
		t.Errorf("%q", rows)
	}
	if rows := query(`parse @message '"user": "*"' as who | filter who = "bob" | display who, @logStream`); len(rows) != 1 || !strings.HasPrefix(rows[0], "who=bob @logStream=20") {
		t.Errorf("%q", rows)
	}
}
