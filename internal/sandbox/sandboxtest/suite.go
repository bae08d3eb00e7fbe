package sandboxtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// Factory opens the driver under test with a state directory.
type Factory func(t testing.TB, stateDir string) sandbox.Driver

// crashing, set in the environment, makes the suite the process that is to be
// killed: its value is the state directory.
const crashing = "LAMBDAD_SANDBOXTEST_CRASH"

// Difference is something that a driver may do otherwise.
type Difference int

// OwnKernel means that programs run on a kernel that is not the host's. It is
// the boundary, so no seccomp filter is; it knows none of the host's sockets,
// and nothing of a quota on the processors that it is given.
const OwnKernel Difference = iota

// Run is the suite.
func Run(t *testing.T, open Factory, differences ...Difference) {
	if dir := os.Getenv(crashing); dir != "" {
		crash(t, open(t, dir))
	}
	before := census(t)
	stateDir := t.TempDir()
	driver := open(t, stateDir)
	h := NewHarness(t, driver)
	h.ownKernel = slices.Contains(differences, OwnKernel)
	for _, group := range []struct {
		name string
		run  func(*testing.T, *Harness)
	}{
		{"Life", testLife}, {"Inside", testInside}, {"Limits", testLimits}, {"Freeze", testFreeze},
		{"Network", testNetwork}, {"Dial", testDial}, {"Destroy", testDestroy}, {"Refuse", testRefuse}, {"Parallel", testParallel}, {"Preload", testPreload},
		{"Template", testTemplate},
	} {
		t.Run(group.name, func(t *testing.T) { group.run(t, h) })
	}
	if err := driver.Close(); err != nil {
		t.Error(err)
	}
	t.Run("NothingLeft", func(t *testing.T) { before.compare(t, stateDir, h.prefix) })
	t.Run("Crash", func(t *testing.T) { testCrash(t, open) })
}

// testCrash kills a process that has sandboxes in each state, and looks at
// what the next one reaps.
func testCrash(t *testing.T, open Factory) {
	dir := t.TempDir()
	// Not os.Executable: the path may lie where this user cannot walk.
	child := exec.Command("/proc/self/exe", "-test.run=^"+rootName(t)+"$", "-test.v")
	child.Env = append(os.Environ(), crashing+"="+dir, "TMPDIR="+t.TempDir()) // it removes nothing itself
	ready, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Process.Kill() // if it comes to no end below
	ids := awaitReady(t, ready)
	if len(ids) != 3 {
		t.Fatalf("the process to crash made %q", ids)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Fatal("killed, and ended well")
	}
	driver := open(t, dir)
	reaped, err := driver.Reap(within(t))
	if err != nil {
		t.Error(err)
	}
	t.Logf("reaped %d", reaped)
	for _, id := range ids {
		if left := traces(t, id); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
	if again, err := driver.Reap(within(t)); err != nil || again != 0 {
		t.Errorf("a second Reap: %d, %v", again, err)
	}
	s, err := driver.Park(within(t), NewHarness(t, driver).ParkSpec())
	if err != nil {
		t.Fatal(err)
	}
	// What is alive is not an orphan.
	if reaped, err := driver.Reap(within(t)); err != nil || reaped != 0 {
		t.Errorf("Reap with a live sandbox: %d, %v", reaped, err)
	}
	if err := s.Destroy(within(t)); err != nil {
		t.Error(err)
	}
	if err := driver.Close(); err != nil {
		t.Error(err)
	}
}

// crash makes one sandbox parked, one running, one frozen, and waits to die.
func crash(t *testing.T, driver sandbox.Driver) {
	h := NewHarness(t, driver)
	parked, err := driver.Park(context.Background(), h.ParkSpec())
	if err != nil {
		t.Fatal(err)
	}
	ids := []sandbox.ID{parked.ID()}
	for _, freeze := range []bool{false, true} {
		s, err := driver.Park(context.Background(), h.ParkSpec())
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Start(context.Background(), h.StartSpec("sleep", "1h"))
		if err != nil {
			t.Fatal(err)
		}
		record(p.Output())
		if freeze {
			if err := s.Freeze(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		ids = append(ids, s.ID())
	}
	announce(ids)
	select {}
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
