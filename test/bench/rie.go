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
	"syscall"
	"time"
)

// emulator is the name of AWS's Runtime Interface Emulator: AWS's base images have it at
// /usr/local/bin/aws-lambda-rie, and AWS publishes binaries and the source, whose program is
// cmd/aws-lambda-rie. A machine whose Go proxy does not serve the module builds it from the
// source. emulatorVariable names a binary that is not in PATH.
const (
	emulator         = "aws-lambda-rie"
	emulatorVariable = "LAMBDAD_BENCH_RIE"

	// emulatorRounds is how often the two take turns, so that a machine that slows down
	// does so for both.
	emulatorRounds = 3
	// emulatorStop is how long the emulator may take to end its function and itself.
	emulatorStop = 5 * time.Second
)

// benchRIE invokes the same program through lambdad, signed and isolated, and through the
// emulator, which does neither, over one connection: more at once the emulator cannot take.
// What lambdad does over 32 stands beside it.
func benchRIE(ctx context.Context, b *bench) error {
	round := 2 * time.Second
	if b.quick {
		round = time.Second / 2
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
	own := &emulatorRow{who: "lambdad: SigV4, sandboxed, metered", connections: 1}
	own.load = func(length time.Duration) (sample, time.Duration, error) {
		return load(ctx, c, "rie", own.connections, length)
	}
	many := &emulatorRow{who: own.who, connections: 32}
	many.load = func(length time.Duration) (sample, time.Duration, error) {
		return load(ctx, c, "rie", many.connections, length)
	}
	turns, notes := []*emulatorRow{own}, []string{"not measured: " + emulator + " is not in PATH, and " + emulatorVariable + " names no binary."}
	var peer *emulatorRow
	named := os.Getenv(emulatorVariable)
	path, err := exec.LookPath(cmp.Or(named, emulator))
	if err != nil && named != "" {
		return fmt.Errorf("%s: %w", emulatorVariable, err)
	}
	if err == nil {
		e, err := startEmulator(ctx, path, l)
		if err != nil {
			return err
		}
		defer e.stop()
		peer = &emulatorRow{who: emulator, connections: 1, load: e.load}
		turns, notes = append(turns, peer), nil
	}
	if err := takeTurns(round, turns...); err != nil {
		return err
	}
	if err := takeTurns(round, many); err != nil {
		return err
	}
	var rows [][]string
	for _, r := range append(turns, many) {
		rows = append(rows, r.cells(peer))
	}
	b.report.table("Warm invokes beside AWS's Runtime Interface Emulator, the same Go program",
		[]string{"where", "connections", "p50 us", "p99 us", "invokes/s", "p50 / the emulator's", "rate / the emulator's"}, rows, notes...)
	return nil
}

// emulatorRow is one line of the table: who answers, over how many connections, and what came.
type emulatorRow struct {
	who         string
	connections int
	load        func(time.Duration) (sample, time.Duration, error)

	all  sample
	took time.Duration
}

// takeTurns warms each, and then measures them by turns.
func takeTurns(round time.Duration, rows ...*emulatorRow) error {
	for _, r := range rows {
		if _, _, err := r.load(round / 2); err != nil {
			return fmt.Errorf("%s: %w", r.who, err)
		}
	}
	for range emulatorRounds {
		for _, r := range rows {
			all, took, err := r.load(round)
			if err != nil {
				return fmt.Errorf("%s: %w", r.who, err)
			}
			r.all, r.took = append(r.all, all...), r.took+took
		}
	}
	return nil
}

func (r *emulatorRow) rate() float64 { return float64(len(r.all)) / r.took.Seconds() }

func (r *emulatorRow) cells(peer *emulatorRow) []string {
	p50, rate := "-", "-"
	if peer != nil {
		p50, rate = ratio(r.all.p50(), peer.all.p50()), fmt.Sprintf("%.2f", r.rate()/peer.rate())
	}
	return []string{r.who, fmt.Sprint(r.connections), micros(r.all.p50()), micros(r.all.p99()), perSecond(len(r.all), r.took), p50, rate}
}

// runningEmulator is the emulator with the program in it.
type runningEmulator struct {
	invoke func() (time.Duration, error)
	stop   func()
}

func startEmulator(ctx context.Context, path string, l language) (*runningEmulator, error) {
	address, runtimeAPI, err := freeAddresses()
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, path, "--log-level", "error", "--runtime-interface-emulator-address", address, "--runtime-api-address", runtimeAPI, filepath.Join(l.dir, "bootstrap"))
	cmd.Env = append(os.Environ(), "AWS_LAMBDA_FUNCTION_TIMEOUT=30", fmt.Sprintf("AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%d", functionMiB))
	// Asked to, it ends its function too, which has a process group of its own.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = emulatorStop
	if err := cmd.Start(); err != nil {
		end()
		return nil, fmt.Errorf("start the emulator: %w", err)
	}
	// The same kind of client as lambdad's, but for the signature.
	clients := newConnections()
	e := &runningEmulator{
		invoke: func() (time.Duration, error) {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/2015-03-31/functions/function/invocations", bytes.NewReader([]byte(`{"name":"bench"}`)))
			if err != nil {
				return 0, err
			}
			_, took, err := clients.do(request)
			return took, err
		},
		stop: func() { end(); cmd.Wait() },
	}
	for tries := 0; ; tries++ {
		if _, err = e.invoke(); err == nil {
			return e, nil
		}
		if tries == 100 {
			e.stop()
			return nil, fmt.Errorf("the emulator does not answer: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// load invokes one after the other.
func (e *runningEmulator) load(length time.Duration) (sample, time.Duration, error) {
	var all sample
	start := time.Now()
	for time.Since(start) < length {
		took, err := e.invoke()
		if err != nil {
			return nil, 0, err
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
