package metering

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
)

var began = time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// open makes a meter that flushes only when told to.
func open(t testing.TB, records store.Records, c *clock) *Meter {
	t.Helper()
	m, err := Open(Options{Records: records, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	m.stop()
	m.work.Wait()
	return m
}

func key(account aws.AccountID, function, tenant string) Key {
	return Key{Account: account, Region: "us-east-1", Function: function, Version: "$LATEST", Tenant: tenant, Architecture: "x86_64"}
}

func total(t testing.TB, records store.Records, from, to time.Time) map[Key]Usage {
	t.Helper()
	sums := map[Key]Usage{}
	err := Read(t.Context(), records, from, to, func(e Entry) error {
		u := sums[e.Key]
		u.Add(&e.Usage)
		sums[e.Key] = u
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func flush(t testing.TB, m *Meter) {
	t.Helper()
	if err := m.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestUsageIsKeptOnceWhoeverWritesIt(t *testing.T) {
	records, c := mem.New(), &clock{now: began}
	a, b := key("000000000000", "f", ""), key("111111111111", "f", "green/é\x00")
	for range 3 { // three processes, one after the other, in the same minute
		m := open(t, records, c)
		for range 4 {
			m.Add(a, &Usage{Requests: 1, BilledMS: 7, MemoryMS: 7 * 128, PeakMiB: 40})
			flush(t, m)
			flush(t, m)
			c.add(time.Second)
		}
		m.Add(b, &Usage{Requests: 1, Errors: 1, PeakMiB: 90})
		m.Throttled(b)
		flush(t, m)
		m.Add(a, &Usage{Requests: 1000}) // lost with the process
	}
	got := total(t, records, time.Time{}, began.Add(time.Hour))
	if want := (Usage{Requests: 12, BilledMS: 84, MemoryMS: 84 * 128, PeakMiB: 40}); got[a] != want {
		t.Errorf("%+v, want %+v", got[a], want)
	}
	if want := (Usage{Requests: 3, Errors: 3, Throttles: 3, PeakMiB: 90}); got[b] != want {
		t.Errorf("%+v, want %+v", got[b], want)
	}
	if got := total(t, records, began.Add(time.Minute), began.Add(time.Hour)); len(got) != 0 {
		t.Errorf("usage of another time: %v", got)
	}
}

func TestFullDiskLosesNothing(t *testing.T) {
	full := &fullDisk{Records: mem.New()}
	c := &clock{now: began}
	m := open(t, full, c)
	k := key("000000000000", "f", "")
	for i := range 5 {
		full.full = i%2 == 0
		m.Add(k, &Usage{Requests: 1})
		if err := m.Flush(t.Context()); full.full != errors.Is(err, store.ErrFull) {
			t.Errorf("flush %d: %v", i, err)
		}
		c.add(time.Minute)
	}
	full.full = false
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	minutes := 0
	if err := Read(t.Context(), full, time.Time{}, c.Now(), func(e Entry) error { minutes++; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := total(t, full, time.Time{}, c.Now().Add(time.Hour)); got[k].Requests != 5 || minutes != 5 {
		t.Errorf("%d requests in %d minutes", got[k].Requests, minutes)
	}
}

type fullDisk struct {
	store.Records
	full bool
}

func (f *fullDisk) Commit(ctx context.Context, writes ...store.Write) (store.Revision, error) {
	if f.full {
		return 0, store.ErrFull
	}
	return f.Records.Commit(ctx, writes...)
}

func TestPeaksOfOneFunctionAndOfAll(t *testing.T) {
	records, c := mem.New(), &clock{now: began}
	m := open(t, records, c)
	f, g := key("000000000000", "f", ""), key("000000000000", "g", "")
	for range 3 {
		m.Began(f, 128)
	}
	m.Ended(f, 128)
	m.Ended(f, 128)
	m.Began(g, 1024)
	flush(t, m)
	got := total(t, records, time.Time{}, began.Add(time.Hour))
	account := got[Key{Account: "000000000000", Region: "us-east-1"}]
	if got[f].PeakRunning != 3 || got[g].PeakRunningMiB != 1024 || account.PeakRunning != 3 || account.PeakRunningMiB != 1024+128 {
		t.Errorf("f %+v, g %+v, account %+v", got[f], got[g], account)
	}
	// What runs on counts in the next minute as soon as anything comes to it.
	c.add(time.Minute)
	flush(t, m)
	m.Began(f, 128)
	flush(t, m)
	if got := total(t, records, c.Now().Truncate(time.Minute), c.Now()); got[f].PeakRunning != 2 {
		t.Errorf("in the next minute: %+v", got)
	}
}

func TestIdleCountersAreForgotten(t *testing.T) {
	records, c := mem.New(), &clock{now: began}
	m := open(t, records, c)
	for i := range 100 {
		m.Add(key("000000000000", "f", fmt.Sprint(i)), &Usage{Requests: 1})
	}
	m.Began(key("000000000000", "g", ""), 128)
	for range idleFlushes + 2 {
		flush(t, m)
		c.add(time.Second)
	}
	left := 0
	for i := range m.stripes {
		left += len(*m.stripes[i].counters.Load())
	}
	if left != 2 || m.tenants.Load() != 0 { // g and its account
		t.Errorf("%d counters, %d tenants are left", left, m.tenants.Load())
	}
	m.Add(key("000000000000", "f", "7"), &Usage{Requests: 1})
	flush(t, m)
	if got := total(t, records, time.Time{}, c.Now().Add(time.Hour))[key("000000000000", "f", "7")]; got.Requests != 2 {
		t.Errorf("after it was forgotten: %+v", got)
	}
}

func TestTenantsAreBounded(t *testing.T) {
	m := open(t, mem.New(), &clock{now: began})
	m.tenants.Store(tenantsMax)
	m.Add(key("000000000000", "f", "one"), &Usage{Requests: 1})
	m.Add(key("000000000000", "f", "two"), &Usage{Requests: 1})
	other := m.counter(key("000000000000", "f", OtherTenants))
	if other.usage.Requests != 2 {
		t.Errorf("%+v", other.usage)
	}
}

func TestConcurrentCountsAreExact(t *testing.T) {
	records, c := mem.New(), &clock{now: began}
	m := open(t, records, c)
	done := make(chan struct{})
	var flusher sync.WaitGroup
	flusher.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				_ = m.Flush(context.Background())
			}
		}
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 500 {
				m.Add(key("000000000000", fmt.Sprint(i%3), ""), &Usage{Requests: 1})
			}
		})
	}
	wg.Wait()
	close(done)
	flusher.Wait()
	flush(t, m)
	var requests int64
	for _, u := range total(t, records, time.Time{}, began.Add(time.Hour)) {
		requests += u.Requests
	}
	if requests != 8*500 {
		t.Errorf("%d requests", requests)
	}
}

func TestCompactKeepsSums(t *testing.T) {
	records, c := mem.New(), &clock{now: began.Truncate(24 * time.Hour)}
	first := c.Now()
	k := key("000000000000", "f", "")
	const hoursOfUsage = 30
	for i := range hoursOfUsage * 4 {
		m := open(t, records, c) // as many writers as flushes
		m.Add(k, &Usage{Requests: 1, PeakMiB: int64(i)})
		flush(t, m)
		c.add(15 * time.Minute)
	}
	last := c.Now()
	for _, tc := range []struct {
		age    time.Duration
		counts map[spanName]int
	}{
		{0, map[spanName]int{minutes: 120}},
		{minutesKept, map[spanName]int{hours: 30}},
		{minutesKept, map[spanName]int{hours: 30}}, // again: nothing is left to do
		{hoursKept, map[spanName]int{days: 1, hours: 6}},
		{hoursKept + 24*time.Hour, map[spanName]int{days: 2}},
	} {
		if err := Compact(t.Context(), records, last.Add(tc.age)); err != nil {
			t.Fatal(err)
		}
		for _, s := range []spanName{minutes, hours, days} {
			n := 0
			err := scan(t.Context(), records, s, time.Time{}, last, func(Entry, store.Record) error { n++; return nil })
			if err != nil || n != tc.counts[s] {
				t.Errorf("after %v: %d of a %s, want %d (%v)", tc.age, n, s, tc.counts[s], err)
			}
		}
		if got := total(t, records, first, last)[k]; got.Requests != hoursOfUsage*4 || got.PeakMiB != hoursOfUsage*4-1 {
			t.Errorf("after %v: %+v", tc.age, got)
		}
	}
	if err := Compact(t.Context(), records, last.Add(daysKept+48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := total(t, records, time.Time{}, last); len(got) != 0 {
		t.Errorf("kept for ever: %v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("metering/minute/2026-03-01T12:00Z/000000000000/ab/cd", []byte(`{"key":{},"usage":{"requests":1}}`))
	f.Add("metering/minute/", []byte(`{`))
	f.Fuzz(func(t *testing.T, name string, value []byte) {
		_, _ = parse(minutes, store.Record{Key: name, Value: value})
	})
}

func BenchmarkAdd(b *testing.B) {
	m := open(b, mem.New(), &clock{now: began})
	k := key("000000000000", "f", "")
	b.ReportAllocs()
	for b.Loop() {
		m.Began(k, 128)
		m.Add(k, &Usage{Requests: 1, BilledMS: 1})
		m.Ended(k, 128)
	}
}
