package assignment_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/worker/workertest"
)

func percentile(d []time.Duration, p int) time.Duration {
	slices.Sort(d)
	return d[len(d)*p/100]
}

// direct measures what is left when assignment and worker are taken away.
func direct(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := runtimeapi.Serve(l, runtimeapi.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan sandbox.Exit, 1)
	go func() { ended <- workertest.Runtime(echo)(ctx, &workertest.Proc{API: l.Addr().String()}) }()
	defer func() {
		cancel()
		<-ended
		s.Close()
	}()
	if err := s.Ready(ctx); err != nil {
		b.Fatal(err)
	}
	inv := &runtimeapi.Invocation{RequestID: aws.NewRequestID(), FunctionARN: "arn", Payload: []byte(`{"hello":"world"}`), Deadline: time.Now().Add(time.Hour)}
	b.ReportAllocs()
	took := make([]time.Duration, 0, 1<<16)
	for b.Loop() {
		began := time.Now()
		if _, err := s.Invoke(ctx, inv); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	b.ReportMetric(float64(percentile(took, 50).Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(percentile(took, 99).Nanoseconds()), "p99-ns")
}
