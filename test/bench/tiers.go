package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// tierHandlers are functions that can be told to end, so that the next invoke of the
// same function is a cold one, and to hold their environment.
var tierHandlers = map[string]string{
	"hello": "",
	"boto3": "import boto3\ns3 = boto3.client('s3', region_name='us-east-1')\nddb = boto3.client('dynamodb', region_name='us-east-1')\n",
}

const tierHandler = `
import os, time
def handler(event, context):
    if event.get("exit"):
        os._exit(0)
    time.sleep(event.get("hold", 0))
    return "hello"
`

// startedPause is what an interpreter takes to start, so that each new function finds one.
const startedPause = 400 * time.Millisecond

// withoutTiers are the flags of a lambdad that starts everything anew.
var withoutTiers = []string{"--templates", "off", "--started-runtimes", "0"}

// benchTiers measures what is prepared ahead, each kind on its own.
func benchTiers(ctx context.Context, b *bench) error {
	count, many := 100, 1000
	if b.quick {
		count, many = 15, 50
	}
	var python, node *language
	for _, l := range b.languages() {
		switch {
		case strings.HasPrefix(l.name, "Python"):
			python = &l
		case strings.HasPrefix(l.name, "Node"):
			node = &l
		}
	}
	if python == nil {
		return errors.New("needs a Python")
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-tiers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // a mapped root passes through it
		return err
	}
	rows, err := benchSeen(ctx, b, *python, dir, count)
	if err != nil {
		return err
	}
	if node != nil {
		more, err := benchStarted(ctx, b, *node, count)
		if err != nil {
			return err
		}
		rows = append(rows, more...)
	}
	b.report.table("Cold: what is prepared ahead", []string{"what", "n", "p50 ms", "p99 ms", "of its peer's p50"}, rows,
		"\"Seen before\": the function has been invoked, and none of its environments is left.")
	return benchIdle(ctx, b, *python, dir, many)
}

func benchSeen(ctx context.Context, b *bench, l language, dir string, count int) ([][]string, error) {
	var rows [][]string
	for _, name := range []string{"hello", "boto3"} {
		l.dir = filepath.Join(dir, name)
		if err := writeTierHandler(l.dir, name); err != nil {
			return nil, err
		}
		seen, err := seenInvokes(ctx, b, l, count)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		var peer sample
		what := "the same, everything started anew"
		if name == "hello" {
			hello := l
			hello.once = []string{l.interpreter, "-c", "print('hello')"}
			what = "crun run, python3 that prints hello"
			for _, r := range ociRuntimes() {
				if r.name == "crun" {
					if peer, err = peerRuns(ctx, r, hello, max(count/3, 10)); err != nil {
						what = "crun run: " + err.Error()
					}
				}
			}
		} else if peer, err = seenInvokes(ctx, b, l, max(count/5, 5), withoutTiers...); err != nil {
			return nil, err
		}
		row := []string{l.name + ", " + name + ", seen before", fmt.Sprint(len(seen)), millis(seen.p50()), millis(seen.p99()), "-"}
		if len(peer) == 0 {
			rows = append(rows, row, []string{what, "-", "-", "-", "-"})
			continue
		}
		row[4] = ratio(seen.p50(), peer.p50())
		rows = append(rows, row, []string{what, fmt.Sprint(len(peer)), millis(peer.p50()), millis(peer.p99()), "1.00"})
	}
	return rows, nil
}

// benchStarted invokes functions that are new, whose interpreter runs already.
func benchStarted(ctx context.Context, b *bench, l language, count int) ([][]string, error) {
	cold, err := pausedInvokes(ctx, b, l, count, startedPause)
	if err != nil {
		return nil, err
	}
	rows := [][]string{{l.name + ", a new function", fmt.Sprint(len(cold)), millis(cold.p50()), millis(cold.p99()), "-"}}
	nothing := l
	nothing.once = []string{l.interpreter, "-e", "0"}
	for _, r := range ociRuntimes() {
		if r.name != "crun" {
			continue
		}
		peer, err := peerRuns(ctx, r, nothing, max(count/3, 10))
		if err != nil {
			return append(rows, []string{"crun run: " + err.Error(), "-", "-", "-", "-"}), nil
		}
		rows[0][4] = ratio(cold.p50(), peer.p50())
		rows = append(rows, []string{"crun run, node -e 0", fmt.Sprint(len(peer)), millis(peer.p50()), millis(peer.p99()), "1.00"})
	}
	return rows, nil
}

