package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// benchCold invokes distinct functions once each, beside crun and runc that run the
// same interpreter on the same code to its end.
func benchCold(ctx context.Context, b *bench) error {
	count := 200
	if b.quick {
		count = 20
	}
	var rows [][]string
	for _, l := range b.languages() {
		cold, err := coldInvokes(ctx, b, l, count)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		rows = append(rows, []string{l.name, "lambdad, first invoke over HTTP and SigV4", fmt.Sprint(len(cold)), millis(cold.p50()), millis(cold.p99()), "1.00"})
		for _, peer := range ociRuntimes() {
			s, err := peerRuns(ctx, peer, l, max(count/5, 10))
			if err != nil {
				rows = append(rows, []string{l.name, peer.name + " run", "-", "-", "-", "could not run: " + err.Error()})
				continue
			}
			rows = append(rows, []string{l.name, peer.name + " run, same interpreter and handler, called once", fmt.Sprint(len(s)), millis(s.p50()), millis(s.p99()), ratio(s.p50(), cold.p50())})
		}
	}
	b.report.table(fmt.Sprintf("Cold: %d distinct functions, one invoke each, one at a time", count),
		[]string{"language", "what", "n", "p50 ms", "p99 ms", "p50 / lambdad's"}, rows)
	return nil
}

func coldInvokes(ctx context.Context, b *bench, l language, count int) (sample, error) {
	// What a lone cold start costs: let the parked sandbox be replaced first.
	return pausedInvokes(ctx, b, l, count, 20*time.Millisecond)
}

func pausedInvokes(ctx context.Context, b *bench, l language, count int, pause time.Duration) (sample, error) {
	s, err := startServer(ctx, b.lambdad, "--memory", "1000000")
	if err != nil {
		return nil, err
	}
	defer s.stop()
	c, err := newCaller(ctx, s, 4)
	if err != nil {
		return nil, err
	}
	name := func(i int) string { return fmt.Sprintf("cold-%03d", i) }
	for i := range count {
		code, err := zipDir(l.dir, name(i))
		if err != nil {
			return nil, err
		}
		if err := c.create(ctx, name(i), l, code); err != nil {
			return nil, err
		}
	}
	if err := c.waitActive(ctx, name(count-1)); err != nil {
		return nil, err
	}
	var cold sample
	for i := range count {
		took, err := c.invoke(ctx, name(i), []byte(`{"name":"bench"}`))
		if err != nil {
			return nil, err
		}
		cold = append(cold, took)
		time.Sleep(pause)
	}
	return cold, nil
}

func peerRuns(ctx context.Context, peer ociRuntime, l language, count int) (sample, error) {
	if peer.skipped != "" {
		return nil, fmt.Errorf("%s", peer.skipped)
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-peer-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	code, err := filepath.Abs(l.dir)
	if err != nil {
		return nil, err
	}
	if err := bundle(dir, code, l.mounts, l.once, nil); err != nil {
		return nil, err
	}
	var all sample
	for i := range count {
		took, err := peer.runBundle(ctx, dir, fmt.Sprintf("lambdad-bench-%d-%d", os.Getpid(), i))
		if err != nil {
			return nil, err
		}
		all = append(all, took)
	}
	return all, nil
}
