package pebble

import (
	"bytes"
	"testing"

	"github.com/lambdad/lambdad/internal/store"
)

func FuzzDecodeChanges(f *testing.F) {
	f.Add(appendChange(appendChange(nil, store.WritePut, "key", []byte("value")), store.WriteDelete, "gone", nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		changes, err := decodeChanges(7, b)
		if err != nil {
			return
		}
		var again []byte
		for _, c := range changes {
			if c.Kind == store.WritePut {
				again = appendChange(again, c.Kind, c.Record.Key, c.Record.Value)
			}
		}
		if len(again) > len(b) {
			t.Fatalf("%d bytes hold changes of %d", len(b), len(again))
		}
	})
}

func FuzzDecodeQueue(f *testing.F) {
	f.Add([]byte("12345678"), message{id: "id", body: []byte("body")}.encode())
	f.Add([]byte("12345678"), (&lease{attempts: 3, receipt: "receipt"}).encode())
	f.Fuzz(func(t *testing.T, key, v []byte) {
		if m, err := decodeMessage(v); err == nil && len(m.id)+len(m.body) > len(v) {
			t.Fatal("a message bigger than its bytes")
		}
		if l, err := decodeLease(key, v); err == nil && !bytes.Equal(v[16:], []byte(l.receipt)) {
			t.Fatal("another receipt")
		}
		if sequence, ok := receiptSequence(string(v)); ok && len(v) <= receiptSequenceDigits {
			t.Fatalf("receipt %q of %d", v, sequence)
		}
	})
}
