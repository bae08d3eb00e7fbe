package flow

import "errors"

// Error kinds; match with errors.Is.
var (
	// ErrOverLimit: as many messages are in flight as may be.
	ErrOverLimit = errors.New("flow: too many messages in flight")
	// ErrGone: the message is deleted, or was never there.
	ErrGone = errors.New("flow: no such message")
	// ErrNotInFlight: nobody has the message now.
	ErrNotInFlight = errors.New("flow: message not in flight")
	// ErrTooLong: a delivery cannot hide its message longer than VisibilityMax in all.
	ErrTooLong = errors.New("flow: visibility timeout beyond the limit")
	// ErrStale: the message has been delivered again since.
	ErrStale = errors.New("flow: delivery superseded")
)

// attemptLife is how long a receive can be asked for again (API reference,
// ReceiveMessage, ReceiveRequestAttemptId).
const attemptLife Instant = 5 * 60 * 1000

// attemptsMax bounds the receives that can be asked for again; more are not
// remembered.
const attemptsMax = 20_000

// VisibilityMax bounds how long one delivery hides its message: 12 hours (developer
// guide, "Amazon SQS visibility timeout").
const VisibilityMax Instant = 12 * 3600 * 1000

// asideMax bounds the dead and expired messages that one receive comes back with: its
// caller has to move them before it asks again.
const asideMax = 128

func (b *Batch) full() bool { return len(b.Dead)+len(b.Expired) >= asideMax }

// attempt is a receive that its caller may ask for again.
type attempt struct {
	at    Instant
	taken []Taken
}

// Ask is a receive.
type Ask struct {
	Limit      int
	Visibility Instant // a duration
	AttemptID  string  // FIFO queues only
}

// Receipt names one delivery of a message.
type Receipt struct {
	Sequence Sequence
	Receives int
}

// Batch is what a receive found. Dead messages were received too often, expired
// ones are older than the retention: the caller moves and removes them, and then
// calls Removed, or Restore if it could not.
type Batch struct {
	Taken   []Taken
	Dead    []Sequence
	Expired []Sequence
}

// Receive takes deliverable messages. Dead and expired ones on the way to them
// come back beside them.
func (f *Flow) Receive(now Instant, ask Ask) (Batch, error) {
	f.Advance(now)
	if taken, again := f.again(now, ask); again {
		return Batch{Taken: taken}, nil
	}
	var b Batch
	if f.count[inFlight] >= f.settings.InFlightMax {
		if f.settings.FIFO {
			return b, nil // "Amazon SQS returns no error messages" (quotas of FIFO queues)
		}
		return b, ErrOverLimit
	}
	limit := min(ask.Limit, f.settings.InFlightMax-f.count[inFlight])
	if f.settings.FIFO {
		f.receiveGroups(now, ask, limit, &b)
		f.remember(now, ask, b.Taken)
		return b, nil
	}
	var given []*entry // not before the end: those with no visibility timeout are ready at once
	for len(given) < limit && len(f.ready) > 0 && !b.full() {
		if e := f.ready[0]; f.pass(e, now, &b) {
			f.move(e, leaving)
			given = append(given, e)
		}
	}
	for _, e := range given {
		b.Taken = append(b.Taken, f.give(e, now, ask.Visibility))
	}
	return b, nil
}

func (f *Flow) receiveGroups(now Instant, ask Ask, limit int, b *Batch) {
	var given []*entry
	for len(given) < limit && len(f.open) > 0 && !b.full() {
		e := f.open[0].head
		for e != nil && e.state == ready && len(given) < limit {
			if !f.pass(e, now, b) {
				break // nothing overtakes it before it is off the disk
			}
			next := e.next
			f.move(e, leaving)
			given = append(given, e)
			e = next
		}
	}
	for _, e := range given {
		b.Taken = append(b.Taken, f.give(e, now, ask.Visibility))
	}
}

// pass tells whether a message is to be delivered, and puts the others aside.
func (f *Flow) pass(e *entry, now Instant, b *Batch) bool {
	switch {
	case f.expired(e, now):
		f.move(e, leaving)
		b.Expired = append(b.Expired, e.sequence)
	case f.settings.MaxReceives > 0 && int(e.receives) >= f.settings.MaxReceives:
		f.move(e, leaving)
		b.Dead = append(b.Dead, e.sequence)
	default:
		return true
	}
	return false
}

func (f *Flow) give(e *entry, now, visibility Instant) Taken {
	e.receives++
	if e.first == 0 {
		e.first = now
	}
	e.due, e.since = now+visibility, now
	f.served = max(f.served, e.rank)
	if visibility > 0 {
		f.move(e, inFlight)
	} else {
		f.move(e, ready)
	}
	return e.taken()
}

