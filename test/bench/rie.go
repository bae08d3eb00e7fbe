package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// emulator is the name of AWS's Runtime Interface Emulator. Its Go module is not on the Go
// proxy, so it is measured where the machine has it: AWS's base images do, at
// /usr/local/bin/aws-lambda-rie, and AWS publishes the binary. emulatorVariable names a binary
// that is not in PATH.
const (
	emulator         = "aws-lambda-rie"
	emulatorVariable = "LAMBDAD_BENCH_RIE"
)

// benchRIE invokes the same program through lambdad, signed and isolated, and through the
// emulator, which does neither, over one connection: more at once the emulator cannot take.
func benchRIE(ctx context.Context, b *bench) error {
	length := 5 * time.Second
	if b.quick {
		length = time.Second
	}
	languages := b.languages()
	l := languages[len(languages)-1] // Go: it is always there
	s, err := startServer(ctx, b.lambdad)
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := newCaller(ctx, s, 32)
	if err != nil {
		return err
	}
	code, err := zipDir(l.dir, "")
	if err != nil {
		return err
	}
	if err := c.create(ctx, "rie", l, code); err != nil {
		return err
	}
	if err := c.waitActive(ctx, "rie"); err != nil {
		return err
	}
	if _, _, err := load(ctx, c, "rie", 1, length/5); err != nil {
		return err
	}
	own, took, err := load(ctx, c, "rie", 1, length)
	if err != nil {
		return err
	}
	row := func(who string, all sample, took time.Duration) []string {
		return []string{who, micros(all.p50()), micros(all.p99()), perSecond(len(all), took)}
	}
	rows := [][]string{append(row("lambdad: SigV4, sandboxed, metered", own, took), "1.00", "1.00")}
	named := os.Getenv(emulatorVariable)
	path, err := exec.LookPath(cmp.Or(named, emulator))
	if err != nil && named != "" {
		return fmt.Errorf("%s: %w", emulatorVariable, err)
	}
	if err != nil {
		rows = append(rows, []string{emulator, "-", "-", "-", "-", "not measured: not in PATH, and " + emulatorVariable + " names no binary"})
	} else {
		peer, took, err := emulated(ctx, path, l, length)
		if err != nil {
			return err
		}
		rate := float64(len(own)) / float64(max(len(peer), 1))
		rows = append(rows, append(row(emulator, peer, took), ratio(own.p50(), peer.p50()), fmt.Sprintf("%.2f", rate)))
	}
	b.report.table("Warm invokes beside AWS's Runtime Interface Emulator, 1 connection, the same Go program",
		[]string{"where", "p50 us", "p99 us", "invokes/s", "lambdad's p50 / this", "lambdad's rate / this"}, rows)
	return nil
}

// emulated runs the program in the emulator and invokes it one after the other.
func emulated(ctx context.Context, path string, l language, length time.Duration) (sample, time.Duration, error) {
	address, runtimeAPI, err := freeAddresses()
	if err != nil {
		return nil, 0, err
	}
	cmd := exec.CommandContext(ctx, path, "--log-level", "error", "--runtime-interface-emulator-address", address, "--runtime-api-address", runtimeAPI, filepath.Join(l.dir, "bootstrap"))
	cmd.Env = append(os.Environ(), "AWS_LAMBDA_FUNCTION_TIMEOUT=30", fmt.Sprintf("AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%d", functionMiB))
	if err := cmd.Start(); err != nil {
		return nil, 0, fmt.Errorf("start the emulator: %w", err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	// The same kind of client as lambdad's, but for the signature.
	clients := newConnections()
	invoke := func() (time.Duration, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/2015-03-31/functions/function/invocations", bytes.NewReader([]byte(`{"name":"bench"}`)))
		if err != nil {
			return 0, err
		}
		_, took, err := clients.do(request)
		return took, err
	}
	for tries := 0; ; tries++ {
		if _, err = invoke(); err == nil {
			break
		}
		if tries == 100 {
			return nil, 0, fmt.Errorf("the emulator does not answer: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	var all sample
	start := time.Now()
	for time.Since(start) < length {
		took, err := invoke()
		if err != nil {
			return nil, 0, fmt.Errorf("the emulator: %w", err)
		}
		all = append(all, took)
	}
	return all, time.Since(start), nil
}

func freeAddresses() (a, b string, err error) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer first.Close()
	second, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer second.Close()
	return first.Addr().String(), second.Addr().String(), nil
}
