package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/worker"
)

// lines keeps a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const countingHandler = `
import os, random, uuid, ssl, tempfile, time
print("INIT runs")
began = time.time()
state = {"calls": 0, "held": random.random()}
def handler(event, context):
    state["calls"] += 1
    left = os.listdir("/tmp")
    open("/tmp/mine", "w").close()
    return {"calls": state["calls"], "began": began, "random": random.random(), "uuid": str(uuid.uuid4()),
            "urandom": os.urandom(8).hex(), "ssl": ssl.RAND_bytes(8).hex(), "tmp": left, "pid": os.getpid(),
            "stream": os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME"), "context": context.log_stream_name,
            "key": os.environ["AWS_ACCESS_KEY_ID"], "kind": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"],
            "ours": [k for k in os.environ if k.startswith("_LAMBDAD")], "cwd": os.getcwd()}
`

type told struct {
	Calls                                          int
	Began, Random                                  float64
	UUID, Urandom, SSL, Stream, Context, Kind, CWD string
	TMP, Ours                                      []string
	PID                                            int
}

func (h *pythonHost) tell(t *testing.T, fn *record.Function) (told, *worker.Environment) {
	t.Helper()
	e, err := h.Start(context.Background(), worker.StartSpec{Function: fn})
	if err != nil {
		t.Fatal(err)
	}
	res := e.Invoke(invocation(`{}`))
	var v told
	if err := json.Unmarshal(res.Payload, &v); err != nil || res.FunctionError != "" {
		t.Fatalf("%v %s", err, res.Payload)
	}
	return v, e
}

// TestPythonFromTemplate: environments of a function seen before are copies, and share
// nothing that one of them changes.
func TestPythonFromTemplate(t *testing.T) {
	h := newPythonHost(t, countingHandler)
	fn := h.function()
	first, e := h.tell(t, fn)
	e.Destroy()
	var began float64
	seen := map[string]bool{}
	for deadline := time.Now().Add(30 * time.Second); began == 0; {
		if time.Now().After(deadline) || strings.Contains(h.told.String(), "without a template") {
			t.Fatalf("no template: %s", h.told)
		}
		time.Sleep(50 * time.Millisecond)
		a, e := h.tell(t, fn)
		e.Destroy()
		b, f := h.tell(t, fn)
		f.Destroy()
		if a.Began == b.Began {
			began = a.Began
		}
	}
	if began == first.Began {
		t.Error("the first environment is the template")
	}
	for range 5 {
		v, e := h.tell(t, fn)
		defer e.Destroy()
		if v.Began != began || v.Calls != 1 || len(v.TMP) != 0 || len(v.Ours) != 0 || v.CWD != "/var/task" || v.Kind != "on-demand" {
			t.Errorf("a copy says %+v", v)
		}
		if v.Stream != h.logs.Stream().Stream || v.Context != v.Stream {
			t.Errorf("stream %s, context %s, not %s", v.Stream, v.Context, h.logs.Stream().Stream)
		}
		for _, once := range []string{v.UUID, v.Urandom, v.SSL, v.Stream, time.Unix(0, int64(v.Random*1e15)).String()} {
			if seen[once] {
				t.Errorf("%s twice", once)
			}
			seen[once] = true
		}
	}
	if t.Failed() {
		t.Log(h.told)
	}
}

// TestPythonStartedAhead: a new function finds its interpreter running.
func TestPythonStartedAhead(t *testing.T) {
	h := newPythonHost(t, countingHandler)
	if err := h.Prepare(context.Background(), h.function(), ""); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	v, e := h.tell(t, h.function())
	defer e.Destroy()
	if v.Calls != 1 || len(v.TMP) != 0 || len(v.Ours) != 0 || v.CWD != "/var/task" || v.Stream != h.logs.Stream().Stream {
		t.Errorf("it says %+v", v)
	}
	if s := h.told.String(); strings.Contains(s, "could not be") {
		t.Error(s)
	}
}

func BenchmarkPythonTiers(b *testing.B) {
	for _, tier := range []string{"parked", "started", "template"} {
		b.Run(tier, func(b *testing.B) {
			h := newPythonHost(b, countingHandler)
			fn := h.function()
			if tier == "parked" {
				fn.Environment = map[string]string{"PYTHONHASHSEED": "random"}
			}
			if tier != "template" {
				fn.Artifact = h.digest
			}
			if err := h.Prepare(context.Background(), h.function(), ""); err != nil {
				b.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			if tier == "template" {
				e, err := h.Start(context.Background(), worker.StartSpec{Function: fn})
				if err != nil {
					b.Fatal(err)
				}
				e.Destroy()
				time.Sleep(2 * time.Second)
			}
			b.ResetTimer()
			for i := range b.N {
				if tier == "started" {
					own := *fn
					own.Generation = uint64(i + 2)
					own.Environment = map[string]string{"AWS_LAMBDA_X": "1"}
					fn = &own
				}
				e, err := h.Start(context.Background(), worker.StartSpec{Function: fn})
				if err != nil {
					b.Fatal(err)
				}
				e.Invoke(invocation(`{}`))
				b.StopTimer()
				e.Destroy()
				time.Sleep(50 * time.Millisecond)
				b.StartTimer()
			}
		})
	}
}
