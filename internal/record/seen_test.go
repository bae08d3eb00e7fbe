package record

import (
	"context"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
)

// TestSeen: whoever has written or removed something through Seen finds it so in the view.
func TestSeen(t *testing.T) {
	s := mem.New()
	defer s.Close()
	v, _ := run(t, s)
	tbl := NewTable(Seen(s, v))
	id := FunctionID{here.Account, here.Region, "f"}
	for i := range uint64(500) {
		put(t, tbl, function("f", Latest, i+1), store.Unconditional())
		if f, ok := v.Function(id, Latest); !ok || f.Generation < i+1 {
			t.Fatalf("written %d, seen %v", i+1, f)
		}
		if _, err := tbl.Commit(t.Context(), DropFunction(id, Latest, store.IfExists())); err != nil {
			t.Fatal(err)
		}
		if _, ok := v.Function(id, Latest); ok {
			t.Fatal("a removed function is still seen")
		}
	}
}

// TestSeenDoesNotWaitForever: not for a view that is over, nor longer than the caller does, nor for what no view has.
func TestSeenDoesNotWaitForever(t *testing.T) {
	s := mem.New()
	defer s.Close()
	still := NewFunctions(s, nil) // never runs
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	w, err := PutFunction(function("f", Latest, 1), store.IfAbsent())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Seen(s, still).Commit(ctx, w); err != nil || ctx.Err() == nil {
		t.Errorf("a view that stands still: %v, %v", err, ctx.Err())
	}
	over := NewFunctions(s, nil)
	gone, end := context.WithCancel(t.Context())
	end()
	_ = over.Run(gone)
	began := time.Now()
	w.If = store.Unconditional()
	if _, err := Seen(s, over).Commit(t.Context(), w, store.Write{Key: "elsewhere", Value: []byte("x")}); err != nil || time.Since(began) > seenMax/2 {
		t.Errorf("a view that is over: %v after %v", err, time.Since(began))
	}
}
