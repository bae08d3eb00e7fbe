package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/runtimeapi/client"
)

// benchWarm invokes one warm function over HTTP and SigV4, and beside it the same
// handler over the Runtime API alone, in the same run: the difference is what the
// platform adds.
func benchWarm(ctx context.Context, b *bench) error {
	length := 5 * time.Second
	if b.quick {
		length = time.Second
	}
	// More memory than there is may be promised: the functions use little of theirs.
	s, err := startServer(ctx, b.lambdad, "--memory", "100000")
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := newCaller(ctx, s, 64)
	if err != nil {
		return err
	}
	bare, err := bareInvokes(ctx, c, length)
	if err != nil {
		return err
	}
	rows := [][]string{{"-", "the same client and a bare HTTP server in a process of its own", "1", micros(bare.p50()), micros(bare.p99()), perSecond(len(bare), length), ""}}
	for i, l := range b.languages() {
		direct, err := directInvokes(ctx, l, length)
		if err != nil {
			return fmt.Errorf("%s directly: %w", l.name, err)
		}
		rows = append(rows, []string{l.name, "Runtime API alone", "1", micros(direct.p50()), micros(direct.p99()), perSecond(len(direct), length), ""})

		name := fmt.Sprintf("warm-%d", i)
		code, err := zipDir(l.dir, "")
		if err != nil {
			return err
		}
		if err := c.create(ctx, name, l, code); err != nil {
			return err
		}
		if err := c.waitActive(ctx, name); err != nil {
			return err
		}
		for _, connections := range []int{1, 32} {
			// Every connection gets its environment before the clock starts.
			if _, _, err := load(ctx, c, name, connections, time.Second); err != nil {
				return err
			}
			all, took, err := load(ctx, c, name, connections, length)
			if err != nil {
				return err
			}
			added := ""
			if connections == 1 {
				added = fmt.Sprintf("%s, of which client and HTTP %s", micros(all.p50()-direct.p50()), micros(bare.p50()))
			}
			rows = append(rows, []string{l.name, "HTTP and SigV4", fmt.Sprint(connections), micros(all.p50()), micros(all.p99()), perSecond(len(all), took), added})
		}
	}
	b.report.table("Warm invokes", []string{"language", "way", "connections", "p50 us", "p99 us", "invokes/s", "added p50 us"}, rows,
		"The client runs on the same machine and shares its cores. Its own cost and HTTP's are the bare server's row; they are part of every figure over HTTP.")
	return nil
}

func load(ctx context.Context, c *caller, name string, connections int, length time.Duration) (sample, time.Duration, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		all   sample
		first error
	)
	start := time.Now()
	for range connections {
		wg.Go(func() {
			var own sample
			var err error
			for time.Since(start) < length && err == nil {
				var took time.Duration
				if took, err = c.invoke(ctx, name, []byte(`{"name":"bench"}`)); err == nil {
					own = append(own, took)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	return all, time.Since(start), first
}

// directInvokes runs the runtime client unsandboxed against a Session of its own.
func directInvokes(ctx context.Context, l language, length time.Duration) (sample, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	session := runtimeapi.Serve(listener, runtimeapi.Options{})
	defer session.Close()
	dir, err := os.MkdirTemp("", "lambdad-bench-client-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	task, err := filepath.Abs(l.dir)
	if err != nil {
		return nil, err
	}
	cmd, err := directCommand(ctx, l, task, dir)
	if err != nil {
		return nil, err
	}
	cmd.Dir = task
	cmd.Env = append(cmd.Env, "PATH=/usr/local/bin:/usr/bin:/bin", "AWS_LAMBDA_RUNTIME_API="+listener.Addr().String(), "LAMBDA_TASK_ROOT="+task, "_HANDLER="+l.handler,
		"AWS_LAMBDA_FUNCTION_NAME=direct", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=1769", "AWS_REGION="+region)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	ready, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := session.Ready(ready); err != nil {
		return nil, err
	}
	var all sample
	start := time.Now()
	for time.Since(start) < length {
		begin := time.Now()
		outcome, err := session.Invoke(ctx, &runtimeapi.Invocation{RequestID: aws.NewRequestID(), Deadline: begin.Add(30 * time.Second), FunctionARN: "arn:aws:lambda:us-east-1:000000000000:function:direct", Payload: []byte(`{"name":"bench"}`)})
		if err != nil {
			return nil, err
		}
		if outcome.ErrorType != "" {
			return nil, fmt.Errorf("the handler failed: %s", outcome.Payload)
		}
		all = append(all, time.Since(begin))
	}
	return all, nil
}

func perSecond(n int, d time.Duration) string { return fmt.Sprintf("%.0f", float64(n)/d.Seconds()) }

func directCommand(ctx context.Context, l language, task, dir string) (*exec.Cmd, error) {
	if l.interpreter == "" {
		return exec.CommandContext(ctx, filepath.Join(l.dir, "bootstrap")), nil
	}
	set, err := client.Install(dir)
	if err != nil {
		return nil, err
	}
	program, err := set.For(client.Request{Runtime: string(l.runtime), Interpreter: l.interpreter, MemoryMiB: functionMiB, MountedAt: filepath.Join(set.Dir, l.client), TaskRoot: task})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program.Argv[0], program.Argv[1:]...)
	cmd.Env = program.Env
	return cmd, nil
}
