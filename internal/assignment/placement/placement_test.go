package placement

import "testing"

func TestChoose(t *testing.T) {
	need := Need{MemoryMiB: 512}
	for name, tc := range map[string]struct {
		workers []WorkerState
		want    int
	}{
		"none":                  {nil, -1},
		"only one, full":        {[]WorkerState{{FreeMiB: 0}}, 0}, // it waits there for its turn
		"draining or dead":      {[]WorkerState{{Draining: true, FreeMiB: 1024}, {Unhealthy: true, FreeMiB: 1024}}, -1},
		"free before evicting":  {[]WorkerState{{FreeMiB: 100, IdleMiB: 4096, HasCode: true}, {FreeMiB: 512}}, 1},
		"evicting before never": {[]WorkerState{{FreeMiB: 100}, {FreeMiB: 100, IdleMiB: 500}}, 1},
		"code before load":      {[]WorkerState{{FreeMiB: 1024, Cores: 2}, {FreeMiB: 1024, Cores: 2, Starting: 1, HasCode: true}}, 1},
		"less load":             {[]WorkerState{{FreeMiB: 4096, Cores: 2, Starting: 4}, {FreeMiB: 1024, Cores: 8, Starting: 4}}, 1},
		"more memory":           {[]WorkerState{{FreeMiB: 1024, Cores: 2}, {FreeMiB: 4096, Cores: 2}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Choose(tc.workers, need); got != tc.want {
				t.Errorf("chose %d, want %d", got, tc.want)
			}
		})
	}
}
