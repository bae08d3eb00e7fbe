package flow

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// world is a queue with a disk that survives crashes, and a memory of what was promised.
type world struct {
	t    *testing.T
	rand *rand.Rand
	now  Instant
	set  Settings
	flow *Flow

	disk map[Sequence]Stored // what a restart finds
	// sending are reserved and not yet on disk.
	sending [][]Sequence
	drafts  map[Sequence]Draft
	// held are the deliveries that hide their message.
	held  map[Sequence]Receipt
	until map[Sequence]Instant
	dead  int
	seen  int
}

func newWorld(t *testing.T, seed uint64, fifo bool) *world {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: 1_800_000_000_000, disk: map[Sequence]Stored{}, drafts: map[Sequence]Draft{},
		set: Settings{FIFO: fifo, Retention: 3_600_000, InFlightMax: 12, Window: 8},
	}
	if w.rand.IntN(2) == 0 {
		w.set.MaxReceives = 3
	}
	w.restart()
	return w
}

// restart is a crash: what is not on disk is gone, and some of what is known of
// deliveries with it.
func (w *world) restart() {
	last := Sequence(0)
	for s, m := range w.disk {
		last = max(last, s)
		if w.rand.IntN(2) == 0 {
			m.Receives, m.First, m.Visible = 0, 0, 0
			w.disk[s] = m
			delete(w.until, s)
		}
	}
	w.flow = New(w.set, 0, len(w.disk))
	w.flow.Seen(last)
	w.sending, w.held, w.until = nil, map[Sequence]Receipt{}, map[Sequence]Instant{}
}

func (w *world) fill() {
	for {
		after, end, limit, wanted := w.flow.Page()
		if !wanted {
			return
		}
		var all []Sequence
		for s := range w.disk {
			if s > after {
				all = append(all, s)
			}
		}
		slices.Sort(all)
		more := len(all) > limit
		all = all[:min(limit, len(all))]
		var page []Stored
		for _, s := range all {
			if end != 0 && s >= end {
				more = true
				break
			}
			page = append(page, w.disk[s])
		}
		w.flow.Load(w.now, page, more)
		if len(page) == 0 {
			return
		}
	}
}

func (w *world) send() {
	var drafts []Draft
	for range 1 + w.rand.IntN(3) {
		d := Draft{Sent: w.now, Due: w.now, Parts: 1}
		if w.rand.IntN(4) == 0 {
			d.Due += Instant(w.rand.IntN(5000))
		}
		if w.set.FIFO || w.rand.IntN(2) == 0 {
			d.Group = fmt.Sprint(w.rand.IntN(3))
		}
		drafts = append(drafts, d)
	}
	sequences := w.flow.Reserve(w.now, drafts)
	for i, s := range sequences {
		w.drafts[s] = drafts[i]
	}
	w.sending = append(w.sending, sequences)
}

// land lets one of the sends get to disk, or not.
func (w *world) land() {
	if len(w.sending) == 0 {
		return
	}
	i := w.rand.IntN(len(w.sending))
	sequences := w.sending[i]
	w.sending = slices.Delete(w.sending, i, i+1)
	if w.rand.IntN(8) == 0 {
		w.flow.Abort(sequences)
		return
	}
	for _, s := range sequences {
		w.disk[s] = Stored{Sequence: s, Draft: w.drafts[s]}
	}
	w.flow.Confirm(w.now, sequences)
}

