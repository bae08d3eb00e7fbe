package gvisor

import (
	"os"
	"os/exec"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// asFirst, in the environment, makes the test the first process of a container.
const asFirst = "LAMBDAD_GVISOR_FIRST"

// TestFirstProcess: where lambdad is process 1, as in a container, nobody else
// waits for what runsc leaves behind.
func TestFirstProcess(t *testing.T) {
	runsc := needs(t)
	if os.Getenv(asFirst) == "" {
		unshare, err := exec.LookPath("unshare")
		if err != nil {
			t.Skip(err)
		}
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.CommandContext(t.Context(), unshare, "--pid", "--fork", "--mount-proc", self, "-test.run=^TestFirstProcess$", "-test.v")
		c.Env = append(os.Environ(), asFirst+"=1", runscVariable+"="+runsc)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if os.Getpid() != 1 {
		t.Fatalf("process %d", os.Getpid())
	}
	d := openDriver(t, t.TempDir())
	defer d.Close()
	h := sandboxtest.NewHarness(t, d)
	for _, deed := range [][]string{{"exit", "0"}, {"sleep", "1h"}} {
		run := h.Start(t, nil, deed...)
		if deed[0] == "exit" {
			run.Wait(t)
		}
		if err := run.Destroy(t.Context()); err != nil {
			t.Error(err)
		}
	}
	content, err := os.ReadFile("/proc/1/task/1/children")
	if err != nil {
		t.Fatal(err)
	}
	if len(content) > 0 {
		t.Errorf("left %q", content)
	}
}
