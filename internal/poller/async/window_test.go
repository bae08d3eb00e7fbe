package async

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// machine is a simulated one with a shard of one function. Its cores are shared evenly by what wants them.
type machine struct {
	cores float64
	cpu   time.Duration // of an invoke
	sleep time.Duration // of an invoke, after that
	start time.Duration // of an environment, all of it on a core
	// others is the part of the cores that something else takes all the time.
	others   float64
	reserved int // 0: no bound
}

// arrivals are so many events at each step for a while.
type arrivals struct {
	perStep float64
	until   time.Duration
}

const simStep = time.Millisecond

type simInvoke struct {
	since, leased     time.Duration
	start, cpu, sleep time.Duration
	begun             time.Duration // -1: not yet
	long, throttled   bool
}

type simResult struct {
	environments int
	drained      time.Duration
	ages         []time.Duration
	throttles    int
}

func (r *simResult) age(part float64) time.Duration {
	slices.Sort(r.ages)
	return r.ages[int(part*float64(len(r.ages)-1))]
}

// simulate runs a window until all events have ended.
func simulate(m machine, burst int, a arrivals) simResult {
	var out simResult
	w := newWindow()
	var waiting []time.Duration // when they came
	var running []*simInvoke
	type postponed struct{ since, due time.Duration }
	var later []postponed
	for range burst {
		waiting = append(waiting, 0)
	}
	idleNow, arriving, busy := true, 0.0, 0.0
	for now := time.Duration(0); now < time.Hour; now += simStep {
		if now < a.until {
			for arriving += a.perStep; arriving >= 1; arriving-- {
				waiting = append(waiting, now)
			}
		}
		later = slices.DeleteFunc(later, func(p postponed) bool {
			if p.due <= now {
				waiting = append(waiting, p.since)
			}
			return p.due <= now
		})
		for w.free() > 0 && len(waiting) > 0 {
			w.began(1)
			i := &simInvoke{since: waiting[0], leased: now, cpu: m.cpu, sleep: m.sleep, begun: -1}
			waiting = waiting[1:]
			i.throttled = m.reserved > 0 && len(running) >= m.reserved
			if len(running) >= out.environments && !i.throttled {
				out.environments++
				i.start = m.start
			}
			running = append(running, i)
		}
		// What is left of the cores goes to those that want them, at most one to each.
		wanting := 0
		for _, i := range running {
			if !i.throttled && (i.start > 0 || i.cpu > 0) {
				wanting++
			}
		}
		left := m.cores * (1 - m.others)
		share := min(1, left/float64(max(1, wanting)))
		busy += m.cores - left + share*float64(wanting)
		for _, i := range running {
			slice := time.Duration(share * float64(simStep))
			if i.start > 0 {
				i.start -= slice
				continue
			}
			if i.begun < 0 && !i.throttled {
				i.begun = now
				out.ages = append(out.ages, now-i.since)
			}
			if i.cpu > 0 {
				i.cpu -= slice
			} else {
				i.sleep -= simStep
			}
		}
		running = slices.DeleteFunc(running, func(i *simInvoke) bool {
			over := i.throttled || i.start <= 0 && i.cpu <= 0 && i.sleep <= 0
			if over {
				ran := time.Duration(0)
				if !i.throttled {
					ran = now - i.begun + simStep
				} else {
					out.throttles++
					later = append(later, postponed{i.since, now + backOffFirst})
				}
				w.ended(i.long, i.throttled, ran)
			}
			return over
		})
		if now%lookEvery == 0 {
			idleNow, busy = busy < 0.875*m.cores*float64(lookEvery/simStep), 0
			for _, i := range running {
				ran := time.Duration(0)
				if i.begun >= 0 {
					ran = now - i.begun
				}
				if !i.long && (ran >= lookEvery || ran == 0 && now-i.leased >= startMax) {
					i.long = true
					w.lengthened(ran)
				}
			}
			oldest := time.Duration(0)
			if len(waiting) > 0 {
				oldest = now - waiting[0]
			}
			w.look(len(waiting), oldest, idleNow)
		}
		if now >= a.until && len(waiting)+len(running)+len(later) == 0 {
			out.drained = now
			break
		}
	}
	return out
}

