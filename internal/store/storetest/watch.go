package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/notify"
)

var watchTests = map[string]func(e *env){
	"replay then follow":  watchReplayFollow,
	"no gaps under load":  watchNoGaps,
	"deletes":             watchDeletes,
	"erasures":            watchErasures,
	"context ends":        watchContextEnds,
	"slow consumer":       watchSlowConsumer,
	"compacted":           watchCompacted,
	"joined while behind": watchFromNow,
}

func (e *env) watch(prefix string, from store.Revision) <-chan store.Change {
	e.Helper()
	c, err := e.s.Watch(e.ctx, prefix, from)
	if err != nil {
		e.Fatalf("Watch: %v", err)
	}
	return c
}

func (e *env) next(changes <-chan store.Change) store.Change {
	e.Helper()
	select {
	case c, ok := <-changes:
		if !ok {
			e.Fatal("the watch's channel closed")
		}
		return c
	case <-time.After(patience):
		e.Fatal("no change came")
	}
	return store.Change{}
}

func watchReplayFollow(e *env) {
	first := e.commit(put("w/a", "1"), put("other", "x"))
	e.commit(put("w/a", "2"))
	changes := e.watch("w/", 0)
	if c := e.next(changes); string(c.Record.Value) != "1" || c.Record.Revision != first || c.Kind != store.WritePut {
		e.Fatalf("first change %+v", c)
	}
	if c := e.next(changes); string(c.Record.Value) != "2" {
		e.Fatalf("second change %+v: a watch tells every write, not the last", c)
	}
	e.commit(put("other", "y"))
	third := e.commit(put("w/b", "3"))
	if c := e.next(changes); c.Record.Key != "w/b" || c.Record.Revision != third {
		e.Fatalf("third change %+v", c)
	}
	later := e.watch("w/", first)
	if c := e.next(later); string(c.Record.Value) != "2" {
		e.Fatalf("watch from %d began with %+v", first, c)
	}
}

func watchFromNow(e *env) {
	e.commit(put("w/old", "1"))
	changes := e.watch("w/", e.revision())
	e.commit(put("w/new", "2"))
	if c := e.next(changes); c.Record.Key != "w/new" {
		e.Fatalf("a watch from now told %+v", c)
	}
}

func watchNoGaps(e *env) {
	const writers, each = 8, 60
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := e.s.Commit(e.ctx, put(fmt.Sprintf("g/%d", w), fmt.Sprint(i)), put(fmt.Sprintf("noise/%d", w), "")); err != nil {
					e.Error(err)
				}
			}
		})
	}
	// Watches that begin in the middle must tell exactly the same story.
	for range 4 {
		wg.Go(func() {
			next := make([]int, writers)
			last := store.Revision(0)
			changes, err := e.s.Watch(e.ctx, "g/", 0)
			if err != nil {
				e.Error(err)
				return
			}
			for range writers * each {
				var c store.Change
				var ok bool
				select {
				case c, ok = <-changes:
				case <-time.After(patience):
				}
				if !ok {
					e.Error("a change is missing")
					return
				}
				var w, i int
				fmt.Sscanf(c.Record.Key, "g/%d", &w)
				fmt.Sscan(string(c.Record.Value), &i)
				if i != next[w] || c.Record.Revision <= last {
					e.Errorf("writer %d: got %d want %d; revision %d after %d", w, i, next[w], c.Record.Revision, last)
					return
				}
				next[w]++
				last = c.Record.Revision
			}
		})
	}
	wg.Wait()
}

func watchDeletes(e *env) {
	e.commit(put("d/a", "1"))
	changes := e.watch("d/", e.revision())
	r := e.commit(del("d/a"), del("d/never"))
	if c := e.next(changes); c.Kind != store.WriteDelete || c.Record.Key != "d/a" || c.Record.Value != nil || c.Record.Revision != r {
		e.Fatalf("delete told as %+v", c)
	}
	e.commit(put("d/end", ""))
	if c := e.next(changes); c.Record.Key != "d/end" {
		e.Fatalf("deleting nothing was told: %+v", c)
	}
}

func watchErasures(e *env) {
	e.commit(put("e/a", "1"))
	from := e.revision()
	changes := e.watch("e/", from)
	r := e.commit(store.Write{Kind: store.WriteErase, Key: "e/a"})
	never := e.commit(store.Write{Kind: store.WriteErase, Key: "e/never"})
	if _, err := e.s.Get(e.ctx, "e/a"); !errors.Is(err, store.ErrNotFound) {
		e.Fatalf("an erased record is there: %v", err)
	}
	for _, told := range []<-chan store.Change{changes, e.watch("e/", from)} { // as it happens, and from the log
		if c := e.next(told); c.Kind != store.WriteDelete || c.Record.Key != "e/a" || c.Record.Value != nil || c.Record.Revision != r {
			e.Fatalf("erasing told as %+v", c)
		}
		if c := e.next(told); c.Kind != store.WriteDelete || c.Record.Key != "e/never" || c.Record.Revision != never {
			e.Fatalf("erasing nothing told as %+v", c)
		}
	}
	if _, err := e.s.Commit(e.ctx, store.Write{Kind: store.WriteErase, Key: "e/a", If: store.IfExists()}); err == nil {
		e.Error("erasing with a condition went through")
	}
}

func watchContextEnds(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	changes, err := e.s.Watch(ctx, "", 0)
	if err != nil {
		e.Fatal(err)
	}
	cancel()
	select {
	case _, ok := <-changes:
		if ok {
			e.Error("a change of nothing")
		}
	case <-time.After(patience):
		e.Error("the channel did not close")
	}
}

// watchSlowConsumer reads nothing until the store gave up on it.
func watchSlowConsumer(e *env) {
	changes := e.watch("s/", 0)
	value := strings.Repeat("v", store.ValueBytesMax)
	writes := make([]store.Write, 8)
	for i := range writes {
		writes[i] = put(fmt.Sprintf("s/%d", i), value)
	}
	// More bytes than the bound on top of what the channel itself holds.
	for range notify.BehindBytesMax/store.ValueBytesMax/len(writes) + 20 {
		e.commit(writes...)
	}
	last := store.Revision(0)
	for {
		select {
		case c, ok := <-changes:
			if !ok {
				if e.ctx.Err() != nil {
					e.Error("closed by the test's own end")
				}
				return
			}
			if c.Record.Revision < last {
				e.Fatalf("revision %d after %d", c.Record.Revision, last)
			}
			last = c.Record.Revision
		case <-time.After(patience):
			e.Fatal("the watch neither ended nor told anything")
		}
	}
}

func watchCompacted(e *env) {
	s := e.sub.OpenShortLog(e.T, e.clock)
	for i := range 100 {
		if _, err := s.Commit(e.ctx, put("c/k", fmt.Sprint(i))); err != nil {
			e.Fatal(err)
		}
	}
	if _, err := s.Watch(e.ctx, "c/", 0); !errors.Is(err, store.ErrCompacted) {
		e.Errorf("watch from 0: %v, want ErrCompacted", err)
	}
	r, err := s.Revision(e.ctx)
	if err != nil {
		e.Fatal(err)
	}
	changes, err := s.Watch(e.ctx, "c/", r-1)
	if err != nil {
		e.Fatalf("watch from the last revision but one: %v", err)
	}
	if c := e.next(changes); c.Record.Revision != r {
		e.Errorf("change %+v, want revision %d", c, r)
	}
}
