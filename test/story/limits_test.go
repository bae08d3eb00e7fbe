package story

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// limitsProbe tries one thing, named by the event, and tells how it ended.
const limitsProbe = `
import errno, os, socket, subprocess, threading, time

def attempt(f):
    try:
        return {"done": f()}
    except OSError as e:
        return {"errno": errno.errorcode.get(e.errno, str(e.errno)), "text": str(e)}
    except Exception as e:
        return {"error": type(e).__name__, "text": str(e)}

def write(path, mib):
    block = b"x" * (1 << 20)
    with open(path, "wb") as f:
        for _ in range(mib):
            f.write(block)
    return os.path.getsize(path)

def connect(host, port):
    s = socket.create_connection((host, port), timeout=2)
    s.close()
    return "connected"

def handler(event, context):
    what = event["try"]
    if what == "memory":
        keep = [b"x" * (1 << 20) for _ in range(event["mib"])]
        return {"done": len(keep)}
    if what == "tmp":
        answer = attempt(lambda: write("/tmp/fill", event["mib"]))
        if os.path.exists("/tmp/fill"):
            os.remove("/tmp/fill")
        return answer
    if what == "write":
        return attempt(lambda: write(event["path"], 1))
    if what == "files":
        def many():
            return len([open("/dev/null") for _ in range(2000)])
        return attempt(many)
    if what == "processes":
        def many():
            found = []
            try:
                for _ in range(2000):
                    found.append(subprocess.Popen(["/bin/sleep", "20"]))
            finally:
                for p in found:
                    p.kill()
                for p in found:
                    p.wait()
            return len(found)
        return attempt(many)
    if what == "connect":
        return attempt(lambda: connect(event["host"], event["port"]))
    if what == "see":
        return {"pids": [p for p in os.listdir("/proc") if p.isdigit()], "uid": os.getuid(), "root": sorted(os.listdir("/")),
                "caps": [l.split()[1] for l in open("/proc/self/status") if l.startswith("Cap")], "seccomp": [l.split()[1] for l in open("/proc/self/status") if l.startswith("Seccomp:")]}
    if what == "cpu":
        start, used = time.monotonic(), time.process_time()
        while time.monotonic() - start < 1.5:
            pass
        return {"share": (time.process_time() - used) / (time.monotonic() - start)}
    raise KeyError(what)
`