func TestWindowSimulated(t *testing.T) {
	ms := time.Millisecond
	cheap := machine{cores: 2, cpu: ms, start: 30 * ms}
	for name, tc := range map[string]struct {
		m     machine
		burst int
		a     arrivals

		environments int           // at most
		drained      time.Duration // at the latest
		age          time.Duration // of all but one in a hundred, at most
	}{
		"cheap, a few":                    {cheap, 4, arrivals{}, 4, 100 * ms, 70 * ms},
		"cheap, a burst":                  {cheap, 1000, arrivals{}, 12, 900 * ms, 900 * ms},
		"cheap, steadily":                 {cheap, 0, arrivals{0.5, 10 * time.Second}, 12, 10100 * ms, 80 * ms},
		"cheap, far too many":             {cheap, 0, arrivals{4, 10 * time.Second}, 12, 25 * time.Second, 15 * time.Second},
		"cheap, beside other work":        {machine{cores: 2, cpu: ms, start: 30 * ms, others: 0.9}, 1000, arrivals{}, 4, 7 * time.Second, 7 * time.Second},
		"on a large machine":              {machine{cores: 64, cpu: ms, start: 30 * ms}, 20_000, arrivals{}, 150, 2 * time.Second, 2 * time.Second},
		"20 ms of sleep, a burst":         {machine{cores: 2, cpu: ms, sleep: 20 * ms, start: 30 * ms}, 1000, arrivals{}, 80, 3 * time.Second, 3 * time.Second},
		"20 ms of sleep, steadily":        {machine{cores: 2, cpu: ms, sleep: 20 * ms, start: 30 * ms}, 0, arrivals{0.5, 10 * time.Second}, 40, 10200 * ms, 400 * ms},
		"50 ms, beside other work":        {machine{cores: 2, cpu: ms, sleep: 49 * ms, start: 30 * ms, others: 0.9}, 0, arrivals{0.05, 20 * time.Second}, 9, 21 * time.Second, 11 * time.Second},
		"long, a burst":                   {machine{cores: 2, cpu: ms, sleep: 10 * time.Second, start: ms}, 500, arrivals{}, 500, 12 * time.Second, 1100 * ms},
		"long, a burst, starts take 30ms": {machine{cores: 2, cpu: ms, sleep: 60 * time.Second, start: 30 * ms}, 500, arrivals{}, 500, 72 * time.Second, 12 * time.Second},
		"long, as AWS adds them":          {machine{cores: 2, cpu: ms, sleep: 4 * time.Second, start: ms}, 0, arrivals{0.1, 30 * time.Second}, 440, 35 * time.Second, 150 * ms},
		"long, beside other work":         {machine{cores: 2, cpu: ms, sleep: 10 * time.Second, start: ms, others: 0.9}, 400, arrivals{}, 400, 20 * time.Second, 6 * time.Second},
		"long, on the cores":              {machine{cores: 2, cpu: 500 * ms, start: 30 * ms}, 40, arrivals{}, 40, 12 * time.Second, 9 * time.Second},
		"an environment starts for 5 s":   {machine{cores: 2, cpu: ms, sleep: ms, start: 5 * time.Second}, 8, arrivals{}, 8, 25 * time.Second, 25 * time.Second},
		"10 places, 50 ms":                {machine{cores: 2, cpu: ms, sleep: 49 * ms, start: 30 * ms, reserved: 10}, 1000, arrivals{}, 10, 8 * time.Second, 8 * time.Second},
	} {
		r := simulate(tc.m, tc.burst, tc.a)
		said := fmt.Sprintf("%s: %d environments, %v, p99 age %v, %d throttled", name, r.environments, r.drained, r.age(0.99), r.throttles)
		t.Log(said)
		if r.environments > tc.environments || r.drained > tc.drained || r.age(0.99) > tc.age || r.throttles > int(r.drained/lookEvery)*2+10 {
			t.Errorf("%s; at most %d, %v, %v", said, tc.environments, tc.drained, tc.age)
		}
	}
}
