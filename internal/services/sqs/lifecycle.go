package sqs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/services/sqs/flow"
	"github.com/lambdad/lambdad/internal/store"
)

// goneRecord is a deleted queue: its name rests for a while, and its messages are
// still being removed.
type goneRecord struct {
	Name    Name
	Deleted time.Time
}

// deletedRest is how long a deleted queue's name cannot be used again, and
// purgeRest how long a queue cannot be purged again (API reference, DeleteQueue
// and PurgeQueue).
const (
	deletedRest = 60 * time.Second
	purgeRest   = 60 * time.Second
)

func nameOfKey(key string) (Name, bool) {
	parts := strings.Split(strings.TrimPrefix(key, queuePrefix), "/")
	if len(parts) != 3 {
		return Name{}, false
	}
	return Name{Account: aws.AccountID(parts[0]), Region: aws.Region(parts[1]), Queue: parts[2]}, true
}

// create makes a queue; one that is there already with the same attributes is the
// answer, too.
func (s *Service) create(ctx context.Context, name Name, attributes, tags map[string]string) (*queue, error) {
	if err := s.checkAttributes(name, attributes); err != nil {
		return nil, err
	}
	if have, err := s.find(name); err == nil {
		return have, sameAttributes(have, attributes)
	}
	s.mu.RLock()
	deleted, resting := s.deleted[name]
	s.mu.RUnlock()
	if resting && s.now().Sub(deleted) < deletedRest {
		return nil, api.NewQueueDeletedRecently("You must wait 60 seconds after deleting a queue before you can create another with the same name.")
	}
	now := s.now().UTC().Truncate(time.Second)
	record := &queueRecord{ID: string(aws.NewRequestID()), Attributes: kept(attributes), Tags: tags, Created: now, Modified: now}
	_, err := s.save(ctx, name, record, store.IfAbsent())
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return nil, fmt.Errorf("create queue %s: %w", name.Queue, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.queues[name]; have != nil { // somebody else was faster
		return have, sameAttributes(have, attributes)
	}
	if err != nil {
		return nil, fmt.Errorf("create queue %s: %w", name.Queue, err)
	}
	q := newQueue(name, record)
	s.queues[name] = q
	delete(s.deleted, name)
	return q, nil
}

func (s *Service) save(ctx context.Context, name Name, r *queueRecord, condition store.Condition) (store.Revision, error) {
	value, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("encode queue: %w", err)
	}
	return s.records.Commit(ctx, store.Write{Key: recordKey(name), Value: value, If: condition})
}

func sameAttributes(q *queue, attributes map[string]string) error {
	have := allAttributes(q)
	for _, key := range sortedKeys(attributes) {
		if want := attributes[key]; want != "" && have[key] != want && !sameDocument(have[key], want) {
			return api.NewQueueNameExists("A queue already exists with the same name and a different value for attribute " + key)
		}
	}
	return nil
}

// modify changes a queue's record, one change after the other.
func (s *Service) modify(ctx context.Context, q *queue, change func(*queueRecord) error) error {
	q.change.Lock()
	defer q.change.Unlock()
	if _, err := s.find(q.name); err != nil {
		return err
	}
	next := *q.record.Load()
	if err := change(&next); err != nil {
		return err
	}
	if _, err := s.save(ctx, q.name, &next, store.IfExists()); err != nil {
		if errors.Is(err, store.ErrConflict) {
			return ErrNoQueue
		}
		return fmt.Errorf("change queue %s: %w", q.name.Queue, err)
	}
	q.use(&next)
	return nil
}

