package story

import (
	"bytes"
	"encoding/csv"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// provisionedMax bounds the wait for provisioned concurrency to be as it should.
const provisionedMax = 30 * time.Second

func waitProvisioned(t *testing.T, c *house.Client, name, version string, want types.ProvisionedConcurrencyStatusEnum) *lambda.GetProvisionedConcurrencyConfigOutput {
	t.Helper()
	for deadline := time.Now().Add(provisionedMax); ; time.Sleep(50 * time.Millisecond) {
		got, err := c.Lambda.GetProvisionedConcurrencyConfig(t.Context(), &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: &name, Qualifier: &version})
		if err != nil {
			t.Fatal(err)
		}
		if got.Status == want {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %s (%s), want %s", got.Status, aws.ToString(got.StatusReason), want)
		}
	}
}

func publish(t *testing.T, c *house.Client, name string) string {
	t.Helper()
	v, err := c.Lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return *v.Version
}

// TestProvisionedConcurrency keeps environments initialised before anybody invokes, spills over
// beyond them, replaces one that dies, and has them again after lambdad was killed.
func TestProvisionedConcurrency(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{MemorySize: aws.Int32(128), Timeout: aws.Int32(20)}, map[string]string{"app.py": `
import os, time
time.sleep(0.5)
def handler(event, context):
    if event.get('die'):
        os._exit(3)
    time.sleep(event.get('s', 0))
    return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']
`})
	version := publish(t, c, name)
	put, err := c.Lambda.PutProvisionedConcurrencyConfig(t.Context(), &lambda.PutProvisionedConcurrencyConfigInput{FunctionName: &name, Qualifier: &version, ProvisionedConcurrentExecutions: aws.Int32(2)})
	if err != nil {
		t.Fatal(err)
	}
	if put.Status != types.ProvisionedConcurrencyStatusEnumInProgress {
		t.Errorf("put answers %s", put.Status)
	}
	ready := waitProvisioned(t, c, name, version, types.ProvisionedConcurrencyStatusEnumReady)
	if *ready.AvailableProvisionedConcurrentExecutions != 2 || *ready.AllocatedProvisionedConcurrentExecutions != 2 {
		t.Errorf("ready with %+v", ready)
	}
	first := c.Invoke(name+":"+version, `{}`)
	if first.Payload != `"provisioned-concurrency"` {
		t.Errorf("the first invoke ran %s", first.Payload)
	}
	// AWS names the INIT of a provisioned environment in its first REPORT and does not bill it.
	if !strings.Contains(first.Log, "Init Duration: 5") || strings.Contains(first.Log, "Billed Duration: 5") {
		t.Errorf("log of the first invoke: %s", first.Log)
	}

	kinds := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			answer, err := c.TryInvoke(name+":"+version, `{"s":2}`)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			kinds[answer.Payload]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if kinds[`"provisioned-concurrency"`] != 2 || kinds[`"on-demand"`] != 1 {
		t.Errorf("three at once ran %v", kinds)
	}

	if answer := c.Invoke(name+":"+version, `{"die":true}`); answer.FunctionError == "" {
		t.Errorf("an environment that ended answered %s", answer.Payload)
	}
	for deadline := time.Now().Add(provisionedMax); ; time.Sleep(50 * time.Millisecond) {
		got := waitProvisioned(t, c, name, version, types.ProvisionedConcurrencyStatusEnumReady)
		if *got.AvailableProvisionedConcurrentExecutions == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the environment that ended was not replaced")
		}
	}

	h.Kill()
	h.Run()
	c = c.Again(h)
	for deadline := time.Now().Add(provisionedMax); ; time.Sleep(50 * time.Millisecond) {
		waitProvisioned(t, c, name, version, types.ProvisionedConcurrencyStatusEnumReady)
		if c.Invoke(name+":"+version, `{}`).Payload == `"provisioned-concurrency"` {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is provisioned after a restart")
		}
	}
	if _, err := c.Lambda.DeleteProvisionedConcurrencyConfig(t.Context(), &lambda.DeleteProvisionedConcurrencyConfigInput{FunctionName: &name, Qualifier: &version}); err != nil {
		t.Error(err)
	}
}

