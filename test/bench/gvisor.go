package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/gvisor"
)

// gvisorCase is one program, and what of the host it needs.
type gvisorCase struct {
	name string
	argv []string
	root []sandbox.Mount
}

// benchGvisor times gVisor sandboxes from the wish for a program to its first line, beside
// `runsc run` of the same program with the same platform.
func benchGvisor(ctx context.Context, b *bench) error {
	count := 40
	if b.quick {
		count = 8
	}
	runsc := os.Getenv("LAMBDAD_RUNSC")
	if runsc == "" {
		var err error
		if runsc, err = gvisor.FindRunsc(filepath.Dir(b.lambdad)); errors.Is(err, sandbox.ErrUnsupported) {
			fmt.Fprintln(os.Stderr, "bench: gvisor: skipped:", err)
			return nil
		} else if err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-gvisor-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	code, inside := filepath.Join(dir, "code"), filepath.Join(dir, "lambdad-gvisor-init")
	for path, from := range map[string]string{filepath.Join(code, "hello"): "./test/bench/testdata/hello", inside: "./cmd/lambdad-gvisor-init"} {
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, from)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", from, err, text)
		}
	}
	driver, err := gvisor.New(gvisor.Options{StateDir: filepath.Join(dir, "state"), Runsc: runsc, Init: inside, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer driver.Close()
	if _, err := driver.Reap(ctx); err != nil {
		return err
	}
	cases := []gvisorCase{{name: "a static program", argv: []string{"/var/task/hello"}}}
	if python, err := exec.LookPath("/usr/bin/python3"); err == nil {
		cases = append(cases, gvisorCase{"python3", []string{python, "-c", "print('hello')"}, []sandbox.Mount{{Source: "/usr", Target: "/usr"}}})
	}
	var rows [][]string
	for _, c := range cases {
		var parked, whole, peer sample
		for i := range count {
			p, w, err := gvisorStart(ctx, driver, c, code, i)
			if err != nil {
				return err
			}
			r, err := runscRun(ctx, runsc, c, code, filepath.Join(dir, fmt.Sprintf("peer-%s-%d", strings.Fields(c.name)[0], i)))
			if err != nil {
				return err
			}
			parked, whole, peer = append(parked, p), append(whole, w), append(peer, r)
		}
		for _, row := range []struct {
			what string
			s    sample
		}{{"lambdad, from a parked sentry", parked}, {"lambdad, nothing parked", whole}, {"runsc run", peer}} {
			rows = append(rows, []string{c.name, row.what, fmt.Sprint(count), millis(row.s.p50()), millis(row.s.p99()), ratio(row.s.p50(), peer.p50())})
		}
	}
	if len(cases) > 1 {
		more, err := gvisorWaiting(ctx, driver, cases[1].root, code, count, runsc, dir)
		if err != nil {
			return err
		}
		rows = append(rows, more...)
	}
	b.report.table("gVisor: a program's first line", []string{"program", "what", "n", "p50 ms", "p99 ms", "p50 / runsc's"}, rows)
	return nil
}

// gvisorStart parks and starts once.
func gvisorStart(ctx context.Context, driver *gvisor.Driver, c gvisorCase, code string, i int) (parked, whole time.Duration, err error) {
	begin := time.Now()
	box, err := driver.Park(ctx, sandbox.ParkSpec{ID: sandbox.ID(fmt.Sprintf("bench-%d", i)), Rootfs: sandbox.Rootfs{Mounts: c.root}})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, box.Destroy(ctx)) }()
	claimed := time.Now()
	program, err := box.Start(ctx, sandbox.StartSpec{Owner: "000000000000", CodeDir: code, Argv: c.argv,
		Limits: sandbox.Limits{MemoryMiB: 512, CPUMilli: 2000, TmpMiB: 512}})
	if err != nil {
		return 0, 0, err
	}
	if _, err := program.Output().Read(make([]byte, 16)); err != nil {
		return 0, 0, fmt.Errorf("the program printed nothing: %w", err)
	}
	return time.Since(claimed), time.Since(begin), nil
}

// runscRun runs the same program by hand.
func runscRun(ctx context.Context, runsc string, c gvisorCase, code, dir string) (time.Duration, error) {
	if err := bundle(dir, code, nil, c.argv, nil); err != nil {
		return 0, err
	}
	command := exec.CommandContext(ctx, runsc, "--root="+filepath.Join(dir, "run"), "--network=none", "--platform=systrap", "--ignore-cgroups",
		"--overlay2=none", "run", "-bundle", dir, filepath.Base(dir))
	out, err := command.StdoutPipe()
	if err != nil {
		return 0, err
	}
	var errs strings.Builder
	command.Stderr = &errs
	begin := time.Now()
	if err := command.Start(); err != nil {
		return 0, err
	}
	_, err = out.Read(make([]byte, 16))
	took := time.Since(begin)
	_, drained := io.Copy(io.Discard, out)
	if err := errors.Join(err, drained, command.Wait()); err != nil {
		return 0, fmt.Errorf("runsc run: %w: %s", err, errs.String())
	}
	return took, nil
}