// seenInvokes ends a function's environment and times the next invoke, again and again.
func seenInvokes(ctx context.Context, b *bench, l language, count int, flags ...string) (sample, error) {
	s, err := startServer(ctx, b.lambdad, append([]string{"--memory", "1000000"}, flags...)...)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	c, err := tierCaller(ctx, s, l, 4)
	if err != nil {
		return nil, err
	}
	var all sample
	for range count {
		// The answer is that its runtime has exited.
		_, _ = c.invoke(ctx, "seen", []byte(`{"exit":true}`))
		time.Sleep(50 * time.Millisecond)
		took, err := c.invoke(ctx, "seen", []byte(`{}`))
		if err != nil {
			return nil, err
		}
		all = append(all, took)
	}
	return all, nil
}

// tierCaller has created the function "seen", which has been invoked.
func tierCaller(ctx context.Context, s *runningServer, l language, connections int) (*caller, error) {
	c, err := newCaller(ctx, s, connections)
	if err != nil {
		return nil, err
	}
	code, err := zipDir(l.dir, "")
	if err != nil {
		return nil, err
	}
	if err := c.create(ctx, "seen", l, code); err != nil {
		return nil, err
	}
	if err := c.waitActive(ctx, "seen"); err != nil {
		return nil, err
	}
	if _, err := c.invoke(ctx, "seen", []byte(`{}`)); err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second) // for what is made in the background
	return c, nil
}

func writeTierHandler(dir, name string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "app.py"), []byte(tierHandlers[name]+tierHandler), 0o644)
}

// benchIdle has so many environments of one function, and weighs them.
func benchIdle(ctx context.Context, b *bench, l language, dir string, count int) error {
	var rows [][]string
	l.dir = filepath.Join(dir, "hello")
	var weights [2]float64
	for i, flags := range [][]string{nil, withoutTiers} {
		took, pss, err := weigh(ctx, b, l, count, flags)
		if err != nil {
			return err
		}
		weights[i] = pss
		rows = append(rows, []string{[]string{"copies of a template", "separate processes"}[i], seconds(took), fmt.Sprintf("%.1f", pss/1024), fmt.Sprintf("%.2f", pss/1024/float64(count))})
	}
	b.report.table(fmt.Sprintf("%d environments of one %s function", count, l.name), []string{"what", "all have answered, s", "sum of PSS, MiB", "each, MiB"}, rows,
		fmt.Sprintf("Sum of PSS of copies / of separate processes: %.2f.", weights[0]/weights[1]))
	return nil
}

// weigh lets count invokes hold an environment each, and returns how long it took until all
// had answered, without the time they were held, and the sum of their PSS.
func weigh(ctx context.Context, b *bench, l language, count int, flags []string) (time.Duration, float64, error) {
	hold := min(time.Duration(count)*40*time.Millisecond, 25*time.Second)
	s, err := startServer(ctx, b.lambdad, append([]string{"--memory", "4000000", "--concurrency", strconv.Itoa(2 * count)}, flags...)...)
	if err != nil {
		return 0, 0, err
	}
	defer s.stop()
	c, err := tierCaller(ctx, s, l, count)
	if err != nil {
		return 0, 0, err
	}
	payload := fmt.Appendf(nil, `{"hold":%f}`, hold.Seconds())
	var last time.Duration
	var mu sync.Mutex
	err = forEach(count, count, func(int) error {
		took, err := c.invoke(ctx, "seen", payload)
		mu.Lock()
		last = max(last, took-hold)
		mu.Unlock()
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	pss, err := descendantsPSS(s.cmd.Process.Pid, "/var/runtime/bootstrap.py")
	return last, pss, err
}

// descendantsPSS sums the PSS, in KiB, of a process's descendants with that argument.
func descendantsPSS(root int, argument string) (float64, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	parents := map[int]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 {
			parents[pid], _ = strconv.Atoi(fields[1])
		}
	}
	var sum float64
	for pid := range parents {
		above := pid
		for above > 1 && above != root {
			above = parents[above]
		}
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if above != root || err != nil || !strings.Contains(string(command), argument) {
			continue
		}
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(rollup)) {
			if value, ok := strings.CutPrefix(line, "Pss:"); ok {
				kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
				if err != nil {
					return 0, err
				}
				sum += kib
			}
		}
	}
	return sum, nil
}
