package story

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// allAtOnce sends n invokes of a function that sleeps, without the SDK's own retries, and
// counts how many were answered and how many were throttled, for which reasons.
func allAtOnce(t *testing.T, h *house.House, name, payload string, n int) (answered int, throttled map[types.ThrottleReason]int) {
	t.Helper()
	config := h.SDKConfig(t)
	config.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	config.HTTPClient = &http.Client{Transport: &http.Transport{MaxConnsPerHost: n, MaxIdleConnsPerHost: n}}
	client := lambda.NewFromConfig(config)
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	throttled = map[types.ThrottleReason]int{}
	for range n {
		wg.Go(func() {
			out, err := client.Invoke(context.Background(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte(payload)})
			mu.Lock()
			defer mu.Unlock()
			var throttle *types.TooManyRequestsException
			switch {
			case err == nil && out.FunctionError == nil:
				answered++
			case errors.As(err, &throttle):
				throttled[throttle.Reason]++
				if aws.ToString(throttle.RetryAfterSeconds) == "" {
					t.Error("429 without Retry-After")
				}
			default:
				t.Errorf("an invoke ended with %v", err)
			}
		})
	}
	wg.Wait()
	return answered, throttled
}

// TestBurst: many invokes of a cold function at once are all answered, each in an environment
// of its own.
func TestBurst(t *testing.T) {
	t.Parallel()
	h := house.Start(t, "--memory", "100000")
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{Timeout: aws.Int32(60)}, map[string]string{"app.py": sleeper})
	const burst = 60
	if answered, throttled := allAtOnce(t, h, name, `{"s":0.2}`, burst); answered != burst {
		t.Errorf("%d of %d were answered, %v throttled", answered, burst, throttled)
	}
}

// TestScalingRate: beyond its scaling rate a function gets no new environments for a while, and
// those that it has serve on.
func TestScalingRate(t *testing.T) {
	t.Parallel()
	h := house.Start(t, "--memory", "100000", "--scaling-rate", "5")
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{Timeout: aws.Int32(60)}, map[string]string{"app.py": sleeper})
	began := time.Now()
	answered, throttled := allAtOnce(t, h, name, `{"s":1}`, 20)
	most := 5 + int(time.Since(began)/(2*time.Second)) + 5 // and a warm one may serve twice
	if answered < 5 || answered > most || throttled[types.ThrottleReasonFunctionInvocationRateLimitExceeded] != 20-answered {
		t.Errorf("%d of 20 were answered, %v throttled", answered, throttled)
	}
	c.Invoke(name, "{}")
}

// TestMemoryAdmission: whatever is asked of it, a node never promises more memory than it was
// given; who finds none waits for some, or is throttled, and never fails.
func TestMemoryAdmission(t *testing.T) {
	t.Parallel()
	h := house.Start(t, "--memory", "512")
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{Timeout: aws.Int32(60), MemorySize: aws.Int32(128)}, map[string]string{"app.py": sleeper})
	other := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("other"), Timeout: aws.Int32(60), MemorySize: aws.Int32(256)}, map[string]string{"app.py": sleeper})
	done := make(chan struct{})
	var watch sync.WaitGroup
	most := 0
	watch.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
			most = max(most, promised(t, h))
		}
	})
	var load sync.WaitGroup
	for _, f := range []string{name, other} {
		load.Go(func() {
			answered, throttled := allAtOnce(t, h, f, `{"s":0.2}`, 12)
			if answered == 0 || answered+throttled[types.ThrottleReasonConcurrentInvocationLimitExceeded] != 12 {
				t.Errorf("%d of 12 were answered, %v throttled", answered, throttled)
			}
		})
	}
	load.Wait()
	close(done)
	watch.Wait()
	if most > 512 || most < 256 {
		t.Errorf("%d MiB of 512 were promised", most)
	}
}

func promised(t *testing.T, h *house.House) int {
	response, err := http.Get(h.Endpoint + "/_lambdad/health")
	if err != nil {
		t.Error(err)
		return 0
	}
	defer response.Body.Close()
	var health struct{ UsedMiB int }
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal(body.Bytes(), &health); err != nil {
		t.Error(err)
	}
	return health.UsedMiB
}
