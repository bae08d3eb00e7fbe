package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// frozenPause is longer than the quiet time after which an environment is frozen.
const frozenPause = 300 * time.Millisecond

// benchThaw times invokes whose environment is frozen, and beside each the same function's next
// one, which finds it thawed: the difference is the thaw, and what a rest does to caches.
func benchThaw(ctx context.Context, b *bench) error {
	count := 100
	if b.quick {
		count = 15
	}
	languages := b.languages()
	if len(languages) == 0 {
		return errors.New("needs a language")
	}
	s, err := startServer(ctx, b.lambdad)
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := tierCaller(ctx, s, languages[0], 1)
	if err != nil {
		return err
	}
	var frozen, thawed sample
	for range count {
		time.Sleep(frozenPause)
		for _, into := range []*sample{&frozen, &thawed} {
			took, err := c.invoke(ctx, "seen", []byte(`{}`))
			if err != nil {
				return err
			}
			*into = append(*into, took)
		}
	}
	b.report.table("Thaw on lease", []string{"what", "n", "p50 us", "p99 us", "of its peer's p50"}, [][]string{
		{languages[0].name + ", its environment is frozen", fmt.Sprint(count), micros(frozen.p50()), micros(frozen.p99()), ratio(frozen.p50(), thawed.p50())},
		{"the next invoke, at once", fmt.Sprint(count), micros(thawed.p50()), micros(thawed.p99()), "1.00"},
	}, "An environment is frozen when it was quiet for 100 ms. An invoke that comes before that pays nothing.")
	return nil
}
