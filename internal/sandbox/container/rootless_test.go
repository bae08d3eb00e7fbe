package container_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// nobody is the user that the rootless suite runs as when root starts it.
const nobody = 65534

// delegated, set in the environment of TestRootless, says that this user has
// control groups of its own.
const delegated = "LAMBDAD_TEST_DELEGATED"

// TestRootless runs the suite as an ordinary user.
func TestRootless(t *testing.T) {
	if os.Geteuid() == 0 {
		out, err := asNobody(t, "^TestRootless$", nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if strings.Contains(out, "\n--- SKIP: TestRootless ") {
			t.Skipf("this host lets no ordinary user make user namespaces")
		}
		t.Logf("%s", out)
		return
	}
	if out, err := exec.Command("unshare", "-U", "-n", "true").CombinedOutput(); err != nil {
		t.Skipf("this user may not make user namespaces: %v: %s", err, out)
	}
	init := sandboxtest.Build(t, sandboxtest.InitPackage)
	sandboxtest.Run(t, func(t testing.TB, stateDir string) sandbox.Driver {
		d, err := container.New(container.Options{StateDir: stateDir, Init: init})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Unenforced(); os.Getenv(delegated) != "" && !slices.Equal(got, []string{"tmp apart from memory"}) {
			t.Fatalf("with delegated groups not enforced: %q", got)
		}
		return d
	})
}

// TestRootlessDelegated runs the parts of the suite in which groups matter as an
// ordinary user to whom root gave groups: limits are enforced then.
func TestRootlessDelegated(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	groups := delegate(t)
	out, err := asNobody(t, "^TestRootless$/^(Limits|Freeze|Destroy|NothingLeft|Crash)$", groups)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(out, "\n--- SKIP: TestRootless ") {
		t.Skipf("this host lets no ordinary user make user namespaces")
	}
	if !strings.Contains(out, "--- PASS: TestRootless/Limits/memory") {
		t.Errorf("the memory limit was not tried:\n%s", out)
	}
	t.Logf("%s", out)
}

// delegate makes a group in each hierarchy and gives it to nobody.
func delegate(t *testing.T) []string {
	t.Helper()
	host, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	name := "lambdad-delegate-" + strings.ToLower(rand.Text()[:8])
	parent, err := cgroup.OpenParent(host, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := parent.Remove(); err != nil {
			t.Error(err)
		}
	})
	if missing := parent.Unenforced(); len(missing) > 0 {
		t.Skipf("this host does not enforce %s", strings.Join(missing, ", "))
	}
	group, err := parent.Make("given")
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	t.Cleanup(func() {
		for _, dir := range dirs { // a driver steps aside, and cannot step back
			if err := os.Remove(filepath.Join(dir, "lambdad.daemon")); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		}
		if err := group.Remove(); err != nil {
			t.Error(err)
		}
	})
	for _, place := range append(slices.Collect(maps.Values(host.V1)), host.V2, host.V2Root) {
		dir := filepath.Join(place, name, "given")
		if _, err := os.Stat(dir); place == "" || err != nil || slices.Contains(dirs, dir) {
			continue
		}
		dirs = append(dirs, dir)
		for _, file := range []string{"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks"} {
			if err := os.Chown(filepath.Join(dir, file), nobody, nobody); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	return dirs
}

// asNobody runs a test again, in this binary, without root, in the groups given.
func asNobody(t *testing.T, test string, groups []string) (string, error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "lambdad-rootless-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for _, pkg := range []string{sandboxtest.InitPackage, sandboxtest.ProgramPackage} {
		content, err := os.ReadFile(sandboxtest.Build(t, pkg))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(pkg)), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	temporary := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temporary, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(temporary, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	// The binary lies where nobody cannot walk: it is executed by descriptor.
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	program := []string{fmt.Sprintf("/proc/self/fd/%d", self.Fd())}
	user := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	var given string
	if len(groups) > 0 {
		// Only root moves a process into a group from outside, so the shell does that before the
		// test gives up root. It stays there: in version 2 the driver takes it along, to have the
		// group free of processes.
		const fd = 3 // of ExtraFiles
		script := `for g in $GROUPS_GIVEN; do echo $$ >"$g/cgroup.procs" || exit; done; setpriv --reuid "$0" --regid "$0" --clear-groups "$@"; exit $?`
		program = []string{"sh", "-c", script, strconv.Itoa(nobody), fmt.Sprintf("/proc/self/fd/%d", fd)}
		user, given = nil, strings.Join(groups, " ")
	}
	child := exec.Command(program[0], append(program[1:], "-test.run="+test, "-test.v")...)
	child.Dir = dir
	child.Env = append(os.Environ(), sandboxtest.Built+"="+dir, "TMPDIR="+temporary, "HOME="+temporary)
	if given != "" {
		child.ExtraFiles = []*os.File{self}
		child.Env = append(child.Env, delegated+"=1", "GROUPS_GIVEN="+given)
	}
	child.SysProcAttr = user
	out, err := child.CombinedOutput()
	return string(out), err
}
