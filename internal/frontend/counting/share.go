package counting

import (
	"maps"
	"sync"

	"github.com/lambdad/lambdad/internal/record"
)

// share is the reserved concurrency of a function: no more of its invokes run at once, and
// nobody else's run in it. What is provisioned of its versions lies within it. The account
// counts the larger of size and running as taken, as with a reservation. Only the function's
// own invokes wait for its lock.
type share struct {
	mu      sync.Mutex
	gone    bool
	size    int64
	running int64
	parts   map[string]*part // by version
}

// part is what of a share only one version may use.
type part struct{ size, running int64 }

// Share reserves n of the account's limit for a function, 0 included, which then never runs;
// a negative n takes that back. Invokes that run already keep their places.
func (c *Counter) Share(id record.FunctionID, n int) {
	a := c.account(scopeOf(id))
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[record.FunctionID]*share{}
	if old := a.shares.Load(); old != nil {
		all = maps.Clone(*old)
	}
	s := all[id]
	switch {
	case s == nil && n < 0:
		return
	case s == nil:
		s = &share{parts: map[string]*part{}}
		all[id] = s
		for version, size := range a.reservedOf(id) {
			a.reserve(id, version, 0)
			s.parts[version] = &part{size: size}
		}
		a.shares.Store(&all)
	case n < 0:
		delete(all, id)
		a.shares.Store(&all)
		if len(all) == 0 {
			a.shares.Store(nil)
		}
	}
	s.mu.Lock()
	size := int64(max(n, 0))
	a.taken.Add(max(size, s.running) - max(s.size, s.running))
	s.size, s.gone = size, n < 0
	s.mu.Unlock()
	if n < 0 {
		for version, p := range s.parts {
			a.reserve(id, version, p.size)
		}
	}
}

// Shared reports whether a function has a reserved concurrency.
func (c *Counter) Shared(id record.FunctionID) bool {
	return c.account(scopeOf(id)).share(id) != nil
}

func (a *account) share(id record.FunctionID) *share {
	all := a.shares.Load()
	if all == nil {
		return nil
	}
	return (*all)[id]
}

// enter admits an invoke of a version. gone: the share is no more, and the invoke belongs
// elsewhere.
func (s *share) enter(version string) (p *part, ok, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, false, true
	}
	if s.running >= s.size {
		return nil, false, false
	}
	if p := s.parts[version]; p != nil && p.running < p.size {
		p.running++
		s.running++
		return p, true, false
	}
	free := s.size - s.running
	for _, p := range s.parts {
		free -= max(0, p.size-p.running)
	}
	if free <= 0 {
		return nil, false, false
	}
	s.running++
	return nil, true, false
}

// leave tells how much of the account's limit is given back, as a reservation's.
func (s *share) leave(p *part) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running <= 0 {
		panic("counting: an invoke was released that was never admitted")
	}
	s.running--
	if p != nil {
		p.running--
	}
	if s.running >= s.size {
		return 1
	}
	return 0
}

// provision sets a version's part; 0 takes it back.
func (s *share) provision(version string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[version]
	switch {
	case p == nil && n > 0:
		s.parts[version] = &part{size: n}
	case p != nil && n == 0:
		delete(s.parts, version)
		p.size = 0
	case p != nil:
		p.size = n
	}
}
