package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

const (
	// awsScalingRate is AWS's published rate: so many new environments every
	// awsScalingPeriod for each function.
	awsScalingRate   = 1000
	awsScalingPeriod = 10 * time.Second
	sleepMS          = 200
)

// benchScale sends as many invokes of one function at once as AWS lets it grow in ten seconds.
// Nothing is warm, every invoke sleeps, so each needs an environment of its own.
func benchScale(ctx context.Context, b *bench) error {
	count := awsScalingRate
	if b.quick {
		count = 100
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-sleeper-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(dir, "bootstrap"), "./test/bench/testdata/sleeper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the sleeper: %w\n%s", err, text)
	}
	// More memory than there is may be promised: the function uses little of its share.
	s, err := startServer(ctx, b.lambdad, "--memory", "4000000")
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := newCaller(ctx, s, count)
	if err != nil {
		return err
	}
	code, err := zipDir(dir, "")
	if err != nil {
		return err
	}
	if err := c.create(ctx, "sleeper", language{runtime: types.RuntimeProvidedal2023, handler: "bootstrap"}, code); err != nil {
		return err
	}
	if err := c.waitActive(ctx, "sleeper"); err != nil {
		return err
	}
	// One that is there already tells how long a warm one takes; it is one of those that answer.
	if _, err := c.invoke(ctx, "sleeper", []byte("{}")); err != nil {
		return err
	}
	rows := [][]string{{"AWS Lambda, as published", fmt.Sprint(awsScalingRate), "-", seconds(awsScalingPeriod), "-", "-", "-"}}
	for _, what := range []string{"lambdad, cold", "lambdad, again, warm"} {
		all, refused, took := burst(ctx, c, "sleeper", count)
		rows = append(rows, []string{what, fmt.Sprint(count), fmt.Sprint(len(refused)), seconds(took),
			millis(all.p50()), millis(all.p99()), fmt.Sprintf("%.2f", took.Seconds()/(awsScalingPeriod.Seconds()*float64(count)/awsScalingRate))})
		for i, err := range refused {
			if i == 3 {
				break
			}
			fmt.Fprintln(os.Stderr, "bench: refused:", err)
		}
	}
	resident, err := s.residentKiB()
	if err != nil {
		return err
	}
	b.report.table(fmt.Sprintf("A burst: %d invokes of one function at once, each sleeps %d ms", count, sleepMS),
		[]string{"where", "invokes", "refused or failed", "s until all have answered", "p50 ms", "p99 ms", "time / AWS's for as many"}, rows,
		"The client runs on the same machine, with a connection for each invoke.",
		fmt.Sprintf("lambdad's own resident memory after it: %.1f MiB.", float64(resident)/1024))
	return nil
}

// burst sends all invokes at once and returns how long the answered ones took, and what
// the others failed with.
func burst(ctx context.Context, c *caller, name string, count int) (all sample, refused []error, took time.Duration) {
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	payload := fmt.Appendf(nil, `{"sleepMs":%d}`, sleepMS)
	start := time.Now()
	for range count {
		wg.Go(func() {
			d, err := c.invoke(ctx, name, payload)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refused = append(refused, err)
				return
			}
			all = append(all, d)
		})
	}
	wg.Wait()
	return all, refused, time.Since(start)
}
