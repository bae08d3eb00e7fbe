package client

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/runtimeapi"
)

// startWaiting starts a runtime without a function, and lets it take one on.
func startWaiting(t testing.TB, l language, handler string, env ...string) *process {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	set := installed(t)
	task := l.task(t)
	program, err := set.For(Request{Runtime: l.runtime, Interpreter: l.path, MemoryMiB: 512, MountedAt: filepath.Join(set.Dir, l.name), TaskRoot: task})
	if err != nil {
		t.Fatal(err)
	}
	if !program.Waits {
		t.Skip(l.runtime + " is not started ahead")
	}
	base := append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String(), "LAMBDA_TASK_ROOT=" + task,
		"LANG=en_US.UTF-8", "TZ=:UTC", "PATH=" + os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1",
	}, program.Env...)
	p := &process{t: t, address: listener.Addr().String(), session: runtimeapi.Serve(listener, runtimeapi.Options{Gates: runtimeapi.Gates{Start: true}}), log: &logBuffer{}, ended: make(chan struct{})}
	p.cmd = exec.Command(program.Argv[0], program.Argv[1:]...)
	p.cmd.Dir = "/"
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.Env = append([]string{"_LAMBDAD_WAIT=1", "GONE=1"}, base...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.watch()
	if err := p.session.WaitGate(p.ctx(), runtimeapi.GateStart); err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{}
	for _, v := range append(append(base,
		"_HANDLER="+handler, "AWS_LAMBDA_FUNCTION_NAME=fn", "AWS_LAMBDA_FUNCTION_VERSION=7",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512", "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/fn",
		"AWS_LAMBDA_LOG_STREAM_NAME=2026/01/01/[7]abc"), env...) {
		name, value, _ := strings.Cut(v, "=")
		environment[name] = value
	}
	body, err := json.Marshal(map[string]any{"environment": environment})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.session.OpenGate(runtimeapi.GateStart, body); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestStartedAhead: a function cannot tell that its runtime was started before it.
func TestStartedAhead(t *testing.T) {
	for _, l := range languages(t) {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			own := []string{"AWS_LAMBDA_LOG_FORMAT=JSON", "TZ=Asia/Tokyo", "MINE=é=1"}
			cold := start(t, l, l.handler("surroundings"), own...)
			ahead := startWaiting(t, l, l.handler("surroundings"), own...)
			tell := func(p *process) string {
				var v any
				if err := json.Unmarshal(p.invoke("{}").Payload, &v); err != nil {
					t.Fatal(err)
				}
				b, err := json.Marshal(v) // members in one order
				if err != nil {
					t.Fatal(err)
				}
				return strings.ReplaceAll(string(b), p.address, "ADDRESS")
			}
			want, got := tell(cold), tell(ahead)
			if got != want {
				t.Errorf("started ahead:\n%s\nstarted for the function:\n%s", got, want)
			}
			for _, part := range []string{"é=1", "JST", "09"} {
				if !strings.Contains(want, part) {
					t.Errorf("%s does not tell of %s", want, part)
				}
			}
			if strings.Contains(got, "GONE") || strings.Contains(got, "_LAMBDAD_WAIT") {
				t.Errorf("what it was started with is still there: %s", got)
			}
			log := startWaiting(t, l, l.handler("log"), "AWS_LAMBDA_LOG_FORMAT=JSON")
			log.invoke("{}")
			// What it wrote may come behind its answer.
			for deadline := time.Now().Add(5 * time.Second); !strings.Contains(log.log.String(), `"WARN`); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("its log is not JSON: %s", log.log)
				}
			}
		})
	}
}

// TestStartedAheadInitError: an INIT that fails after the wait is told like another.
func TestStartedAheadInitError(t *testing.T) {
	for _, l := range languages(t) {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			cold, ahead := start(t, l, "gone.handler"), startWaiting(t, l, "gone.handler")
			want, got := cold.session.Ready(cold.ctx()), ahead.session.Ready(ahead.ctx())
			if want == nil || got == nil || want.Error() != got.Error() {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}
