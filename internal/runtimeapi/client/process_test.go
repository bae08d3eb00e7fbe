package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/runtimeapi"
)

const (
	testARN = "arn:aws:lambda:us-east-1:000000000000:function:fn:live"
	testID  = aws.RequestID("11111111-2222-4333-8444-555555555555")
)

// language is one runtime client and an interpreter of this host for it.
type language struct {
	name    string // of its directory in testdata
	variant string // a form of its handlers, "" for the usual one
	runtime string
	path    string // of the interpreter
	handler func(name string) string
	// task makes the directory that is the function's /var/task.
	task func(t testing.TB) string
}

func (l language) String() string {
	if l.variant != "" {
		return l.name + "/" + l.runtime + "/" + l.variant
	}
	return l.name + "/" + l.runtime
}

// variants are the other forms of handlers that a language has, for the same table.
func variants(all []language) (out []language) {
	for _, l := range all {
		out = append(out, l)
		if l.name != "nodejs" {
			continue
		}
		for variant, file := range map[string]string{"module": "esm", "callbacks": "callbacks", "streams": "streams"} {
			v := l
			v.variant = variant
			v.handler = func(name string) string { return file + "." + name }
			out = append(out, v)
		}
	}
	return out
}

// languages lists what this host can run; the rest is told as skipped.
func languages(t testing.TB) []language {
	t.Helper()
	testdata := func(dir string) func(testing.TB) string {
		return func(t testing.TB) string {
			abs, err := filepath.Abs(filepath.Join("testdata", dir))
			if err != nil {
				t.Fatal(err)
			}
			return abs
		}
	}
	file := func(name string) string { return "function." + name }
	var found []language
	for _, version := range []string{"3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"} {
		// Asked for its own path: a version that a version switcher merely knows does not answer.
		out, err := exec.Command("python"+version, "-c", "import sys; print(sys.executable)").Output()
		if err == nil {
			found = append(found, language{"python", "", "python" + version, strings.TrimSpace(string(out)), file, testdata("python")})
		}
	}
	if p, err := exec.LookPath("node"); err == nil {
		found = append(found, language{"nodejs", "", "nodejs20.x", p, file, testdata("nodejs")})
	}
	if p, err := exec.LookPath("ruby"); err == nil {
		ruby := func(name string) string {
			if name == "fail" { // Kernel has a method of that name
				name = "fail_"
			}
			return "function." + name
		}
		found = append(found, language{"ruby", "", "ruby3.2", p, ruby, testdata("ruby")})
	}
	if p, err := exec.LookPath("java"); err == nil {
		if _, err := exec.LookPath("javac"); err == nil {
			java := func(name string) string { return "example.Function::" + name }
			found = append(found, language{"java", "", "java17", p, java, javaTask})
		}
	}
	return found
}

func byName(t *testing.T, name string) language {
	t.Helper()
	all := languages(t)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].name == name {
			return all[i]
		}
	}
	t.Skip("needs an interpreter of " + name)
	return language{}
}

var javaClasses struct {
	sync.Once
	dir string
	err error
}

// javaTask compiles the test's functions once.
func javaTask(t testing.TB) string {
	t.Helper()
	javaClasses.Do(func() {
		javaClasses.dir, javaClasses.err = os.MkdirTemp("", "lambdad-client-test-")
		if javaClasses.err != nil {
			return
		}
		sources, _ := filepath.Glob("testdata/java/example/*.java")
		args := append([]string{"-encoding", "UTF-8", "-cp", "java/lambdad-runtime.jar", "-d", javaClasses.dir}, sources...)
		if out, err := exec.Command("javac", args...).CombinedOutput(); err != nil {
			javaClasses.err = errors.New(string(out))
			return
		}
		javaClasses.err = os.Remove(filepath.Join(javaClasses.dir, "example", "Lacking$Gone.class"))
	})
	if javaClasses.err != nil {
		t.Fatal(javaClasses.err)
	}
	return javaClasses.dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range []string{javaClasses.dir, testSet.dir} {
		if dir != "" {
			os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

// process is a runtime client that runs, with its session.
type process struct {
	address string // of its Runtime API
	t       testing.TB
	session *runtimeapi.Session
	cmd     *exec.Cmd
	log     *logBuffer
	ended   chan struct{}
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var testSet struct {
	sync.Once
	dir string
	set Set
	err error
}

func installed(t testing.TB) Set {
	t.Helper()
	testSet.Do(func() {
		if testSet.dir, testSet.err = os.MkdirTemp("", "lambdad-client-test-"); testSet.err == nil {
			testSet.set, testSet.err = Install(testSet.dir)
		}
	})
	if testSet.err != nil {
		t.Fatal(testSet.err)
	}
	return testSet.set
}

// start runs a function of l. Its handler is the language's whole handler string.
func start(t testing.TB, l language, handler string, env ...string) *process {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, address: listener.Addr().String(), session: runtimeapi.Serve(listener, runtimeapi.Options{}), log: &logBuffer{}, ended: make(chan struct{})}
	set := installed(t)
	task := l.task(t)
	program, err := set.For(Request{Runtime: l.runtime, Interpreter: l.path, MemoryMiB: 512, MountedAt: filepath.Join(set.Dir, l.name), TaskRoot: task})
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(program.Argv[0], program.Argv[1:]...)
	p.cmd.Dir = task
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.Env = append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String(),
		"LAMBDA_TASK_ROOT=" + task,
		"_HANDLER=" + handler,
		"LANG=en_US.UTF-8", // as in a sandbox, installed or not
		"TZ=:UTC",
		"PATH=" + os.Getenv("PATH"),
		"PYTHONDONTWRITEBYTECODE=1",
		"AWS_LAMBDA_FUNCTION_NAME=fn",
		"AWS_LAMBDA_FUNCTION_VERSION=7",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/fn",
		"AWS_LAMBDA_LOG_STREAM_NAME=2026/01/01/[7]abc",
	}, append(program.Env, env...)...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.watch()
	return p
}

// watch ends the session when the program ends, and the program when the test does.
func (p *process) watch() {
	go func() {
		defer close(p.ended)
		p.cmd.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		p.session.Drain(ctx)
	}()
	p.t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		if p.t.Failed() {
			p.t.Logf("log of the function:\n%s", p.log)
		}
	})
}

