package container

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// TestGarbage: process 1 refuses every message that is cut short, and tells so; it
// does not end without a word, as one that read beyond the message would.
func TestGarbage(t *testing.T) {
	d, err := New(Options{StateDir: t.TempDir(), Init: sandboxtest.Build(t, sandboxtest.InitPackage)})
	if err != nil {
		t.Skipf("no sandboxes here: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	// tell makes a process 1, sends it the messages and returns the kind of the last reply.
	tell := func(messages ...[]byte) byte {
		t.Helper()
		b := &box{driver: d, root: slotRoot(d.firstSlot)}
		b.Life = isolate.NewLife("container", "garbage", &b.mu)
		conn, theirs, err := controlPair()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		p, err := d.spawner.run(b.birth(), theirs, nil, nil)
		if err := theirs.Close(); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.kill(); err != nil {
				t.Error(err)
			}
			if err := p.wait(); err != nil {
				t.Error(err)
			}
		}()
		if err := conn.SetDeadline(time.Now().Add(parkMax)); err != nil {
			t.Fatal(err)
		}
		b.control = conn
		var kind byte
		for _, m := range messages {
			if err := b.send(m, []int{int(null.Fd())}); err != nil {
				t.Fatal(err)
			}
			buffer, oob := make([]byte, 4096), make([]byte, 256)
			n, oobn, _, _, err := conn.ReadMsgUnix(buffer, oob)
			if err != nil || n == 0 {
				t.Fatalf("no answer to %d bytes %.40q: %v", len(m), m, err)
			}
			r, err := decodeReply(buffer[:n], oob[:oobn])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := takeSockets(r.fds, 0, 0); err != nil && len(r.fds) == 0 {
				t.Error(err)
			}
			kind = r.Kind
		}
		return kind
	}
	park := pid1.Park{Hostname: "h", RootKiB: 64, UID: isolate.ProgramUID, GID: isolate.ProgramGID, Descriptors: 64, Processes: 64,
		Dirs: []string{"/proc", "/dev", "/tmp"}, Files: []pid1.File{{Path: "/etc/f", Content: "x"}, {Path: "/etc/l", Content: "f", Link: true}},
		Masked: []string{"/proc/none"}, Frozen: []string{"/proc/none"}, Listen: []int32{9001}}.Encode()
	if kind := tell(park); kind != pid1.ReplyParked {
		t.Fatalf("the whole message: %q", kind)
	}
	for n := 1; n < len(park); n += 3 {
		if kind := tell(park[:n]); kind != pid1.ReplyFailed {
			t.Errorf("%d of %d bytes: %q", n, len(park), kind)
		}
	}
	start := pid1.Start{Filter: d.filter, Argv: []string{"/absent"}, Env: []string{"A=1"}, Dir: "/"}.Encode()
	if kind := tell(park, pid1.Start{Filter: d.filter}.Encode()); kind != pid1.ReplyStarted {
		t.Fatalf("a start of nothing: %q", kind)
	}
	for n := 1; n < len(start); n += 1 + len(start)/40 {
		if kind := tell(park, start[:n]); kind != pid1.ReplyFailed {
			t.Errorf("start, %d of %d bytes: %q", n, len(start), kind)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 { // whatever it makes of them, it lives to tell
		changed := append([]byte(nil), park...)
		for range 3 {
			changed[1+random.IntN(len(changed)-1)] = byte(random.Uint32())
		}
		tell(changed)
	}
	for _, m := range [][]byte{{'?'}, start, pid1.Order{Signal: 1}.Encode()} {
		if kind := tell(m); kind != pid1.ReplyFailed {
			t.Errorf("%.20q before Park: %q", m, kind)
		}
	}
	if _, err := d.Park(context.Background(), sandbox.ParkSpec{ID: "after"}); err != nil {
		t.Error(err)
	}
}
