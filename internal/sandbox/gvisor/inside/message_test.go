package inside

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"testing"
)

func TestMessages(t *testing.T) {
	want := Request{Start: &Start{Binds: []Bind{{Name: "0", Target: "/var/task"}, {Name: "1", Target: "/tmp", Writable: true}},
		Last: true, Argv: []string{"/a", ""}, Env: []string{"A=ü\n"}, Dir: "/"}}
	var wire bytes.Buffer
	if err := errors.Join(Write(&wire, want), Write(&wire, Request{Signal: 15})); err != nil {
		t.Fatal(err)
	}
	var got, signal Request
	if err := errors.Join(Read(&wire, &got), Read(&wire, &signal)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) || signal.Signal != 15 || wire.Len() != 0 {
		t.Errorf("got %+v, %+v, %d bytes left", got, signal, wire.Len())
	}
	if err := Write(io.Discard, Request{Start: &Start{Env: []string{string(make([]byte, MessageMax))}}}); !errors.Is(err, errTooLong) {
		t.Errorf("too much: %v", err)
	}
	if err := Read(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff}), &got); !errors.Is(err, errTooLong) {
		t.Errorf("too long: %v", err)
	}
}

// FuzzRead: what a sandbox sends is not trusted.
func FuzzRead(f *testing.F) {
	for _, content := range []string{`{"Parked":true}`, `{"Exited":{"Code":1}}`, `{"Failed":{"Text":"x","Errno":2}}`, `null`, `[]`, ``} {
		f.Add(append(binary.BigEndian.AppendUint32(nil, uint32(len(content))), content...))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var r Reply
		if err := Read(bytes.NewReader(wire), &r); err != nil {
			return
		}
		var again Reply
		var buffer bytes.Buffer
		if err := errors.Join(Write(&buffer, r), Read(&buffer, &again)); err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}
