package async

import "time"

// Bounds of how many events of one shard run at once. Source: none; measured on two cores, where
// eight invokes of a millisecond (a function has two shards) end as many a second as five hundred would.
const (
	slotsFirst = 4
	// slotsLeast are left to invokes that take no time while the cores are busy, and slotsOld to those that take as
	// long as a look, or if the oldest event is older than oldAge.
	slotsLeast = 2
	slotsOld   = 8
	oldAge     = 10 * time.Second
	runningMax = 500 // half of an account's default concurrency
)

const (
	// lookEvery is how often the window adapts. An invoke that runs for as long pays for an environment
	// of its own, which takes about as much to start.
	lookEvery = 100 * time.Millisecond
	// startMax is how long an event takes a slot while its environment starts.
	startMax = time.Second
)

// window is how many events of a shard may run at once. Short invokes share slots: more while events wait that
// these would not take up until the next look, and while cores are idle; else more invokes at once only make
// each take longer. A long one leaves its slot to the next event, so that what sleeps gets as many
// environments as it needs, and keeps none of the short ones waiting.
type window struct {
	slots       int
	short, long int           // that run: in a slot, and beside them
	took        time.Duration // how long an event takes its slot, on average
	used        int           // most slots taken since the last look
	// most bounds short and long ones together: what ran when there was no place for one more, perhaps nothing.
	// Each look lifts it, by more each time that it was not met.
	most, lift int
}

// tookWeight is the part of the average that each event makes.
const tookWeight = 8

func newWindow() window { return window{slots: slotsFirst, most: runningMax} }

func (w *window) running() int { return w.short + w.long }

// settled says that looking again would change nothing while nothing happens.
func (w *window) settled() bool {
	return w.running() == 0 && w.slots <= slotsFirst && w.most == runningMax
}

// free is how many more may begin.
func (w *window) free() int { return max(0, min(w.slots-w.short, w.most-w.running())) }

func (w *window) began(count int) {
	w.short += count
	w.used = max(w.used, w.short)
}

// lengthened moves an event out of its slot; ran is how long its function runs already, 0 while it starts.
func (w *window) lengthened(ran time.Duration) {
	w.short--
	w.long++
	w.learn(ran)
}

// ended counts one that is over; throttled says that there was no place for it, and ran is as above.
func (w *window) ended(wasLong, throttled bool, ran time.Duration) {
	if wasLong {
		w.long--
	} else {
		w.short--
		w.learn(ran)
	}
	if throttled {
		w.most, w.lift = w.running(), 0
	}
}

func (w *window) learn(ran time.Duration) {
	switch ran = min(ran, lookEvery); {
	case ran <= 0:
	case w.took == 0:
		w.took = ran
	default:
		w.took += (ran - w.took) / tookWeight
	}
}

// look adapts the window: waiting events are in the queue, the oldest of those that run is of the given age, and idle
// says whether cores have nothing to do.
func (w *window) look(waiting int, age time.Duration, idle bool) {
	w.lift = min(runningMax, max(1, 2*w.lift))
	w.most = min(runningMax, w.most+w.lift)
	least := max(slotsLeast, int(w.took*slotsOld/lookEvery))
	if age > oldAge {
		least = slotsOld
	}
	behind := time.Duration(waiting)*w.took > time.Duration(w.slots)*lookEvery
	switch {
	case behind && w.took > lookEvery*3/4:
		w.slots = min(2*w.slots, runningMax)
	case behind && idle:
		w.slots = min(w.slots+(w.slots+1)/2, runningMax)
	case behind:
		w.slots = max(least, w.slots/2)
	default:
		w.slots = max(slotsFirst, min(w.slots, 2*w.used))
	}
	w.used = w.short
}
