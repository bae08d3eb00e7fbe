package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/lambdad/lambdad/internal/store"
)

// The first byte of a key tells what it holds.
const (
	spaceRecord  = 'r' // r KEY -> revision, value
	spaceLog     = 'l' // l REVISION -> changes
	spaceMessage = 'm' // m QUEUE SEQUENCE -> id, enqueued, body
	spaceDue     = 'd' // d QUEUE DUE SEQUENCE -> attempts
	spaceLease   = 'x' // x QUEUE SEQUENCE -> attempts, expiry, receipt
)

var errCorrupt = errors.New("store: stored bytes make no sense")

func recordKey(key string) []byte {
	b := make([]byte, 0, 1+len(key))
	b = append(b, spaceRecord)
	return append(b, key...)
}

// keyAfter is the least key greater than all that begin with prefix, nil if there is none.
func keyAfter(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte{}, prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// decodeRecord copies the value.
func decodeRecord(key string, v []byte) (store.Record, error) {
	if len(v) < 8 {
		return store.Record{}, fmt.Errorf("record %q: %w", key, errCorrupt)
	}
	return store.Record{
		Key:      key,
		Revision: store.Revision(binary.BigEndian.Uint64(v)),
		Value:    append([]byte{}, v[8:]...),
	}, nil
}

func logKey(r store.Revision) []byte {
	return binary.BigEndian.AppendUint64([]byte{spaceLog}, uint64(r))
}

func logRevision(key []byte) (store.Revision, error) {
	if len(key) != 9 || key[0] != spaceLog {
		return 0, fmt.Errorf("log key %x: %w", key, errCorrupt)
	}
	return store.Revision(binary.BigEndian.Uint64(key[1:])), nil
}

func appendChange(b []byte, kind store.WriteKind, key string, value []byte) []byte {
	b = append(b, byte(kind))
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

// decodeChanges copies keys and values out of a log entry.
func decodeChanges(r store.Revision, v []byte) ([]store.Change, error) {
	var changes []store.Change
	for len(v) > 0 {
		c := store.Change{Kind: store.WriteKind(v[0]), Record: store.Record{Revision: r}}
		key, rest, ok := cutBytes(v[1:])
		if !ok {
			return nil, fmt.Errorf("log entry %d: %w", r, errCorrupt)
		}
		value, rest, ok := cutBytes(rest)
		if !ok {
			return nil, fmt.Errorf("log entry %d: %w", r, errCorrupt)
		}
		c.Record.Key = string(key)
		if c.Kind == store.WritePut {
			c.Record.Value = append([]byte{}, value...)
		}
		changes = append(changes, c)
		v = rest
	}
	return changes, nil
}

// cutBytes reads one length-prefixed string.
func cutBytes(v []byte) (head, rest []byte, ok bool) {
	n, size := binary.Uvarint(v)
	if size <= 0 || n > uint64(len(v)-size) {
		return nil, nil, false
	}
	v = v[size:]
	return v[:n], v[n:], true
}

// queuePrefix is a space's keys of one queue; the length keeps "a" apart from "aa".
func queuePrefix(space byte, queue string) []byte {
	b := make([]byte, 0, 3+len(queue)+16)
	b = append(b, space)
	b = binary.BigEndian.AppendUint16(b, uint16(len(queue)))
	return append(b, queue...)
}

func appendUint64(b []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(b, n) }