// TestLimitsAreReal: what lambdad does not say that it does not enforce, it enforces.
func TestLimitsAreReal(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{MemorySize: aws.Int32(256), Timeout: aws.Int32(60), EphemeralStorage: &types.EphemeralStorage{Size: aws.Int32(512)}}, map[string]string{"app.py": limitsProbe})
	ask := func(t *testing.T, payload string) map[string]any {
		t.Helper()
		answer := c.Invoke(name, payload)
		if answer.FunctionError != "" {
			t.Fatalf("%s: %s", payload, answer.Payload)
		}
		return answer.JSON(t)
	}

	t.Run("memory", func(t *testing.T) {
		if got := ask(t, `{"try":"memory","mib":100}`); got["done"] != 100.0 {
			t.Errorf("100 MiB of 256: %v", got)
		}
		answer := c.Invoke(name, `{"try":"memory","mib":400}`)
		if unenforced(h, "memory") {
			if answer.Payload != `{"done": 400}` {
				t.Errorf("400 MiB of 256, told as not enforced: %q %s", answer.FunctionError, answer.Payload)
			}
			return
		}
		if answer.FunctionError != "Unhandled" || !strings.Contains(answer.Payload, "Runtime.OutOfMemory") && !strings.Contains(answer.Payload, "signal: killed") {
			t.Errorf("400 MiB of 256: %q %s", answer.FunctionError, answer.Payload)
		}
		if !strings.Contains(answer.Log, "Max Memory Used: 256 MB") {
			t.Errorf("log after the kill: %q", answer.Log)
		}
	})
	t.Run("tmp", func(t *testing.T) {
		small := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("tmp"), MemorySize: aws.Int32(1024), Timeout: aws.Int32(60)}, map[string]string{"app.py": limitsProbe})
		if got := c.Invoke(small, `{"try":"tmp","mib":400}`).JSON(t); got["done"] != float64(400<<20) {
			t.Errorf("400 MiB of 512: %v", got)
		}
		if got := c.Invoke(small, `{"try":"tmp","mib":600}`).JSON(t); got["errno"] != "ENOSPC" {
			t.Errorf("600 MiB of 512: %v", got)
		}
		if got := c.Invoke(small, `{"try":"tmp","mib":1}`).JSON(t); got["done"] != float64(1<<20) {
			t.Errorf("after ENOSPC: %v", got)
		}
	})
	t.Run("read only", func(t *testing.T) {
		for _, path := range []string{"/var/task/x", "/opt/x", "/etc/x", "/usr/x", "/x", "/var/runtime/x", "/dev/x", "/proc/x"} {
			if got := ask(t, `{"try":"write","path":"`+path+`"}`); got["done"] != nil {
				t.Errorf("wrote %s: %v", path, got)
			}
		}
	})
	t.Run("descriptors", func(t *testing.T) {
		if got := ask(t, `{"try":"files"}`); got["errno"] != "EMFILE" {
			t.Errorf("2,000 descriptors: %v", got)
		}
	})
	t.Run("processes", func(t *testing.T) {
		if got := ask(t, `{"try":"processes"}`); got["errno"] != "EAGAIN" {
			t.Errorf("2,000 processes: %v", got)
		}
	})
	t.Run("sees itself only", func(t *testing.T) {
		got := ask(t, `{"try":"see"}`)
		if pids := got["pids"].([]any); len(pids) > 3 {
			t.Errorf("processes %v", pids)
		}
		for _, caps := range got["caps"].([]any) {
			if strings.Trim(caps.(string), "0") != "" {
				t.Errorf("capabilities %v", got["caps"])
			}
		}
		if got["uid"] == 0.0 {
			t.Error("runs as uid 0")
		}
		if seccomp := got["seccomp"].([]any); len(seccomp) != 1 || seccomp[0] != "2" {
			t.Errorf("seccomp %v", seccomp)
		}
	})
	t.Run("no way to the host", func(t *testing.T) {
		for _, host := range []string{"10.0.0.1", "192.168.0.1", "172.16.0.1", "169.254.169.254"} {
			if got := ask(t, `{"try":"connect","host":"`+host+`","port":80}`); got["done"] != nil {
				t.Errorf("connected to %s", host)
			}
		}
		port := h.Endpoint[strings.LastIndexByte(h.Endpoint, ':')+1:]
		if got := ask(t, `{"try":"connect","host":"127.0.0.1","port":`+port+`}`); got["done"] != nil && port != "4566" {
			t.Error("connected to the host's loopback")
		}
	})
	t.Run("cpu in proportion", func(t *testing.T) {
		// 256 MiB of 1,769 are 0.145 of a core.
		got := ask(t, `{"try":"cpu"}`)
		if share := got["share"].(float64); share > 0.4 && !unenforced(h, "cpu") {
			t.Errorf("used %.2f of a core with 256 MiB", share)
		}
	})
}

// unenforced tells whether lambdad said at its start that it cannot enforce a limit here.
func unenforced(h *house.House, limit string) bool {
	for line := range strings.Lines(h.Log()) {
		if _, list, ok := strings.Cut(line, ` unenforced="[`); ok {
			return strings.Contains(list, limit)
		}
	}
	return false
}

// TestConcurrencyLimit fills the account's limit and sees the next invoke refused.
func TestConcurrencyLimit(t *testing.T) {
	h := house.Start(t, "--concurrency", "2")
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{Timeout: aws.Int32(20)}, map[string]string{"app.py": "import time\ndef handler(event, context):\n    print('sleeping as', event.get('as'))\n    time.sleep(event['s'])\n    return 'ok'\n"})
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			if answer, err := c.TryInvoke(name, fmt.Sprintf(`{"s":4,"as":%d}`, i)); err != nil || answer.Payload != `"ok"` {
				t.Errorf("within the limit: %v %v", answer, err)
			}
		})
	}
	for i := range 2 {
		c.LogLines(name, fmt.Sprintf("sleeping as %d", i))
	}
	_, err := c.TryInvoke(name, `{"s":0}`)
	var throttled *types.TooManyRequestsException
	if !errors.As(err, &throttled) || throttled.Reason != types.ThrottleReasonConcurrentInvocationLimitExceeded {
		t.Errorf("beyond the limit: %v", err)
	}
	wg.Wait()
	if answer := c.Invoke(name, `{"s":0}`); answer.Payload != `"ok"` {
		t.Errorf("after the others ended: %v", answer)
	}
}
