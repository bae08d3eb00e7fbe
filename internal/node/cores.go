package node

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	// coresEvery is how often the kernel is asked: it counts in hundredths of a second.
	coresEvery = 90 * time.Millisecond
	// idleShare is the part of the cores' time that must be left over for them to count as idle.
	idleShare = 0.125
)

// cores tells whether the machine's cores have nothing to do. It knows nothing of a quota that lambdad
// itself has: under one they seem idle.
type cores struct {
	mu           sync.Mutex
	at           time.Time
	spare, total uint64 // in the kernel's ticks
	last         bool
}

func newCores() *cores { return &cores{last: true} }

// idle says whether they were lately.
func (c *cores) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.at) >= coresEvery {
		content, err := os.ReadFile("/proc/stat")
		spare, all, ok := coresTime(content)
		if err != nil || !ok {
			return true
		}
		if all > c.total {
			c.last = float64(int64(spare-c.spare)) >= idleShare*float64(all-c.total) // waits for a disk may go back
		}
		c.at, c.spare, c.total = now, spare, all
	}
	return c.last
}

// coresTime reads how much time the cores had and spared (waiting for a disk counts as that) since the machine started.
func coresTime(stat []byte) (spare, all uint64, ok bool) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	var t [8]uint64 // user, nice, system, idle, iowait, irq, softirq, steal. Source: proc_stat(5)
	n, _ := fmt.Sscanf(string(line), "cpu %d %d %d %d %d %d %d %d", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7])
	for _, ticks := range t {
		all += ticks
	}
	return t[3] + t[4], all, n == len(t)
}
