package flow

// DedupLife is how long a deduplication id keeps later messages with it out (API
// reference, SendMessage, MessageDeduplicationId).
const DedupLife Instant = 5 * 60 * 1000

// DedupMax bounds the deduplication ids that are remembered of a queue: 10,000 a second
// for five minutes and more. The caller refuses what comes beyond.
const DedupMax = 4 << 20

// DedupFull tells that no more can be remembered now.
func (f *Flow) DedupFull(now Instant) bool {
	f.dedup.prune(now)
	return len(f.dedup.order) >= DedupMax
}

// Duplicate is a message that was sent with a deduplication id.
type Duplicate struct {
	Sequence  Sequence
	MessageID string
	Sent      Instant
	Pending   bool // not on disk yet: whoever sends the same waits for the outcome
	key       string
}

// dedup remembers the deduplication ids of the last five minutes.
type dedup struct {
	byKey map[string]*Duplicate
	order []*Duplicate // by time
}

// Duplicate finds the message that a new one with the key would repeat.
func (f *Flow) Duplicate(now Instant, key string) *Duplicate {
	f.dedup.prune(now)
	if dup := f.dedup.byKey[key]; dup != nil && (dup.Pending || dup.Sent+DedupLife > now) {
		return dup
	}
	return nil
}

// prune forgets what counts no more.
func (d *dedup) prune(now Instant) {
	for len(d.order) > 0 && d.order[0].Sent+DedupLife <= now && !d.order[0].Pending {
		if d.byKey[d.order[0].key] == d.order[0] {
			delete(d.byKey, d.order[0].key)
		}
		d.order[0] = nil
		d.order = d.order[1:]
	}
}

// Remember keeps a key for five minutes from sent on.
func (f *Flow) Remember(key string, dup Duplicate) *Duplicate {
	dup.key = key
	f.dedup.byKey[key] = &dup
	f.dedup.order = append(f.dedup.order, &dup)
	return &dup
}

// Forget gives up the key of a message that did not get to disk.
func (f *Flow) Forget(dup *Duplicate) {
	dup.Pending, dup.Sent = false, dup.Sent-DedupLife
	if f.dedup.byKey[dup.key] == dup {
		delete(f.dedup.byKey, dup.key)
	}
}

// ForgetAll gives up all keys: the queue's scope of deduplication has changed.
func (f *Flow) ForgetAll() {
	clear(f.dedup.byKey)
	f.dedup.order = nil
}
