package story

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestInvokesKeepTheirLogs runs many invokes at once: each answer's tail holds its own lines and
// no other's, in AWS's order, and every START has its END and REPORT.
func TestInvokesKeepTheirLogs(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{MemorySize: aws.Int32(128), Timeout: aws.Int32(30)}, map[string]string{"app.py": `
import time
def handler(event, context):
    print('first', event['n'])
    time.sleep(0.1)
    print('second', event['n'])
    return context.aws_request_id
`})
	const atOnce, each = 50, 4
	var wg sync.WaitGroup
	for n := range atOnce {
		wg.Go(func() {
			for i := range each {
				me := fmt.Sprintf("%d.%d", n, i)
				answer, err := c.TryInvoke(name, `{"n":"`+me+`"}`)
				if err != nil {
					t.Error(err)
					return
				}
				id := strings.Trim(answer.Payload, `"`)
				want := "START RequestId: " + id + " Version: $LATEST\nfirst " + me + "\nsecond " + me + "\nEND RequestId: " + id + "\nREPORT RequestId: " + id + "\t"
				if !strings.HasPrefix(answer.Log, want) || strings.Count(answer.Log, "\n") != 5 {
					t.Errorf("log of %s: %q", me, answer.Log)
				}
			}
		})
	}
	wg.Wait()
	var counts map[string]int
	for deadline := time.Now().Add(10 * time.Second); counts["REPORT"] < atOnce*each && time.Now().Before(deadline); {
		counts = map[string]int{}
		for _, line := range c.LogLines(name, "REPORT") {
			word, _, _ := strings.Cut(line, " ")
			counts[word]++
		}
	}
	for _, word := range []string{"START", "first", "second", "END", "REPORT"} {
		if counts[word] != atOnce*each {
			t.Errorf("%d lines begin with %s, want %d", counts[word], word, atOnce*each)
		}
	}
}

// TestUpdateUnderLoad changes the code while invokes run: none fails, and none that began after
// an update was Successful runs older code. Then it deletes the function under running invokes.
func TestUpdateUnderLoad(t *testing.T) {
	t.Parallel()
	h := house.Start(t)
	c := h.Client(t)
	code := func(version int) map[string]string {
		return map[string]string{"app.py": fmt.Sprintf("import time\ndef handler(event, context):\n    if event:\n        print('sleeping')\n    time.sleep(event.get('s', 0.02))\n    return %d\n", version)}
	}
	name := c.Function(lambda.CreateFunctionInput{}, code(0))
	var live atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				atLeast := live.Load()
				var ran int64
				answer, err := c.TryInvoke(name, "{}")
				if err == nil {
					_, err = fmt.Sscan(answer.Payload, &ran)
				}
				if err != nil || ran < atLeast {
					t.Errorf("ran %d when %d was live: %v %s", ran, atLeast, err, answer.Payload)
				}
			}
		})
	}
	for version := 1; version <= 4; version++ {
		_, err := c.Lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: &name, ZipFile: house.Zip(t, code(version))})
		if err != nil {
			t.Fatal(err)
		}
		c.WaitUpdated(name)
		live.Store(int64(version))
		time.Sleep(100 * time.Millisecond)
	}
	close(stop)
	wg.Wait()

	running := make(chan house.Answer, 1)
	go func() {
		answer, err := c.TryInvoke(name, `{"s":2}`)
		if err != nil {
			t.Error(err)
		}
		running <- answer
	}()
	c.LogLines(name, "sleeping")
	if _, err := c.Lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: &name}); err != nil {
		t.Fatal(err)
	}
	var notFound *types.ResourceNotFoundException
	if _, err := c.TryInvoke(name, "{}"); !errors.As(err, &notFound) {
		t.Errorf("an invoke after the deletion: %v", err)
	}
	if answer := <-running; answer.Payload != "4" {
		t.Errorf("the invoke that ran: %+v", answer)
	}
}

// TestFreeze: a thread that the handler left behind stands still between invokes, and goes on.
func TestFreeze(t *testing.T) {
	t.Parallel()
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{MemorySize: aws.Int32(1769)}, map[string]string{"app.py": `
import threading, time
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
def handler(event, context):
    time.sleep(0.2)
    return ticks
`})
	ticks := func() (n int) {
		t.Helper()
		if _, err := fmt.Sscan(c.Invoke(name, "{}").Payload, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := ticks()
	time.Sleep(3 * time.Second)
	// An environment runs on for 100 ms after an invoke, and 200 ms in this one.
	if after := ticks(); after <= before || after > before+100 {
		t.Errorf("%d ticks before 3 s of rest, %d after", before, after)
	}
}
