// Package telemetryapi owns the Telemetry API and the Logs API of one execution environment: what
// extensions subscribe to, and the delivery of events to their listeners inside the sandbox. What
// an extension does can cost it its own events, and nobody anything else: every buffer, dial, write and
// wait is bounded. It must never import sandbox or worker: it gets a way to dial one sandbox, and
// events.
package telemetryapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/telemetry/platform"
)

// subscribersMax bounds the subscribers of an environment: as many as there can be extensions. Source:
// Lambda quotas, "Extensions".
const subscribersMax = 10

// Options of a hub.
type Options struct {
	// Dial connects to a port of the sandbox's own loopback, and to nothing else. nil where a sandbox
	// cannot be dialled: subscriptions are then answered as in AWS's local testing.
	Dial func(ctx context.Context, port int) (net.Conn, error)
	// Reserved are ports inside that are not an extension's.
	Reserved []int
	// Subscribed is told of each subscription, Dropped of events that a subscriber was too slow for.
	// The hub gives both events to the subscribers itself.
	Subscribed func(platform.Subscription)
	Dropped    func(platform.LogsDropped)
	// Structured carries a function's lines that are JSON objects as objects.
	Structured bool

	tries timing // replaces those of the package in tests
}

// Hub is the telemetry of one execution environment.
type Hub struct {
	opts Options

	mu          sync.Mutex
	subscribers []*subscriber
	early       []entry // what happened before the first subscription
	over        bool    // INIT is: nobody can subscribe any more
	loops       sync.WaitGroup
	ctx         context.Context
	cancel      context.CancelFunc
}

// entry is a platform event and its time.
type entry struct {
	at     time.Time
	record platform.Record
}

// NewHub makes a hub of what the platform has said so far in this INIT.
func NewHub(opts Options) *Hub {
	if opts.tries == (timing{}) {
		opts.tries = defaultTiming
	}
	h := &Hub{opts: opts}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// Subscribe answers a subscription.
func (h *Hub) Subscribe(api API, extension string, body []byte) (status int, answer []byte) {
	err := h.subscribe(api, extension, body)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.Status, refusal.body()
	}
	return http.StatusOK, []byte(`"OK"`)
}

func (h *Hub) subscribe(api API, extension string, body []byte) error {
	if h.opts.Dial == nil {
		return api.notSupported()
	}
	h.mu.Lock()
	over := h.over
	h.mu.Unlock()
	if over {
		return api.closed()
	}
	s, err := Decode(api, body, h.opts.Reserved...)
	if err != nil {
		return err
	}
	told := platform.Subscription{Name: extension, State: platform.StateSubscribed, Types: s.Types, Logs: api == Logs}
	if err := h.admit(s, &told); err != nil {
		return err
	}
	h.Event(time.Now(), told)
	if h.opts.Subscribed != nil {
		h.opts.Subscribed(told)
	}
	return nil
}

// admit makes the subscriber, unless there is one.
func (h *Hub) admit(s Subscription, told *platform.Subscription) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return s.API.closed()
	}
	for _, other := range h.subscribers {
		switch {
		case other.name != told.Name:
		case other.API != s.API:
			// Source: Lambda developer guide, "Lambda Logs API": after subscribing with one of the APIs, the
			// other one's answer is an error.
			return s.API.invalid("the extension has subscribed through the other API already")
		case !other.same(s):
			return s.API.invalid("the extension has another subscription already")
		default:
			told.State = platform.StateAlreadySubscribed // Source: the same, "idempotent"
			return nil
		}
	}
	if len(h.subscribers) >= subscribersMax {
		return s.API.invalid("there are too many subscriptions")
	}
	n := newSubscriber(h, told.Name, s)
	for _, e := range h.early {
		n.event(e.at, e.record)
	}
	h.subscribers = append(h.subscribers, n)
	h.loops.Go(n.run)
	return nil
}

// Early notes an event of INIT that those who subscribe later get, too: the environment's start comes
// before any extension.
func (h *Hub) Early(at time.Time, r platform.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over && len(h.early) < earlyMax {
		h.early = append(h.early, entry{at, r})
	}
	for _, s := range h.subscribers {
		s.event(at, r)
	}
}

// earlyMax bounds what is noted.
const earlyMax = 16

// Event passes an event of the platform on.
func (h *Hub) Event(at time.Time, r platform.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.subscribers {
		s.event(at, r)
	}
}

// Line passes on what a program wrote; kind is platform.KindFunction or KindExtension.
func (h *Hub) Line(at time.Time, kind, line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var event []byte
	for _, s := range h.subscribers {
		if slices.Contains(s.Types, kind) {
			if event == nil {
				event = platform.Line(kind, at, line, h.opts.Structured)
			}
			s.add(event)
		}
	}
}

// EndInit refuses subscriptions from now on. It reports whether there are any.
func (h *Hub) EndInit() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over, h.early = true, nil
	return len(h.subscribers) > 0
}

// Pause stops deliveries while the sandbox is frozen; one that is on its way has until Resume.
func (h *Hub) Pause() { h.each((*subscriber).pause) }

// Resume goes on.
func (h *Hub) Resume() { h.each((*subscriber).resume) }

// Flush delivers what there is, and returns when it is delivered or ctx ends.
func (h *Hub) Flush(ctx context.Context) {
	h.mu.Lock()
	all := slices.Clone(h.subscribers)
	h.mu.Unlock()
	for _, s := range all {
		s.flush()
	}
	for _, s := range all {
		s.await(ctx)
	}
}

// Close ends all deliveries. It is idempotent.
func (h *Hub) Close() {
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	h.cancel()
	h.each((*subscriber).hangUp)
	h.loops.Wait()
}

func (h *Hub) each(do func(*subscriber)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.subscribers {
		do(s)
	}
}
