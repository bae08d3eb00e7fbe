package isolate

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
)

func TestWriteExecutable(t *testing.T) {
	dir := t.TempDir()
	first, err := writeExecutable(dir, "program", []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := writeExecutable(dir, "program", []byte("one"))
	if err != nil || again != first {
		t.Errorf("%s, %v", again, err)
	}
	other, err := writeExecutable(dir, "program", []byte("two"))
	if err != nil || other == first {
		t.Errorf("%s, %v", other, err)
	}
	info, err := os.Stat(first)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestStateDirIsExclusive(t *testing.T) {
	if _, err := OpenStateDir(""); err == nil {
		t.Error("no directory is a directory")
	}
	path := filepath.Join(t.TempDir(), "a", "b")
	first, err := OpenStateDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStateDir(path); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("twice: %v", err)
	}
	if err := os.WriteFile(filepath.Join(path, "program-1"+halfSuffix), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenStateDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if left, err := os.ReadDir(path); err != nil || len(left) != 1 {
		t.Errorf("half a program is kept: %v, %v", left, err)
	}
	if again.GroupName("x-") != first.GroupName("x-") {
		t.Error("the name changes")
	}
}

// room is a sandbox of which only the life is there.
type room struct {
	sandbox.Sandbox
	Life
	mu    sync.Mutex
	ended int
	fail  error
}

func newRoom(id sandbox.ID) *room {
	r := &room{}
	r.Life = NewLife("test", id, &r.mu)
	return r
}

func (r *room) ID() sandbox.ID { return r.Life.ID() }

func (r *room) Destroy(ctx context.Context) error {
	return r.End(ctx, func() error { r.ended++; return r.fail })
}

func TestListNames(t *testing.T) {
	l := NewList[*room](1)
	for id, ok := range map[sandbox.ID]bool{"a": true, "0.b_c-d": true, "": false, ".a": false, "a/b": false, "a b": false, "..": false,
		sandbox.ID(strings.Repeat("x", 128)): true, sandbox.ID(strings.Repeat("x", 129)): false} {
		if err := l.Add(id, newRoom(id)); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
	if err := l.Add("a", newRoom("a")); err == nil {
		t.Error("twice")
	}
	l.Remove("a")
	if l.Has("a") || !l.Has("0.b_c-d") {
		t.Error("it lists what is gone, or not what is there")
	}
}

func TestListCloses(t *testing.T) {
	l := NewList[*room](1)
	r := newRoom("a")
	r.fail = io.ErrUnexpectedEOF
	made, err := l.Making(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Add("a", r); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() {
		_, err := l.Close()
		closed <- err
	}()
	select {
	case err := <-closed:
		t.Errorf("closed while one is made: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	made()
	if err := <-closed; !errors.Is(err, r.fail) || r.ended != 1 {
		t.Errorf("%v, ended %d times", err, r.ended)
	}
	if first, err := l.Close(); first || err != nil {
		t.Errorf("again: %v, %v", first, err)
	}
	if err := l.Add("b", newRoom("b")); !errors.Is(err, sandbox.ErrDestroyed) {
		t.Errorf("after: %v", err)
	}
}

func TestLifeEndsOnce(t *testing.T) {
	r := newRoom("a")
	if err := r.Told("step", io.EOF); !errors.Is(err, io.EOF) || err.Error() != "test: step a: EOF" {
		t.Error(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if err := r.Destroy(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if r.ended != 1 {
		t.Errorf("ended %d times", r.ended)
	}
	if err := r.Told("step", io.EOF); !errors.Is(err, sandbox.ErrDestroyed) {
		t.Error(err)
	}
}

func TestCheckLimits(t *testing.T) {
	for name, c := range map[string]struct {
		limits     sandbox.Limits
		unenforced []string
		ok         bool
	}{
		"none":             {ok: true},
		"negative":         {limits: sandbox.Limits{CPUMilli: -1}},
		"strict, enforced": {limits: sandbox.Limits{MemoryMiB: 1, Strict: true}, ok: true},
		"strict, not":      {limits: sandbox.Limits{MemoryMiB: 1, Strict: true}, unenforced: []string{"memory"}},
		"not asked for":    {limits: sandbox.Limits{CPUMilli: 1, Strict: true}, unenforced: []string{"memory", TmpInMemory}, ok: true},
		"not strict":       {limits: sandbox.Limits{MemoryMiB: 1}, unenforced: []string{"memory"}, ok: true},
	} {
		if err := CheckLimits(c.limits, c.unenforced); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckProgram(t *testing.T) {
	for name, c := range map[string]struct {
		argv, env []string
		dir       string
		ok        bool
	}{
		"plain":         {argv: []string{"/a", "b"}, env: []string{"A=1"}, dir: "/", ok: true},
		"no program":    {},
		"relative":      {argv: []string{"a"}},
		"zero byte":     {argv: []string{"/a", "b\x00"}},
		"zero variable": {argv: []string{"/a"}, env: []string{"A=\x00"}},
		"directory":     {argv: []string{"/a"}, dir: "x"},
	} {
		if err := CheckProgram(c.argv, c.env, c.dir); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFilesGiveWayToMounts(t *testing.T) {
	has := func(rootfs sandbox.Rootfs, path string) bool {
		for _, f := range Files(rootfs, File{Path: "/dev/fd", Link: true}) {
			if f.Path == path {
				return true
			}
		}
		return false
	}
	mounted := sandbox.Rootfs{Mounts: []sandbox.Mount{{Source: "/x", Target: "/etc/hosts"}, {Source: "/y", Target: "/dev"}}}
	if !has(sandbox.Rootfs{}, "/etc/hosts") || !has(sandbox.Rootfs{}, "/dev/fd") || has(mounted, "/etc/hosts") || has(mounted, "/dev/fd") || !has(mounted, "/etc/passwd") {
		t.Error("files are missing, or cover a mount")
	}
}