// TestProvisionedConcurrencyFails says AWS's reason when INIT fails.
func TestProvisionedConcurrencyFails(t *testing.T) {
	t.Parallel()
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{}, map[string]string{"app.py": "raise Exception('no')\n"})
	version := publish(t, c, name)
	if _, err := c.Lambda.PutProvisionedConcurrencyConfig(t.Context(), &lambda.PutProvisionedConcurrencyConfigInput{FunctionName: &name, Qualifier: &version, ProvisionedConcurrentExecutions: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	failed := waitProvisioned(t, c, name, version, types.ProvisionedConcurrencyStatusEnumFailed)
	if aws.ToString(failed.StatusReason) != "FUNCTION_ERROR_INIT_FAILURE" {
		t.Errorf("failed because %q", aws.ToString(failed.StatusReason))
	}
}

// TestSnapStartVersions waits for a version's snapshot as clients do, and is told when INIT fails.
func TestSnapStartVersions(t *testing.T) {
	t.Parallel()
	h := house.Start(t)
	c := h.Client(t)
	snapStart := &types.SnapStart{ApplyOn: types.SnapStartApplyOnPublishedVersions}
	name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("good"), SnapStart: snapStart}, map[string]string{"app.py": "def handler(event, context):\n    return 'hello'\n"})
	version := publish(t, c, name)
	if err := lambda.NewPublishedVersionActiveWaiter(c.Lambda, func(o *lambda.PublishedVersionActiveWaiterOptions) { o.MinDelay = 100 * time.Millisecond }).
		Wait(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name, Qualifier: &version}, provisionedMax); err != nil {
		t.Fatal(err)
	}
	got, err := c.Lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name, Qualifier: &version})
	if err != nil {
		t.Fatal(err)
	}
	// Copies of a program need root in the container driver: without it the version says so.
	want := types.SnapStartOptimizationStatusOn
	if os.Geteuid() != 0 {
		want = types.SnapStartOptimizationStatusOff
	}
	if got.SnapStart.OptimizationStatus != want {
		t.Errorf("%+v\n%s", got.SnapStart, h.Log())
	}
	if answer := c.Invoke(name+":"+version, `{}`); answer.Payload != `"hello"` {
		t.Errorf("answered %s %s", answer.FunctionError, answer.Payload)
	}

	bad := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("bad"), SnapStart: snapStart}, map[string]string{"app.py": "raise Exception('no')\n"})
	version = publish(t, c, bad)
	for deadline := time.Now().Add(provisionedMax); ; time.Sleep(50 * time.Millisecond) {
		got, err := c.Lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &bad, Qualifier: &version})
		if err != nil {
			t.Fatal(err)
		}
		if got.State == types.StateFailed {
			if got.StateReasonCode == "" || aws.ToString(got.StateReason) == "" {
				t.Errorf("failed for %q %q", got.StateReasonCode, aws.ToString(got.StateReason))
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a version whose INIT fails is still %s", got.State)
		}
	}
}

// TestSnapStartFirstInvoke: the very first invoke of a version that is Active is restored. One
// whose INIT leaves what cannot be copied is Active and says that it has no snapshot.
func TestSnapStartFirstInvoke(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("templates of the container driver need root")
	}
	h := house.Start(t)
	client := h.Client(t)
	const java = "package app;\npublic class App {\n  static final String MARK = \"ok\";\n  public String handler(Object event) { return MARK; }\n}\n"
	for name, tt := range map[string]struct {
		runtime types.Runtime
		code    string
		status  types.SnapStartOptimizationStatus
	}{
		"python":      {types.RuntimePython312, "mark = 'ok'\ndef handler(event, context):\n    return mark\n", types.SnapStartOptimizationStatusOn},
		"java":        {types.RuntimeJava17, java, types.SnapStartOptimizationStatusOn},
		"left-a-file": {types.RuntimePython312, "open('/tmp/left', 'w').close()\ndef handler(event, context):\n    return 'ok'\n", types.SnapStartOptimizationStatusOff},
	} {
		t.Run(name, func(t *testing.T) {
			c := client.With(t)
			files, handler := map[string]string{"app.py": tt.code}, "app.handler"
			if tt.runtime == types.RuntimeJava17 {
				files, handler = compiled(t, "app/App.java", tt.code), "app.App::handler"
			}
			fn := c.Function(lambda.CreateFunctionInput{
				FunctionName: &name, Runtime: tt.runtime, Handler: &handler, MemorySize: aws.Int32(512), Timeout: aws.Int32(30),
				SnapStart: &types.SnapStart{ApplyOn: types.SnapStartApplyOnPublishedVersions},
			}, files)
			version := publish(t, c, fn)
			if err := lambda.NewPublishedVersionActiveWaiter(c.Lambda, func(o *lambda.PublishedVersionActiveWaiterOptions) { o.MinDelay = 100 * time.Millisecond }).
				Wait(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &fn, Qualifier: &version}, provisionedMax); err != nil {
				t.Fatal(err)
			}
			got, err := c.Lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &fn, Qualifier: &version})
			if err != nil || got.SnapStart.OptimizationStatus != tt.status {
				t.Errorf("%+v, %v\n%s", got.SnapStart, err, h.Log())
			}
			answer := c.Invoke(fn+":"+version, `{}`)
			restored := tt.status == types.SnapStartOptimizationStatusOn
			if answer.Payload != `"ok"` || strings.Contains(answer.Log, "Billed Restore Duration: ") != restored || strings.Contains(answer.Log, "Init Duration: ") == restored {
				t.Errorf("answered %s, logged %s\n%s", answer.Payload, answer.Log, h.Log())
			}
			if restored {
				c.LogLines(fn, "RESTORE_START Runtime Version: ")
			} else if !strings.Contains(h.Log(), "no snapshot could be made") {
				t.Errorf("lambdad does not say why: %s", h.Log())
			}
		})
	}
}

