package record

import (
	"testing"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
)

func TestEndSnapshot(t *testing.T) {
	ctx := t.Context()
	records := mem.New()
	defer records.Close()
	table := NewTable(records)
	id := FunctionID{"000000000000", "us-east-1", "f"}
	put := func(version string) {
		write, err := PutFunction(&Function{ID: id, Version: version, State: StatePending, SnapStart: SnapStart{ApplyOn: SnapStartVersions}}, store.Unconditional())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := table.Commit(ctx, write); err != nil {
			t.Fatal(err)
		}
	}
	get := func(version string) *Function {
		s, err := table.Get(ctx, id, version)
		if err != nil {
			t.Fatal(err)
		}
		return s.Function
	}
	put("1")
	put("2")
	put("4")
	put(Latest)
	for version, o := range map[string]SnapshotOutcome{"1": {}, "2": {ReasonCode: "FunctionError", Reason: "why"}, Latest: {}, "3": {}, "4": {Without: true}} {
		if err := table.EndSnapshot(ctx, id, version, o); err != nil {
			t.Fatalf("%s: %v", version, err)
		}
	}
	if f := get("1"); f.State != StateActive || !f.SnapStart.Optimized {
		t.Errorf("made: %+v", f)
	}
	if f := get("4"); f.State != StateActive || f.SnapStart.Optimized {
		t.Errorf("without a snapshot: %+v", f)
	}
	if f := get("2"); f.State != StateFailed || f.StateReason != "why" || f.SnapStart.Optimized {
		t.Errorf("failed: %+v", f)
	}
	if f := get(Latest); f.State != StatePending {
		t.Errorf("$LATEST is never snapshotted: %+v", f)
	}
	// What is settled stays.
	if err := table.EndSnapshot(ctx, id, "1", SnapshotOutcome{ReasonCode: "x"}); err != nil || get("1").State != StateActive {
		t.Errorf("a second outcome counts: %v", err)
	}
	// A host that started again tells whether it is there.
	for _, there := range []bool{false, true} {
		for _, version := range []string{"1", "2", "3", "4", Latest} {
			if err := table.KeepSnapshot(ctx, id, version, there); err != nil {
				t.Fatalf("%s: %v", version, err)
			}
		}
		for version, want := range map[string]bool{"1": there, "2": false, "4": there, Latest: false} {
			f := get(version)
			if f.SnapStart.Optimized != want || f.Restores() != (want || version == "2") {
				t.Errorf("%s has its snapshot: %v, want %v", version, f.SnapStart.Optimized, want)
			}
		}
		if f := get("1"); f.State != StateActive {
			t.Errorf("lost it: %+v", f)
		}
	}
}
