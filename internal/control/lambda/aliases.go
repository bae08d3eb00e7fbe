package lambda

import (
	"context"
	"errors"
	"maps"
	"slices"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// weightsMax is how many versions an alias may have beside its own. Source: Lambda
// developer guide, "Implement Lambda canary deployments using a weighted alias".
const weightsMax = 1

// The texts here are AWS's (recorded: TestLambdaAlias).

func (c *Control) createAlias(ctx context.Context, call *wire.Call, in *api.CreateAliasRequest) (*api.AliasConfiguration, error) {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	key := record.Qualified{ID: n.ID, Qualifier: value(in.Name)}
	for range commitAttemptsMax {
		alias := &record.Alias{Version: value(in.FunctionVersion), Description: value(in.Description), Weights: weightsOf(in.RoutingConfig)}
		guards, err := c.routable(ctx, n.ID, alias)
		if err != nil {
			return nil, err
		}
		_, err = record.Aliases.Get(ctx, c.records, key)
		if err == nil {
			return nil, api.NewResourceConflictException("Alias already exists: " + n.ID.QualifiedARN(key.Qualifier))
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, fault(err)
		}
		if done, err := c.putAlias(ctx, key, alias, store.IfAbsent(), guards); done || err != nil {
			return shownAlias(key, alias), err
		}
	}
	return nil, updateInProgress(n.ID)
}

func (c *Control) updateAlias(ctx context.Context, call *wire.Call, in *api.UpdateAliasRequest) (*api.AliasConfiguration, error) {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	key := record.Qualified{ID: n.ID, Qualifier: value(in.Name)}
	for range commitAttemptsMax {
		held, err := record.Aliases.Get(ctx, c.records, key)
		if errors.Is(err, store.ErrNotFound) {
			return nil, api.NewResourceNotFoundException("Alias not found: " + n.ID.QualifiedARN(key.Qualifier))
		}
		if err != nil {
			return nil, fault(err)
		}
		alias := *held.Value
		if err := matchRevision(alias.RevisionID, in.RevisionId); err != nil {
			return nil, err
		}
		if in.FunctionVersion != nil {
			alias.Version = *in.FunctionVersion
		}
		moved, err := c.moveProvisioned(ctx, n.ID, key.Qualifier, held.Value.Version, alias.Version)
		if err != nil {
			return nil, err
		}
		if in.Description != nil {
			alias.Description = *in.Description
		}
		if in.RoutingConfig != nil {
			alias.Weights = weightsOf(in.RoutingConfig)
		}
		guards, err := c.routable(ctx, n.ID, &alias)
		if err != nil {
			return nil, err
		}
		if done, err := c.putAlias(ctx, key, &alias, store.IfRevision(held.Revision), append(guards, moved...)); done || err != nil {
			return shownAlias(key, &alias), err
		}
	}
	return nil, updateInProgress(n.ID)
}

// putAlias writes an alias with a revision of its own, and reports whether nobody else came first.
func (c *Control) putAlias(ctx context.Context, key record.Qualified, alias *record.Alias, cond store.Condition, guards []store.Write) (bool, error) {
	alias.RevisionID = string(aws.NewRequestID())
	write, err := record.Aliases.Put(key, alias, cond)
	if err != nil {
		return false, err
	}
	_, err = c.table.Commit(ctx, append(guards, write)...)
	if errors.Is(err, store.ErrConflict) {
		return false, nil
	}
	return err == nil, fault(err)
}

// routable checks that an alias can route as it says. The writes it returns change nothing,
// but fail where one of the versions is removed in between, and make such a removal fail.
func (c *Control) routable(ctx context.Context, id record.FunctionID, alias *record.Alias) ([]store.Write, error) {
	if len(alias.Weights) > weightsMax {
		return nil, invalid("Number of items in AdditionalVersionWeights cannot be greater than %d", weightsMax)
	}
	if _, twice := alias.Weights[alias.Version]; twice {
		return nil, invalid("Invalid function version %s. Function version %s is already included in routing configuration.", alias.Version, alias.Version)
	}
	if len(alias.Weights) > 0 && alias.Version == record.Latest {
		return nil, wire.NewFault(400, "InvalidParameterValueException", "$LATEST is not supported for an alias pointing to more than 1 version")
	}
	var guards []store.Write
	role := ""
	for _, version := range alias.Versions() {
		f, err := c.read(ctx, record.Name{ID: id, Qualifier: version})
		if err != nil {
			return nil, err
		}
		// Source: the same page of the guide, its list of what both versions must share.
		if role != "" && f.Role != role {
			return nil, invalid("The versions of an alias that points to more than 1 version must have the same execution role.")
		}
		role = f.Role
		guard, err := record.PutFunction(f.Function, store.IfRevision(f.Revision))
		if err != nil {
			return nil, err
		}
		guards = append(guards, guard)
	}
	return guards, nil
}

func (c *Control) getAlias(ctx context.Context, call *wire.Call, in *api.GetAliasRequest) (*api.AliasConfiguration, error) {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	key := record.Qualified{ID: n.ID, Qualifier: value(in.Name)}
	held, err := record.Aliases.Get(ctx, c.records, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, noAlias(key)
	}
	if err != nil {
		return nil, fault(err)
	}
	return shownAlias(key, held.Value), nil
}

// deleteAlias is content when there is none.
func (c *Control) deleteAlias(ctx context.Context, call *wire.Call, in *api.DeleteAliasRequest) error {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return err
	}
	key := record.Qualified{ID: n.ID, Qualifier: value(in.Name)}
	if !record.ValidQualifier(key.Qualifier) {
		return nil
	}
	for range commitAttemptsMax {
		held, err := record.Aliases.Get(ctx, c.records, key)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fault(err)
		}
		writes := []store.Write{record.Aliases.Drop(key, store.IfRevision(held.Revision))}
		p, err := c.table.GetProvisioned(ctx, n.ID, held.Value.Version)
		switch {
		case err == nil && p.Alias == key.Qualifier: // what was provisioned of it goes with it
			writes = append(writes, record.DropProvisioned(n.ID, held.Value.Version))
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return fault(err)
		}
		if _, err = c.table.Commit(ctx, writes...); !errors.Is(err, store.ErrConflict) {
			return fault(err)
		}
	}
	return updateInProgress(n.ID)
}

