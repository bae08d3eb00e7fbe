package pebble_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/pebble"
)

// crashDirVariable makes the test binary the child that gets killed.
const crashDirVariable = "LAMBDAD_STORE_CRASH_DIR"

const (
	crashRounds  = 15
	crashWriters = 8
	crashQueue   = "q"
	groupSize    = 3 // messages of one Enqueue
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirVariable); dir != "" {
		crashChild(dir)
	}
	os.Exit(m.Run())
}

// crashChild writes until it is killed and tells what was acknowledged. Each
// line is one write call, so that the pipe holds only whole facts.
func crashChild(dir string) {
	s, err := pebble.Open(dir, pebble.Options{Log: quiet()})
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(2)
	}
	ctx := context.Background()
	say := func(format string, args ...any) { os.Stdout.WriteString(fmt.Sprintf(format+"\n", args...)) }
	die := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(2)
		}
	}
	for w := range crashWriters {
		go func() {
			n := 0
			if r, err := s.Get(ctx, fmt.Sprintf("w/%d/a", w)); err == nil {
				fmt.Sscan(string(r.Value), &n)
			}
			for {
				n++
				value := fmt.Append(nil, n)
				r, err := s.Commit(ctx,
					store.Write{Kind: store.WritePut, Key: fmt.Sprintf("w/%d/a", w), Value: value},
					store.Write{Kind: store.WritePut, Key: fmt.Sprintf("w/%d/b", w), Value: value})
				die(err)
				say("commit %d %d %d", w, n, r)
			}
		}()
	}
	for p := range 4 {
		go func() {
			for n := 0; ; n++ {
				group := make([]store.Message, groupSize)
				for i := range group {
					group[i].Body = fmt.Appendf(nil, "%d-%d-%d", p, n, i)
				}
				_, err := s.Enqueue(ctx, crashQueue, group...)
				die(err)
				say("enqueue %d-%d", p, n)
			}
		}()
	}
	for range 2 {
		go func() {
			for {
				got, err := s.Lease(ctx, crashQueue, 3, time.Minute)
				die(err)
				for i, d := range got {
					switch i {
					case 0:
						say("try %s", d.Body)
						die(s.Ack(ctx, crashQueue, d.Receipt))
						say("ack %s", d.Body)
					case 1:
						die(s.Nack(ctx, crashQueue, d.Receipt, time.Millisecond))
					} // the third stays leased
				}
			}
		}()
	}
	select {}
}

// told is what one child said before it was killed.
type told struct {
	commits  map[int]int // writer -> last n acknowledged
	revision store.Revision
	groups   []string        // acknowledged Enqueues
	tried    map[string]bool // acknowledgements begun
	acked    map[string]bool
}

func TestKill9LosesNothingAcknowledged(t *testing.T) {
	rounds := crashRounds
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	acknowledged := make(map[int]int)
	for round := range rounds {
		said := runAndKill(t, dir, time.Duration(rand.IntN(150))*time.Millisecond)
		for w, n := range said.commits {
			acknowledged[w] = n
		}
		verify(t, dir, acknowledged, said)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

// runAndKill lets a child write for a while after its first acknowledged commit.
func runAndKill(t *testing.T, dir string, life time.Duration) told {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashDirVariable+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said := told{commits: map[int]int{}, tried: map[string]bool{}, acked: map[string]bool{}}
	lines := bufio.NewReader(out)
	kill := func() { child.Process.Kill() }
	defer kill()
	for dying := false; ; {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		said.note(t, strings.Fields(line))
		if !dying && len(said.commits) > 0 {
			dying = true
			time.AfterFunc(life, kill)
		}
	}
	child.Wait() // says "killed", as it was
	if len(said.commits) == 0 {
		t.Fatal("the child ended before its first commit")
	}
	return said
}

func (s *told) note(t *testing.T, words []string) {
	switch words[0] {
	case "commit":
		var w, n int
		var r store.Revision
		fmt.Sscan(strings.Join(words[1:], " "), &w, &n, &r)
		s.commits[w] = n
		s.revision = max(s.revision, r)
	case "enqueue":
		s.groups = append(s.groups, words[1])
	case "try":
		s.tried[words[1]] = true
	case "ack":
		s.acked[words[1]] = true
	default:
		t.Fatalf("the child said %q", words)
	}
}

// verify opens what the killed child left, with a clock after all its leases.
func verify(t *testing.T, dir string, acknowledged map[int]int, said told) {
	t.Helper()
	s, err := pebble.Open(dir, pebble.Options{Log: quiet(), Now: func() time.Time { return time.Now().Add(time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	if r, err := s.Revision(ctx); err != nil || r < said.revision {
		t.Errorf("revision %d %v, acknowledged was %d", r, err, said.revision)
	}
	for w, n := range acknowledged {
		value := func(half string) (got int) {
			if r, err := s.Get(ctx, fmt.Sprintf("w/%d/%s", w, half)); err == nil {
				fmt.Sscan(string(r.Value), &got)
			}
			return got
		}
		a, b := value("a"), value("b")
		if a != b {
			t.Errorf("writer %d: half a commit, %d and %d", w, a, b)
		}
		if a < n || a > n+1 {
			t.Errorf("writer %d: %d is on disk, %d was acknowledged", w, a, n)
		}
		acknowledged[w] = a
	}
	verifyQueue(t, s, said)
}

func verifyQueue(t *testing.T, s *pebble.Store, said told) {
	t.Helper()
	ctx := t.Context()
	d, err := s.Depth(ctx, crashQueue)
	if err != nil {
		t.Fatal(err)
	}
	present := make(map[string]bool)
	for {
		got, err := s.Lease(ctx, crashQueue, 100, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			break
		}
		for _, m := range got {
			if body := string(m.Body); present[body] {
				t.Errorf("message %s is there twice", body)
			}
			present[string(m.Body)] = true
			if err := s.Ack(ctx, crashQueue, m.Receipt); err != nil {
				t.Errorf("Ack: %v", err)
			}
		}
	}
	if d.Visible != len(present) || d.Leased != 0 || d.Delayed != 0 {
		t.Errorf("depth said %+v, %d messages came", d, len(present))
	}
	for body := range said.acked {
		if present[body] {
			t.Errorf("message %s came back after its acknowledgement", body)
		}
	}
	groupOf := func(body string) string { return body[:strings.LastIndexByte(body, '-')] }
	members := make(map[string]int)
	onDisk := make(map[string]bool)
	for body := range present {
		members[groupOf(body)]++
		onDisk[groupOf(body)] = true
	}
	for body := range said.tried {
		if !present[body] {
			members[groupOf(body)]++
		}
	}
	for _, group := range said.groups {
		if members[group] != groupSize {
			t.Errorf("acknowledged group %s has %d of %d messages", group, members[group], groupSize)
		}
	}
	for group, n := range members {
		// What was leased before its Enqueue was on disk may be gone, all of it.
		if n != groupSize && onDisk[group] {
			t.Errorf("group %s has %d of %d messages: half an Enqueue", group, n, groupSize)
		}
	}
}
