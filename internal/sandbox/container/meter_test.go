package container

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestStat(t *testing.T) {
	for stat, want := range map[string]time.Duration{
		"7 (a) b) (c) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 99": time.Second,
		"7 (x) S 1 7": 0,
		"7 (x) S 1 7 7 0 -1 4194560 1 2 3 4 ten 20 30 40 20": 0,
		"": 0,
	} {
		if got := statTime(stat); got != want {
			t.Errorf("%q: %v, want %v", stat, got, want)
		}
	}
}

func TestStatus(t *testing.T) {
	status := "Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n"
	for name, want := range map[string]int64{"VmHWM": 2 << 20, "VmRSS": 1 << 20, "VmSwap": 0} {
		if got := statusBytes(status, name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

// TestReadProcesses looks at this process, whose child counts and whose own
// memory does not.
func TestReadProcesses(t *testing.T) {
	before := readProcesses(os.Getpid())
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	after := readProcesses(os.Getpid())
	if err := child.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := child.Wait(); err == nil {
		t.Error("killed, and ended well")
	}
	if len(children("/proc/self")) == 0 && after.memory == 0 {
		t.Skip("this kernel does not list children")
	}
	if after.memory <= before.memory || after.peak < after.memory || after.cpu < before.cpu {
		t.Errorf("%+v, and then %+v", before, after)
	}
}
