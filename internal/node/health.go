package node

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
)

// Health is what GET /_lambdad/health answers: 200 while the node takes invokes, 503
// before it is ready and while it drains.
type Health struct {
	Status  string `json:"status"` // "starting", "ready" or "draining"
	Region  string `json:"region"`
	Auth    string `json:"auth"`
	Running int    `json:"running"` // invokes in execution
	Idle    int    `json:"idle"`    // warm environments
	UsedMiB int    `json:"usedMiB"` // promised to environments
	MemMiB  int    `json:"memoryMiB"`
}

// phase is a node's life, for its health.
type phase struct{ name atomic.Value }

func (p *phase) set(name string) { p.name.Store(name) }

func (p *phase) get() string {
	name, _ := p.name.Load().(string)
	return name
}

func healthHandler(current func() Health) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			internalError(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "GET or HEAD only.")
			return
		}
		health := current()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if health.Status != "ready" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		// The client is gone if this fails; there is nobody to tell.
		_ = json.NewEncoder(w).Encode(health)
	}
}
