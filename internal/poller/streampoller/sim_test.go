package streampoller

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/record"
)

// simRecord is a record of the simulated stream.
type simRecord struct {
	sequence int
	key      string
	number   int // of its key
	written  time.Time
	poison   bool
	settled  bool // the function did it, or its failure was told, or filters reject it
}

// simShard is a part of the key space; keys go by their hash.
type simShard struct {
	id       string
	parents  []string
	from, to uint32 // half open
	records  []*simRecord
	closed   bool
}

type simFuture struct {
	at    time.Time
	order int
	event any
	do    func()
}

// simWorld runs one seed.
type simWorld struct {
	t        *testing.T
	rand     *rand.Rand
	now      time.Time
	shards   []*simShard
	core     *Core
	config   Config
	futures  []simFuture
	order    int
	sequence int
	numbers  map[string]int
	all      []*simRecord
	begun    int // records before this place are not meant by LATEST

	disk     map[string]record.StreamShard
	progress record.StreamProgress
	busy     map[string]int // batches by key
	running  map[string]int // batches by shard
	limit    int            // concurrency of the function
	settled  map[string]int // by key: the number up to which all are settled
	// forgotten are shards that the stream has no more.
	forgotten map[string]bool
	stopping  bool
	// generation is that of iterators; a table has no AT_TIMESTAMP.
	generation int
	table      bool
}

func hashOf(key string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(key))
	return h.Sum32() >> 8 // 24 bits
}

const hashMax = 1 << 24

func (w *simWorld) after(d time.Duration, event any, do func()) {
	w.order++
	w.futures = append(w.futures, simFuture{w.now.Add(d), w.order, event, do})
}

func (w *simWorld) write() {
	key := fmt.Sprint("k", w.rand.IntN(8))
	w.sequence++
	w.numbers[key]++
	r := &simRecord{sequence: w.sequence, key: key, number: w.numbers[key], written: w.now, poison: w.rand.IntN(15) == 0}
	w.all = append(w.all, r)
	for _, s := range w.shards {
		if h := hashOf(key); !s.closed && s.from <= h && h < s.to {
			s.records = append(s.records, r)
			return
		}
	}
	w.t.Fatal("no shard takes a key")
}

// reshard splits a shard or merges two.
func (w *simWorld) reshard() {
	var open []*simShard
	for _, s := range w.shards {
		if !s.closed {
			open = append(open, s)
		}
	}
	slices.SortFunc(open, func(a, b *simShard) int { return int(a.from) - int(b.from) })
	add := func(from, to uint32, parents ...*simShard) {
		s := &simShard{id: fmt.Sprintf("shardId-%012d", w.rand.IntN(1e9)), from: from, to: to}
		for _, p := range parents {
			p.closed = true
			s.parents = append(s.parents, p.id)
		}
		w.shards = append(w.shards, s)
	}
	if i := w.rand.IntN(len(open)); w.rand.IntN(2) == 0 && i+1 < len(open) {
		add(open[i].from, open[i+1].to, open[i], open[i+1])
	} else if s := open[i]; s.to-s.from > 1000 && len(open) < 6 {
		add(s.from, (s.from+s.to)/2, s)
		add((s.from+s.to)/2, s.to, s)
	}
}

func (w *simWorld) shardOf(id string) *simShard {
	i := slices.IndexFunc(w.shards, func(s *simShard) bool { return s.id == id })
	if i < 0 {
		w.t.Fatalf("no shard %s", id)
	}
	return w.shards[i]
}

func sequenceOf(n int) string { return fmt.Sprintf("%09d", n) }

