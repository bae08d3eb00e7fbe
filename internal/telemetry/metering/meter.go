package metering

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"hash/maphash"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdad/lambdad/internal/store"
)

const (
	// flushEvery bounds what a crash loses.
	flushEvery = time.Second
	// idleFlushes: a counter that nothing came to for so long is forgotten; its usage is on disk.
	idleFlushes = 120
	// tenantsMax bounds the tenants of all functions that are told apart at once on a node;
	// beyond it they are counted together as OtherTenants.
	tenantsMax = 1 << 15
	stripes    = 64
)

// Options of a Meter.
type Options struct {
	Records store.Records
	Log     *slog.Logger
	Now     func() time.Time // nil: the clock
}

// Meter adds up usage. Its counting costs a lookup without a lock and the lock of
// one counter, which only invokes of the same function's version take.
type Meter struct {
	opts   Options
	log    *slog.Logger
	writer string // tells this process's records from those of others and of earlier ones

	seed    maphash.Seed
	stripes [stripes]stripe
	tenants atomic.Int64 // counters of tenants

	flushing sync.Mutex
	pending  map[slot]*pending
	failed   bool // the last flush; so that a full disk is told once
	stop     context.CancelFunc
	work     sync.WaitGroup
}

type stripe struct {
	counters atomic.Pointer[map[Key]*counter]
	mu       sync.Mutex // orders those who add or forget a counter
}

// counter is what one key consumed since the last flush.
type counter struct {
	mu         sync.Mutex
	gone       bool // forgotten: look it up again
	dirty      bool
	idle       int // flushes without news
	running    int64
	runningMiB int64
	usage      Usage
}

// Open makes a meter and begins to flush and compact.
func Open(opts Options) (*Meter, error) {
	if opts.Records == nil {
		return nil, errors.New("metering: options without records")
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails
	m := &Meter{opts: opts, log: opts.Log, writer: hex.EncodeToString(id[:]), seed: maphash.MakeSeed(), pending: map[slot]*pending{}}
	for i := range m.stripes {
		m.stripes[i].counters.Store(&map[Key]*counter{})
	}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.work.Go(func() { m.run(ctx) })
	return m, nil
}

// Add counts usage of a key. It never waits for a disk.
func (m *Meter) Add(k Key, u *Usage) {
	c := m.lock(k)
	c.usage.Add(u)
	c.dirty = true
	c.mu.Unlock()
}

// Throttled counts a refused invoke.
func (m *Meter) Throttled(k Key) { m.Add(k, &Usage{Throttles: 1}) }

// Began counts an invoke as running, for the peaks, until Ended.
func (m *Meter) Began(k Key, memoryMiB int) {
	m.runs(k, 1, int64(memoryMiB))
	m.runs(Key{Account: k.Account, Region: k.Region}, 1, int64(memoryMiB))
}

// Ended is called once after each Began, with the same arguments.
func (m *Meter) Ended(k Key, memoryMiB int) {
	m.runs(k, -1, -int64(memoryMiB))
	m.runs(Key{Account: k.Account, Region: k.Region}, -1, -int64(memoryMiB))
}

func (m *Meter) runs(k Key, n, mib int64) {
	c := m.lock(k)
	c.running += n
	c.runningMiB += mib
	if n > 0 {
		c.usage.PeakRunning = max(c.usage.PeakRunning, c.running)
		c.usage.PeakRunningMiB = max(c.usage.PeakRunningMiB, c.runningMiB)
		c.dirty = true
	}
	c.mu.Unlock()
}

// lock returns the counter of a key, locked.
func (m *Meter) lock(k Key) *counter {
	for {
		c := m.counter(k)
		c.mu.Lock()
		if !c.gone {
			return c
		}
		c.mu.Unlock()
	}
}

func (m *Meter) stripe(k Key) *stripe { return &m.stripes[maphash.Comparable(m.seed, k)%stripes] }

func (m *Meter) counter(k Key) *counter {
	st := m.stripe(k)
	if c := (*st.counters.Load())[k]; c != nil {
		return c
	}
	if k.Tenant != "" && k.Tenant != OtherTenants && m.tenants.Load() >= tenantsMax {
		k.Tenant = OtherTenants
		return m.counter(k)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	old := *st.counters.Load()
	if c := old[k]; c != nil {
		return c
	}
	fresh := maps.Clone(old)
	c := &counter{}
	fresh[k] = c
	st.counters.Store(&fresh)
	if k.Tenant != "" {
		m.tenants.Add(1)
	}
	return c
}

// Close flushes what is left and stops.
func (m *Meter) Close(ctx context.Context) error {
	m.stop()
	m.work.Wait()
	return m.Flush(ctx)
}

func (m *Meter) run(ctx context.Context) {
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	compacted := m.opts.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
		}
		switch err := m.Flush(ctx); {
		case err == nil:
			if m.failed {
				m.log.Info("usage is written again")
			}
			m.failed = false
		case ctx.Err() != nil:
			return
		case !m.failed:
			m.failed = true
			m.log.Error("usage cannot be written; it is kept in memory and tried again", "error", err)
		}
		if now := m.opts.Now(); now.Sub(compacted) >= compactEvery {
			compacted = now
			if err := Compact(ctx, m.opts.Records, now); err != nil && ctx.Err() == nil {
				m.log.Error("old usage cannot be summed up; tried again later", "error", err)
			}
		}
	}
}

// collect takes what every counter got since the last time, and forgets those that are idle.
func (m *Meter) collect(take func(Key, *Usage)) {
	for i := range m.stripes {
		st := &m.stripes[i]
		var idle []Key
		for k, c := range *st.counters.Load() {
			c.mu.Lock()
			if c.dirty {
				u := c.usage
				c.usage = Usage{}
				c.dirty, c.idle = false, 0
				c.mu.Unlock()
				take(k, &u)
				continue
			}
			if c.running > 0 {
				// What still runs is part of the peak of whatever comes next.
				c.usage.PeakRunning, c.usage.PeakRunningMiB = c.running, c.runningMiB
				c.idle = 0
			} else if c.idle++; c.idle > idleFlushes {
				idle = append(idle, k)
			}
			c.mu.Unlock()
		}
		if len(idle) > 0 {
			m.forget(st, idle)
		}
	}
}

func (m *Meter) forget(st *stripe, keys []Key) {
	st.mu.Lock()
	defer st.mu.Unlock()
	fresh := maps.Clone(*st.counters.Load())
	for _, k := range keys {
		c := fresh[k]
		c.mu.Lock()
		if !c.dirty && c.running == 0 {
			c.gone = true
			delete(fresh, k)
			if k.Tenant != "" {
				m.tenants.Add(-1)
			}
		}
		c.mu.Unlock()
	}
	st.counters.Store(&fresh)
}
