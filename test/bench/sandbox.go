package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container"
)

// benchSandbox times the sandbox itself: from the wish for one to the first line of a
// static program in it, beside crun and runc with the same program.
func benchSandbox(ctx context.Context, b *bench) error {
	count := 100
	if b.quick {
		count = 20
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-sandbox-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// The data folders of a service are open to whoever passes through, and so must this one be.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	code := filepath.Join(dir, "code")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(code, "hello"), "./test/bench/testdata/hello")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build hello: %w\n%s", err, text)
	}
	initPath, err := b.initProgram(ctx, dir)
	if err != nil {
		return err
	}
	driver, err := container.New(container.Options{StateDir: filepath.Join(dir, "state"), Init: initPath, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer driver.Close()
	if _, err := driver.Reap(ctx); err != nil {
		return err
	}
	var whole, parked sample
	for i := range count {
		begin := time.Now()
		box, err := driver.Park(ctx, sandbox.ParkSpec{ID: sandbox.ID(fmt.Sprintf("bench-%d", i))})
		if err != nil {
			return err
		}
		claimed := time.Now()
		program, err := box.Start(ctx, sandbox.StartSpec{Owner: "000000000000", CodeDir: code, Argv: []string{"/var/task/hello"},
			Limits: sandbox.Limits{MemoryMiB: 512, CPUMilli: 1000, TmpMiB: 512}})
		if err != nil {
			return err
		}
		if _, err := program.Output().Read(make([]byte, 16)); err != nil {
			return fmt.Errorf("the program printed nothing: %w", err)
		}
		now := time.Now()
		whole, parked = append(whole, now.Sub(begin)), append(parked, now.Sub(claimed))
		if err := box.Destroy(ctx); err != nil {
			return err
		}
	}
	peers := map[string]sample{}
	var names []string
	for _, peer := range ociRuntimes() {
		s, err := peerRuns(ctx, peer, language{dir: code, once: []string{"/var/task/hello"}}, count)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", peer.name, err)
			continue
		}
		peers[peer.name] = s
		names = append(names, peer.name)
	}
	crun := peers["crun"].p50()
	rows := [][]string{
		{"lambdad, from a parked sandbox", fmt.Sprint(count), millis(parked.p50()), millis(parked.p99()), ratio(parked.p50(), crun)},
		{"lambdad, nothing parked", fmt.Sprint(count), millis(whole.p50()), millis(whole.p99()), ratio(whole.p50(), crun)},
	}
	for _, name := range names {
		s := peers[name]
		rows = append(rows, []string{name + " run, to its end", fmt.Sprint(len(s)), millis(s.p50()), millis(s.p99()), ratio(s.p50(), crun)})
	}
	b.report.table("The sandbox itself: a static program's first line", []string{"what", "n", "p50 ms", "p99 ms", "p50 / crun's"}, rows)
	return nil
}

// initProgram builds process 1 of sandboxes: in this program it is not embedded.
func (b *bench) initProgram(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "lambdad-init")
	build := exec.CommandContext(ctx, "scripts/init.sh", path)
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build process 1: %w\n%s", err, text)
	}
	return path, nil
}
