package story

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambdad/lambdad/test/house"
)

// TestGvisor runs functions in gVisor: by the server's default, with the clients, the
// limits and the logs that they have in containers; one asks for a container with its tag.
func TestGvisor(t *testing.T) {
	h := house.Start(t, "--isolation", "gvisor", "--runsc", needRunsc(t))
	c := h.Client(t)
	const code = `
import os, time
calls = 0
def handler(event, context):
    global calls
    calls += 1
    if event.get("memory"):
        held = [bytearray(b"x") * (1 << 20) for _ in range(event["memory"])]
    if event.get("sleep"):
        time.sleep(event["sleep"])
    open("/tmp/mine", "a").write("x")
    version = open("/proc/version").read()
    print("in", version)
    return {"gvisor": "gvisor" in version, "calls": calls, "tmp": os.path.getsize("/tmp/mine"), "uid": os.getuid()}
`
	name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("inside"), MemorySize: aws.Int32(128), Timeout: aws.Int32(5)}, map[string]string{"app.py": code})
	for call := range 3 {
		got := c.Invoke(name, "{}").JSON(t)
		if got["gvisor"] != true || got["calls"] != float64(call+1) || got["tmp"] != float64(call+1) || got["uid"] != 993.0 {
			t.Fatalf("call %d: %v", call, got)
		}
	}
	if lines := c.LogLines(name, "REPORT"); !strings.Contains(strings.Join(lines, "\n"), "Memory Size: 128 MB") {
		t.Errorf("%q", lines)
	}
	// A kernel that is a process takes its time until it is out of memory.
	hungry := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("hungry"), MemorySize: aws.Int32(128), Timeout: aws.Int32(60)}, map[string]string{"app.py": code})
	if got := c.Invoke(hungry, `{"memory":512}`); !strings.Contains(string(got.Payload), "Runtime exited with error: signal: killed") {
		t.Errorf("out of memory: %s", got.Payload)
	}
	if got := c.Invoke(name, `{"sleep":30}`); !strings.Contains(string(got.Payload), "Task timed out after 5.00 seconds") {
		t.Errorf("too long: %s", got.Payload)
	}
	// The next one has an environment of its own.
	if got := c.Invoke(name, "{}").JSON(t); got["calls"] != 1.0 || got["tmp"] != 1.0 {
		t.Errorf("afterwards: %v", got)
	}
	outside := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("outside"), Tags: map[string]string{"lambdad:isolation": "container"}}, map[string]string{"app.py": code})
	if got := c.Invoke(outside, "{}").JSON(t); got["gvisor"] != false {
		t.Errorf("with the tag: %v", got)
	}
}

func needRunsc(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("gVisor needs root")
	}
	if runsc := os.Getenv("LAMBDAD_RUNSC"); runsc != "" {
		return runsc
	}
	runsc, err := exec.LookPath("runsc")
	if err != nil {
		t.Skip("no runsc: `make runsc` builds it")
	}
	return runsc
}

// TestGvisorTemplates: environments that come later are restored from a checkpoint of one
// after its INIT, and draw what no other draws.
func TestGvisorTemplates(t *testing.T) {
	h := house.Start(t, "--isolation", "gvisor", "--runsc", needRunsc(t))
	c := h.Client(t)
	const code = `
import os, random, ssl, time
mark, own = os.urandom(8).hex(), None
ssl.RAND_bytes(4)
def handler(event, context):
    global own
    own = own or [ssl.RAND_bytes(8).hex(), str(random.random())]
    time.sleep(0.5)
    return {"mark": mark, "stream": context.log_stream_name, "ssl": own[0], "random": own[1]}
`
	name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("copied")}, map[string]string{"app.py": code})
	c.Invoke(name, "{}")
	type environment struct{ Mark, Stream, SSL, Random string }
	seen := map[string]environment{} // by stream
	for deadline := time.Now().Add(time.Minute); ; {
		var wait sync.WaitGroup
		answers := make([]environment, 4)
		for i := range answers {
			wait.Go(func() {
				if answer, err := c.TryInvoke(name, "{}"); err != nil {
					t.Error(err)
				} else if err := json.Unmarshal([]byte(answer.Payload), &answers[i]); err != nil {
					t.Errorf("%v: %s", err, answer.Payload)
				}
			})
		}
		wait.Wait()
		if t.Failed() {
			return
		}
		copies := map[string][]environment{}
		for _, a := range answers {
			seen[a.Stream] = a
		}
		for _, e := range seen {
			copies[e.Mark] = append(copies[e.Mark], e)
		}
		for mark, list := range copies {
			if len(list) < 2 {
				continue
			}
			if list[0].SSL == list[1].SSL || list[0].Random == list[1].Random {
				t.Errorf("two copies of %s drew the same: %+v", mark, list)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no environment was copied: %+v", seen)
		}
		// More environments: as if the function were new to all but its template.
		if _, err := c.Lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &name, Description: aws.String(time.Now().String())}); err != nil {
			t.Fatal(err)
		}
		c.WaitUpdated(name)
		c.Invoke(name, "{}")
		time.Sleep(time.Second) // for a template to be made meanwhile
	}
}