func (c *Control) listAliases(ctx context.Context, call *wire.Call, in *api.ListAliasesRequest) (*api.ListAliasesResponse, error) {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if _, err := c.read(ctx, n); err != nil {
		return nil, err
	}
	at, err := readMarker(value(in.Marker), 1)
	if err != nil {
		return nil, err
	}
	var after *record.Qualified
	if at[0] != "" {
		after = &record.Qualified{ID: n.ID, Qualifier: at[0]}
	}
	limit := pageSize(in.MaxItems)
	out := &api.ListAliasesResponse{Aliases: []api.AliasConfiguration{}}
	for {
		page, more, err := record.Aliases.List(ctx, c.records, record.OfFunction(n.ID), after, limit)
		if err != nil {
			return nil, fault(err)
		}
		for i, h := range page {
			after = &page[i].Key
			if in.FunctionVersion != nil && h.Value.Version != *in.FunctionVersion {
				continue
			}
			if out.Aliases = append(out.Aliases, *shownAlias(h.Key, h.Value)); len(out.Aliases) == limit {
				if more || i < len(page)-1 {
					out.NextMarker = writeMarker(h.Key.Qualifier)
				}
				return out, nil
			}
		}
		if !more || len(page) == 0 {
			return out, nil
		}
	}
}

// aliasesOf are the names of all aliases that may route to a version, in order.
func (c *Control) aliasesOf(ctx context.Context, id record.FunctionID, version string) ([]string, error) {
	var names []string
	err := record.Aliases.Each(ctx, c.records, record.OfFunction(id), func(h record.Held[record.Qualified, record.Alias]) {
		if slices.Contains(h.Value.Versions(), version) {
			names = append(names, h.Key.Qualifier)
		}
	})
	return names, fault(err)
}

func noAlias(key record.Qualified) error {
	return api.NewResourceNotFoundException("Cannot find alias arn: " + key.ID.QualifiedARN(key.Qualifier))
}

func weightsOf(routing *api.AliasRoutingConfiguration) map[string]float64 {
	if routing == nil || len(routing.AdditionalVersionWeights) == 0 {
		return nil
	}
	return maps.Clone(routing.AdditionalVersionWeights)
}

func shownAlias(key record.Qualified, a *record.Alias) *api.AliasConfiguration {
	out := &api.AliasConfiguration{
		AliasArn:        wire.Ptr(key.ID.QualifiedARN(key.Qualifier)),
		Name:            &key.Qualifier,
		FunctionVersion: wire.Ptr(a.Version),
		Description:     wire.Ptr(a.Description),
		RevisionId:      wire.Ptr(a.RevisionID),
	}
	if len(a.Weights) > 0 {
		out.RoutingConfig = &api.AliasRoutingConfiguration{AdditionalVersionWeights: maps.Clone(a.Weights)}
	}
	return out
}
