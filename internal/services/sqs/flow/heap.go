package flow

// byDue orders the entries that wait for a time.
type byDue []*entry

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, j int) bool { return h[i].due < h[j].due }
func (h byDue) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = int32(i), int32(j) }
func (h *byDue) Push(x any)        { e := x.(*entry); e.index = int32(len(*h)); *h = append(*h, e) }
func (h *byDue) Pop() any          { return pop((*[]*entry)(h)) }

// byRank orders the deliverable entries of a standard queue: without groups, the oldest first.
type byRank []*entry

func (h byRank) Len() int { return len(h) }
func (h byRank) Less(i, j int) bool {
	if h[i].rank != h[j].rank {
		return h[i].rank < h[j].rank
	}
	return h[i].sequence < h[j].sequence
}
func (h byRank) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = int32(i), int32(j)
}
func (h *byRank) Push(x any) { e := x.(*entry); e.index = int32(len(*h)); *h = append(*h, e) }
func (h *byRank) Pop() any   { return pop((*[]*entry)(h)) }

// byTurn orders the groups with a deliverable head.
type byTurn []*group

func (h byTurn) Len() int           { return len(h) }
func (h byTurn) Less(i, j int) bool { return h[i].turn < h[j].turn }
func (h byTurn) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }
func (h *byTurn) Push(x any)        { g := x.(*group); g.index = len(*h); *h = append(*h, g) }
func (h *byTurn) Pop() any          { g := pop((*[]*group)(h)); g.index = -1; return g }

func pop[T any](h *[]*T) *T {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return x
}
