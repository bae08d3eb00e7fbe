package story

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambdad/lambdad/test/house"
)

// TestGvisor runs functions in gVisor: by the server's default, with the clients, the
// limits and the logs that they have in containers; one asks for a container with its tag.
func TestGvisor(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("gVisor needs root")
	}
	runsc := os.Getenv("LAMBDAD_RUNSC")
	if runsc == "" {
		var err error
		if runsc, err = exec.LookPath("runsc"); err != nil {
			t.Skip("no runsc: `make runsc` builds it")
		}
	}
	h := house.Start(t, "--isolation", "gvisor", "--runsc", runsc)
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
	if got := c.Invoke(name, `{"memory":512}`); !strings.Contains(string(got.Payload), "Runtime exited with error: signal: killed") {
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
