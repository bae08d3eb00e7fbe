package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/microvm"
)

// hangMax is when a machine counts as hanging: the slowest that does not takes a tenth.
const hangMax = 20 * time.Second

// benchMicroVM times the first answer of a function in a virtual machine: booted
// for it, copied from a machine that waits, and restored from its own template.
func benchMicroVM(ctx context.Context, b *bench) error {
	boots, restores := 7, 200
	if b.quick {
		boots, restores = 3, 20
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		fmt.Fprintln(os.Stderr, "bench: microvm: skipped: needs qemu-system-x86")
		return nil
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-microvm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	guest, code := filepath.Join(dir, "lambdad-guest"), filepath.Join(dir, "code")
	for path, from := range map[string]string{guest: "./cmd/lambdad-guest", filepath.Join(code, "restored"): "./test/bench/testdata/restored"} {
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, from)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", from, err, text)
		}
	}
	kernels := os.Getenv("LAMBDAD_TEST_MICROVM_KERNEL")
	if kernels == "" {
		kernels = filepath.Join(dir, "kernel")
	}
	if err := microvm.Prepare(ctx, kernels, func(string) {}); err != nil {
		fmt.Fprintln(os.Stderr, "bench: microvm: skipped:", err)
		return nil
	}
	open := func(name string, alone bool) (*microvm.Driver, error) {
		return microvm.New(microvm.Options{StateDir: filepath.Join(dir, name), KernelDir: kernels, Guest: guest, Alone: alone,
			Log: slog.New(slog.DiscardHandler)})
	}
	alone, err := open("alone", true)
	if err != nil {
		return err
	}
	defer alone.Close()
	shared, err := open("shared", false)
	if err != nil {
		return err
	}
	defer shared.Close()

	v := &virtual{code: code}
	var booted, copied, restored, parked sample
	for range boots {
		took, err := v.first(ctx, func(ctx context.Context) (sandbox.Sandbox, error) {
			return alone.Park(ctx, sandbox.ParkSpec{ID: v.id()})
		}, false)
		if err != nil {
			return err
		}
		booted = append(booted, took)
	}
	// The first one boots the machine that the others are copied from.
	for i := range boots + 1 {
		took, err := v.first(ctx, func(ctx context.Context) (sandbox.Sandbox, error) {
			return shared.Park(ctx, sandbox.ParkSpec{ID: v.id()})
		}, false)
		if err != nil {
			return err
		}
		if i > 0 {
			copied = append(copied, took)
		}
	}
	template, err := v.template(ctx, shared)
	if err != nil {
		return err
	}
	defer template.Close()
	hangs := 0
	for range restores {
		took, err := v.first(ctx, func(ctx context.Context) (sandbox.Sandbox, error) { return template.Park(ctx, v.id()) }, false)
		if err != nil || took > hangMax {
			hangs++
			continue
		}
		restored = append(restored, took)
	}
	for range max(restores/10, 5) {
		took, err := v.first(ctx, func(ctx context.Context) (sandbox.Sandbox, error) { return template.Park(ctx, v.id()) }, true)
		if err != nil {
			return err
		}
		parked = append(parked, took)
	}
	var rows [][]string
	for _, row := range []struct {
		what string
		s    sample
	}{{"booted for it", booted}, {"copied from a booted machine", copied}, {"restored from its template", restored}, {"restored, and parked ahead", parked}} {
		rows = append(rows, []string{row.what, fmt.Sprint(len(row.s)), millis(row.s.p50()), millis(row.s.p99()), ratio(row.s.p50(), booted.p50())})
	}
	b.report.table("Virtual machines: a function's first answer", []string{"machine", "n", "p50 ms", "p99 ms", "p50 / booted's"}, rows,
		fmt.Sprintf("%d of %d restores hung. The template holds %d MiB, which its copies share.", hangs, restores, template.MemoryBytes()>>20))
	return nil
}

// virtual makes environments of one function.
type virtual struct {
	code string
	next int
}

func (v *virtual) id() sandbox.ID {
	v.next++
	return sandbox.ID(fmt.Sprintf("bench-vm-%d", v.next))
}

func (v *virtual) spec() sandbox.StartSpec {
	return sandbox.StartSpec{Owner: "000000000000", CodeDir: v.code, Argv: []string{"/var/task/restored"}, Template: true,
		Limits: sandbox.Limits{MemoryMiB: 256, CPUMilli: 1000, TmpMiB: 512}}
}

// first takes the time until the first answer, with or without that of Park.
func (v *virtual) first(ctx context.Context, park func(context.Context) (sandbox.Sandbox, error), ahead bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*hangMax)
	defer cancel()
	begin := time.Now()
	box, err := park(ctx)
	if err != nil {
		return 0, err
	}
	defer box.Destroy(context.WithoutCancel(ctx))
	if ahead {
		begin = time.Now()
	}
	answered := make(chan struct{}, 1)
	server := serveRestored(box, true, func() {}, func() { answered <- struct{}{} })
	defer server.Close()
	spec := v.spec()
	spec.Template = false
	program, err := box.Start(ctx, spec)
	if err != nil {
		return 0, err
	}
	go io.Copy(io.Discard, program.Output())
	select {
	case <-answered:
		return time.Since(begin), nil
	case <-program.Done():
		return 0, fmt.Errorf("the function ended: %+v", program.Exit())
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (v *virtual) template(ctx context.Context, driver *microvm.Driver) (sandbox.Template, error) {
	box, err := driver.Park(ctx, sandbox.ParkSpec{ID: v.id()})
	if err != nil {
		return nil, err
	}
	waits := make(chan struct{}, 1)
	server := serveRestored(box, false, func() { waits <- struct{}{} }, func() {})
	defer server.Close()
	program, err := box.Start(ctx, v.spec())
	if err != nil {
		return nil, errors.Join(err, box.Destroy(ctx))
	}
	go io.Copy(io.Discard, program.Output())
	select {
	case <-waits:
	case <-time.After(hangMax):
		return nil, errors.Join(errors.New("the function does not wait"), box.Destroy(ctx))
	}
	return driver.Template(ctx, box)
}

// serveRestored is a Runtime API that tells one event.
func serveRestored(box sandbox.Sandbox, open bool, asked, answered func()) *http.Server {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/restore/next"):
			asked()
			if !open {
				<-r.Context().Done()
			}
		case strings.HasSuffix(r.URL.Path, "/invocation/next"):
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "1")
			io.WriteString(w, "{}")
		case strings.HasSuffix(r.URL.Path, "/response"):
			w.WriteHeader(http.StatusAccepted)
			answered()
		}
	})}
	go server.Serve(box.RuntimeAPI())
	return server
}
