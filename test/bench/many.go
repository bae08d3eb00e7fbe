package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// benchMany creates, lists and invokes many functions, and weighs the idle ones.
func benchMany(ctx context.Context, b *bench) error {
	count := 1000
	if b.quick {
		count = 50
	}
	s, err := startServer(ctx, b.lambdad, "--memory", "4000000")
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := newCaller(ctx, s, 16)
	if err != nil {
		return err
	}
	languages := b.languages()
	l := languages[len(languages)-1] // Go: it is always there
	name := func(i int) string { return fmt.Sprintf("many-%04d", i) }
	before, err := s.residentKiB()
	if err != nil {
		return err
	}

	code, err := zipDir(l.dir, "")
	if err != nil {
		return err
	}
	created, err := timed(func() error {
		return forEach(count, 8, func(i int) error { return c.create(ctx, name(i), l, code) })
	})
	if err != nil {
		return err
	}
	if err := c.waitActive(ctx, name(count-1)); err != nil {
		return err
	}
	idleFunctions, err := s.residentKiB()
	if err != nil {
		return err
	}
	pages := 0
	listed, err := timed(func() error {
		found := 0
		paginator := lambda.NewListFunctionsPaginator(c.lambda, &lambda.ListFunctionsInput{})
		for paginator.HasMorePages() {
			page, err := paginator.NextPage(ctx)
			if err != nil {
				return err
			}
			pages++
			found += len(page.Functions)
		}
		if found != count {
			return fmt.Errorf("listed %d of %d functions", found, count)
		}
		return nil
	})
	if err != nil {
		return err
	}
	free, err := availableKiB()
	if err != nil {
		return err
	}
	invoked, err := timed(func() error {
		return forEach(count, 8, func(i int) error { _, err := c.invoke(ctx, name(i), []byte("{}")); return err })
	})
	if err != nil {
		return err
	}
	idle, err := availableKiB()
	if err != nil {
		return err
	}
	each := func(d time.Duration) string { return millis(d / time.Duration(count)) }
	b.report.table(fmt.Sprintf("%d functions", count), []string{"step", "total s", "ms each"}, [][]string{
		{"create (8 at a time, " + fmt.Sprintf("%.1f", float64(len(code))/(1<<20)) + " MiB zip)", seconds(created), each(created)},
		{fmt.Sprintf("list (%d pages)", pages), seconds(listed), each(listed)},
		{"invoke once, all cold (8 at a time)", seconds(invoked), each(invoked)},
	},
		fmt.Sprintf("Memory: %.1f KiB of the server's resident memory for each idle function; %.0f KiB of the machine's for each idle environment of the Go example (what remained warm of %d).",
			float64(idleFunctions-before)/float64(count), float64(free-idle)/float64(count), count))
	return nil
}

func timed(f func() error) (time.Duration, error) {
	start := time.Now()
	err := f()
	return time.Since(start), err
}

// forEach calls f for 0..n-1 from several goroutines and returns the first error.
func forEach(n, workers int, f func(int) error) error {
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	next := make(chan int)
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				if err := f(i); err != nil {
					once.Do(func() { first = err })
				}
			}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return first
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }
