package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/artifact"
)

// Hold keeps an image from being removed until release is called (once or more often). It promises
// nothing about whether the image is here.
func (s *Store) Hold(d artifact.Digest) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.use(d)
	sl.holds++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		sl.holds--
		s.unuse(d, sl)
	})
}

// Sweep removes images that keep does not want, and layers that none has any more. What is held,
// or was pulled or wanted a moment ago, stays.
func (s *Store) Sweep(ctx context.Context, keep func(artifact.Digest) bool) (removed int, err error) {
	entries, err := os.ReadDir(s.at("roots"))
	if err != nil {
		return 0, fmt.Errorf("images: sweep: %w", err)
	}
	var failed []error
	layers := map[artifact.Digest]bool{}
	for _, e := range entries {
		d, err := artifact.ParseDigest(e.Name())
		if err != nil {
			continue
		}
		gone := false
		if !keep(d) {
			if gone, err = s.remove(ctx, d); err != nil {
				failed = append(failed, err)
			}
		}
		if gone {
			removed++
			continue
		}
		of, err := s.read(d)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		for _, l := range of.Layers {
			layers[l] = true
		}
	}
	if len(failed) > 0 {
		return removed, errors.Join(failed...) // which layers are used is not known
	}
	return removed, s.sweepLayers(layers)
}

func (s *Store) remove(ctx context.Context, d artifact.Digest) (bool, error) {
	sl, done, err := s.change(ctx, d)
	if err != nil {
		return false, err
	}
	defer done()
	info, err := os.Stat(s.root(d))
	if err != nil || time.Since(info.ModTime()) < s.grace {
		return false, nil
	}
	work, err := os.MkdirTemp(s.at("staging"), "remove-")
	if err != nil {
		return false, fmt.Errorf("images: remove: %w", err)
	}
	defer os.RemoveAll(work)
	s.mu.Lock()
	defer s.mu.Unlock()
	if sl.holds > 0 {
		return false, nil
	}
	if err := os.Rename(s.root(d), filepath.Join(work, "old")); err != nil {
		return false, fmt.Errorf("images: remove: %w", err)
	}
	return true, nil
}

// change waits until nobody else changes d.
func (s *Store) change(ctx context.Context, d artifact.Digest) (sl *slot, done func(), err error) {
	if _, err := artifact.ParseDigest(string(d)); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	s.mu.Lock()
	sl = s.use(d)
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unuse(d, sl)
	}
	select {
	case sl.busy <- struct{}{}:
		return sl, func() { <-sl.busy; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, nil, ctx.Err()
	}
}

func (s *Store) use(d artifact.Digest) *slot {
	sl := s.slots[d]
	if sl == nil {
		sl = &slot{busy: make(chan struct{}, 1)}
		s.slots[d] = sl
	}
	sl.users++
	return sl
}

func (s *Store) unuse(d artifact.Digest, sl *slot) {
	if sl.users--; sl.users == 0 {
		delete(s.slots, d)
	}
}