func (e *entry) taken() Taken {
	return Taken{Sequence: e.sequence, Receives: int(e.receives), First: e.first, Sent: e.sent, Parts: int(e.parts)}
}

// again answers a receive that was asked before, if nothing has changed with its
// messages since; their visibility timeouts begin anew.
func (f *Flow) again(now Instant, ask Ask) ([]Taken, bool) {
	a := f.attempts[ask.AttemptID]
	if ask.AttemptID == "" || a == nil {
		return nil, false
	}
	if a.at+attemptLife <= now {
		delete(f.attempts, ask.AttemptID)
		return nil, false
	}
	for _, t := range a.taken {
		e := f.entries[t.Sequence]
		if e == nil || e.state != inFlight || int(e.receives) != t.Receives {
			delete(f.attempts, ask.AttemptID)
			return nil, false
		}
	}
	for _, t := range a.taken {
		e := f.entries[t.Sequence]
		e.due = now + ask.Visibility
		f.move(e, inFlight)
	}
	return a.taken, true
}

func (f *Flow) remember(now Instant, ask Ask, taken []Taken) {
	if ask.AttemptID == "" || len(taken) == 0 {
		return
	}
	if len(f.attempts) >= attemptsMax {
		for id, a := range f.attempts {
			if a.at+attemptLife <= now {
				delete(f.attempts, id)
			}
		}
		if len(f.attempts) >= attemptsMax {
			return
		}
	}
	f.attempts[ask.AttemptID] = &attempt{at: now, taken: taken}
}

// forget ends the attempts that a delivery was part of: who changed or deleted a
// message cannot ask for it again.
func (f *Flow) forget(r Receipt) {
	for id, a := range f.attempts {
		for _, t := range a.taken {
			if t.Sequence == r.Sequence {
				delete(f.attempts, id)
				break
			}
		}
	}
}

// Hide changes how long a delivery hides its message from now on; none gives it back.
// A standard queue lets a delivery whose time is over hide its message again, as long
// as nobody gave it back (recorded).
func (f *Flow) Hide(now Instant, r Receipt, visibility Instant) error {
	f.Advance(now)
	e := f.entries[r.Sequence]
	switch {
	case e == nil || e.state == pending || e.state == leaving:
		return ErrGone
	case int(e.receives) > r.Receives && f.settings.FIFO:
		return ErrStale // a standard queue takes an older delivery's, too, as AWS does
	case e.state != inFlight && (f.settings.FIFO || e.since == 0):
		return ErrNotInFlight
	case e.since > 0 && now+visibility > e.since+VisibilityMax:
		return ErrTooLong
	}
	f.forget(r)
	e.due = now + visibility
	if visibility > 0 {
		f.move(e, inFlight)
		return nil
	}
	e.since = 0
	f.move(e, ready)
	return nil
}

// Delete takes a delivered message out; the caller removes it from disk and calls
// Removed, or Restore if it could not. Standard queues also delete what nobody has
// any more, as long as it was not delivered again; FIFO queues do not.
func (f *Flow) Delete(now Instant, r Receipt) error {
	f.Advance(now)
	e := f.entries[r.Sequence]
	switch {
	case e == nil || e.state == pending || e.state == leaving:
		return ErrGone
	case int(e.receives) > r.Receives:
		return ErrStale
	case f.settings.FIFO && e.state != inFlight:
		return ErrNotInFlight
	}
	f.forget(r)
	f.move(e, leaving)
	return nil
}

// TakeAny takes out up to limit messages that nobody has, the oldest first, for a
// move to another queue.
func (f *Flow) TakeAny(now Instant, limit int) []Taken {
	f.Advance(now)
	var out []Taken
	for len(out) < limit {
		var e *entry
		switch {
		case len(f.ready) > 0:
			e = f.ready[0]
		case len(f.open) > 0:
			e = f.open[0].head
		default:
			return out
		}
		f.move(e, leaving)
		out = append(out, e.taken())
	}
	return out
}

// Removed forgets a message that is off the disk.
func (f *Flow) Removed(s Sequence) {
	if e := f.entries[s]; e != nil {
		f.drop(e)
	}
}

// Restore puts a message back that could not be removed.
func (f *Flow) Restore(now Instant, s Sequence) {
	if e := f.entries[s]; e != nil && e.state == leaving {
		f.settle(e, now)
	}
}

// State tells what is to be remembered of a message's deliveries.
func (f *Flow) State(s Sequence) (receives int, first, visible Instant, ok bool) {
	e := f.entries[s]
	if e == nil || e.state == pending || e.state == leaving {
		return 0, 0, 0, false
	}
	if e.state == inFlight {
		visible = e.due
	}
	return int(e.receives), e.first, visible, true
}
