package logs

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/lambdad/lambdad/internal/store"
)

// slowReads lets all others come first between a read and the write that follows from it.
type slowReads struct{ store.Store }

func (s slowReads) Get(ctx context.Context, key string) (store.Record, error) {
	r, err := s.Store.Get(ctx, key)
	for range 100 {
		runtime.Gosched()
	}
	return r, err
}

func TestParallelBatches(t *testing.T) {
	_, c, s := made(t, "s")
	const writers, batches = 40, 5
	l := Open(slowReads{s}, Options{Now: c.Now})
	defer l.Close(context.Background())
	errs := make(chan error, writers*batches)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for b := range batches {
				errs <- l.Put(t.Context(), scope, "g", "s", []Event{at(int64(b), fmt.Sprint(w, b))})
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	if p, err := l.Events(t.Context(), scope, "g", "s", EventsQuery{FromHead: true, Limit: 10_000}); err != nil || len(p.Events) != writers*batches {
		t.Errorf("%d events %v", len(p.Events), err)
	}
}
