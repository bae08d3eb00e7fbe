package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

const (
	// victimPause is between the victim's events; the attacker sends attackTimes as many.
	victimPause = 100 * time.Millisecond
	attackTimes = 100
	// attackSleep and attackPlaces are how long the attacker's function takes and how many of it
	// may run: 200 a second end, of the 1,000 that come, so that its queues only grow.
	attackSleep  = 50 * time.Millisecond
	attackPlaces = 10
)

// benchNeighbour measures how old a victim's events are when its function starts, alone and
// while another function's events come a hundred times as often and pile up.
func benchNeighbour(ctx context.Context, b *bench) error {
	rounds, length := 3, 8*time.Second
	if b.quick {
		rounds, length = 1, 4*time.Second
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-neighbour-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := clockLanguage(ctx, dir)
	if err != nil {
		return err
	}
	var alone, attacked sample
	var sent, most int64
	for range rounds {
		a, v, n, err := neighbourRound(ctx, b, l, length)
		if err != nil {
			return err
		}
		alone, attacked, sent, most = append(alone, a...), append(attacked, v...), sent+n, max(most, n)
	}
	rows := [][]string{
		{"alone", fmt.Sprint(len(alone)), "0", millis(alone.p50()), millis(alone.percentile(0.9)), millis(alone.p99()), "1.00"},
		{"under the attack", fmt.Sprint(len(attacked)), fmt.Sprintf("%.0f", float64(sent)/float64(rounds)/length.Seconds()),
			millis(attacked.p50()), millis(attacked.percentile(0.9)), millis(attacked.p99()), ratio(attacked.p99(), alone.p99())},
	}
	b.report.table("Asynchronous invokes: a noisy neighbour", []string{"the victim's events", "n", "attacker's events/s", "age p50 ms", "p90 ms", "p99 ms", "of alone's p99"}, rows,
		fmt.Sprintf("The victim gets an event every %v. The attacker's function takes %v, %d of it may run at once, and its clients (on the same cores) send %d times as many events, so that its queues only grow. Rounds are interleaved, each with a server of its own.",
			victimPause, attackSleep, attackPlaces, attackTimes))
	return nil
}

func neighbourRound(ctx context.Context, b *bench, l language, length time.Duration) (alone, attacked sample, sent int64, err error) {
	s, err := startServer(ctx, b.lambdad, "--memory", "100000")
	if err != nil {
		return nil, nil, 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	c, err := newCaller(ctx, s, 64)
	if err != nil {
		return nil, nil, 0, err
	}
	ends, err := c.listen(ctx, "ended")
	if err != nil {
		return nil, nil, 0, err
	}
	if err := errors.Join(c.deploy(ctx, "victim", l), c.deploy(ctx, "attacker", l), ends.follow(ctx, "victim")); err != nil {
		return nil, nil, 0, err
	}
	if _, err := c.lambda.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("attacker"), ReservedConcurrentExecutions: aws.Int32(attackPlaces)}); err != nil {
		return nil, nil, 0, err
	}
	// Both are warm before the clock starts.
	if _, err := victimAges(ctx, c, ends, time.Second); err != nil {
		return nil, nil, 0, err
	}
	if alone, err = victimAges(ctx, c, ends, length); err != nil {
		return nil, nil, 0, err
	}
	attack, stop := context.WithCancel(ctx)
	var count atomic.Int64
	failed := make(chan error, 1)
	go func() { failed <- flood(attack, c, &count) }()
	select {
	case <-time.After(time.Second):
	case err := <-failed:
		stop()
		return nil, nil, 0, err
	}
	before := count.Load()
	attacked, err = victimAges(ctx, c, ends, length)
	sent = count.Load() - before
	stop()
	return alone, attacked, sent, errors.Join(err, <-failed)
}

// victimAges sends the victim its events for a while and returns how old each was at its start.
func victimAges(ctx context.Context, c *caller, ends *ended, length time.Duration) (sample, error) {
	count := int(length / victimPause)
	tick := time.NewTicker(victimPause)
	defer tick.Stop()
	for range count {
		<-tick.C
		if err := c.send(ctx, "victim", clockEvent(0)); err != nil {
			return nil, err
		}
	}
	answers, err := ends.collect(ctx, count)
	if err != nil {
		return nil, err
	}
	var ages sample
	for _, a := range answers {
		ages = append(ages, a.age())
	}
	return ages, nil
}

// flood sends the attacker's events, evenly, until ctx ends.
func flood(ctx context.Context, c *caller, count *atomic.Int64) error {
	const senders = 16
	begin := time.Now()
	var next atomic.Int64
	return forEach(senders, senders, func(int) error {
		for {
			n := next.Add(1)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Until(begin.Add(time.Duration(n) * victimPause / attackTimes))):
			}
			if err := c.send(context.WithoutCancel(ctx), "attacker", clockEvent(attackSleep)); err != nil {
				return err
			}
			count.Add(1)
		}
	})
}
