package pebble

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// queue is what memory keeps of one queue: its leases, and where its live
// entries begin, so that scans do not walk over what was deleted before them.
// Waiting messages are only on disk.
type queue struct {
	name string

	mu     sync.Mutex
	loaded bool
	last   uint64 // sequence of the newest message
	oldest uint64 // no message has a lesser sequence
	first  uint64 // no waiting message is due before this instant
	leases leaseTable
	// waiting is how many messages are not leased, once somebody asked for
	// the depth; -1 before.
	waiting int
}

// lease is one leased message.
type lease struct {
	sequence uint64
	attempts uint64
	expiry   time.Time
	receipt  string
	index    int // in leaseTable.byExpiry
}

// leaseTable finds leases by sequence and by expiry.
type leaseTable struct {
	bySequence map[uint64]*lease
	byExpiry   []*lease
}

func (t *leaseTable) add(l *lease) {
	t.bySequence[l.sequence] = l
	heap.Push(t, l)
}

func (t *leaseTable) remove(l *lease) {
	delete(t.bySequence, l.sequence)
	heap.Remove(t, l.index)
}

func (t *leaseTable) Len() int           { return len(t.byExpiry) }
func (t *leaseTable) Less(i, j int) bool { return t.byExpiry[i].expiry.Before(t.byExpiry[j].expiry) }
func (t *leaseTable) Swap(i, j int) {
	t.byExpiry[i], t.byExpiry[j] = t.byExpiry[j], t.byExpiry[i]
	t.byExpiry[i].index, t.byExpiry[j].index = i, j
}

func (t *leaseTable) Push(x any) {
	l := x.(*lease)
	l.index = len(t.byExpiry)
	t.byExpiry = append(t.byExpiry, l)
}

func (t *leaseTable) Pop() any {
	last := len(t.byExpiry) - 1
	l := t.byExpiry[last]
	t.byExpiry[last] = nil
	t.byExpiry = t.byExpiry[:last]
	return l
}

// lockQueue returns the queue, locked and loaded.
func (s *Store) lockQueue(name string) (*queue, error) {
	s.queuesMu.Lock()
	q := s.queues[name]
	if q == nil {
		q = &queue{name: name, waiting: -1, leases: leaseTable{bySequence: make(map[uint64]*lease)}}
		s.queues[name] = q
	}
	s.queuesMu.Unlock()
	q.mu.Lock()
	if q.loaded {
		return q, nil
	}
	if err := s.load(q); err != nil {
		q.mu.Unlock()
		return nil, fmt.Errorf("queue %q: %w", name, err)
	}
	q.loaded = true
	return q, nil
}

// load reads the leases and the newest sequence.
func (s *Store) load(q *queue) error {
	err := s.scan(q, spaceLease, nil, func(it *pebble.Iterator, rest []byte) (bool, error) {
		v, err := it.ValueAndErr()
		if err != nil {
			return false, err
		}
		l, err := decodeLease(rest, v)
		if err == nil && q.leases.bySequence[l.sequence] == nil {
			q.leases.add(l)
		}
		return true, err
	})
	if err != nil {
		return err
	}
	prefix := queuePrefix(spaceMessage, q.name)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: keyAfter(prefix)})
	if err != nil {
		return err
	}
	if it.Last() {
		q.last = binary.BigEndian.Uint64(it.Key()[len(prefix):])
	}
	return errors.Join(it.Error(), it.Close())
}

// scan calls each for the queue's keys of a space from the one that begins with
// start, with what follows the queue's name, until it returns false.
func (s *Store) scan(q *queue, space byte, start []byte, each func(it *pebble.Iterator, rest []byte) (bool, error)) error {
	prefix := queuePrefix(space, q.name)
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: append(prefix[:len(prefix):len(prefix)], start...),
		UpperBound: keyAfter(prefix),
	})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		more, err := each(it, it.Key()[len(prefix):])
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if !more {
			break
		}
	}
	return errors.Join(it.Error(), it.Close())
}

func (q *queue) messageKey(sequence uint64) []byte {
	return appendUint64(queuePrefix(spaceMessage, q.name), sequence)
}

func (q *queue) leaseKey(sequence uint64) []byte {
	return appendUint64(queuePrefix(spaceLease, q.name), sequence)
}

func (q *queue) dueKey(due, sequence uint64) []byte {
	return appendUint64(appendUint64(queuePrefix(spaceDue, q.name), due), sequence)
}

// instant makes times sort as keys; nothing is due before 1970.
func instant(t time.Time) uint64 { return uint64(max(t.UnixNano(), 0)) }

func fromInstant(n uint64) time.Time { return time.Unix(0, int64(n)).UTC() }

type message struct {
	id       string
	enqueued time.Time
	body     []byte
}

func (m message) encode() []byte {
	b := make([]byte, 0, 8+2+len(m.id)+len(m.body))
	b = appendUint64(b, instant(m.enqueued))
	b = binary.AppendUvarint(b, uint64(len(m.id)))
	b = append(b, m.id...)
	return append(b, m.body...)
}

// decodeMessage copies what it returns.
func decodeMessage(v []byte) (message, error) {
	if len(v) < 8 {
		return message{}, fmt.Errorf("message: %w", errCorrupt)
	}
	id, body, ok := cutBytes(v[8:])
	if !ok {
		return message{}, fmt.Errorf("message: %w", errCorrupt)
	}
	return message{
		id:       string(id),
		enqueued: fromInstant(binary.BigEndian.Uint64(v)),
		body:     append([]byte{}, body...),
	}, nil
}

func (l *lease) encode() []byte {
	b := appendUint64(nil, l.attempts)
	b = appendUint64(b, instant(l.expiry))
	return append(b, l.receipt...)
}

func decodeLease(key, v []byte) (*lease, error) {
	if len(key) != 8 || len(v) < 16 {
		return nil, fmt.Errorf("lease: %w", errCorrupt)
	}
	return &lease{
		sequence: binary.BigEndian.Uint64(key),
		attempts: binary.BigEndian.Uint64(v),
		expiry:   fromInstant(binary.BigEndian.Uint64(v[8:])),
		receipt:  string(v[16:]),
	}, nil
}

// A receipt is its message's sequence in 16 hex digits and a secret.
const receiptSequenceDigits = 16

func makeReceipt(sequence uint64, secret string) string {
	return fmt.Sprintf("%016x", sequence) + secret
}

func receiptSequence(receipt string) (uint64, bool) {
	if len(receipt) <= receiptSequenceDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(receipt[:receiptSequenceDigits], 16, 64)
	return n, err == nil
}
