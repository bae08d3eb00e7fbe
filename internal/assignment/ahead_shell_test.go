package assignment_test

import (
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/assignment"
	"github.com/lambdad/lambdad/internal/worker/workertest"
)

// TestStartsAheadThroughTheHost: an expected arrival finds an environment that no invoke asked for.
func TestStartsAheadThroughTheHost(t *testing.T) {
	n := newNode(t, echo, assignment.Options{})
	fn := workertest.Function("f")
	if _, err := n.invoke(fn, "1"); err != nil {
		t.Fatal(err)
	}
	n.Foresee(fn, time.Minute)
	eventually(t, func() bool { _, _, started, _, _ := n.driver.Counts(); return started == 2 && n.Stats().Idle == 1 })
	if _, err := n.invoke(fn, "2"); err != nil {
		t.Fatal(err)
	}
	n.wantStarted(t, 2)
}

// TestStartsNothingAheadOfOthers: memory that others hold idle is not taken from them.
func TestStartsNothingAheadOfOthers(t *testing.T) {
	f, g := workertest.Function("f"), workertest.Function("g")
	n := newNode(t, echo, assignment.Options{MemoryMiB: f.MemoryMiB})
	if _, err := n.invoke(f, "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.invoke(g, "1"); err != nil { // f's environment makes room
		t.Fatal(err)
	}
	n.Foresee(f, 700*time.Millisecond)
	eventually(t, func() bool { return !n.Foresees(f) })
	if _, err := n.invoke(g, "2"); err != nil {
		t.Fatal(err)
	}
	n.wantStarted(t, 2)
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never happened")
		}
	}
}
