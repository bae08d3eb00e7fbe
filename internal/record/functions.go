package record

import (
	"context"
	"log/slog"

	"github.com/lambdad/lambdad/internal/store"
)

// Change is one version that was made, changed or removed. Before is nil for a
// new one, After is nil for a removed one. Both must not be changed.
type Change struct {
	ID            FunctionID
	Version       string
	Before, After *Function
}

// Affects reports whether environments made before the change no longer serve:
// the version is gone, or its code or configuration is another.
func (c Change) Affects() bool {
	return c.Before != nil && (c.After == nil || c.After.Generation != c.Before.Generation)
}

// Functions is the view of all function records that the invoke path reads.
type Functions struct {
	view *View[versionKey, Function]
}

type versionKey struct {
	id      FunctionID
	version string
}

// NewFunctions makes an empty view. Run fills it and keeps it.
func NewFunctions(records store.Records, log *slog.Logger) *Functions {
	keyOf := func(k versionKey) string {
		if !ValidVersion(k.version) {
			return ""
		}
		return FunctionKey(k.id, k.version)
	}
	parse := func(key string) (versionKey, error) {
		id, version, err := parseFunctionKey(key)
		return versionKey{id, version}, err
	}
	return &Functions{newView("functions", FunctionPrefix, records, log, keyOf, parse, DecodeFunction)}
}

// Ready is closed when the view holds everything that was stored when Run began.
func (v *Functions) Ready() <-chan struct{} { return v.view.Ready() }

// Function returns a version from memory. What it returns is shared and must not be changed.
func (v *Functions) Function(id FunctionID, version string) (*Function, bool) {
	return v.view.Get(versionKey{id, version})
}

// Refresh reads a version from the store, as View.Refresh does.
func (v *Functions) Refresh(ctx context.Context, id FunctionID, version string) (*Function, bool, error) {
	return v.view.Refresh(ctx, versionKey{id, version})
}

// Each calls f with every version in the view, in no order, until f returns false.
func (v *Functions) Each(f func(*Function) bool) {
	v.view.Each(func(_ versionKey, fn *Function) bool { return f(fn) })
}

// Subscribe has f called with every change from now on, as View.Subscribe does.
func (v *Functions) Subscribe(f func(Change)) (cancel func()) {
	return v.view.Subscribe(func(c ViewChange[versionKey, Function]) {
		f(Change{c.Key.id, c.Key.version, c.Before, c.After})
	})
}

// Run keeps the view fresh until ctx ends, as View.Run does.
func (v *Functions) Run(ctx context.Context) error { return v.view.Run(ctx) }
