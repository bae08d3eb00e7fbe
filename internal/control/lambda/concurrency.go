package lambda

import (
	"context"
	"errors"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// unqualified reads the name of a function for an operation that versions and aliases have
// not. The text is AWS's, as its users quote it.
func (c *Control) unqualified(ctx context.Context, call *wire.Call, name *string) (record.Qualified, error) {
	n, err := c.named(call, name, nil)
	if err != nil {
		return record.Qualified{}, err
	}
	if n.Qualifier != "" {
		return record.Qualified{}, invalid("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.")
	}
	_, err = c.read(ctx, n)
	return record.Qualified{ID: n.ID, Qualifier: record.Latest}, err
}

func (c *Control) putFunctionConcurrency(ctx context.Context, call *wire.Call, in *api.PutFunctionConcurrencyRequest) (*api.Concurrency, error) {
	key, err := c.unqualified(ctx, call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	reserved := int(value(in.ReservedConcurrentExecutions))
	for range commitAttemptsMax {
		promise, err := c.promise(ctx, record.Scope{Account: key.ID.Account, Region: key.ID.Region})
		if err != nil {
			return nil, err
		}
		if err := c.mayReserve(ctx, key.ID, reserved); err != nil {
			return nil, err
		}
		put, err := record.Concurrencies.Put(key, &record.Concurrency{Reserved: reserved}, store.Unconditional())
		if err != nil {
			return nil, err
		}
		// Only while the function is there: its removal in between would leave a share of nothing.
		there := store.Write{Kind: store.WriteCheck, Key: record.FunctionKey(key.ID, record.Latest), If: store.IfExists()}
		_, err = c.table.Commit(ctx, there, promise, put)
		if err == nil {
			return &api.Concurrency{ReservedConcurrentExecutions: wire.Ptr(int32(reserved))}, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, fault(err)
		}
	}
	return nil, updateInProgress(key.ID)
}

// mayReserve refuses what would leave the account, or what is provisioned of the function, too little.
func (c *Control) mayReserve(ctx context.Context, id record.FunctionID, reserved int) error {
	set, err := c.setAside(ctx, record.Scope{Account: id.Account, Region: id.Region})
	if err != nil {
		return err
	}
	if provisioned := set.provisioned[id]; reserved < provisioned {
		return invalid("ReservedConcurrentExecutions  %d should not be lower than function's total provisioned concurrency [%d].", reserved, provisioned)
	}
	set.reserved[id] = reserved
	if least := c.unreservedLeast(); set.total() > c.limits.ConcurrentExecutions-least {
		// Without the Type that other faults have (recorded: test_function_concurrency_limits).
		return wire.NewFault(400, "InvalidParameterValueException", "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", least)
	}
	return nil
}

// unreservedLeast is what reservations must leave of an account's concurrency.
func (c *Control) unreservedLeast() int { return min(unreservedMin, c.limits.ConcurrentExecutions/10) }

// setAside is what of an account's concurrency is not for everybody.
type setAside struct {
	reserved    map[record.FunctionID]int
	provisioned map[record.FunctionID]int // of all versions together
}

// total counts what is provisioned of a function with a reservation as part of that.
func (s *setAside) total() int {
	n := 0
	for _, reserved := range s.reserved {
		n += reserved
	}
	for id, provisioned := range s.provisioned {
		if _, within := s.reserved[id]; !within {
			n += provisioned
		}
	}
	return n
}

func (c *Control) setAside(ctx context.Context, scope record.Scope) (*setAside, error) {
	set := &setAside{map[record.FunctionID]int{}, map[record.FunctionID]int{}}
	err := record.Concurrencies.Each(ctx, c.records, record.OfScope(scope), func(h record.Held[record.Qualified, record.Concurrency]) {
		set.reserved[h.Key.ID] = h.Value.Reserved
	})
	if err != nil {
		return nil, fault(err)
	}
	err = c.table.EachProvisioned(ctx, func(p *record.Provisioned) {
		if p.ID.Account == scope.Account && p.ID.Region == scope.Region {
			set.provisioned[p.ID] += p.Requested
		}
	})
	return set, fault(err)
}

// promise is the write that must go with one that sets concurrency aside. It is read before
// counting, and fails the commit if somebody else set something aside since.
func (c *Control) promise(ctx context.Context, scope record.Scope) (store.Write, error) {
	key := record.Scoped{Scope: scope, Name: "concurrency"}
	held, err := record.Ledgers.Get(ctx, c.records, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return record.Ledgers.Put(key, &record.Ledger{Changes: 1}, store.IfAbsent())
	case err != nil:
		return store.Write{}, fault(err)
	}
	return record.Ledgers.Put(key, &record.Ledger{Changes: held.Value.Changes + 1}, store.IfRevision(held.Revision))
}

// reservedOf is a function's reserved concurrency, nil if it has none.
func (c *Control) reservedOf(ctx context.Context, id record.FunctionID) (*int32, error) {
	held, err := record.Concurrencies.Get(ctx, c.records, record.Qualified{ID: id, Qualifier: record.Latest})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fault(err)
	}
	return wire.Ptr(int32(held.Value.Reserved)), nil
}

func (c *Control) getFunctionConcurrency(ctx context.Context, call *wire.Call, in *api.GetFunctionConcurrencyRequest) (*api.GetFunctionConcurrencyResponse, error) {
	key, err := c.unqualified(ctx, call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	reserved, err := c.reservedOf(ctx, key.ID)
	return &api.GetFunctionConcurrencyResponse{ReservedConcurrentExecutions: reserved}, err
}

func (c *Control) deleteFunctionConcurrency(ctx context.Context, call *wire.Call, in *api.DeleteFunctionConcurrencyRequest) error {
	key, err := c.unqualified(ctx, call, in.FunctionName)
	if err != nil {
		return err
	}
	_, err = c.table.Commit(ctx, record.Concurrencies.Drop(key, store.Unconditional()))
	return fault(err)
}
