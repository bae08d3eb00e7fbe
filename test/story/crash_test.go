package story

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambdad/lambdad/test/house"
)

// sleeper tells that it sleeps, so that a test need not guess when.
const sleeper = "import time\ndef handler(event, context):\n    if 's' in event:\n        print('sleeping', event['s'])\n        time.sleep(event['s'])\n    return event\n"

// TestKillAndRestart kills lambdad with environments alive and sees that the next start has every
// function, no orphan, and serves.
func TestKillAndRestart(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	var names []string
	for i := range 5 {
		name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String(fmt.Sprintf("crash-%d", i))}, map[string]string{"app.py": sleeper})
		c.Invoke(name, "{}")
		names = append(names, name)
	}
	busy := make(chan struct{})
	go func() { defer close(busy); c.TryInvoke(names[0], `{"s":2}`) }()
	c.LogLines(names[0], "sleeping 2")
	before := processesOf(t, h.Data)
	h.Kill()
	<-busy
	h.Run()
	c = c.Again(h)

	for _, name := range names {
		if answer := c.Invoke(name, `{"back":true}`); answer.Payload != `{"back": true}` {
			t.Errorf("%s after the restart: %+v", name, answer)
		}
	}
	if len(before) == 0 {
		t.Error("the test saw no process of a sandbox before the kill")
	}
	for _, pid := range before {
		if _, err := os.Stat(filepath.Join("/proc", pid)); err == nil && stillOf(pid, h.Data) {
			t.Errorf("process %s of before the kill still runs", pid)
		}
	}
	h.Stop()
	if mounts := mountsUnder(t, h.Data); len(mounts) > 0 {
		t.Errorf("mounts after the stop: %v", mounts)
	}
	h.Run()
}

// TestDrain stops lambdad while an invoke runs: the invoke is answered.
func TestDrain(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{Timeout: aws.Int32(30)}, map[string]string{"app.py": sleeper})
	c.Invoke(name, "{}")
	type result struct {
		answer house.Answer
		err    error
	}
	done := make(chan result, 1)
	go func() {
		answer, err := c.TryInvoke(name, `{"s":2}`)
		done <- result{answer, err}
	}()
	c.LogLines(name, "sleeping 2")
	h.Stop()
	if r := <-done; r.err != nil || r.answer.Payload != `{"s": 2}` {
		t.Errorf("the running invoke: %+v", r)
	}
	if _, err := c.TryInvoke(name, "{}"); err == nil {
		t.Error("an invoke after the stop was answered")
	}
	h.Run()
	if answer := c.Invoke(name, "{}"); answer.Payload != "{}" {
		t.Errorf("after the next start: %+v", answer)
	}
}

// processesOf are the runtime processes that the house's sandboxes run: descendants
// of its process.
func processesOf(t *testing.T, data string) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		if e.Name()[0] >= '0' && e.Name()[0] <= '9' && stillOf(e.Name(), data) {
			found = append(found, e.Name())
		}
	}
	return found
}

// stillOf tells whether a process has a mount of the data folder's artifacts at /var/task.
func stillOf(pid, data string) bool {
	mounts, err := os.ReadFile(filepath.Join("/proc", pid, "mountinfo"))
	if err != nil {
		return false
	}
	test := filepath.Base(filepath.Dir(filepath.Dir(data))) // what t.TempDir named after the test, and is no other's
	for _, line := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(line); len(f) > 4 && f[4] == "/var/task" && strings.Contains(f[3], "/"+test+"/") {
			return true
		}
	}
	return false
}

func mountsUnder(t *testing.T, dir string) []string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, line := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir) {
			found = append(found, f[4])
		}
	}
	return found
}

// TestSecondSignal: the first signal waits for running invokes, the second does not, and what
// it leaves is gone after the next start. Ctrl-C was ignored where the program was started,
// as it is for background jobs of shell scripts.
func TestSecondSignal(t *testing.T) {
	signal.Ignore(os.Interrupt)
	defer signal.Reset(os.Interrupt)
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{Timeout: aws.Int32(60)}, map[string]string{"app.py": sleeper})
	c.Invoke(name, "{}")
	done := make(chan error, 1)
	go func() {
		_, err := c.TryInvoke(name, `{"s":50}`)
		done <- err
	}()
	c.LogLines(name, "sleeping 50")
	h.Signal(os.Interrupt)
	select {
	case err := <-done:
		t.Errorf("the invoke ended with the first signal: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	h.Signal(os.Interrupt)
	select {
	case err := <-done:
		if err == nil {
			t.Error("the invoke was answered")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the second signal waits, too")
	}
	h.Wait()
	h.Run()
	if answer := c.Invoke(name, "{}"); answer.Payload != "{}" {
		t.Errorf("after the next start: %+v", answer)
	}
}
