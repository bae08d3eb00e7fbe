package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/lambdad/lambdad/internal/store"
)

var recordTests = map[string]func(e *env){
	"get and revisions":     getAndRevisions,
	"conditions":            conditions,
	"atomic":                atomicCommit,
	"paging":                paging,
	"bounds":                recordBounds,
	"malformed commits":     malformedCommits,
	"values are copies":     valuesAreCopies,
	"concurrent increments": concurrentIncrements,
}

func getAndRevisions(e *env) {
	if _, err := e.s.Get(e.ctx, "a"); !errors.Is(err, store.ErrNotFound) {
		e.Fatalf("Get of nothing: %v, want ErrNotFound", err)
	}
	if r := e.revision(); r != 0 {
		e.Fatalf("first revision %d, want 0", r)
	}
	first := e.commit(put("a", "1"), put("b", "2"))
	if a, b := e.get("a"), e.get("b"); a.Revision != first || b.Revision != first || string(a.Value) != "1" {
		e.Fatalf("after commit %d: %+v %+v", first, a, b)
	}
	second := e.commit(put("a", "3"))
	if second <= first || e.revision() != second {
		e.Fatalf("revisions %d then %d, store says %d", first, second, e.revision())
	}
	if a, b := e.get("a"), e.get("b"); a.Revision != second || b.Revision != first {
		e.Fatalf("after commit %d: %+v %+v", second, a, b)
	}
	e.commit(del("a"), del("never was"))
	if _, err := e.s.Get(e.ctx, "a"); !errors.Is(err, store.ErrNotFound) {
		e.Fatalf("Get after delete: %v", err)
	}
	e.commit(put("empty", ""))
	if r := e.get("empty"); len(r.Value) != 0 {
		e.Fatalf("empty value came back as %q", r.Value)
	}
}

func conditions(e *env) {
	r := e.commit(put("have", "1"))
	check := func(key string, c store.Condition) store.Write {
		return store.Write{Kind: store.WriteCheck, Key: key, If: c}
	}
	for _, c := range []struct {
		name string
		w    store.Write
		ok   bool
	}{
		{"absent, is", check("no", store.IfAbsent()), true},
		{"absent, is not", check("have", store.IfAbsent()), false},
		{"exists, is", check("have", store.IfExists()), true},
		{"exists, is not", check("no", store.IfExists()), false},
		{"revision, same", check("have", store.IfRevision(r)), true},
		{"revision, other", check("have", store.IfRevision(r+1)), false},
		{"revision, nothing there", check("no", store.IfRevision(0)), false},
		{"delete absent", store.Write{Kind: store.WriteDelete, Key: "no", If: store.IfExists()}, false},
		{"none", check("no", store.Unconditional()), true},
	} {
		_, err := e.s.Commit(e.ctx, c.w)
		if c.ok && err != nil {
			e.Errorf("%s: %v", c.name, err)
		}
		if !c.ok && (!errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), c.w.Key)) {
			e.Errorf("%s: %v, want ErrConflict with the key", c.name, err)
		}
	}
	if got := e.get("have"); got.Revision != r {
		e.Errorf("checks changed the record: %+v", got)
	}
}

func atomicCommit(e *env) {
	e.commit(put("x", "old"))
	before := e.revision()
	_, err := e.s.Commit(e.ctx, put("x", "new"), put("y", "new"),
		store.Write{Kind: store.WritePut, Key: "z", If: store.IfExists()})
	if !errors.Is(err, store.ErrConflict) {
		e.Fatalf("Commit: %v, want ErrConflict", err)
	}
	if string(e.get("x").Value) != "old" || e.revision() != before {
		e.Error("a refused commit left something behind")
	}
	if _, err := e.s.Get(e.ctx, "y"); !errors.Is(err, store.ErrNotFound) {
		e.Errorf("a refused commit wrote y: %v", err)
	}
}

