package client

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lambdad/lambdad/internal/runtimeapi"
)

// breaking is a listener whose connections can be broken, as a copy finds them.
type breaking struct {
	net.Listener
	mu   sync.Mutex
	last net.Conn
}

func (b *breaking) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.last = c
	}
	return c, err
}

func (b *breaking) hangUp() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last.Close()
}

// startTemplate starts a function that waits after its INIT.
func startTemplate(t testing.TB, l language, handler, kind string) (*process, *breaking) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &breaking{Listener: listener}
	set, task := installed(t), l.task(t)
	program, err := set.For(Request{Runtime: l.runtime, Interpreter: l.path, MemoryMiB: 512, MountedAt: filepath.Join(set.Dir, l.name), TaskRoot: task})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, address: listener.Addr().String(), session: runtimeapi.Serve(b, runtimeapi.Options{Gates: runtimeapi.Gates{Restore: true}}), log: &logBuffer{}, ended: make(chan struct{})}
	p.cmd = exec.Command(program.Argv[0], program.Argv[1:]...)
	p.cmd.Dir = task
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.Env = append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + p.address, "LAMBDA_TASK_ROOT=" + task, "_HANDLER=" + handler, "_LAMBDAD_TEMPLATE=" + kind,
		"LANG=en_US.UTF-8", "TZ=:UTC", "PATH=" + os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1", "OWN=template",
	}, program.Env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.watch()
	return p, b
}

// open lets it through, with an environment of its own.
func (p *process) open(environment map[string]string) {
	p.t.Helper()
	body, err := json.Marshal(map[string]any{"environment": environment})
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.session.OpenGate(runtimeapi.GateRestore, body); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) atRestore() {
	p.t.Helper()
	if err := p.session.WaitGate(p.ctx(), runtimeapi.GateRestore); err != nil {
		p.t.Fatal(err)
	}
}

func own(p *process) map[string]string {
	return map[string]string{"AWS_LAMBDA_RUNTIME_API": p.address, "OWN": "copy", "TZ": "Asia/Tokyo", "AWS_LAMBDA_LOG_STREAM_NAME": "new"}
}

func cloned(t *testing.T, run func(t *testing.T, l language, kind string)) {
	for _, l := range languages(t) {
		for _, kind := range []string{"fork", "snapshot"} {
			if l.name == "nodejs" && kind == "snapshot" {
				continue // TestTemplateNode
			}
			t.Run(l.String()+" "+kind, func(t *testing.T) {
				t.Parallel()
				run(t, l, kind)
			})
		}
	}
}

// TestTemplate: a function goes on after its INIT with an environment of its own,
// in a copy and in the original, and as if it had had it from the beginning.
func TestTemplate(t *testing.T) {
	cloned(t, func(t *testing.T, l language, kind string) {
		for _, broken := range []bool{true, false} {
			handler := l.handler("restored")
			switch l.name {
			case "python":
				handler = "restored.restored"
			case "java":
				handler = "example.Restored::restored"
			}
			p, listener := startTemplate(t, l, handler, kind)
			p.atRestore()
			if broken {
				if err := listener.hangUp(); err != nil {
					t.Fatal(err)
				}
			}
			p.open(own(p))
			var got struct {
				Env   map[string]string
				Log   []string
				Hour  string
				Calls int
			}
			if err := json.Unmarshal([]byte(p.value("{}")), &got); err != nil {
				t.Fatal(err)
			}
			if got.Env["OWN"] != "copy" || got.Env["AWS_LAMBDA_LOG_STREAM_NAME"] != "new" || got.Env["LANG"] != "" || got.Env["_LAMBDAD_TEMPLATE"] != "" {
				t.Errorf("environment %v", got.Env)
			}
			if got.Hour != "JST" || got.Calls != 1 {
				t.Errorf("%+v", got)
			}
			want := ""
			if l.name == "python" || l.name == "java" {
				want = "before 2,before 1,after 1 copy,after 2 copy"
				if l.name == "python" && kind == "fork" && broken {
					want = "before 2,before 1,fork child,after 1 copy,after 2 copy"
				}
			}
			if told := strings.Join(got.Log, ","); told != want {
				t.Errorf("broken %t: hooks ran as %q, want %q", broken, told, want)
			}
			p.value("{}")
		}
	})
}

// TestTemplateHooks: a hook that fails is told with AWS's error, and ends the program.
// Source: AWS's Python runtime interface client, on_init_complete.
func TestTemplateHooks(t *testing.T) {
	for _, c := range []struct {
		language, handler, kind, thrown string
		status                          int
	}{
		{"python", "hooks_before.handler", "Runtime.BeforeSnapshotError", "ValueError", 64},
		{"python", "hooks_after.handler", "Runtime.AfterRestoreError", "ValueError", 65},
		{"java", "example.Refusing::before", "Runtime.BeforeCheckpointError", "java.lang.IllegalStateException", 64},
		{"java", "example.Refusing::after", "Runtime.AfterRestoreError", "java.lang.IllegalStateException", 64},
	} {
		p, _ := startTemplate(t, byName(t, c.language), c.handler, "fork")
		if c.kind == "Runtime.AfterRestoreError" {
			p.atRestore()
			p.open(own(p))
		}
		var told *runtimeapi.InitError
		if err := p.session.Ready(p.ctx()); !errors.As(err, &told) || told.ErrorType != c.kind {
			t.Errorf("%s: %v", c.handler, err)
			continue
		}
		if e := parseError(t, told.Payload); e.Type != c.thrown || e.Message != "refused" {
			t.Errorf("%s: %+v", c.handler, e)
		}
		<-p.ended
		if got := p.cmd.ProcessState.ExitCode(); got != c.status {
			t.Errorf("%s: status %d", c.handler, got)
		}
	}
}

// TestTemplateNode: Node.js cannot renew OpenSSL's randomness in a process with the same number.
func TestTemplateNode(t *testing.T) {
	l := byName(t, "nodejs")
	p, _ := startTemplate(t, l, l.handler("restored"), "snapshot")
	if e := p.initFailure(); e.Type != "Runtime.Unclonable" {
		t.Errorf("%+v", e)
	}
}
