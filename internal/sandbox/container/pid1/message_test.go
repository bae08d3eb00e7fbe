package pid1

import (
	"reflect"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	mounts := []Mount{{Target: "/a", FD: 3}, {Target: "/b", FD: -1, Path: "/host/b", File: true, Device: true, Writable: true}}
	park := Park{
		Hostname: "h", BaseSet: true, Base: mounts[0], Dirs: []string{"/x", ""}, Mounts: mounts,
		Files: []File{{Path: "/f", Content: "a\x00b"}, {Path: "/l", Content: "/f", Link: true}}, Masked: []string{"m"}, Frozen: []string{"f"},
		RootKiB: 1, Listen: []int32{9001, 4566}, ListenUDP: []int32{53}, Rootless: true, UID: 993, GID: -1, Descriptors: 5, Processes: 6,
	}
	var gotPark Park
	if err := gotPark.decode(park.Encode()); err != nil || !reflect.DeepEqual(gotPark, park) {
		t.Errorf("%+v, %v", gotPark, err)
	}
	start := Start{
		Mounts: mounts, Layers: mounts[:1], TmpMiB: 512, TmpInodes: 5, Filter: []byte{1, 2, 3},
		Argv: []string{"/p", ""}, Env: []string{"A=1"}, Dir: "/d",
	}
	var gotStart Start
	if err := gotStart.decode(start.Encode()); err != nil || !reflect.DeepEqual(gotStart, start) {
		t.Errorf("%+v, %v", gotStart, err)
	}
	spawn := Spawn{Users: []IDMap{{0, 1879048192}, {993, 1879048193}}, Groups: []IDMap{{990, 7}}, Rootless: true}
	var gotSpawn Spawn
	if err := gotSpawn.decode(spawn.Encode()); err != nil || !reflect.DeepEqual(gotSpawn, spawn) {
		t.Errorf("%+v, %v", gotSpawn, err)
	}
	var order Order
	if err := order.decode(Order{Signal: 19}.Encode()); err != nil || order.Signal != 19 {
		t.Errorf("%+v, %v", order, err)
	}
	reply := Reply{Kind: ReplyFailed, Code: 2, Signal: 9, MemoryKiB: 5, Text: "why"}
	if got, err := DecodeReply(reply.Encode()); err != nil || got != reply {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCutShort(t *testing.T) {
	whole := Start{Argv: []string{"/p"}, Env: []string{"A=1"}, Mounts: []Mount{{Target: "/x"}}}.Encode()
	for n := range whole {
		var s Start
		if err := s.decode(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes were enough", n, len(whole))
		}
	}
}

// FuzzReply: what comes out of a sandbox may be anything.
func FuzzReply(f *testing.F) {
	f.Add(Reply{Kind: ReplyParked}.Encode())
	f.Add(Reply{Kind: ReplyFailed, Text: "x", Code: 1}.Encode())
	f.Add([]byte{'F', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := DecodeReply(p)
		if err == nil && len(r.Text) > len(p) {
			t.Errorf("%d bytes of text from %d", len(r.Text), len(p))
		}
	})
}

// FuzzRequests: the other direction, for the lists' sake.
func FuzzRequests(f *testing.F) {
	f.Add(Park{Dirs: []string{"/x"}}.Encode())
	f.Add(Start{Argv: []string{"/x"}}.Encode())
	f.Add(Spawn{Users: []IDMap{{0, 1}}}.Encode())
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, m := range []message{&Park{}, &Start{}, &Spawn{}, &Order{}} {
			if err := m.decode(p); err != nil {
				continue
			}
		}
	})
}
