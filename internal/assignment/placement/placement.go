// Package placement owns the choice of the worker that a new environment starts
// on. It is a pure function over what the workers last said of themselves. It
// must never import worker or a store: knowing how a state came here would tie
// the choice to one machine.
package placement

// WorkerState is what a worker last said of itself.
type WorkerState struct {
	Draining  bool
	FreeMiB   int // memory that no environment was promised
	IdleMiB   int // memory of idle environments, which could be given up
	Starting  int // environments in INIT
	Cores     int
	HasCode   bool // the package is unpacked there already
	Unhealthy bool // did not answer lately
}

// Need is what a new environment wants.
type Need struct{ MemoryMiB int }

// Choose returns the index of the worker to start on, or -1 if none can ever
// hold it. It prefers free memory over giving up what is warm, then a host that has the
// code, then the one whose processors have least to do.
func Choose(workers []WorkerState, need Need) int {
	best, bestScore := -1, score{}
	for i, w := range workers {
		if w.Draining || w.Unhealthy {
			continue
		}
		s := score{
			fits:    w.FreeMiB >= need.MemoryMiB,
			evicts:  w.FreeMiB+w.IdleMiB >= need.MemoryMiB,
			hasCode: w.HasCode,
			load:    float64(w.Starting) / float64(max(1, w.Cores)),
			free:    w.FreeMiB,
		}
		if best < 0 || s.better(bestScore) {
			best, bestScore = i, s
		}
	}
	return best
}

type score struct {
	fits, evicts, hasCode bool
	load                  float64
	free                  int
}

func (s score) better(t score) bool {
	switch {
	case s.fits != t.fits:
		return s.fits
	case s.evicts != t.evicts:
		return s.evicts
	case s.hasCode != t.hasCode:
		return s.hasCode
	case s.load != t.load:
		return s.load < t.load
	default:
		return s.free > t.free
	}
}