// destroy deletes a queue. Its messages are removed behind the answer.
func (s *Service) destroy(ctx context.Context, q *queue) error {
	q.change.Lock()
	defer q.change.Unlock()
	gone := goneRecord{Name: q.name, Deleted: s.now().UTC()}
	value, err := json.Marshal(gone)
	if err != nil {
		return fmt.Errorf("encode deleted queue: %w", err)
	}
	_, err = s.records.Commit(ctx,
		store.Write{Kind: store.WriteDelete, Key: recordKey(q.name), If: store.IfExists()},
		store.Write{Key: gonePrefix + q.id, Value: value})
	if errors.Is(err, store.ErrConflict) {
		return ErrNoQueue
	}
	if err != nil {
		return fmt.Errorf("delete queue %s: %w", q.name.Queue, err)
	}
	s.mu.Lock()
	delete(s.queues, q.name)
	s.deleted[q.name] = gone.Deleted
	s.mu.Unlock()
	q.mu.Lock()
	q.gone = true
	q.waiting.wakeAll()
	q.mu.Unlock()
	s.spawn(func() { s.removeAll(q.id, gone) })
	return nil
}

// removeAll removes what is on disk of a deleted queue, and then the record that
// says so, once the name may be used again.
func (s *Service) removeAll(id string, gone goneRecord) {
	for _, prefix := range []string{placePrefix(id), contentPrefix(id), deliveryPrefix(id), dedupPrefix(id)} {
		if err := s.removePrefix(s.ctx, prefix, ""); err != nil {
			if s.ctx.Err() == nil {
				s.log.Warn("a deleted queue's messages are not all removed; the next start goes on", "queue", gone.Name.ARN(), "error", err)
			}
			return
		}
	}
	select {
	case <-s.ctx.Done(): // the next start goes on
		return
	case <-time.After(max(gone.Deleted.Add(deletedRest).Sub(s.now()), 0)):
	}
	// What was being sent while the queue went has come to disk by now.
	_ = s.removePrefix(s.ctx, placePrefix(id), "")
	_ = s.removePrefix(s.ctx, contentPrefix(id), "")
	if _, err := s.records.Commit(s.ctx, store.Write{Kind: store.WriteDelete, Key: gonePrefix + id}); err != nil && s.ctx.Err() == nil {
		s.log.Warn("a deleted queue's record is not removed", "queue", gone.Name.ARN(), "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deleted[gone.Name].Equal(gone.Deleted) {
		delete(s.deleted, gone.Name)
	}
}

// removePrefix removes the records of a prefix up to last ("": all).
func (s *Service) removePrefix(ctx context.Context, prefix, last string) error {
	after := ""
	for {
		page, more, err := s.records.List(ctx, prefix, after, removePage)
		if err != nil {
			return err
		}
		var writes []store.Write
		for _, r := range page {
			after = r.Key
			if last != "" && r.Key > last {
				more = false
				break
			}
			writes = append(writes, store.Write{Kind: store.WriteDelete, Key: r.Key})
		}
		if len(writes) > 0 {
			if _, err := s.records.Commit(ctx, writes...); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

// removePage bounds a page of records to remove: contents are read with it.
const removePage = 64

// purge makes a queue empty at once, and removes its messages behind the answer.
func (s *Service) purge(ctx context.Context, q *queue) error {
	var to flow.Sequence
	err := s.modify(ctx, q, func(r *queueRecord) error {
		now := s.now()
		if now.Sub(r.PurgedAt) < purgeRest {
			return api.NewPurgeQueueInProgress("Only one PurgeQueue operation on " + q.name.Queue + " is allowed every 60 seconds.")
		}
		if err := s.lock(ctx, q); err != nil {
			return err
		}
		to = q.flow.Last()
		q.mu.Unlock()
		r.PurgedAt, r.PurgedTo = now.UTC(), to
		return nil
	})
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.flow.Purge(to)
	q.flow.ForgetAll() // what was purged is no message that another could repeat
	clear(q.stored)
	q.mu.Unlock()
	s.spawn(func() { s.removePurged(q, to) })
	return nil
}

func (s *Service) removePurged(q *queue, to flow.Sequence) {
	last := hex16(uint64(to))
	var errs error
	for prefix, end := range map[string]string{placePrefix(q.id): last, deliveryPrefix(q.id): last, contentPrefix(q.id): last + "/~"} {
		errs = errors.Join(errs, s.removePrefix(s.ctx, prefix, prefix+end))
	}
	if errs != nil && s.ctx.Err() == nil {
		s.log.Warn("purged messages are not all removed", "queue", q.name.ARN(), "error", errs)
	}
}
