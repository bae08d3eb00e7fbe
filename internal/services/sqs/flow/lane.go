package flow

// lane is a message group of a standard queue (a fair queue). It orders nothing: it keeps a
// group with many messages from holding up the others. Each message of a group ranks behind
// the one before it, and the first of a quiet group right behind what was delivered last, so
// that groups have their messages delivered in turn.
type lane struct {
	name string
	rank uint64 // of its last message
	held int
}

// enter gives a message of a standard queue its rank.
func (f *Flow) enter(e *entry, group string) {
	if group == "" {
		e.rank = f.served + 1
		return
	}
	l := f.lanes[group]
	if l == nil {
		l = &lane{name: group}
		f.lanes[group] = l
	}
	l.rank = max(l.rank, f.served) + 1
	l.held++
	e.rank, e.lane = l.rank, l
}

// exit forgets a group without messages.
func (f *Flow) exit(e *entry) {
	if e.lane == nil {
		return
	}
	if e.lane.held--; e.lane.held == 0 {
		delete(f.lanes, e.lane.name)
	}
	e.lane = nil
}