func (w *simWorld) step(event any) {
	for _, e := range w.core.Step(w.now, event) {
		if _, ended := event.(Stopped); w.stopping && !ended {
			switch e.(type) {
			case List, ReadShard, Invoke, Report:
				w.t.Fatalf("%T after the end", e)
			}
		}
		switch e := e.(type) {
		case List:
			out := Listed{At: w.now, Failed: w.rand.IntN(20) == 0}
			for _, s := range w.shards {
				older := func(p string) bool { return !w.forgotten[p] } // what it follows is forgotten first
				if s.closed && w.rand.IntN(4) == 0 && !slices.ContainsFunc(s.parents, older) && !slices.ContainsFunc(s.records, func(r *simRecord) bool { return !r.settled }) {
					w.forgotten[s.id] = true
				}
				if w.forgotten[s.id] {
					continue
				}
				out.Shards = append(out.Shards, ShardInfo{s.id, s.parents, s.closed})
			}
			w.rand.Shuffle(len(out.Shards), func(i, j int) { out.Shards[i], out.Shards[j] = out.Shards[j], out.Shards[i] })
			w.after(w.delay(300), out, nil)
		case ReadShard:
			w.after(w.delay(200), w.read(e), nil)
		case Invoke:
			w.invoke(e.Batch)
		case Report:
			if len(e.Records) == 0 {
				w.t.Fatal("a report of nothing")
			}
			if e.Condition == RetryAttemptsExhausted && (w.config.MaxRetries < 0 || e.Batch.Invokes == 0) {
				w.t.Fatalf("given up after %d invokes", e.Batch.Invokes)
			}
			records := e.Records
			w.after(w.delay(100), Reported{e.Batch.Number}, func() { w.settle(records) })
		case Save:
			w.save(e)
		case Wake:
			if !e.At.After(w.now) {
				w.t.Fatal("a wake that is due already: the machine spins")
			}
			// There is one timer.
			w.futures = slices.DeleteFunc(w.futures, func(f simFuture) bool { _, tick := f.event.(Tick); return tick })
			w.after(e.At.Sub(w.now), Tick{}, nil)
		}
	}
}

func (w *simWorld) delay(ms int) time.Duration {
	return time.Duration(1+w.rand.IntN(ms)) * time.Millisecond
}

// read answers a read as a stream does. Iterators are "PLACE/GENERATION" and expire.
func (w *simWorld) read(e ReadShard) Read {
	s, at := w.shardOf(e.Shard), 0
	if _, ok := w.disk[e.Shard]; !ok {
		w.t.Fatalf("%s is read, and no place in it is kept", e.Shard)
	}
	for _, p := range s.parents {
		for _, r := range w.shardOf(p).records {
			if !r.settled {
				w.t.Fatalf("%s is read, and %d of its parent is not settled", s.id, r.sequence)
			}
		}
		if place, ok := w.disk[p]; ok && !place.Ended {
			w.t.Fatalf("%s is read, and the end of its parent is not kept", s.id)
		}
	}
	if w.forgotten[s.id] {
		return Read{Shard: e.Shard, Outcome: ReadGone}
	}
	switch w.rand.IntN(40) {
	case 0, 1:
		return Read{Shard: e.Shard, Outcome: ReadFailed}
	case 2:
		w.generation++
	}
	switch {
	case e.From.Iterator != "":
		generation := 0
		if _, err := fmt.Sscanf(e.From.Iterator, "%d/%d", &at, &generation); err != nil {
			w.t.Fatal(err)
		}
		if generation < w.generation {
			return Read{Shard: e.Shard, Outcome: ReadExpired}
		}
	case e.From.After != "":
		for at < len(s.records) && sequenceOf(s.records[at].sequence) <= e.From.After {
			at++
		}
	case e.From.Position == record.PositionLatest:
		at = len(s.records)
	case e.From.Position == record.PositionAtTimestamp && !w.table:
		for at < len(s.records) && s.records[at].written.Before(e.From.Since) {
			at++
		}
	}
	end := min(at+min(e.Limit, 1+w.rand.IntN(30)), len(s.records))
	out := Read{Shard: e.Shard, Next: fmt.Sprintf("%d/%d", end, w.generation), Behind: end < len(s.records)}
	for _, r := range s.records[at:end] {
		out.Records = append(out.Records, Record{Sequence: sequenceOf(r.sequence), Key: r.key, Arrived: r.written, Passes: r.number%9 != 8, Body: make([]byte, 100)})
		if r.number%9 == 8 {
			w.settle(out.Records[len(out.Records)-1:])
		}
	}
	if s.closed && end == len(s.records) {
		out.Next = ""
	}
	return out
}

func (w *simWorld) find(r Record) *simRecord {
	var n int
	if _, err := fmt.Sscanf(r.Sequence, "%d", &n); err != nil {
		w.t.Fatal(err)
	}
	return w.all[n-1]
}

