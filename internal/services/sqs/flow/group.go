package flow

import "container/heap"

// group is a message group in the window: its messages in their order. Only the
// messages at its head are delivered, so that nothing overtakes what is in flight.
type group struct {
	name       string
	head, tail *entry
	index      int // in Flow.open, -1: its head is not ready
	turn       uint64
}

// join puts a message at its place in its group: at the end, but for what is
// loaded beside messages that are newer.
func (f *Flow) join(e *entry, name string) {
	g := f.groups[name]
	if g == nil {
		g = &group{name: name, index: -1}
		f.groups[name] = g
	}
	e.group = g
	before := g.tail
	for before != nil && before.sequence > e.sequence {
		before = before.prev
	}
	e.prev = before
	if before == nil {
		e.next, g.head = g.head, e
	} else {
		e.next, before.next = before.next, e
	}
	if e.next == nil {
		g.tail = e
	} else {
		e.next.prev = e
	}
	f.review(g)
}

// leave takes a message out of its group, and forgets a group without messages.
func (f *Flow) leave(e *entry) {
	g := e.group
	if g == nil {
		return
	}
	if e.prev == nil {
		g.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		g.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next, e.group = nil, nil, nil
	f.review(g)
	if g.head == nil {
		delete(f.groups, g.name)
	}
}

// review opens a group whose head is ready, and closes the others. Groups have their
// turn in the order in which they were opened: one that was served goes behind the others
// (as AWS does).
func (f *Flow) review(g *group) {
	switch {
	case g == nil:
	case g.head == nil || g.head.state != ready:
		if g.index >= 0 {
			heap.Remove(&f.open, g.index)
		}
	case g.index < 0:
		f.turns++
		g.turn = f.turns
		heap.Push(&f.open, g)
	}
}
