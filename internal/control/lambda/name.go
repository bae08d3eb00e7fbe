package lambda

import (
	"context"
	"errors"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

func scopeOf(call *wire.Call) record.Scope {
	return record.Scope{Account: call.Account, Region: call.Region}
}

// named reads a function's name and an optional qualifier beside it.
func (c *Control) named(call *wire.Call, name, qualifier *string) (record.Name, error) {
	n, err := record.ParseQualified(value(name), value(qualifier), scopeOf(call))
	if errors.Is(err, record.ErrOtherAccount) {
		if c.authorize != nil && crossAccount[call.Operation] {
			return n, nil
		}
		return n, foreign(call, n)
	}
	return n, fault(err)
}

// namedLatest reads the name of a function for an operation on the function
// itself or its $LATEST. A name with another qualifier is no function of theirs.
func (c *Control) namedLatest(call *wire.Call, name *string) (record.Name, error) {
	n, err := c.named(call, name, nil)
	if err != nil {
		return n, err
	}
	if n.Qualifier != "" && n.Qualifier != record.Latest {
		return n, notFound(n)
	}
	n.Qualifier = ""
	return n, nil
}

// read returns the version that a name means: of an alias, the one that it has without
// regard to weights.
func (c *Control) read(ctx context.Context, n record.Name) (record.Stored, error) {
	version := n.Qualifier
	switch {
	case version == "":
		version = record.Latest
	case !record.ValidVersion(version):
		alias, err := record.Aliases.Get(ctx, c.records, record.Qualified{ID: n.ID, Qualifier: version})
		if errors.Is(err, store.ErrNotFound) {
			return record.Stored{}, notFound(n)
		}
		if err != nil {
			return record.Stored{}, fault(err)
		}
		version = alias.Value.Version
	}
	s, err := c.table.Get(ctx, n.ID, version)
	if errors.Is(err, store.ErrNotFound) {
		return s, notFound(n)
	}
	return s, fault(err)
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
