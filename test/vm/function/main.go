// Command function is what the virtual machine's lambdad runs: it counts its
// invokes, eats memory, sleeps, or burns processor time, as the event asks.
package main

import (
	"context"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

type request struct {
	EatMiB, SleepMS, BurnMS int
}

type response struct {
	Invokes int
	UsedMS  int64 // processor time of the burning
}

func main() {
	invokes := 0
	var eaten [][]byte
	lambda.Start(func(_ context.Context, in request) (response, error) {
		invokes++
		for range in.EatMiB {
			block := make([]byte, 1<<20)
			for i := 0; i < len(block); i += 4096 {
				block[i] = 1
			}
			eaten = append(eaten, block)
		}
		time.Sleep(time.Duration(in.SleepMS) * time.Millisecond)
		before := used()
		for start := time.Now(); time.Since(start) < time.Duration(in.BurnMS)*time.Millisecond; {
		}
		return response{Invokes: invokes, UsedMS: (used() - before).Milliseconds()}, nil
	})
}

func used() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