func paging(e *env) {
	const n = 25
	for i := range n {
		e.commit(put(fmt.Sprintf("p/%02d", i), "v"), put(fmt.Sprintf("q/%02d", i), "v"))
	}
	e.commit(put("p", "shorter"), put("p0", "beside"))
	var keys []string
	after := ""
	for {
		page, more, err := e.s.List(e.ctx, "p/", after, 7)
		if err != nil {
			e.Fatal(err)
		}
		if len(page) > 7 || more && len(page) != 7 {
			e.Fatalf("page of %d, more %v", len(page), more)
		}
		for _, r := range page {
			keys = append(keys, r.Key)
		}
		if !more {
			break
		}
		after = keys[len(keys)-1]
	}
	if len(keys) != n {
		e.Fatalf("%d keys, want %d: %v", len(keys), n, keys)
	}
	for i, k := range keys {
		if k != fmt.Sprintf("p/%02d", i) {
			e.Fatalf("key %d is %q", i, k)
		}
	}
	for _, c := range []struct {
		prefix, after string
		limit, want   int
		more          bool
	}{
		{"p/", "", n, n, false},
		{"p/", "", n - 1, n - 1, true},
		{"p/", "p/24", 5, 0, false},
		{"p/", "p/1", 100, 15, false}, // after need not exist
		{"p/", "a", 100, n, false},    // after before the prefix
		{"p/", "z", 100, 0, false},    // after behind the prefix
		{"", "", 1000, 2*n + 2, false},
		{"none", "", 10, 0, false},
	} {
		page, more, err := e.s.List(e.ctx, c.prefix, c.after, c.limit)
		if err != nil || len(page) != c.want || more != c.more {
			e.Errorf("List(%q, %q, %d) = %d records, more %v, %v; want %d, %v",
				c.prefix, c.after, c.limit, len(page), more, err, c.want, c.more)
		}
	}
	// Bytes beyond ASCII sort and prefix like any other.
	e.commit(put("\xff\xff", "1"), put("\xff\xffa", "2"), put("a\x00b", "3"))
	if page, _, err := e.s.List(e.ctx, "\xff\xff", "", 10); err != nil || len(page) != 2 {
		e.Errorf("List of the last prefix: %d records, %v", len(page), err)
	}
	if page, _, err := e.s.List(e.ctx, "a\x00", "", 10); err != nil || len(page) != 1 {
		e.Errorf("List with a zero byte: %d records, %v", len(page), err)
	}
}

func recordBounds(e *env) {
	big := strings.Repeat("v", store.ValueBytesMax)
	key := strings.Repeat("k", store.KeyBytesMax)
	e.commit(put(key, big))
	if got := e.get(key); string(got.Value) != big {
		e.Error("the biggest value came back changed")
	}
	many := make([]store.Write, store.CommitWritesMax+1)
	for i := range many {
		many[i] = put(fmt.Sprint(i), "v")
	}
	e.commit(many[:store.CommitWritesMax]...)
	for name, writes := range map[string][]store.Write{
		"key":    {put(key+"k", "v")},
		"value":  {put("v", big+"v")},
		"writes": many,
	} {
		if _, err := e.s.Commit(e.ctx, writes...); !errors.Is(err, store.ErrTooLarge) {
			e.Errorf("too large %s: %v, want ErrTooLarge", name, err)
		}
	}
	page, more, err := e.s.List(e.ctx, "", "", store.ListLimitMax+5)
	if err != nil || len(page) != store.ListLimitMax || !more {
		e.Errorf("List over its limit: %d records, more %v, %v", len(page), more, err)
	}
}

func malformedCommits(e *env) {
	for name, writes := range map[string][]store.Write{
		"none":     {},
		"no key":   {put("", "v")},
		"same key": {put("a", "1"), del("a")},
		"kind":     {{Kind: 99, Key: "a"}},
	} {
		if _, err := e.s.Commit(e.ctx, writes...); err == nil {
			e.Errorf("%s: commit went through", name)
		}
	}
	if r := e.revision(); r != 0 {
		e.Errorf("revision %d after refused commits", r)
	}
}

func valuesAreCopies(e *env) {
	v := []byte("before")
	e.commit(store.Write{Kind: store.WritePut, Key: "k", Value: v})
	copy(v, "after!")
	if got := e.get("k"); string(got.Value) != "before" {
		e.Errorf("the store kept the caller's slice: %q", got.Value)
	}
}

// concurrentIncrements loses no update when everybody retries on conflict.
func concurrentIncrements(e *env) {
	const writers, each = 8, 25
	e.commit(put("n", "0"))
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				r, err := e.s.Get(e.ctx, "n")
				if err != nil {
					e.Error(err)
					return
				}
				var n int
				fmt.Sscan(string(r.Value), &n)
				_, err = e.s.Commit(e.ctx, store.Write{Kind: store.WritePut, Key: "n",
					Value: fmt.Append(nil, n+1), If: store.IfRevision(r.Revision)})
				switch {
				case err == nil:
					done++
				case !errors.Is(err, store.ErrConflict):
					e.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := e.get("n"); string(got.Value) != fmt.Sprint(writers*each) {
		e.Errorf("counted to %s, want %d", got.Value, writers*each)
	}
}
