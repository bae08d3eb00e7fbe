package pebble_test

import (
	"errors"
	"log/slog"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/pebble"
	"github.com/lambdad/lambdad/internal/store/storetest"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestSuite(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	type place struct {
		dir     string
		options pebble.Options
	}
	var mu sync.Mutex
	places := make(map[store.Store]place)
	open := func(t *testing.T, p place) store.Store {
		s, err := pebble.Open(p.dir, p.options)
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		places[s] = p
		t.Cleanup(func() {
			if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
				t.Errorf("Close: %v", err)
			}
		})
		return s
	}
	storetest.Run(t, storetest.Subject{
		Open: func(t *testing.T, clock *storetest.Clock) store.Store {
			return open(t, place{t.TempDir(), pebble.Options{Now: clock.Now, Log: quiet()}})
		},
		OpenShortLog: func(t *testing.T, clock *storetest.Clock) store.Store {
			return open(t, place{t.TempDir(), pebble.Options{Now: clock.Now, Log: quiet(), LogCommitsMax: 8}})
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			p := places[s]
			mu.Unlock()
			return open(t, p)
		},
	})
}

func TestFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	s, err := pebble.Open(dir, pebble.Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := pebble.Open(dir, pebble.Options{Log: quiet()}); !errors.Is(err, pebble.ErrInUse) {
		t.Errorf("second Open: %v, want ErrInUse", err)
	}
}
