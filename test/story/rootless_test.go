package story

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

const (
	// nobody is the user that the stories run as when root starts the tests.
	nobody = 65534
	// golangBuilt, set in the environment, is the folder of the built Go
	// example and of the extension: for a test process that may not run the compiler.
	golangBuilt = "LAMBDAD_TEST_GOLANG"
	// rootlessStories are told again as an ordinary user.
	rootlessStories = "^(TestWithoutRoot|TestKillAndRestart|TestDrain|TestReportLine|TestLimitsAreReal|TestExtensionEvents|TestInternalExtension)$"
	// together is how many invokes run at once.
	together = 20
)

// TestWithoutRoot: an ordinary user runs functions in three languages, is told what is not
// enforced, and leaves nothing behind.
func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	h := house.Start(t)
	c := h.Client(t)

	t.Run("languages", func(t *testing.T) {
		bootstrap, err := os.ReadFile(filepath.Join(golang(t), "bootstrap"))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range []struct {
			runtime types.Runtime
			handler string
			files   map[string]string
		}{
			{types.RuntimePython312, "app.handler", map[string]string{"app.py": "n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return {'invokes': n}\n"}},
			{types.RuntimeNodejs22x, "index.handler", map[string]string{"index.mjs": "let n = 0\nexport const handler = async () => ({invokes: ++n})\n"}},
			{types.RuntimeProvidedal2023, "bootstrap", map[string]string{"bootstrap*": string(bootstrap)}},
		} {
			t.Run(string(l.runtime), func(t *testing.T) {
				c := c.With(t)
				name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String(strings.NewReplacer(".", "-").Replace(string(l.runtime))), Runtime: l.runtime, Handler: &l.handler}, l.files)
				cold := c.Invoke(name, `{"name":"you"}`)
				var warm house.Answer
				for range 5 { // one that comes before the runtime asks for it gets another environment
					if warm = c.Invoke(name, `{"name":"you"}`); warm.JSON(t)["invokes"] == 2.0 {
						break
					}
				}
				if cold.JSON(t)["invokes"] != 1.0 || warm.JSON(t)["invokes"] != 2.0 {
					t.Errorf("cold %s, warm %s", cold.Payload, warm.Payload)
				}
				match(t, "cold log", cold.Log, `Max Memory Used: [1-9][0-9]* MB\tInit Duration: `)
				match(t, "warm log", warm.Log, `Max Memory Used: [1-9][0-9]* MB\t\n$`)
				c.LogLines(name, "REPORT")
			})
		}
	})
	t.Run("after a crash and a timeout", func(t *testing.T) {
		name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("bad"), Timeout: aws.Int32(1)},
			map[string]string{"app.py": "import os, time\ndef handler(event, context):\n    if event.get('exit'):\n        os._exit(3)\n    time.sleep(event.get('s', 0))\n    return 'ok'\n"})
		for payload, want := range map[string]string{`{"exit":true}`: "Runtime.ExitError", `{"s":5}`: "Sandbox.Timedout"} {
			bad, good := c.Invoke(name, payload), c.Invoke(name, "{}")
			if bad.JSON(t)["errorType"] != want || good.Payload != `"ok"` {
				t.Errorf("%s: %s, and then %s", payload, bad.Payload, good.Payload)
			}
			match(t, "log", bad.Log, `Max Memory Used: [1-9][0-9]* MB`)
		}
	})
	t.Run("together", func(t *testing.T) {
		name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("together"), Timeout: aws.Int32(60)}, map[string]string{"app.py": sleeper})
		var wait sync.WaitGroup
		for i := range together {
			wait.Go(func() {
				want := fmt.Sprintf(`{"s": 1, "n": %d}`, i)
				if answer, err := c.TryInvoke(name, want); err != nil || answer.Payload != want {
					t.Errorf("%d: %+v, %v", i, answer, err)
				}
			})
		}
		wait.Wait()
	})
	t.Run("reaches lambdad only", func(t *testing.T) {
		name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("network"), Timeout: aws.Int32(20)}, map[string]string{"app.py": limitsProbe})
		port := h.Endpoint[strings.LastIndexByte(h.Endpoint, ':')+1:]
		for _, to := range []struct {
			host, port string
			reached    bool
		}{{"127.0.0.1", "4566", true}, {"127.0.0.1", port, false}, {"10.0.0.1", "80", false}, {"1.1.1.1", "443", false}, {"example.com", "80", false}} {
			answer := c.Invoke(name, fmt.Sprintf(`{"try":"connect","host":%q,"port":%s}`, to.host, to.port))
			if (answer.JSON(t)["done"] != nil) != to.reached {
				t.Errorf("%s:%s: %s", to.host, to.port, answer.Payload)
			}
		}
	})
	t.Run("told", func(t *testing.T) {
		out, err := exec.Command(house.Binary(t), "doctor", "--data", filepath.Join(t.TempDir(), "data")).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		said := string(out)
		match(t, "doctor", said, fmt.Sprintf(`degraded +root +running as user %d`, os.Geteuid()))
		match(t, "doctor", said, `ok +sandbox +one was parked`)
		for _, limit := range []string{"memory", "cpu", "tmp apart from memory"} {
			if _, kept, _ := strings.Cut(said, "limits "); strings.Contains(strings.SplitN(kept, ";", 2)[0], limit) != unenforced(h, limit) {
				t.Errorf("lambdad and the doctor disagree about %s:\n%s", limit, said)
			}
		}
	})
	if strings.Contains(h.Log(), "level=ERROR") {
		t.Error("errors in lambdad's log")
	}
	h.Stop()
	if left := processesOf(t, h.Data); len(left) > 0 {
		t.Errorf("processes after the stop: %v", left)
	}
	h.Run()
}

// golang is the folder of the built Go example.
func golang(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv(golangBuilt); dir != "" {
		return dir
	}
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "bootstrap"), "github.com/lambdad/lambdad/examples/golang")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the Go example: %v\n%s", err, out)
	}
	return dir
}

// asNobody tells the stories again, in this binary, without root.
func asNobody(t *testing.T) {
	user := &syscall.Credential{Uid: nobody, Gid: nobody}
	house.NeedNamespaces(t, user)
	dir, err := os.MkdirTemp("", "lambdad-rootless-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	home := filepath.Join(dir, "home")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(home, 0o700), os.Chown(home, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	built := filepath.Dir(house.Binary(t))
	for _, program := range []string{filepath.Join(built, "lambdad"), filepath.Join(built, "lambdad-init"), filepath.Join(golang(t), "bootstrap")} {
		content, err := os.ReadFile(program)
		if errors.Is(err, fs.ErrNotExist) && filepath.Base(program) == "lambdad-init" {
			continue // embedded
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(program)), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, probeFile), []byte(goExtension(t)), 0o755); err != nil {
		t.Fatal(err)
	}
	// This binary lies where nobody cannot walk: it is executed by descriptor.
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	child := exec.Command(fmt.Sprintf("/proc/self/fd/%d", self.Fd()), "-test.run="+rootlessStories, "-test.v")
	child.Dir = home
	child.Env = append(os.Environ(), "HOME="+home, "TMPDIR="+home, "LAMBDAD_TEST_BINARY="+filepath.Join(dir, "lambdad"), golangBuilt+"="+dir)
	child.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("as user %d: %v\n%s", nobody, err, out)
	}
}
