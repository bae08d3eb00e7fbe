package record

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
)

const soon = 10 * time.Second

func put(t *testing.T, tbl *Table, f *Function, cond store.Condition) store.Revision {
	t.Helper()
	w, err := PutFunction(f, cond)
	if err != nil {
		t.Fatal(err)
	}
	rev, err := tbl.Commit(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func function(name, version string, generation uint64) *Function {
	return &Function{ID: FunctionID{here.Account, here.Region, name}, Version: version, Generation: generation}
}

// run starts a view and waits until it is ready.
func run(t *testing.T, records store.Records) (*Functions, <-chan Change) {
	t.Helper()
	v := NewFunctions(records, nil)
	changes := make(chan Change, 10_000)
	v.Subscribe(func(c Change) { changes <- c })
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := v.Run(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, store.ErrClosed) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	select {
	case <-v.Ready():
	case <-time.After(soon):
		t.Fatal("the view did not become ready")
	}
	return v, changes
}

func next(t *testing.T, changes <-chan Change) Change {
	t.Helper()
	select {
	case c := <-changes:
		return c
	case <-time.After(soon):
		t.Fatal("no change came")
		return Change{}
	}
}

func TestFunctionsFollowTheStore(t *testing.T) {
	s := mem.New()
	defer s.Close()
	tbl := NewTable(s)
	put(t, tbl, function("old", Latest, 1), store.IfAbsent())
	v, changes := run(t, s)
	id := FunctionID{here.Account, here.Region, "old"}
	if c := next(t, changes); c.ID != id || c.Before != nil || c.After.Generation != 1 || c.Affects() {
		t.Errorf("first change is %+v", c)
	}
	if f, ok := v.Function(id, Latest); !ok || f.Generation != 1 {
		t.Fatalf("view has %v, %v", f, ok)
	}

	stored, err := tbl.Get(t.Context(), id, Latest)
	if err != nil {
		t.Fatal(err)
	}
	put(t, tbl, function("old", Latest, 2), store.IfRevision(stored.Revision))
	if c := next(t, changes); !c.Affects() || c.Before.Generation != 1 || c.After.Generation != 2 {
		t.Errorf("second change is %+v", c)
	}
	if f, _ := v.Function(id, Latest); f.Generation != 2 {
		t.Errorf("view has generation %d", f.Generation)
	}

	// A writer that read before the update loses.
	w, _ := PutFunction(function("old", Latest, 3), store.IfRevision(stored.Revision))
	if _, err := tbl.Commit(t.Context(), w); !errors.Is(err, store.ErrConflict) {
		t.Errorf("stale write: %v", err)
	}

	if _, err := tbl.Commit(t.Context(), DropFunction(id, Latest, store.IfExists())); err != nil {
		t.Fatal(err)
	}
	if c := next(t, changes); !c.Affects() || c.After != nil {
		t.Errorf("third change is %+v", c)
	}
	if _, ok := v.Function(id, Latest); ok {
		t.Error("a removed function is still in the view")
	}
}

func TestFunctionsRefreshRunsAhead(t *testing.T) {
	s := mem.New()
	defer s.Close()
	tbl := NewTable(s)
	v := NewFunctions(s, nil) // not running: the view is as late as can be
	id := FunctionID{here.Account, here.Region, "f"}
	if _, ok, err := v.Refresh(t.Context(), id, Latest); ok || err != nil {
		t.Errorf("refresh of nothing: %v, %v", ok, err)
	}
	if _, ok, err := v.Refresh(t.Context(), id, "no such alias"); ok || err != nil {
		t.Errorf("refresh of an alias: %v, %v", ok, err)
	}
	put(t, tbl, function("f", Latest, 7), store.IfAbsent())
	if f, ok, err := v.Refresh(t.Context(), id, Latest); err != nil || !ok || f.Generation != 7 {
		t.Errorf("refresh: %v, %v, %v", f, ok, err)
	}
	if f, ok := v.Function(id, Latest); !ok || f.Generation != 7 {
		t.Errorf("the view did not learn from the refresh: %v, %v", f, ok)
	}
	// What a late watch replays must not take the view back.
	v.view.apply(store.Change{Kind: store.WriteDelete, Record: store.Record{Key: FunctionKey(id, Latest), Revision: 0}})
	if _, ok := v.Function(id, Latest); !ok {
		t.Error("a replayed removal from before took the function away")
	}
}

// breaking is a store whose watches end early, or say that the log is compacted.
type breaking struct {
	store.Records
	mu      sync.Mutex
	watches int
}

func (b *breaking) Watch(ctx context.Context, prefix string, from store.Revision) (<-chan store.Change, error) {
	b.mu.Lock()
	b.watches++
	n := b.watches
	b.mu.Unlock()
	switch n {
	case 1:
		closed := make(chan store.Change)
		close(closed)
		return closed, nil
	case 2:
		return nil, fmt.Errorf("watch: %w", store.ErrCompacted)
	}
	return b.Records.Watch(ctx, prefix, from)
}

func TestFunctionsStartOver(t *testing.T) {
	s := mem.New()
	defer s.Close()
	tbl := NewTable(s)
	put(t, tbl, function("a", Latest, 1), store.IfAbsent())
	put(t, tbl, function("a", "1", 1), store.IfAbsent())
	_, changes := run(t, &breaking{Records: s})
	seen := map[string]bool{}
	for range 2 {
		seen[next(t, changes).Version] = true
	}
	put(t, tbl, function("b", Latest, 1), store.IfAbsent())
	if c := next(t, changes); c.ID.Name != "b" {
		t.Errorf("change is %+v", c)
	}
	if !seen[Latest] || !seen["1"] {
		t.Errorf("seen %v", seen)
	}
}

func TestFunctionsManyReadersAndWriters(t *testing.T) {
	s := mem.New()
	defer s.Close()
	tbl := NewTable(s)
	v, _ := run(t, s)
	const functions, rounds = 8, 50
	var wg sync.WaitGroup
	for i := range functions {
		wg.Go(func() {
			name := fmt.Sprintf("f%d", i)
			for g := range rounds {
				put(t, tbl, function(name, Latest, uint64(g+1)), store.Unconditional())
			}
		})
		wg.Go(func() {
			id := FunctionID{here.Account, here.Region, fmt.Sprintf("f%d", i)}
			last := uint64(0)
			for last < rounds {
				if f, ok := v.Function(id, Latest); ok {
					if f.Generation < last {
						t.Errorf("%s went back from %d to %d", id.Name, last, f.Generation)
						return
					}
					last = f.Generation
				} else if _, _, err := v.Refresh(t.Context(), id, Latest); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestTableLists(t *testing.T) {
	s := mem.New()
	defer s.Close()
	tbl := NewTable(s)
	for _, name := range []string{"b", "a", "c"} {
		put(t, tbl, function(name, Latest, 1), store.IfAbsent())
	}
	for n := range 12 {
		put(t, tbl, function("a", fmt.Sprint(n+1), 1), store.IfAbsent())
	}
	page, more, err := tbl.ListLatest(t.Context(), here, "", 2)
	if err != nil || !more || len(page) != 2 || page[0].ID.Name != "a" || page[1].ID.Name != "b" {
		t.Errorf("first page: %v, %v, %v", page, more, err)
	}
	page, more, err = tbl.ListLatest(t.Context(), here, "b", 2)
	if err != nil || more || len(page) != 1 || page[0].ID.Name != "c" {
		t.Errorf("second page: %v, %v, %v", page, more, err)
	}
	versions, more, err := tbl.ListVersions(t.Context(), FunctionID{here.Account, here.Region, "a"}, "9", 2)
	if err != nil || !more || len(versions) != 2 || versions[0].Version != "10" || versions[1].Version != "11" {
		t.Errorf("versions after 9: %v, %v, %v", versions, more, err)
	}
}

func TestRetired(t *testing.T) {
	s := mem.New()
	defer s.Close()
	tbl := NewTable(s)
	id := FunctionID{here.Account, here.Region, "a"}
	if r, err := tbl.GetRetired(t.Context(), id); err != nil || r.LastVersion != 0 {
		t.Errorf("never there: %v, %v", r, err)
	}
	if _, err := tbl.Commit(t.Context(), Retire(id, 12)); err != nil {
		t.Fatal(err)
	}
	if r, err := tbl.GetRetired(t.Context(), id); err != nil || r.LastVersion != 12 {
		t.Errorf("retired at 12: %v, %v", r, err)
	}
}

func BenchmarkFunction(b *testing.B) {
	s := mem.New()
	defer s.Close()
	v := NewFunctions(s, nil)
	id := FunctionID{here.Account, here.Region, "f"}
	v.view.put(versionKey{id, Latest}, viewed[Function]{function("f", Latest, 1), 1})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			v.Function(id, Latest)
		}
	})
}

// lateReader has something happen between reading a record and taking it.
type lateReader struct {
	store.Records
	meanwhile func()
}

func (l lateReader) Get(ctx context.Context, key string) (store.Record, error) {
	r, err := l.Records.Get(ctx, key)
	l.meanwhile()
	return r, err
}

// TestRefreshDoesNotBringBack: a function that is removed while it is refreshed stays removed.
func TestRefreshDoesNotBringBack(t *testing.T) {
	s := mem.New()
	defer s.Close()
	tbl := NewTable(s)
	put(t, tbl, function("f", Latest, 1), store.IfAbsent())
	id := FunctionID{here.Account, here.Region, "f"}
	var v *Functions
	v = NewFunctions(lateReader{s, func() {
		r, err := s.Commit(t.Context(), DropFunction(id, Latest, store.IfExists()))
		if err != nil {
			t.Fatal(err)
		}
		v.view.apply(store.Change{Kind: store.WriteDelete, Record: store.Record{Key: FunctionKey(id, Latest), Revision: r}})
	}}, nil)
	if f, ok, err := v.Refresh(t.Context(), id, Latest); ok || err != nil {
		t.Errorf("refresh: %v, %v, %v", f, ok, err)
	}
	if _, ok := v.Function(id, Latest); ok {
		t.Error("a removed function came back")
	}
}
