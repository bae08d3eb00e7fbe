package worker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/worker"
	"github.com/lambdad/lambdad/internal/worker/workertest"
)

// A provisioned environment says so, and names its INIT in the first REPORT without billing it.
func TestProvisionedEnvironment(t *testing.T) {
	var environment []string
	slow := workertest.Runtime(echo)
	h := newHost(t, func(ctx context.Context, p *workertest.Proc) sandbox.Exit {
		environment = p.Spec.Env
		time.Sleep(30 * time.Millisecond)
		return slow(ctx, p)
	}, nil)
	e, err := h.Start(context.Background(), worker.StartSpec{Function: workertest.Function("f"), Provisioned: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Destroy()
	if !slices.Contains(environment, "AWS_LAMBDA_INITIALIZATION_TYPE=provisioned-concurrency") {
		t.Errorf("environment %q", environment)
	}
	res := e.Invoke(invocation(`1`))
	if !strings.Contains(string(res.LogTail), "Init Duration: ") {
		t.Errorf("log %q", res.LogTail)
	}
	if m := <-h.meter; m.Init < 30*time.Millisecond || m.Billed >= m.Init || !m.Provisioned {
		t.Errorf("metered %+v", m)
	}
}

// Sandboxes of one isolation are never given to environments of another.
func TestIsolationsDoNotMix(t *testing.T) {
	drivers := map[record.Isolation]*workertest.Driver{
		record.IsolationContainer: {Main: workertest.Runtime(echo)}, record.IsolationGVisor: {Main: workertest.Runtime(echo)},
	}
	h := newHost(t, nil, func(o *worker.Options) {
		o.Drivers = func(_ context.Context, i record.Isolation) (sandbox.Driver, error) {
			if d := drivers[i]; d != nil {
				return d, nil
			}
			return nil, errors.New("install it")
		}
	})
	for i := range drivers {
		e, err := h.Start(context.Background(), worker.StartSpec{Function: workertest.Function("f"), Isolation: i})
		if err != nil {
			t.Fatal(err)
		}
		if live, _, _, _, _ := drivers[i].Counts(); live == 0 {
			t.Errorf("%s: made by another driver", i)
		}
		e.Destroy()
	}
	_, err := h.Start(context.Background(), worker.StartSpec{Function: workertest.Function("f"), Isolation: record.IsolationMicroVM})
	if !errors.Is(err, worker.ErrIsolation) || !strings.Contains(err.Error(), "install it") {
		t.Errorf("an isolation that is not there: %v", err)
	}
}
