package node

import (
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// sandboxConnsMax bounds what the code of one sandbox holds open at lambdad's endpoint: each is a
	// descriptor of this process, which all functions share. Further ones wait in the kernel.
	sandboxConnsMax = 256
	// sandboxRate is how many connections and requests a second one sandbox gets answered for long, and
	// sandboxBurst how many at once before that: the cores that answer are those that other functions'
	// invokes need.
	sandboxRate  = 1000
	sandboxBurst = 500
)

// pace is one sandbox's share of the endpoint. Nothing is refused: who asks too much waits.
type pace struct {
	every time.Duration // between two turns, in the long run
	burst int
	now   func() time.Time

	mu   sync.Mutex
	next time.Time // when the next turn would be, had none been saved up
}

func newPace() *pace {
	return &pace{every: time.Second / sandboxRate, burst: sandboxBurst, now: time.Now}
}

// turn takes the next turn and tells how long it is until then.
func (p *pace) turn() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if saved := now.Add(-p.every * time.Duration(p.burst)); p.next.Before(saved) {
		p.next = saved
	}
	p.next = p.next.Add(p.every)
	return p.next.Sub(now)
}

func (p *pace) wait() {
	if d := p.turn(); d > 0 {
		time.Sleep(d)
	}
}

// handler makes requests wait for their turn: many can come over one connection.
func (p *pace) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.wait()
		next.ServeHTTP(w, r)
	})
}

// pacedListener makes connections wait for their turn, and for others to be closed.
type pacedListener struct {
	net.Listener
	pace  *pace
	slots chan struct{} // taken by each open connection
}

func newPacedListener(l net.Listener, p *pace) *pacedListener {
	return &pacedListener{Listener: l, pace: p, slots: make(chan struct{}, sandboxConnsMax)}
}

// Accept waits while all places are taken even if the listener is closed meanwhile: that comes with the end
// of the sandbox, and then all its connections end.
func (l *pacedListener) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	l.pace.wait()
	return &pacedConn{Conn: c, slots: l.slots}, nil
}

// pacedConn gives its place back when it is closed.
type pacedConn struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

func (c *pacedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.slots })
	return err
}
