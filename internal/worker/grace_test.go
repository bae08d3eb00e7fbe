package worker

import (
	"testing"
	"time"
)

func TestGraceFor(t *testing.T) {
	for _, c := range []struct{ start, want time.Duration }{
		{0, nextGraceMin}, // an environment that failed to start
		{8 * time.Millisecond, nextGraceMin},
		{nextGraceMin, nextGraceMin},
		{300 * time.Millisecond, 300 * time.Millisecond},
		{9 * time.Second, nextGraceMax},
	} {
		if got := graceFor(c.start); got != c.want {
			t.Errorf("a start of %v: waits %v, want %v", c.start, got, c.want)
		}
	}
}
