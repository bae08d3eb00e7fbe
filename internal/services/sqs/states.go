package sqs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/services/sqs/flow"
	"github.com/lambdad/lambdad/internal/store"
)

// stateWriter writes behind what is known of deliveries: how often, since when, how
// long hidden. A crash can undo the last of it, so that a message is delivered again,
// as at-least-once delivery allows; nothing waits for these writes.
type stateWriter struct {
	service *Service
	bell    chan struct{}

	mu    sync.Mutex
	dirty map[stateKey]struct{}
}

type stateKey struct {
	queue    *queue
	sequence flow.Sequence
}

const (
	// stateEvery is how long deliveries are collected: a message that is deleted
	// sooner is never written.
	stateEvery = 50 * time.Millisecond
	// stateBatch bounds one commit: a check and a write for each message.
	stateBatch = 256
	// stateTries bounds how often a batch is made anew because messages were
	// deleted meanwhile; the last try is one by one.
	stateTries = 3
)

func (w *stateWriter) init(s *Service) {
	w.service, w.bell, w.dirty = s, make(chan struct{}, 1), map[stateKey]struct{}{}
}

func (w *stateWriter) note(q *queue, sequence flow.Sequence) {
	w.mu.Lock()
	w.dirty[stateKey{q, sequence}] = struct{}{}
	w.mu.Unlock()
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

func (w *stateWriter) run() {
	for {
		select {
		case <-w.service.ctx.Done():
			return
		case <-w.bell:
		}
		select {
		case <-w.service.ctx.Done():
			return
		case <-time.After(stateEvery):
		}
		if err := w.flush(w.service.ctx); err != nil && w.service.ctx.Err() == nil {
			w.service.log.Warn("deliveries not remembered", "error", err)
		}
	}
}

// flush writes what is noted.
func (w *stateWriter) flush(ctx context.Context) error {
	w.mu.Lock()
	dirty := w.dirty
	w.dirty = map[stateKey]struct{}{}
	w.mu.Unlock()
	batch := make([]stateKey, 0, stateBatch)
	for k := range dirty {
		if batch = append(batch, k); len(batch) == stateBatch {
			if err := w.write(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return w.write(ctx, batch)
}

func (w *stateWriter) write(ctx context.Context, batch []stateKey) error {
	var err error
	for range stateTries {
		if err = w.commit(ctx, batch); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	for _, k := range batch {
		if err = w.commit(ctx, []stateKey{k}); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return nil
}

// commit writes the states of messages that are still there: the check keeps a
// message that is deleted at this moment from leaving its state behind.
func (w *stateWriter) commit(ctx context.Context, batch []stateKey) error {
	var writes []store.Write
	for _, k := range batch {
		k.queue.mu.Lock()
		gone := k.queue.gone || k.queue.flow == nil
		var d delivery
		ok := false
		if !gone {
			d.receives, d.first, d.visible, ok = k.queue.flow.State(k.sequence)
		}
		k.queue.mu.Unlock()
		if !ok {
			continue
		}
		writes = append(writes,
			store.Write{Kind: store.WriteCheck, Key: placeKey(k.queue.id, k.sequence), If: store.IfExists()},
			store.Write{Key: deliveryKey(k.queue.id, k.sequence), Value: d.encode()})
	}
	if len(writes) == 0 {
		return nil
	}
	_, err := w.service.records.Commit(ctx, writes...)
	return err
}