// settle checks the order of keys.
func (w *simWorld) settle(records []Record) {
	for _, r := range records {
		s := w.find(r)
		if s.settled {
			continue // again
		}
		s.settled = true
		if s.number%9 == 8 {
			continue // filters reject it as soon as it is read
		}
		for n := w.settled[s.key] + 1; n < s.number; n++ {
			if n%9 != 8 {
				w.t.Fatalf("%s: %d before %d", s.key, s.number, n)
			}
		}
		w.settled[s.key] = max(w.settled[s.key], s.number)
	}
}

func (w *simWorld) invoke(b *Batch) {
	if final := b.Window != nil && b.Window.Final; len(b.Records) > w.config.BatchSize || len(b.Records) == 0 != final {
		w.t.Fatalf("a batch of %d records, of %d", len(b.Records), w.config.BatchSize)
	}
	if w.config.Tumbling > 0 != (b.Window != nil) {
		w.t.Fatal("a window where none is, or none where one is")
	}
	keys := map[string]bool{}
	for _, r := range b.Records {
		keys[r.Key] = true
		if !w.meant(w.find(r)) {
			w.t.Fatalf("%s was there before LATEST", r.Sequence)
		}
		if b.Window != nil && !r.Arrived.Before(b.Window.End) {
			w.t.Fatal("a record in a window before its own")
		}
		if w.config.MaxAge > 0 && w.now.Sub(r.Arrived) > w.config.MaxAge {
			w.t.Fatal("too old a record")
		}
	}
	for k := range keys {
		if w.busy[k]++; w.busy[k] > 1 {
			w.t.Fatalf("two batches with %s", k)
		}
	}
	if w.running[b.Shard]++; w.running[b.Shard] > w.config.Lanes {
		w.t.Fatalf("%d batches of %s", w.running[b.Shard], b.Shard)
	}
	out := Invoked{Number: b.Number, State: json.RawMessage(`{"n":1}`)}
	total := 0
	for _, n := range w.running {
		total += n
	}
	done := 0
	switch n := w.rand.IntN(12); {
	case total > w.limit:
		out.Outcome = Throttled
	case n == 0:
		out.Outcome = Unavailable
	case n == 1:
		out.Outcome = Failed
	default:
		for done < len(b.Records) && !(w.find(b.Records[done]).poison && w.now.Before(w.find(b.Records[done]).written.Add(30*time.Second))) {
			done++
		}
		out.Done = done
		if done < len(b.Records) && !w.config.ReportFailures {
			out.Outcome, out.Done = Failed, 0
		}
		if w.config.ReportFailures {
			done = out.Done
		} else if out.Outcome == Failed {
			done = 0
		}
		if w.rand.IntN(20) == 0 {
			out.State = json.RawMessage(`"` + strings.Repeat("x", stateBytesMax) + `"`)
		}
	}
	records := b.Records[:done]
	w.after(w.delay(2000), out, func() {
		w.settle(records)
		for k := range keys {
			w.busy[k]--
		}
		w.running[b.Shard]--
	})
}

// save takes effect at once, or not at all; the core hears of it later.
func (w *simWorld) save(e Save) {
	failed := w.rand.IntN(20) == 0
	if !failed {
		for id, place := range e.Shards {
			for _, r := range w.shardOf(id).records {
				past := place.Ended && w.meant(r) || place.After != "" && sequenceOf(r.sequence) <= place.After
				if past && !r.settled {
					w.t.Fatalf("the place of %s is behind %d, which is not settled", id, r.sequence)
				}
			}
			if place.Window != nil && len(place.Window.State) > stateBytesMax {
				w.t.Fatal("too large a state is kept")
			}
			w.disk[id] = place
		}
		if e.Progress != nil {
			w.progress = *e.Progress
		}
		for _, id := range e.Dropped {
			delete(w.disk, id)
		}
	}
	w.after(w.delay(20), Saved{failed}, nil)
}

// meant tells whether the mapping is to handle a record.
func (w *simWorld) meant(r *simRecord) bool { return r.sequence > w.begun }

func (w *simWorld) restart() {
	w.futures = slices.DeleteFunc(w.futures, func(f simFuture) bool { return f.event != nil })
	w.busy, w.running = map[string]int{}, map[string]int{}
	shards := map[string]record.StreamShard{}
	for id, place := range w.disk {
		shards[id] = place
	}
	w.core, w.stopping = NewCore(), false
	w.step(Restored{w.progress, shards})
	w.step(Configured{w.config})
}