func (w *world) receive() {
	w.fill()
	visibility := Instant(w.rand.IntN(4) * 1000)
	batch, err := w.flow.Receive(w.now, Ask{Limit: 1 + w.rand.IntN(4), Visibility: visibility})
	if err != nil {
		if w.set.FIFO || w.flow.count[inFlight] < w.set.InFlightMax {
			w.t.Fatal(err)
		}
		return
	}
	taken := map[Sequence]bool{}
	for _, m := range batch.Taken {
		w.seen++
		disk, ok := w.disk[m.Sequence]
		switch {
		case !ok:
			w.t.Fatalf("%d is delivered and not on disk", m.Sequence)
		case disk.Due > w.now:
			w.t.Fatalf("%d is delivered before it is due", m.Sequence)
		case w.until[m.Sequence] > w.now:
			w.t.Fatalf("%d is delivered while somebody has it", m.Sequence)
		case taken[m.Sequence]:
			w.t.Fatalf("%d is delivered twice at once", m.Sequence)
		case w.set.MaxReceives > 0 && m.Receives > w.set.MaxReceives:
			w.t.Fatalf("%d is delivered %d times", m.Sequence, m.Receives)
		}
		if w.set.FIFO {
			for s, other := range w.disk {
				if other.Group == disk.Group && s < m.Sequence && !taken[s] {
					w.t.Fatalf("%d overtakes %d of group %s", m.Sequence, s, disk.Group)
				}
			}
		}
		taken[m.Sequence] = true
		w.held[m.Sequence] = Receipt{m.Sequence, m.Receives}
		w.until[m.Sequence] = w.now + visibility
		disk.Receives, disk.First, disk.Visible = m.Receives, m.First, w.now+visibility
		w.disk[m.Sequence] = disk
	}
	for _, s := range batch.Dead {
		w.dead++
		if w.disk[s].Receives < w.set.MaxReceives {
			w.t.Fatalf("%d is dead after %d receives", s, w.disk[s].Receives)
		}
		w.gone(s)
	}
	for _, s := range batch.Expired {
		w.gone(s)
	}
}

// gone takes a message off the disk that the flow has let go, or fails to.
func (w *world) gone(s Sequence) {
	if w.rand.IntN(6) == 0 {
		w.flow.Restore(w.now, s)
		return
	}
	delete(w.disk, s)
	delete(w.until, s)
	w.flow.Removed(s)
}

func (w *world) settleOne() {
	for s, r := range w.held {
		delete(w.held, s)
		if w.rand.IntN(3) == 0 {
			v := Instant(w.rand.IntN(3) * 1000)
			if w.flow.Hide(w.now, r, v) == nil {
				w.until[s] = w.now + v
				m := w.disk[s]
				m.Visible = w.now + v
				w.disk[s] = m
			}
		} else if w.flow.Delete(w.now, r) == nil {
			w.gone(s)
		}
		return
	}
}

func (w *world) check() {
	held := len(w.flow.entries) + w.flow.spilled
	unsent := 0
	for _, s := range w.sending {
		unsent += len(s)
	}
	if c := w.flow.count; c[pending]+c[delayed]+c[ready]+c[inFlight]+c[leaving] != len(w.flow.entries) {
		w.t.Fatalf("%v messages of %d are counted", c, len(w.flow.entries))
	}
	if on := held - w.flow.count[pending]; on != len(w.disk) {
		w.t.Fatalf("the flow knows %d messages, %d are on disk (%d unsent)", on, len(w.disk), unsent)
	}
}

// drain ends everything: each message that is on disk must be delivered.
func (w *world) drain() {
	for len(w.sending) > 0 {
		w.land()
	}
	for round := 0; len(w.disk) > 0; round++ {
		if round > 5000 {
			w.t.Fatalf("%d messages are stuck: %+v", len(w.disk), w.flow.Counts())
		}
		w.now += 1500
		w.receive()
		for s, r := range w.held {
			delete(w.held, s)
			if w.flow.Delete(w.now, r) == nil {
				w.gone(s)
			}
		}
	}
}

func TestSimulation(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		t.Run(map[bool]string{false: "standard", true: "FIFO"}[fifo], func(t *testing.T) {
			seen, dead := 0, 0
			for seed := range uint64(400) {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					w := newWorld(t, seed, fifo)
					for range 300 {
						w.now += Instant(w.rand.IntN(400))
						switch n := w.rand.IntN(100); {
						case n < 25:
							w.send()
						case n < 55:
							w.land()
						case n < 75:
							w.receive()
						case n < 98:
							w.settleOne()
						case n < 99:
							w.flow.Advance(w.now)
						default:
							w.restart()
						}
						w.check()
					}
					w.drain()
					seen, dead = seen+w.seen, dead+w.dead
				})
			}
			if seen == 0 || dead == 0 {
				t.Errorf("%d deliveries, %d dead letters: the simulation does not do what it is for", seen, dead)
			}
		})
	}
}