// imports are what a small handler of today brings; waits is a program that has them and
// then waits to be told to go on, again if its connection breaks: then it is a copy.
const (
	imports = "import asyncio, json, ssl, urllib.request, email, logging, datetime, decimal, uuid\n"
	waits   = imports + `
import socket
while True:
    try:
        if socket.create_connection(("127.0.0.1", 9001)).recv(1): break
    except OSError: pass
print("hello", flush=True)
`
)

// gvisorWaiting times programs that have been started, or restored, ahead, beside runsc run
// of a program with the same imports.
func gvisorWaiting(ctx context.Context, driver *gvisor.Driver, root []sandbox.Mount, code string, count int, runsc, dir string) ([][]string, error) {
	argv := []string{"/usr/bin/python3", "-c", waits}
	spec := sandbox.StartSpec{Owner: "000000000000", CodeDir: code, Argv: argv, Template: true,
		Limits: sandbox.Limits{MemoryMiB: 512, CPUMilli: 2000, TmpMiB: 512}}
	original, err := driver.Park(ctx, sandbox.ParkSpec{ID: "original", Rootfs: sandbox.Rootfs{Mounts: root}})
	if err != nil {
		return nil, err
	}
	if _, err := original.Start(ctx, spec); err != nil {
		return nil, err
	}
	if _, err := original.RuntimeAPI().Accept(); err != nil {
		return nil, err
	}
	began := time.Now()
	template, err := driver.Template(ctx, original)
	if err != nil {
		return nil, err
	}
	written := time.Since(began)
	defer template.Close()
	var preloaded, restored, copied, peer sample
	for i := range count {
		took, _, err := goOn(ctx, spec, func(id sandbox.ID) (sandbox.Sandbox, error) {
			s, err := driver.Park(ctx, sandbox.ParkSpec{ID: id, Rootfs: sandbox.Rootfs{Mounts: root}})
			if err != nil {
				return nil, err
			}
			return s, s.(sandbox.Preloader).Preload(ctx, sandbox.PreloadSpec{Argv: argv})
		})
		if err != nil {
			return nil, err
		}
		preloaded = append(preloaded, took)
		took, ready, err := goOn(ctx, spec, func(id sandbox.ID) (sandbox.Sandbox, error) { return template.Park(ctx, id) })
		if err != nil {
			return nil, err
		}
		copied, restored = append(copied, took), append(restored, ready)
		c := gvisorCase{argv: []string{"/usr/bin/python3", "-c", imports + "print('hello', flush=True)"}}
		if took, err = runscRun(ctx, runsc, c, code, filepath.Join(dir, fmt.Sprintf("peer-imports-%d", i))); err != nil {
			return nil, err
		}
		peer = append(peer, took)
	}
	name := "python3 with imports"
	rows := [][]string{{name, fmt.Sprintf("lambdad, the checkpoint itself, %d MiB", template.MemoryBytes()>>20), "1", millis(written), "-", "-"}}
	for _, row := range []struct {
		what string
		s    sample
	}{
		{"lambdad, from a preloaded sentry", preloaded}, {"lambdad, from a copy that waits", copied},
		{"lambdad, restore until the copy waits", restored}, {"runsc run", peer},
	} {
		rows = append(rows, []string{name, row.what, fmt.Sprint(count), millis(row.s.p50()), millis(row.s.p99()), ratio(row.s.p50(), peer.p50())})
	}
	return rows, nil
}

// goOn times how long a program takes that waits in a sandbox made so: from Start to its line,
// and what the making took.
func goOn(ctx context.Context, spec sandbox.StartSpec, make func(sandbox.ID) (sandbox.Sandbox, error)) (took, ready time.Duration, err error) {
	begin := time.Now()
	box, err := make("waits")
	if box != nil {
		defer func() { err = errors.Join(err, box.Destroy(ctx)) }()
	}
	if err != nil {
		return 0, 0, err
	}
	asked, err := box.RuntimeAPI().Accept()
	if err != nil {
		return 0, 0, err
	}
	defer asked.Close()
	ready, begin = time.Since(begin), time.Now()
	program, err := box.Start(ctx, spec)
	if err != nil {
		return 0, 0, err
	}
	if _, err := asked.Write([]byte("x")); err != nil {
		return 0, 0, err
	}
	if _, err := program.Output().Read([]byte("hello\n")); err != nil {
		return 0, 0, fmt.Errorf("the program printed nothing: %w", err)
	}
	return time.Since(begin), ready, nil
}