func simulate(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	w := &simWorld{
		t: t, rand: r, now: time.Unix(1e9, 0), numbers: map[string]int{}, limit: 1 + r.IntN(12), disk: map[string]record.StreamShard{},
		settled: map[string]int{}, forgotten: map[string]bool{}, table: r.IntN(2) == 0,
	}
	w.shards = []*simShard{{id: "shardId-000000000000", from: 0, to: hashMax}}
	w.config = Config{
		Start: record.StreamShard{Position: record.PositionTrimHorizon}, ReadMax: 50, IdlePause: time.Second, BatchSize: 1 + r.IntN(20), Lanes: 1 + r.IntN(10),
		MaxRetries: -1, Bisect: r.IntN(2) == 0, ReportFailures: r.IntN(2) == 0,
	}
	switch r.IntN(3) {
	case 0:
		w.config.MaxRetries = r.IntN(4)
	case 1:
		w.config.MaxAge = time.Minute
	}
	if r.IntN(2) == 0 {
		w.config.Window = time.Duration(1+r.IntN(4)) * time.Second
	}
	if r.IntN(3) == 0 {
		w.config.Tumbling, w.config.Lanes = time.Duration(1+r.IntN(10))*time.Second, 1
	}
	if r.IntN(3) == 0 { // what was there before is not read
		w.config.Start.Position = record.PositionLatest
		for range 20 {
			w.write()
		}
		if r.IntN(2) == 0 {
			w.reshard()
		}
		w.begun = w.sequence
		for _, r := range w.all {
			r.settled = true
		}
		for k, n := range w.numbers {
			w.settled[k] = n
		}
		w.now = w.now.Add(time.Second)
	}
	const writes = 200
	for i := range writes {
		w.after(5*time.Second+time.Duration(i*r.IntN(400))*time.Millisecond, nil, w.write)
	}
	for range 3 {
		w.after(time.Duration(r.IntN(60000))*time.Millisecond, nil, w.reshard)
	}
	w.restart()
	troubled := w.now.Add(3 * time.Minute)
	for end := w.now.Add(6 * time.Hour); w.now.Before(end); {
		if w.sequence == writes+w.begun && !slices.ContainsFunc(w.all, func(r *simRecord) bool { return !r.settled }) &&
			!slices.ContainsFunc(w.core.order, func(s *shard) bool { return s.window != nil }) {
			return
		}
		if len(w.futures) == 0 {
			t.Fatal("nothing will happen any more: the mapping is stuck")
		}
		i := 0
		for j, f := range w.futures {
			if f.at.Before(w.futures[i].at) || f.at.Equal(w.futures[i].at) && f.order < w.futures[i].order {
				i = j
			}
		}
		f := w.futures[i]
		w.futures = slices.Delete(w.futures, i, i+1)
		w.now = f.at
		if f.do != nil {
			f.do()
		}
		if f.event == nil {
			continue
		}
		// Before the first listing LATEST means nothing yet, so there are no crashes; and in the end none
		// helps what is stuck.
		switch n := w.rand.IntN(600); {
		case w.now.After(troubled):
		case n == 0 && w.progress.Begun:
			w.restart()
			continue
		case n == 2 && w.progress.Begun && !w.stopping: // in order: what runs ends first
			w.stopping = true
			w.step(Stopped{})
		case n == 1 && !w.stopping && w.config.Tumbling == 0:
			w.config.Lanes = 1 + w.rand.IntN(10)
			// What runs may still be more than the new factor.
			if len(w.core.running) == 0 {
				w.step(Configured{w.config})
			} else {
				w.config.Lanes = w.core.config.Lanes
			}
		}
		w.step(f.event)
		if w.stopping && w.core.Idle() {
			for b, n := range w.busy {
				if n > 0 {
					t.Fatalf("it is idle, and a batch with %s runs", b)
				}
			}
			w.restart()
		}
	}
	t.Fatal("records are left after six hours")
}

// TestSimulation: with failures, throttles, expired iterators, resharding and crashes every record is
// handled or told of, in its key's order and one batch at a time; children wait for their parents;
// and no place is saved that a record before it has not come to.
func TestSimulation(t *testing.T) {
	seeds := uint64(3000)
	if testing.Short() {
		seeds = 100
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed) })
		if t.Failed() {
			return
		}
	}
}
