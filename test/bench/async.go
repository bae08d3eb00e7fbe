package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/poller/async"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store/pebble"
)

const (
	// asyncClients is how many clients send events at once, each waiting for its 202.
	asyncClients = 64
	// asyncFunctions is how many functions they send to in the process: as many as there are queues.
	asyncFunctions = 64
	// asyncBodyBytes is the size of an event.
	asyncBodyBytes = 1024
)

// benchAsync counts events a second that are on disk when they are acknowledged, beside the
// disk's own flushes and beside a JetStream that syncs each message.
func benchAsync(ctx context.Context, b *bench) error {
	length := 4 * time.Second
	if b.quick {
		length = time.Second
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-async-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	syncs, err := fdatasyncs(filepath.Join(dir, "probe"), length)
	if err != nil {
		return err
	}
	peer, version, skipped := jetStreamRate(ctx, dir, length)
	row := func(what string, clients int, rate float64) []string {
		r := []string{what, fmt.Sprint(clients), fmt.Sprintf("%.0f", rate), fmt.Sprintf("%.2f", rate/syncs), "-"}
		if peer > 0 {
			r[4] = fmt.Sprintf("%.2f", rate/peer)
		}
		return r
	}
	rows := [][]string{row("fdatasync after each 128-byte append", 1, syncs)}
	if skipped != nil {
		rows = append(rows, []string{"NATS JetStream, sync always", fmt.Sprint(asyncClients), "-", "-", "not measured: " + skipped.Error()})
	} else {
		rows = append(rows, row("NATS JetStream "+version+", sync always, embedded", asyncClients, peer))
	}
	inside, err := acceptRate(ctx, filepath.Join(dir, "store"), length)
	if err != nil {
		return err
	}
	rows = append(rows, row("lambdad's queue of asynchronous invokes, in the process", asyncClients, inside))
	over, err := eventRate(ctx, b, length)
	if err != nil {
		return err
	}
	rows = append(rows, row("lambdad, Invoke with InvocationType=Event, HTTP and SigV4", asyncClients, over))
	b.report.table("Asynchronous invokes: events acknowledged on disk", []string{"events of 1 KiB", "clients", "a second", "of fdatasync", "of JetStream"}, rows,
		"Each client waits for its answer before it sends again. Over HTTP the clients sign and the function runs on the same cores, meanwhile.")
	return nil
}

// jetStreamRate builds and runs the peer, a module of its own.
func jetStreamRate(ctx context.Context, dir string, length time.Duration) (perSecond float64, version string, err error) {
	program := filepath.Join(dir, "jetstream")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, ".")
	build.Dir = filepath.Join("test", "bench", "jetstream")
	build.Env = append(os.Environ(), "GOWORK=off")
	if text, err := build.CombinedOutput(); err != nil {
		lines := splitLines(strings.TrimSpace(string(text)))
		return 0, "", fmt.Errorf("it cannot be built here: %s", lines[len(lines)-1])
	}
	out, err := exec.CommandContext(ctx, program, "-dir", filepath.Join(dir, "stream"), "-clients", fmt.Sprint(asyncClients),
		"-bytes", fmt.Sprint(asyncBodyBytes), "-length", length.String()).CombinedOutput()
	if err != nil {
		return 0, "", fmt.Errorf("it does not run here: %s", strings.TrimSpace(string(out)))
	}
	if _, err := fmt.Sscan(string(out), &version, &perSecond); err != nil {
		return 0, "", fmt.Errorf("its answer: %w", err)
	}
	return perSecond, version, nil
}

// acceptRate sends to the queue as the frontend does; nobody empties it.
func acceptRate(ctx context.Context, dir string, length time.Duration) (perSecond float64, err error) {
	s, err := pebble.Open(dir, pebble.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	nobody := idleDoors{}
	queue, err := async.New(async.Options{Queues: s, Functions: nobody, Configs: noConfigs{}, Reserved: noReserved{}, Sender: nobody, Invoke: nobody.invoke})
	if err != nil {
		return 0, err
	}
	payload := jsonOf(asyncBodyBytes)
	next := make(chan int, asyncClients)
	for c := range asyncClients {
		next <- c
	}
	stop := time.Now().Add(length)
	return crowd(func() (int, bool, error) {
		c := <-next
		defer func() { next <- c }()
		if time.Now().After(stop) {
			return 0, false, nil
		}
		id := record.FunctionID{Account: "000000000000", Region: region, Name: fmt.Sprintf("bench-%d", c%asyncFunctions)}
		return 1, true, queue.Accept(ctx, &frontend.Event{Name: record.Name{ID: id}, RequestID: aws.NewRequestID(), Payload: payload, Received: time.Now()})
	})
}

// jsonOf is a JSON string of so many bytes.
func jsonOf(bytes int) []byte { return []byte(`"` + strings.Repeat("e", bytes-2) + `"`) }

// eventRate sends events to a function of a server, which runs them meanwhile.
func eventRate(ctx context.Context, b *bench, length time.Duration) (perSecond float64, err error) {
	s, err := startServer(ctx, b.lambdad, "--memory", "100000")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	c, err := newCaller(ctx, s, asyncClients)
	if err != nil {
		return 0, err
	}
	l := b.languages()[len(b.languages())-1] // the custom runtime, the lightest
	if err := c.deploy(ctx, "events", l); err != nil {
		return 0, err
	}
	payload := fmt.Appendf(nil, `{"name":"%s"}`, strings.Repeat("e", asyncBodyBytes-len(`{"name":""}`)))
	stop := time.Now().Add(length)
	return crowd(func() (int, bool, error) {
		if time.Now().After(stop) {
			return 0, false, nil
		}
		return 1, true, c.send(ctx, "events", payload)
	})
}

// idleDoors are the doors of a queue that nobody empties.
type idleDoors struct{}

func (idleDoors) Function(record.FunctionID, string) (*record.Function, bool) { return nil, false }
func (idleDoors) Send(context.Context, *async.Delivery) error                 { return nil }
func (idleDoors) invoke(context.Context, *frontend.Request) (frontend.Answer, error) {
	return frontend.Answer{}, nil
}

type noConfigs struct{}

func (noConfigs) Get(record.Qualified) (*record.EventInvokeConfig, bool) { return nil, false }

type noReserved struct{}

func (noReserved) Get(record.Qualified) (*record.Concurrency, bool) { return nil, false }