// TestIsolationTag refuses what cannot be had, when it is asked for.
func TestIsolationTag(t *testing.T) {
	t.Parallel()
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{Tags: map[string]string{"lambdad:isolation": "container"}}, map[string]string{"app.py": "def handler(event, context):\n    return 1\n"})
	if answer := c.Invoke(name, `{}`); answer.Payload != "1" {
		t.Errorf("answered %s", answer.Payload)
	}
	_, err := c.Lambda.TagResource(t.Context(), &lambda.TagResourceInput{Resource: aws.String("arn:aws:lambda:us-east-1:000000000000:function:" + name), Tags: map[string]string{"lambdad:isolation": "chroot"}})
	var refused *types.InvalidParameterValueException
	if !errors.As(err, &refused) || !strings.Contains(refused.ErrorMessage(), "container, gvisor, microvm") {
		t.Errorf("an isolation that does not exist: %v", err)
	}
}

// TestProvisionedConcurrencyIsReserved leaves others only what is not provisioned of the account's limit.
func TestProvisionedConcurrencyIsReserved(t *testing.T) {
	h := house.Start(t, "--concurrency", "2")
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{MemorySize: aws.Int32(128), Timeout: aws.Int32(20)}, map[string]string{"app.py": "import time\ndef handler(event, context):\n    print('sleeping')\n    time.sleep(event.get('s', 0))\n    return 'ok'\n"})
	version := publish(t, c, name)
	put := func(n int32) error {
		_, err := c.Lambda.PutProvisionedConcurrencyConfig(t.Context(), &lambda.PutProvisionedConcurrencyConfigInput{FunctionName: &name, Qualifier: &version, ProvisionedConcurrentExecutions: aws.Int32(n)})
		return err
	}
	var invalid *types.InvalidParameterValueException
	if err := put(3); !errors.As(err, &invalid) {
		t.Errorf("provisioned beyond the account's limit: %v", err)
	}
	if err := put(1); err != nil {
		t.Fatal(err)
	}
	waitProvisioned(t, c, name, version, types.ProvisionedConcurrencyStatusEnumReady)
	var wg sync.WaitGroup
	wg.Go(func() {
		if answer, err := c.TryInvoke(name, `{"s":4}`); err != nil || answer.Payload != `"ok"` {
			t.Errorf("in what is not reserved: %v %v", answer, err)
		}
	})
	c.LogLines(name, "sleeping")
	var throttled *types.TooManyRequestsException
	if _, err := c.TryInvoke(name, `{}`); !errors.As(err, &throttled) || throttled.Reason != types.ThrottleReasonConcurrentInvocationLimitExceeded {
		t.Errorf("in what is reserved for another version: %v", err)
	}
	if answer := c.Invoke(name+":"+version, `{}`); answer.Payload != `"ok"` {
		t.Errorf("in its own reservation: %v", answer)
	}
	wg.Wait()
	if _, err := c.Lambda.DeleteProvisionedConcurrencyConfig(t.Context(), &lambda.DeleteProvisionedConcurrencyConfigInput{FunctionName: &name, Qualifier: &version}); err != nil {
		t.Fatal(err)
	}
	// What was kept is on the bill, and what ran in it has a price of its own.
	cmd := h.Command(t.Context(), house.Binary(t), "bill", "--data", h.Data, "--listen", strings.TrimPrefix(h.Endpoint, "http://"), "--by", "function", "--format", "csv")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.Index(rows[0], "cost_provisioned")
	// 4 s x 128 MB are more than this at AWS's price, and an hour is not over.
	if cost, err := strconv.ParseFloat(rows[1][at], 64); err != nil || cost < 1e-6 || cost > 1e-3 {
		t.Errorf("the bill has %q for what is provisioned: %v\n%s", rows[1][at], err, out)
	}
}

// TestSnapStartAfterRestart: a version that says it is optimized is restored from its very first invoke on
// when lambdad was killed and started again.
func TestSnapStartAfterRestart(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("templates of the container driver need root")
	}
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{SnapStart: &types.SnapStart{ApplyOn: types.SnapStartApplyOnPublishedVersions}},
		map[string]string{"app.py": "import os\ndef handler(event, context):\n    return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n"})
	version := publish(t, c, name)
	if err := lambda.NewPublishedVersionActiveWaiter(c.Lambda, func(o *lambda.PublishedVersionActiveWaiterOptions) { o.MinDelay = 100 * time.Millisecond }).
		Wait(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name, Qualifier: &version}, provisionedMax); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.Kill()
		h.Run()
		got, err := c.Lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name, Qualifier: &version})
		if err != nil || got.State != types.StateActive || got.SnapStart.OptimizationStatus != types.SnapStartOptimizationStatusOn {
			t.Fatalf("%v %+v, %v", got.State, got.SnapStart, err)
		}
		answer := c.Invoke(name+":"+version, `{}`)
		if answer.Payload != `"snap-start"` || !strings.Contains(answer.Log, "Billed Restore Duration: ") || strings.Contains(answer.Log, "Init Duration: ") {
			t.Errorf("answered %s %s, logged %s\n%s", answer.FunctionError, answer.Payload, answer.Log, h.Log())
		}
	}
}
