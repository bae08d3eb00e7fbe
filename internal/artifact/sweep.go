package artifact

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Hold keeps a digest from being removed until release is called (once or more
// often). It promises nothing about whether the digest is there.
func (s *Store) Hold(d Digest) (release func()) {
	sl, unuse := s.use(d)
	s.mu.Lock()
	sl.holds++
	s.mu.Unlock()
	return sync.OnceFunc(func() {
		s.mu.Lock()
		sl.holds--
		s.mu.Unlock()
		unuse()
	})
}

// Remove deletes a digest's bytes and tree. It is ErrHeld while somebody holds it, and
// no error if it is not there.
func (s *Store) Remove(d Digest) error {
	_, err := s.remove(d, 0)
	return err
}

// remove leaves alone what was put less than grace ago; it looks only when no put of
// the same bytes can be under way.
func (s *Store) remove(d Digest, grace time.Duration) (removed bool, err error) {
	if !d.valid() {
		return false, fmt.Errorf("%w: %q", ErrNotFound, clip(string(d)))
	}
	done, err := s.change(context.Background(), d)
	if err != nil {
		return false, err
	}
	defer done()
	info, err := os.Stat(s.home(d))
	if errors.Is(err, os.ErrNotExist) || err == nil && grace > 0 && time.Since(info.ModTime()) < grace {
		return false, nil
	}
	work, err := os.MkdirTemp(s.staging(), "remove-")
	if err != nil {
		return false, fmt.Errorf("artifact: remove: %w", err)
	}
	defer os.RemoveAll(work)
	if err := s.takeOut(d, filepath.Join(work, "old")); err != nil {
		return false, err
	}
	if err := syncDir(s.zips()); err != nil {
		return false, fmt.Errorf("artifact: remove: %w", err)
	}
	return true, nil
}

// takeOut renames under the lock that Hold takes: whoever holds d either came
// first, or finds that it is gone.
func (s *Store) takeOut(d Digest, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sl := s.slots[d]; sl != nil && sl.holds > 0 {
		return fmt.Errorf("%w: %s", ErrHeld, d)
	}
	if err := os.Rename(s.home(d), to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("artifact: remove: %w", err)
	}
	return nil
}

// Sweep removes what keep does not want, and leaves alone what is held or was put
// so recently (Options.SweepGrace) that its record may not be written yet. An
// artifact that cannot be removed does not stop the sweep.
func (s *Store) Sweep(keep func(Digest) bool) (removed int, err error) {
	entries, err := os.ReadDir(s.zips())
	if err != nil {
		return 0, fmt.Errorf("artifact: sweep: %w", err)
	}
	var failed []error
	for _, e := range entries {
		d := Digest(e.Name())
		if !d.valid() || keep(d) {
			continue
		}
		gone, err := s.remove(d, s.grace)
		if gone {
			removed++
		}
		if err != nil && !errors.Is(err, ErrHeld) {
			failed = append(failed, err)
		}
	}
	return removed, errors.Join(failed...)
}

// Digests lists what is stored.
func (s *Store) Digests() ([]Digest, error) {
	entries, err := os.ReadDir(s.zips())
	if err != nil {
		return nil, fmt.Errorf("artifact: list: %w", err)
	}
	var all []Digest
	for _, e := range entries {
		if d := Digest(e.Name()); d.valid() {
			all = append(all, d)
		}
	}
	return all, nil
}
