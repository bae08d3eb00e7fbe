package logs

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/store/pebble"
	"github.com/lambdad/lambdad/internal/telemetry"
)

// BenchmarkAppend is 32 functions that log lines of 200 bytes as fast as they may,
// until all lines are durable.
func BenchmarkAppend(b *testing.B) {
	s, err := pebble.Open(b.TempDir(), pebble.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	l := Open(s, Options{Log: slog.New(slog.DiscardHandler)})
	defer func() { l.Close(context.Background()) }()
	const functions = 32
	line := strings.Repeat("x", 200)
	b.SetBytes(int64(len(line)))
	var wg sync.WaitGroup
	for f := range functions {
		wg.Go(func() {
			id := streamID(fmt.Sprint("/aws/lambda/f", f), "s")
			for range b.N / functions {
				if err := l.Append(b.Context(), id, telemetry.LogEvent{Time: time.Now(), Message: line}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := l.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}