func (p *process) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	p.t.Cleanup(cancel)
	return ctx
}

func invocation(payload string) *runtimeapi.Invocation {
	return &runtimeapi.Invocation{
		RequestID:   testID,
		Deadline:    time.Now().Add(30 * time.Second),
		FunctionARN: testARN,
		Payload:     []byte(payload),
	}
}

func (p *process) invoke(payload string) *runtimeapi.Outcome {
	p.t.Helper()
	return p.send(invocation(payload))
}

func (p *process) send(inv *runtimeapi.Invocation) *runtimeapi.Outcome {
	p.t.Helper()
	o, err := p.session.Invoke(p.ctx(), inv)
	if err != nil {
		p.t.Fatal(err)
	}
	return o
}

// idle waits until the runtime has come back, so that its log is whole.
func (p *process) idle() {
	p.t.Helper()
	if err := p.session.WaitNext(p.ctx()); err != nil {
		p.t.Fatal(err)
	}
}

// value is the answer of an invocation that must succeed.
func (p *process) value(payload string) string {
	p.t.Helper()
	o := p.invoke(payload)
	if o.ErrorType != "" {
		p.t.Fatalf("%s: %s", o.ErrorType, o.Payload)
	}
	return string(o.Payload)
}

// failure is the answer of an invocation that must fail.
func (p *process) failure(payload string) functionError {
	p.t.Helper()
	o := p.invoke(payload)
	if o.ErrorType == "" {
		p.t.Fatalf("no error: %s", o.Payload)
	}
	return parseError(p.t, o.Payload)
}

// initFailure is the error of an INIT that must fail.
func (p *process) initFailure() functionError {
	p.t.Helper()
	err := p.session.Ready(p.ctx())
	var ie *runtimeapi.InitError
	if !errors.As(err, &ie) {
		p.t.Fatalf("no init error but %v", err)
	}
	<-p.ended
	if p.cmd.ProcessState.ExitCode() == 0 {
		p.t.Error("the process ended with status 0")
	}
	return parseError(p.t, ie.Payload)
}

// exit waits for the process to end in the middle of an invocation or INIT.
func (p *process) exit(payload string) int {
	p.t.Helper()
	if payload != "" {
		if _, err := p.session.Invoke(p.ctx(), invocation(payload)); !errors.Is(err, runtimeapi.ErrClosed) {
			p.t.Fatal(err)
		}
	} else if err := p.session.Ready(p.ctx()); !errors.Is(err, runtimeapi.ErrClosed) {
		p.t.Fatal(err)
	}
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

type functionError struct {
	Message    string   `json:"errorMessage"`
	Type       string   `json:"errorType"`
	RequestID  *string  `json:"requestId"`
	StackTrace []string `json:"stackTrace"`
	Trace      []string `json:"trace"`
	Cause      *functionError
	members    string // in their order
}

func parseError(t testing.TB, b []byte) functionError {
	t.Helper()
	var e functionError
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.Token()
	for d.More() {
		name, _ := d.Token()
		var skip json.RawMessage
		if err := d.Decode(&skip); err != nil {
			t.Fatal(err)
		}
		e.members += " " + name.(string)
	}
	return e
}
