package record

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/lambdad/lambdad/internal/store"
)

// Table reads and writes function records in a store. Its reads are the
// store's own, so a writer sees what it wrote; the invoke path reads Functions
// instead, which is in memory.
type Table struct {
	records store.Records
}

// NewTable makes a table over a store.
func NewTable(records store.Records) *Table { return &Table{records: records} }

// Stored is a function with the revision that a conditional write demands.
type Stored struct {
	*Function
	Revision store.Revision
}

// Get returns one version, or store.ErrNotFound.
func (t *Table) Get(ctx context.Context, id FunctionID, version string) (Stored, error) {
	if !ValidVersion(version) {
		return Stored{}, fmt.Errorf("version %q of %s: %w", version, id.ARN(), store.ErrNotFound)
	}
	r, err := t.records.Get(ctx, FunctionKey(id, version))
	if err != nil {
		return Stored{}, fmt.Errorf("get %s: %w", id.QualifiedARN(version), err)
	}
	return decodeStored(r)
}

// ListLatest pages through the functions of an account in a region in the order of
// their names, from after the given name.
func (t *Table) ListLatest(ctx context.Context, scope Scope, after string, limit int) ([]Stored, bool, error) {
	prefix := latestOf(scope.Account, scope.Region)
	if after != "" {
		after = prefix + after
	}
	return t.list(ctx, prefix, after, limit)
}

// ListVersions pages through the published versions of a function in the order
// of their numbers, from after the given number ("" is the beginning).
func (t *Table) ListVersions(ctx context.Context, id FunctionID, after string, limit int) ([]Stored, bool, error) {
	prefix := versionsPrefix(id)
	if after != "" {
		if !IsVersionNumber(after) {
			return nil, false, fmt.Errorf("version %q: %w", after, ErrBadKey)
		}
		after = FunctionKey(id, after)
	}
	return t.list(ctx, prefix, after, limit)
}

// ListAllVersions pages through the published versions of all functions of an account in
// a region, from after the given key (that of the last one seen; "" is the beginning).
func (t *Table) ListAllVersions(ctx context.Context, scope Scope, after string, limit int) ([]Stored, bool, error) {
	return t.list(ctx, versionsOf(scope.Account, scope.Region), after, limit)
}

// Unsettled calls f for every record of the store that is Pending or has an update in
// progress.
func (t *Table) Unsettled(ctx context.Context, f func(Stored)) error {
	after := ""
	for {
		page, more, err := t.list(ctx, FunctionPrefix, after, store.ListLimitMax)
		if err != nil {
			return err
		}
		for _, s := range page {
			if s.State == StatePending || s.Update == UpdateInProgress {
				f(s)
			}
			after = FunctionKey(s.ID, s.Version)
		}
		if !more || len(page) == 0 {
			return nil
		}
	}
}

func (t *Table) list(ctx context.Context, prefix, after string, limit int) ([]Stored, bool, error) {
	page, more, err := t.records.List(ctx, prefix, after, limit)
	if err != nil {
		return nil, false, fmt.Errorf("list %s: %w", prefix, err)
	}
	out := make([]Stored, 0, len(page))
	for _, r := range page {
		s, err := decodeStored(r)
		if err != nil {
			return nil, false, err
		}
		out = append(out, s)
	}
	return out, more, nil
}

func decodeStored(r store.Record) (Stored, error) {
	f, err := DecodeFunction(r.Value)
	if err != nil {
		return Stored{}, fmt.Errorf("record %s: %w", r.Key, err)
	}
	return Stored{f, r.Revision}, nil
}

// Commit applies writes made by PutFunction, DeleteFunction and their like in
// one step: store.ErrConflict if any condition does not hold.
func (t *Table) Commit(ctx context.Context, writes ...store.Write) (store.Revision, error) {
	rev, err := t.records.Commit(ctx, writes...)
	if err != nil {
		return 0, fmt.Errorf("commit functions: %w", err)
	}
	return rev, nil
}

// PutFunction is the write that stores f under a condition.
func PutFunction(f *Function, cond store.Condition) (store.Write, error) {
	if f.ID.Name == "" || strings.Contains(f.ID.Name, "/") || !ValidVersion(f.Version) {
		return store.Write{}, fmt.Errorf("put %q version %q: %w", f.ID.Name, f.Version, ErrBadKey)
	}
	b, err := EncodeFunction(f)
	if err != nil {
		return store.Write{}, err
	}
	return store.Write{Kind: store.WritePut, Key: FunctionKey(f.ID, f.Version), Value: b, If: cond}, nil
}

// DropFunction is the write that removes one version under a condition.
func DropFunction(id FunctionID, version string, cond store.Condition) store.Write {
	return store.Write{Kind: store.WriteDelete, Key: FunctionKey(id, version), If: cond}
}

// Retired is what outlives a deleted function: its last version number,
// because version numbers are never reused, even when a function is made again.
type Retired struct {
	LastVersion uint64
}

// Retire is the write that remembers a deleted function's last version number.
func Retire(id FunctionID, lastVersion uint64) store.Write {
	return store.Write{Kind: store.WritePut, Key: retiredKey(id), Value: fmt.Appendf(nil, "%d", lastVersion)}
}

// GetRetired tells the last version number of an earlier function of the same
// name; zero if there was none.
func (t *Table) GetRetired(ctx context.Context, id FunctionID) (Retired, error) {
	r, err := t.records.Get(ctx, retiredKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return Retired{}, nil
	}
	if err != nil {
		return Retired{}, fmt.Errorf("get retired %s: %w", id.ARN(), err)
	}
	var out Retired
	if _, err := fmt.Sscanf(string(r.Value), "%d", &out.LastVersion); err != nil {
		return Retired{}, fmt.Errorf("record %s: %w: %w", r.Key, ErrForm, err)
	}
	return out, nil
}

// ScopeOf is the scope that an id lies in.
func ScopeOf(id FunctionID) Scope { return Scope{Account: id.Account, Region: id.Region} }
