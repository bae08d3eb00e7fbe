package sandboxtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// tally is what this process holds of the machine.
type tally struct {
	descriptors, children []string
}

func census(t testing.TB) tally {
	t.Helper()
	var c tally
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		// The runtime's poller opens its own on first use.
		if err == nil && !strings.Contains(target, "eventpoll") && !strings.Contains(target, "eventfd") {
			c.descriptors = append(c.descriptors, e.Name()+"="+target)
		}
	}
	threads, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range threads {
		content, err := os.ReadFile(file)
		if err == nil { // the thread may have ended
			c.children = append(c.children, strings.Fields(string(content))...)
		}
	}
	return c
}

// compare reports what is there now and was not before.
func (before tally) compare(t *testing.T, stateDir, prefix string) {
	var after tally
	// The kernel takes a moment to take things apart; nothing may stay.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		after = census(t)
		if len(after.descriptors) <= len(before.descriptors) && len(after.children) <= len(before.children) {
			break
		}
		if time.Now().After(deadline) {
			break
		}
	}
	for _, kind := range []struct {
		name          string
		before, after []string
	}{
		{"descriptors", before.descriptors, after.descriptors},
		{"children", before.children, after.children},
	} {
		if len(kind.after) > len(kind.before) {
			t.Errorf("%s left: %q, before: %q", kind.name, kind.after, kind.before)
		}
	}
	if left := append(traces(t, prefix), mountsIn(t, stateDir)...); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// mountsIn lists the mounts below a directory: a driver needs none in the
// host's namespace, and others may come and go there meanwhile.
func mountsIn(t testing.TB, dir string) []string {
	t.Helper()
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(content)) {
		if point := strings.Fields(line)[4]; strings.HasPrefix(point, dir) {
			found = append(found, point)
		}
	}
	return found
}

// traces finds control groups named after a sandbox.
func traces(t testing.TB, id string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.IsDir() && strings.Contains(e.Name(), id) {
			found = append(found, path)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}

const readyMark = "SANDBOXES READY"

// announce tells the parent that it may kill us now.
func announce(ids []sandbox.ID) { fmt.Println(readyMark, ids) }

func awaitReady(t *testing.T, from io.Reader) []string {
	lines := bufio.NewScanner(from)
	var seen []string
	for lines.Scan() {
		if _, list, ok := strings.Cut(lines.Text(), readyMark+" ["); ok {
			return strings.Fields(strings.TrimSuffix(list, "]"))
		}
		seen = append(seen, lines.Text())
	}
	t.Fatalf("the process to crash failed:\n%s", strings.Join(seen, "\n"))
	return nil
}

func rootName(t *testing.T) string {
	name, _, _ := strings.Cut(t.Name(), "/")
	return name
}

func sortedWords(s string) []string { return slices.Sorted(strings.FieldsSeq(s)) }
