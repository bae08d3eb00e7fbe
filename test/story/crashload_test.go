package story

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestKillUnderLoad kills lambdad again and again while clients create, change and invoke
// functions and put log events: whatever was acknowledged is there afterwards.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	h := house.Start(t)
	c := h.Client(t)
	const group = "acknowledged"
	if _, err := c.Logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(group)}); err != nil {
		t.Fatal(err)
	}
	code := house.Zip(t, map[string]string{"app.py": sleeper})
	a := acknowledged{descriptions: map[string]string{}, doubtful: map[string]string{}, messages: map[string][]string{}}
	for round := range 3 {
		var running sync.WaitGroup
		stop := make(chan struct{})
		load := func(step func(n int) error) {
			running.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					if step(n) != nil {
						time.Sleep(10 * time.Millisecond) // it has been killed, or the function is being changed
					}
				}
			})
		}
		load(func(n int) error {
			name := fmt.Sprintf("f-%d-%d", round, n)
			_, err := c.Lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
				FunctionName: &name, Role: &c.Role, Runtime: types.RuntimePython312, Handler: aws.String("app.handler"), Code: &types.FunctionCode{ZipFile: code}, Description: aws.String("new"),
			})
			if err == nil {
				a.created(name, "new")
			}
			return err
		})
		load(func(n int) error {
			name, ok := a.one()
			if !ok {
				return errors.New("none yet")
			}
			description := fmt.Sprintf("%d.%d", round, n)
			a.tried(name, description)
			_, err := c.Lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &name, Description: &description})
			if err == nil {
				a.created(name, description)
			}
			return err
		})
		stream := fmt.Sprintf("s-%d", round)
		if _, err := c.Logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String(group), LogStreamName: &stream}); err != nil {
			t.Fatal(err)
		}
		load(func(n int) error {
			message := fmt.Sprint(n)
			_, err := c.Logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String(group), LogStreamName: &stream,
				LogEvents: []logtypes.InputLogEvent{{Timestamp: aws.Int64(time.Now().UnixMilli()), Message: &message}}})
			if err == nil {
				a.put(stream, message)
			}
			return err
		})
		for range 2 {
			load(func(int) error {
				name, _ := a.one()
				_, err := c.TryInvoke(name, `{"s":0.05}`)
				return err
			})
		}
		time.Sleep(time.Second + rand.N(time.Second))
		h.Kill()
		close(stop)
		running.Wait()
		h.Run()
		c = c.Again(h)
		a.check(t, c, group)
	}
	name, _ := a.one()
	c.WaitActive(name)
	if answer := c.Invoke(name, `{"back":1}`); answer.Payload != `{"back": 1}` {
		t.Errorf("after the kills: %+v", answer)
	}
	h.Stop()
	if mounts := mountsUnder(t, h.Data); len(mounts) > 0 {
		t.Errorf("mounts after the stop: %v", mounts)
	}
	h.Run()
}

// acknowledged is what clients were told is done.
type acknowledged struct {
	mu           sync.Mutex
	names        []string
	descriptions map[string]string
	doubtful     map[string]string // an update that was not answered may have happened, or not
	messages     map[string][]string
}

func (a *acknowledged) created(name, description string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.descriptions[name]; !ok {
		a.names = append(a.names, name)
	}
	a.descriptions[name] = description
	delete(a.doubtful, name)
}

func (a *acknowledged) tried(name, description string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.doubtful[name] = description
}

func (a *acknowledged) put(stream, message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.messages[stream] = append(a.messages[stream], message)
}

func (a *acknowledged) one() (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.names) == 0 {
		return "none", false
	}
	return a.names[rand.IntN(len(a.names))], true
}

func (a *acknowledged) check(t *testing.T, c *house.Client, group string) {
	t.Helper()
	if len(a.names) == 0 || len(a.messages) == 0 {
		t.Error("the load did nothing")
	}
	for _, name := range a.names {
		got, err := c.Lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name})
		if err != nil {
			t.Errorf("%s is lost: %v", name, err)
			continue
		}
		if d := aws.ToString(got.Description); d != a.descriptions[name] && d != a.doubtful[name] {
			t.Errorf("%s says %q, acknowledged was %q", name, d, a.descriptions[name])
		}
		a.created(name, aws.ToString(got.Description))
	}
	for stream, want := range a.messages {
		var got []string
		pages := cloudwatchlogs.NewFilterLogEventsPaginator(c.Logs, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group, LogStreamNames: []string{stream}})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				got = append(got, *e.Message)
			}
		}
		for _, message := range want {
			if !slices.Contains(got, message) {
				t.Errorf("event %s of %s is lost", message, stream)
			}
		}
	}
}
