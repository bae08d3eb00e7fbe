package assignment

import "fmt"

// AskID names an ask for memory: the function that asks, and its environment.
type AskID struct {
	Asker uint64
	Env   EnvID
}

// BudgetEffect is what a budget decided: a grant, or a denial.
type BudgetEffect struct {
	ID        AskID
	MemoryMiB int
	Denied    bool // more than the host has at all
}

// Budget is one host's memory: what all its environments together may promise.
// It is pure. Asks are served in their order, so a large one is not starved by small ones.
type Budget struct {
	total  int
	used   int
	queue  []budgetAsk
	wanted int // memory that the queue asks for
}

type budgetAsk struct {
	id        AskID
	memoryMiB int
}

// NewBudget makes a budget of so much memory.
func NewBudget(totalMiB int) *Budget { return &Budget{total: totalMiB} }

// Ask wants memory: it is granted now, queued, or denied for good.
func (b *Budget) Ask(id AskID, memoryMiB int, out []BudgetEffect) []BudgetEffect {
	if memoryMiB > b.total {
		return append(out, BudgetEffect{ID: id, MemoryMiB: memoryMiB, Denied: true})
	}
	b.queue = append(b.queue, budgetAsk{id, memoryMiB})
	b.wanted += memoryMiB
	return b.serve(out)
}

// Cancel takes an ask back if it was not served yet.
func (b *Budget) Cancel(id AskID, out []BudgetEffect) []BudgetEffect {
	for i, a := range b.queue {
		if a.id == id {
			b.queue = append(b.queue[:i], b.queue[i+1:]...)
			b.wanted -= a.memoryMiB
			break
		}
	}
	return b.serve(out)
}

// Release gives memory back.
func (b *Budget) Release(memoryMiB int, out []BudgetEffect) []BudgetEffect {
	b.used -= memoryMiB
	if b.used < 0 {
		panic(fmt.Sprintf("assignment: %d MiB more were given back than granted", -b.used))
	}
	return b.serve(out)
}

// Lacking is how much memory must come free before the queue is served.
func (b *Budget) Lacking() int {
	if len(b.queue) == 0 {
		return 0
	}
	return max(0, b.used+b.wanted-b.total)
}

// Used is the memory that is granted, Total what there is.
func (b *Budget) Used() int  { return b.used }
func (b *Budget) Total() int { return b.total }

// Spare is what is neither granted nor asked for.
func (b *Budget) Spare() int { return max(0, b.total-b.used-b.wanted) }

func (b *Budget) serve(out []BudgetEffect) []BudgetEffect {
	for len(b.queue) > 0 && b.used+b.queue[0].memoryMiB <= b.total {
		a := b.queue[0]
		b.queue = append(b.queue[:0], b.queue[1:]...)
		b.wanted -= a.memoryMiB
		b.used += a.memoryMiB
		out = append(out, BudgetEffect{ID: a.id, MemoryMiB: a.memoryMiB})
	}
	return out
}

// IdleState is what one function holds idle, for Victims.
type IdleState struct {
	Asker     uint64
	Count     int
	MemoryMiB int
	Oldest    int64 // when its oldest became idle
}

// Victim is how much a function should give up.
type Victim struct {
	Asker     uint64
	MemoryMiB int
	Count     int
}

// Victims picks whose idle environments go so that memoryMiB come free and
// count environments end: the longest idle first.
func Victims(idle []IdleState, memoryMiB, count int) []Victim {
	var out []Victim
	taken := make([]bool, len(idle))
	for memoryMiB > 0 || count > 0 {
		best := -1
		for i := range idle {
			if !taken[i] && idle[i].Count > 0 && (best < 0 || idle[i].Oldest < idle[best].Oldest) {
				best = i
			}
		}
		if best < 0 {
			return out
		}
		taken[best] = true
		s := idle[best]
		v := Victim{Asker: s.Asker, MemoryMiB: min(max(0, memoryMiB), s.MemoryMiB), Count: min(max(0, count), s.Count)}
		memoryMiB -= v.MemoryMiB
		count -= max(v.Count, 1)
		out = append(out, v)
	}
	return out
}
