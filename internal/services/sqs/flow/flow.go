// Package flow owns the order of one queue: which message may be delivered
// when, to whom it is out, and which one is a duplicate. It is pure: it has no
// clock, no goroutine and no store, so that a seed replays what it decided. It
// must never import anything but the standard library: the room around it owns
// time, disk and waiting.
package flow

import "container/heap"

// Sequence numbers a queue's messages in the order in which they were sent. It
// never runs backwards in the life of a queue.
type Sequence uint64

// Instant is a time in milliseconds since 1970, as SQS tells times.
type Instant int64

// WindowMax is how many messages of a queue are looked at. Those that are sent
// behind them wait on disk alone until the window has room. AWS too looks at the
// first 120,000 messages of a FIFO queue only (developer guide, "FIFO queue
// delivery logic").
const WindowMax = 120_000

// lowWater is how few deliverable messages make a standard queue ask for the next
// page although its window is not empty.
const lowWater = 1024

// Settings of a queue that bear on the order. They may change at any time.
type Settings struct {
	FIFO        bool
	Retention   Instant // a duration: older messages are gone
	MaxReceives int     // a message received so often goes to the dead-letter queue; 0: never
	InFlightMax int
	Window      int // 0: WindowMax
}

// Draft is a message on its way in.
type Draft struct {
	Due   Instant // not delivered before
	Sent  Instant
	Group string // orders a FIFO queue, and shares a standard one fairly
	Parts int    // of the record that holds its content
}

// Stored is a message as it rests on disk, with what is known of its deliveries.
type Stored struct {
	Sequence Sequence
	Draft
	Receives int
	First    Instant // of the deliveries, 0: none
	Visible  Instant // end of the last delivery's visibility timeout
}

// Taken is a delivery.
type Taken struct {
	Sequence Sequence
	Receives int // including this one: with the sequence it names the delivery
	First    Instant
	Sent     Instant
	Parts    int
}

// Counts are the queue's ApproximateNumberOf attributes.
type Counts struct{ Visible, Delayed, InFlight int }

type state uint8

const (
	pending  state = iota // not on disk yet
	delayed               // in timed
	ready                 // in ready, or its group is
	inFlight              // in timed
	leaving               // being removed from disk
	states
)

// entry is a message in the window.
type entry struct {
	sequence   Sequence
	sent       Instant
	due        Instant // delayed: when it gets ready; in flight: when it returns
	first      Instant
	since      Instant // of the delivery that it is in flight with, 0: not known
	receives   int32
	parts      int32
	index      int32 // in the heap that its state has
	state      state
	group      *group
	prev, next *entry // in the group
	rank       uint64 // in a standard queue: its turn
	lane       *lane
}

// Flow is one queue's order. It is not safe for concurrent use.
type Flow struct {
	settings Settings
	last     Sequence

	entries map[Sequence]*entry
	count   [states]int
	timed   byDue  // delayed and in flight
	ready   byRank // standard queues
	lanes   map[string]*lane
	served  uint64 // the highest rank that was delivered
	groups  map[string]*group
	open    byTurn // groups whose head is ready
	turns   uint64

	// spilling: messages are on disk behind the window; new ones join them there.
	spilling bool
	// loadedTo: what is on disk up to here is in the window.
	loadedTo Sequence
	spilled  int
	outside  map[Sequence]struct{} // pending behind the window

	attempts map[string]*attempt
	dedup    dedup
}

// New makes a queue that has waiting messages on disk behind from: Page tells when
// to read them.
func New(s Settings, from Sequence, waiting int) *Flow {
	return &Flow{
		settings: s, last: from, loadedTo: from, spilling: waiting > 0, spilled: waiting,
		entries: map[Sequence]*entry{}, groups: map[string]*group{}, lanes: map[string]*lane{}, outside: map[Sequence]struct{}{},
		attempts: map[string]*attempt{}, dedup: dedup{byKey: map[string]*Duplicate{}},
	}
}

// Configure changes the settings. What is in the window keeps its place.
func (f *Flow) Configure(s Settings) { f.settings = s }

// Reserve gives messages their places; nobody sees them before Confirm. The
// caller makes them durable in between.
func (f *Flow) Reserve(now Instant, drafts []Draft) []Sequence {
	sequences := make([]Sequence, len(drafts))
	for i, d := range drafts {
		// Microseconds of the clock keep sequences rising over restarts, also when
		// all messages are gone from disk.
		f.last = max(f.last+1, Sequence(now)*1000)
		sequences[i] = f.last
		if f.spilling || len(f.entries) >= f.window() {
			f.spilling = true
			f.outside[f.last] = struct{}{}
			continue
		}
		f.loadedTo = f.last
		f.place(Stored{Sequence: f.last, Draft: d}, pending)
	}
	return sequences
}

// Confirm lets messages be seen that are on disk now.
func (f *Flow) Confirm(now Instant, sequences []Sequence) {
	for _, s := range sequences {
		if _, ok := f.outside[s]; ok {
			delete(f.outside, s)
			f.spilled++
			continue
		}
		if e := f.entries[s]; e != nil && e.state == pending {
			f.settle(e, now)
		}
	}
}

// Abort forgets messages that did not get to disk.
func (f *Flow) Abort(sequences []Sequence) {
	for _, s := range sequences {
		delete(f.outside, s)
		if e := f.entries[s]; e != nil {
			f.drop(e)
		}
	}
}

