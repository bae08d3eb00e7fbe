package record

import (
	"context"
	"errors"
	"fmt"

	"github.com/lambdad/lambdad/internal/store"
)

// snapshotAttemptsMax bounds how often the outcome of a snapshot is written again after
// another writer came first.
const snapshotAttemptsMax = 16

// SnapshotOutcome is what came of making a version's snapshot: the zero value is success.
type SnapshotOutcome struct {
	// Without: INIT went well, but this host can make no snapshot of it. The version is Active,
	// its OptimizationStatus stays Off, and its environments start on demand.
	Without bool
	// ReasonCode and Reason say why there is none, in the words of StateReasonCode and
	// StateReason, e.g. "FunctionError.InitTimeout".
	ReasonCode string
	Reason     string
}

// EndSnapshot writes down what came of a version's snapshot: the version becomes Active, or
// Failed. A version that is gone, or is not waiting for one any more, stays as it is. Besides
// KeepSnapshot it is the only write that the invoke path makes to a function's record.
func (t *Table) EndSnapshot(ctx context.Context, id FunctionID, version string, o SnapshotOutcome) error {
	return t.settleSnapshot(ctx, id, version, func(f *Function) bool {
		if !f.AwaitsSnapshot() {
			return false
		}
		if o.ReasonCode == "" {
			f.SnapStart.Optimized = !o.Without
			f.State, f.StateReason, f.StateReasonCode = StateActive, "", ""
			f.Update, f.UpdateReason, f.UpdateReasonCode = UpdateSuccessful, "", ""
		} else {
			f.State, f.StateReason, f.StateReasonCode = StateFailed, o.Reason, o.ReasonCode
			f.Update, f.UpdateReason, f.UpdateReasonCode = UpdateFailed, o.Reason, o.ReasonCode
		}
		return true
	})
}

// KeepSnapshot writes down whether an Active version still has its snapshot, which a host keeps
// only as long as it runs. The version stays Active: without one its environments start on demand.
func (t *Table) KeepSnapshot(ctx context.Context, id FunctionID, version string, there bool) error {
	return t.settleSnapshot(ctx, id, version, func(f *Function) bool {
		if !f.Snapshotted() || f.State != StateActive || f.SnapStart.Optimized == there {
			return false
		}
		f.SnapStart.Optimized = there
		return true
	})
}

// settleSnapshot writes a version as change leaves it; false: as it was.
func (t *Table) settleSnapshot(ctx context.Context, id FunctionID, version string, change func(*Function) bool) error {
	for range snapshotAttemptsMax {
		stored, err := t.Get(ctx, id, version)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		f := stored.Clone()
		if !change(f) {
			return nil
		}
		write, err := PutFunction(f, store.IfRevision(stored.Revision))
		if err != nil {
			return err
		}
		if _, err = t.Commit(ctx, write); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("settle the snapshot of %s: %d attempts lost to other writers", id.QualifiedARN(version), snapshotAttemptsMax)
}
