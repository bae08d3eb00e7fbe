package logs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/store"
)

// Event is one log event at rest.
type Event struct {
	Time     int64
	Message  string
	Ingested int64
	At       Position
}

// Bounds of a chunk: the record that holds consecutive events of one stream.
const (
	chunkBytesMax  = 256 << 10 // of messages, unless one alone is bigger
	chunkEventsMax = 4096
	// chunkSpan is how much time a chunk covers at most; a function's own cover
	// little of it, and Stream.Span tells how much.
	chunkSpan = int64(10 * time.Minute / time.Millisecond)
)

const chunkPrefix = "logs/c/"

// chunk is a decoded chunk; events are in order of time.
type chunk struct {
	first    int64
	sequence uint64
	events   []Event
}

func streamChunks(group, stream string) string { return chunkPrefix + group + "/" + stream + "/" }

func chunkKey(group, stream string, first int64, sequence uint64) string {
	return fmt.Sprintf("%s%016x-%016x", streamChunks(group, stream), first, sequence)
}

// chunkKeyBefore is less than the keys of all chunks that begin at t or later.
func chunkKeyBefore(group, stream string, t int64) string {
	return fmt.Sprintf("%s%016x", streamChunks(group, stream), max(t, 0))
}

func parseChunkKey(key string) (first int64, sequence uint64, err error) {
	digits := key[strings.LastIndexByte(key, '/')+1:]
	a, b, ok := strings.Cut(digits, "-")
	if !ok {
		return 0, 0, fmt.Errorf("chunk key %q", key)
	}
	f, errA := strconv.ParseUint(a, 16, 63)
	sequence, errB := strconv.ParseUint(b, 16, 64)
	if err := errors.Join(errA, errB); err != nil {
		return 0, 0, fmt.Errorf("chunk key %q: %w", key, err)
	}
	return int64(f), sequence, nil
}

// chunkWrites cuts events, in order of time and none before 1970, into chunks.
func (l *Logs) chunkWrites(group, stream string, events []Event, ingested int64) []store.Write {
	var writes []store.Write
	for len(events) > 0 {
		n, bytes := 0, 0
		for n < len(events) && n < chunkEventsMax && events[n].Time-events[0].Time < chunkSpan {
			if bytes += len(events[n].Message); n > 0 && bytes > chunkBytesMax {
				break
			}
			n++
		}
		writes = append(writes, store.Write{
			Kind:  store.WritePut,
			Key:   chunkKey(group, stream, events[0].Time, l.nextSequence()),
			Value: encodeChunk(events[:n], ingested),
			If:    store.IfAbsent(),
		})
		events = events[n:]
	}
	return writes
}

func encodeChunk(events []Event, ingested int64) []byte {
	size := 16
	for _, e := range events {
		size += len(e.Message) + 8
	}
	b := binary.AppendUvarint(make([]byte, 0, size), uint64(ingested))
	for _, e := range events {
		b = binary.AppendUvarint(b, uint64(e.Time-events[0].Time))
		b = binary.AppendUvarint(b, uint64(len(e.Message)))
		b = append(b, e.Message...)
	}
	return b
}

var errChunk = errors.New("logs: chunk is damaged")

func decodeChunk(r store.Record) (*chunk, error) {
	first, sequence, err := parseChunkKey(r.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errChunk, err)
	}
	c := &chunk{first: first, sequence: sequence}
	b := r.Value
	next := func() uint64 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			err = fmt.Errorf("%s: %w", r.Key, errChunk)
			return 0
		}
		b = b[size:]
		return n
	}
	ingested := next()
	for len(b) > 0 && err == nil {
		after, length := next(), next()
		if err != nil || length > uint64(len(b)) || after >= uint64(chunkSpan) {
			return nil, fmt.Errorf("%s: %w", r.Key, errChunk)
		}
		t := first + int64(after)
		c.events = append(c.events, Event{
			Time:     t,
			Message:  string(b[:length]),
			Ingested: int64(ingested),
			At:       Position{Time: t, Sequence: sequence, Index: uint32(len(c.events))},
		})
		b = b[length:]
	}
	return c, err
}