// Page asks for messages on disk: those behind after, up to limit of them, but
// none that is not before end (0: no end).
func (f *Flow) Page() (after, end Sequence, limit int, wanted bool) {
	if !f.spilling {
		return 0, 0, 0, false
	}
	room := f.window() - (len(f.entries) - f.count[inFlight])
	if f.settings.FIFO {
		room = f.window() - len(f.entries)
	} else if f.count[ready] >= lowWater {
		return 0, 0, 0, false
	}
	for s := range f.outside {
		if end == 0 || s < end {
			end = s
		}
	}
	return f.loadedTo, end, room, room > 0
}

// Load puts a page into the window; more tells that others follow on disk.
func (f *Flow) Load(now Instant, page []Stored, more bool) {
	for _, m := range page {
		f.last = max(f.last, m.Sequence)
		f.loadedTo = max(f.loadedTo, m.Sequence)
		if f.entries[m.Sequence] != nil {
			continue
		}
		f.spilled = max(f.spilled-1, 0)
		e := f.place(m, pending)
		if m.Visible > now {
			e.due = m.Visible
			f.move(e, inFlight)
			continue
		}
		f.settle(e, now)
	}
	if !more && len(f.outside) == 0 {
		f.spilling, f.spilled = false, 0
	}
}

// Advance moves what time has moved.
func (f *Flow) Advance(now Instant) {
	for len(f.timed) > 0 && f.timed[0].due <= now {
		f.move(f.timed[0], ready)
	}
}

// Next is when Advance will have something to do.
func (f *Flow) Next() (Instant, bool) {
	if len(f.timed) == 0 {
		return 0, false
	}
	return f.timed[0].due, true
}

// Deliverable tells whether Receive would find anything.
func (f *Flow) Deliverable() bool { return len(f.ready) > 0 || len(f.open) > 0 }

// Counts the messages. Those behind the window count as visible.
func (f *Flow) Counts() Counts {
	return Counts{Visible: f.count[ready] + f.spilled, Delayed: f.count[delayed], InFlight: f.count[inFlight]}
}

// Last is the newest sequence.
func (f *Flow) Last() Sequence { return f.last }

// Purge forgets all messages up to a sequence, also those that are on their way in
// (AWS gives no promise for what is sent meanwhile). The caller removes from disk
// what is there up to it.
func (f *Flow) Purge(to Sequence) {
	for s, e := range f.entries {
		if s <= to {
			f.drop(e)
		}
	}
	for s := range f.outside {
		if s <= to {
			delete(f.outside, s)
		}
	}
	clear(f.attempts)
	if f.spilling = len(f.outside) > 0; !f.spilling {
		f.loadedTo = f.last
	} else {
		f.loadedTo = max(f.loadedTo, to)
	}
	f.spilled = 0
}

// Expired takes out up to limit messages that are older than the retention. The
// caller removes them from disk and calls Removed.
func (f *Flow) Expired(now Instant, limit int) []Sequence {
	var out []Sequence
	for s, e := range f.entries {
		if len(out) == limit {
			break
		}
		if e.state != pending && e.state != leaving && f.expired(e, now) {
			f.move(e, leaving)
			out = append(out, s)
		}
	}
	return out
}

func (f *Flow) expired(e *entry, now Instant) bool {
	return f.settings.Retention > 0 && e.sent+f.settings.Retention <= now
}

func (f *Flow) window() int {
	if f.settings.Window > 0 {
		return f.settings.Window
	}
	return WindowMax
}

// place puts a message into the window.
func (f *Flow) place(m Stored, as state) *entry {
	e := &entry{
		sequence: m.Sequence, sent: m.Sent, due: m.Due, first: m.First, receives: int32(m.Receives), parts: int32(m.Parts), state: as,
	}
	f.entries[m.Sequence] = e
	f.count[as]++
	if f.settings.FIFO {
		f.join(e, m.Group)
	} else {
		f.enter(e, m.Group)
	}
	return e
}

// settle makes a message ready, or delays it.
func (f *Flow) settle(e *entry, now Instant) {
	if e.due > now {
		f.move(e, delayed)
		return
	}
	f.move(e, ready)
}

// move changes a message's state, and with it the heap that it is in.
func (f *Flow) move(e *entry, to state) {
	f.unheap(e)
	f.count[e.state]--
	f.count[to]++
	e.state = to
	switch {
	case to == delayed || to == inFlight:
		heap.Push(&f.timed, e)
	case to == ready && e.group == nil:
		heap.Push(&f.ready, e)
	}
	f.review(e.group)
}

func (f *Flow) unheap(e *entry) {
	switch {
	case e.state == delayed || e.state == inFlight:
		heap.Remove(&f.timed, int(e.index))
	case e.state == ready && e.group == nil:
		heap.Remove(&f.ready, int(e.index))
	}
}

// drop forgets a message.
func (f *Flow) drop(e *entry) {
	f.unheap(e)
	f.count[e.state]--
	delete(f.entries, e.sequence)
	f.leave(e)
	f.exit(e)
}

// Seen keeps new sequences above one that is on disk.
func (f *Flow) Seen(s Sequence) { f.last = max(f.last, s) }

// Parts is how many parts the content of a message in the window has.
func (f *Flow) Parts(s Sequence) int {
	if e := f.entries[s]; e != nil {
		return int(e.parts)
	}
	return 0
}

// Sent is when a message in the window was sent.
func (f *Flow) Sent(s Sequence) Instant {
	if e := f.entries[s]; e != nil {
		return e.sent
	}
	return 0
}
