package record

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
)

func putProvisioned(t *testing.T, table *Table, p *Provisioned) {
	t.Helper()
	write, err := PutProvisioned(p, store.Unconditional())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Commit(t.Context(), write); err != nil {
		t.Fatal(err)
	}
}

func TestProvisionedRecords(t *testing.T) {
	ctx := t.Context()
	records := mem.New()
	defer records.Close()
	table := NewTable(records)
	id := FunctionID{"000000000000", "us-east-1", "f"}
	want := Provisioned{id, "2", 5, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 7, ProvisionedStatus{ProvisionedInProgress, "", 0}, "live"}
	putProvisioned(t, table, &want)
	ten := want
	ten.Version = "10"
	putProvisioned(t, table, &ten)

	if got, err := table.GetProvisioned(ctx, id, "2"); err != nil || *got.Provisioned != want {
		t.Errorf("got %+v, %v", got.Provisioned, err)
	}
	page, more, err := table.ListProvisioned(ctx, id, "2", 10)
	if err != nil || more || len(page) != 1 || page[0].Version != "10" {
		t.Errorf("after version 2: %v %v %v", page, more, err)
	}
	ready := ProvisionedStatus{ProvisionedReady, "", 5}
	if err := table.ReportProvisioned(ctx, id, "2", 6, ready); err != nil {
		t.Error(err)
	}
	if got, _ := table.GetProvisioned(ctx, id, "2"); got.Status == ready {
		t.Error("the status of a replaced configuration counts")
	}
	if err := table.ReportProvisioned(ctx, id, "2", 7, ready); err != nil {
		t.Error(err)
	}
	if got, _ := table.GetProvisioned(ctx, id, "2"); got.Status != ready || got.Requested != 5 {
		t.Errorf("reported: %+v", got.Provisioned)
	}
	if _, err := table.Commit(ctx, DropProvisioned(id, "2"), DropProvisioned(id, "3")); err != nil {
		t.Error(err)
	}
	if _, err := table.GetProvisioned(ctx, id, "2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("dropped: %v", err)
	}
	if err := table.ReportProvisioned(ctx, id, "2", 7, ready); err != nil {
		t.Errorf("report of what is gone: %v", err)
	}
}

func TestWatchProvisioned(t *testing.T) {
	records := mem.New()
	defer records.Close()
	table := NewTable(records)
	id := FunctionID{"000000000000", "us-east-1", "f"}
	putProvisioned(t, table, &Provisioned{ID: id, Version: "1", Requested: 1})
	ctx, cancel := context.WithCancel(t.Context())
	type told struct {
		version   string
		requested int // -1: removed
	}
	seen := make(chan told, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- WatchProvisioned(ctx, records, func(_ FunctionID, version string, p *Provisioned) {
			if p == nil {
				seen <- told{version, -1}
				return
			}
			seen <- told{version, p.Requested}
		})
	}()
	expect := func(want told) {
		t.Helper()
		select {
		case got := <-seen:
			if got != want {
				t.Errorf("told %v, want %v", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("not told of %v", want)
		}
	}
	expect(told{"1", 1})
	putProvisioned(t, table, &Provisioned{ID: id, Version: "10", Requested: 3})
	expect(told{"10", 3})
	if _, err := table.Commit(ctx, DropProvisioned(id, "1")); err != nil {
		t.Fatal(err)
	}
	expect(told{"1", -1})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzDecodeProvisioned(f *testing.F) {
	f.Add([]byte(`{"f":1,"n":"x","ver":"1","req":3}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if p, err := DecodeProvisioned(b); err == nil {
			_, _ = encodeProvisioned(p) // a year that cannot be written is an error, never a panic
		}
	})
}
