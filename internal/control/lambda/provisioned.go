package lambda

import (
	"context"
	"errors"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	// unreservedMin is what provisioning leaves of an account's concurrency. Source: Lambda
	// developer guide, "Configuring reserved concurrency"; a tenth of a smaller limit.
	unreservedMin = 100
	// provisionedPageMax is a page of ListProvisionedConcurrencyConfigs. Source: Lambda API, MaxItems.
	provisionedPageMax = 50
)

// provisionable is what an operation on provisioned concurrency names.
type provisionable struct {
	record.Stored        // the version
	alias         string // "" if it was named by its number
	weights       bool   // the alias divides its invokes
	guards        []store.Write
}

// provisionable reads the version, or the alias with the version it points to.
func (c *Control) provisionable(ctx context.Context, call *wire.Call, name, qualifier *string, ofLatest string) (provisionable, error) {
	n, err := c.named(call, name, qualifier)
	if err != nil {
		return provisionable{}, err
	}
	if n.Qualifier == "" || n.Qualifier == record.Latest {
		return provisionable{}, invalid("%s", ofLatest)
	}
	var of provisionable
	if !record.IsVersionNumber(n.Qualifier) {
		key := record.Qualified{ID: n.ID, Qualifier: n.Qualifier}
		held, err := record.Aliases.Get(ctx, c.records, key)
		if errors.Is(err, store.ErrNotFound) {
			return provisionable{}, noAlias(key)
		}
		if err != nil {
			return provisionable{}, fault(err)
		}
		same, err := record.Aliases.Put(key, held.Value, store.IfRevision(held.Revision))
		if err != nil {
			return provisionable{}, err
		}
		of.alias, of.weights, of.guards = n.Qualifier, len(held.Value.Weights) > 0, []store.Write{same}
		if n.Qualifier = held.Value.Version; n.Qualifier == record.Latest {
			return provisionable{}, invalid("%s", ofLatest)
		}
	}
	of.Stored, err = c.read(ctx, n)
	return of, err
}

// config is what is provisioned of exactly what was named; nil if nothing is.
func (c *Control) config(ctx context.Context, of provisionable) (*record.Provisioned, error) {
	p, err := c.table.GetProvisioned(ctx, of.ID, of.Version)
	if errors.Is(err, store.ErrNotFound) || err == nil && p.Alias != of.alias {
		return nil, nil
	}
	return p.Provisioned, fault(err)
}

// The texts are AWS's (recorded: test_provisioned_concurrency_exceptions).
const (
	provisionOfLatest = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
	readOfLatest      = "The function resource provided must be an alias or a published version."
	noProvisioned     = "No Provisioned Concurrency Config found for this function"
)

func (c *Control) putProvisionedConcurrencyConfig(ctx context.Context, call *wire.Call, in *api.PutProvisionedConcurrencyConfigRequest) (*api.PutProvisionedConcurrencyConfigResponse, error) {
	var p *record.Provisioned
	for attempt := 0; p == nil; attempt++ {
		of, err := c.provisionable(ctx, call, in.FunctionName, in.Qualifier, provisionOfLatest)
		if err != nil {
			return nil, err
		}
		if attempt == commitAttemptsMax {
			return nil, updateInProgress(of.ID)
		}
		if p, err = c.provision(ctx, of, int(value(in.ProvisionedConcurrentExecutions))); err != nil {
			return nil, err
		}
	}
	shown := shownProvisioned(p)
	return &api.PutProvisionedConcurrencyConfigResponse{
		RequestedProvisionedConcurrentExecutions: shown.RequestedProvisionedConcurrentExecutions,
		AvailableProvisionedConcurrentExecutions: shown.AvailableProvisionedConcurrentExecutions,
		AllocatedProvisionedConcurrentExecutions: shown.AllocatedProvisionedConcurrentExecutions,
		Status:                                   shown.Status, StatusReason: shown.StatusReason, LastModified: shown.LastModified,
	}, nil
}

// provision configures a version or an alias, and returns nil if somebody else came in between.
func (c *Control) provision(ctx context.Context, of provisionable, requested int) (*record.Provisioned, error) {
	if of.weights {
		// The text is AWS's, as its users quote it.
		return nil, invalid("Alias with weights can not be used with Provisioned Concurrency")
	}
	promise, err := c.promise(ctx, record.Scope{Account: of.ID.Account, Region: of.ID.Region})
	if err != nil {
		return nil, err
	}
	if err := c.unlessProvisionedOtherwise(ctx, of.ID, of.Version, of.alias); err != nil {
		return nil, err
	}
	if err := c.mayProvision(ctx, of.Function, requested, of.Version); err != nil {
		return nil, err
	}
	p := &record.Provisioned{
		ID: of.ID, Version: of.Version, Alias: of.alias, Requested: requested, LastModified: c.now(), Serial: uint64(c.now().UnixNano()),
		Status: record.ProvisionedStatus{State: record.ProvisionedInProgress},
	}
	write, err := record.PutProvisioned(p, store.Unconditional())
	if err != nil {
		return nil, err
	}
	// Only while the version is there: a removal in between would leave a configuration of nothing.
	guard, err := record.PutFunction(of.Function, store.IfRevision(of.Revision))
	if err != nil {
		return nil, err
	}
	_, err = c.table.Commit(ctx, append(of.guards, guard, promise, write)...)
	if errors.Is(err, store.ErrConflict) {
		return nil, nil
	}
	return p, fault(err)
}

// unlessProvisionedOtherwise refuses a version that has a configuration of its own or of another alias.
// Source: Lambda developer guide, "Configuring provisioned concurrency": a version has one at most,
// on itself or on an alias that points to it. Recorded: test_lambda_provisioned_lifecycle.
func (c *Control) unlessProvisionedOtherwise(ctx context.Context, id record.FunctionID, version, alias string) error {
	p, err := c.table.GetProvisioned(ctx, id, version)
	if errors.Is(err, store.ErrNotFound) || err == nil && p.Alias == alias {
		return nil
	}
	if err != nil {
		return fault(err)
	}
	if alias == "" {
		return api.NewResourceConflictException("Version is pointed by a Provisioned Concurrency alias")
	}
	return api.NewResourceConflictException("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
}

// moveProvisioned is what must be written when an alias changes from one version to another: what is
// provisioned of it goes with it. Nothing is where nothing is provisioned of it.
func (c *Control) moveProvisioned(ctx context.Context, id record.FunctionID, alias, from, to string) ([]store.Write, error) {
	if from == to {
		return nil, nil
	}
	p, err := c.table.GetProvisioned(ctx, id, from)
	if errors.Is(err, store.ErrNotFound) || err == nil && p.Alias != alias {
		return nil, nil
	}
	if err != nil {
		return nil, fault(err)
	}
	promise, err := c.promise(ctx, record.Scope{Account: id.Account, Region: id.Region})
	if err != nil {
		return nil, err
	}
	if to == record.Latest {
		return nil, invalid("%s", provisionOfLatest)
	}
	if err := c.unlessProvisionedOtherwise(ctx, id, to, alias); err != nil {
		return nil, err
	}
	f, err := c.read(ctx, record.Name{ID: id, Qualifier: to})
	if err != nil {
		return nil, err
	}
	if err := c.mayProvision(ctx, f.Function, p.Requested, from); err != nil {
		return nil, err
	}
	moved := *p.Provisioned
	moved.Version, moved.LastModified, moved.Serial = to, c.now(), uint64(c.now().UnixNano())
	// Those of the old version are there until the new ones are counted (recorded: moves_with_alias).
	moved.Status = record.ProvisionedStatus{State: record.ProvisionedInProgress, Available: p.Status.Available}
	put, err := record.PutProvisioned(&moved, store.Unconditional())
	// In this order, so that nobody sees the alias without any: what is there moves on when its heir is known.
	return []store.Write{promise, put, record.DropProvisioned(id, from)}, err
}

// mayProvision refuses what can never be READY. It takes the place of what is provisioned of the version instead.
func (c *Control) mayProvision(ctx context.Context, f *record.Function, requested int, instead string) error {
	if f.State != record.StateActive {
		return inState(f.State)
	}
	if f.Tenancy != "" {
		return notForTenants("Provisioned Concurrency is")
	}
	if f.Snapshotted() {
		return invalid("Provisioned Concurrency is not supported for SnapStart enabled functions.")
	}
	set, err := c.setAside(ctx, record.Scope{Account: f.ID.Account, Region: f.ID.Region})
	if err != nil {
		return err
	}
	before, otherMiB, err := c.provisionedBefore(ctx, f.ID, instead)
	if err != nil {
		return err
	}
	set.provisioned[f.ID] += requested - before
	if reserved, is := set.reserved[f.ID]; is && set.provisioned[f.ID] > reserved {
		return invalid("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")
	}
	if least := c.unreservedLeast(); set.total() > c.limits.ConcurrentExecutions-least {
		return invalid("Specified ProvisionedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", least)
	}
	if c.limits.MemoryMiB > 0 && otherMiB+requested*f.MemoryMiB > c.limits.MemoryMiB {
		return invalid("%d environments of %d MB are more than this lambdad has memory for beside those that are provisioned already (%d MB of %d MB). Use fewer, or start lambdad with a larger --memory.",
			requested, f.MemoryMiB, otherMiB, c.limits.MemoryMiB)
	}
	return nil
}

// provisionedBefore is what is provisioned of a version already, and the memory of what is beside it,
// of all accounts.
func (c *Control) provisionedBefore(ctx context.Context, id record.FunctionID, version string) (executions, otherMiB int, err error) {
	err = c.table.EachProvisioned(ctx, func(p *record.Provisioned) {
		if p.ID == id && p.Version == version {
			executions = p.Requested
			return
		}
		if other, ok := c.functions.Function(p.ID, p.Version); ok {
			otherMiB += p.Requested * other.MemoryMiB
		}
	})
	return executions, otherMiB, fault(err)
}

func (c *Control) getProvisionedConcurrencyConfig(ctx context.Context, call *wire.Call, in *api.GetProvisionedConcurrencyConfigRequest) (*api.GetProvisionedConcurrencyConfigResponse, error) {
	of, err := c.provisionable(ctx, call, in.FunctionName, in.Qualifier, readOfLatest)
	if err != nil {
		return nil, err
	}
	p, err := c.config(ctx, of)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, api.NewProvisionedConcurrencyConfigNotFoundException(noProvisioned)
	}
	shown := shownProvisioned(p)
	return &api.GetProvisionedConcurrencyConfigResponse{
		RequestedProvisionedConcurrentExecutions: shown.RequestedProvisionedConcurrentExecutions,
		AvailableProvisionedConcurrentExecutions: shown.AvailableProvisionedConcurrentExecutions,
		AllocatedProvisionedConcurrentExecutions: shown.AllocatedProvisionedConcurrentExecutions,
		Status:                                   shown.Status, StatusReason: shown.StatusReason, LastModified: shown.LastModified,
	}, nil
}

func (c *Control) listProvisionedConcurrencyConfigs(ctx context.Context, call *wire.Call, in *api.ListProvisionedConcurrencyConfigsRequest) (*api.ListProvisionedConcurrencyConfigsResponse, error) {
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
	if at[0] != "" && !record.IsVersionNumber(at[0]) {
		return nil, badMarker()
	}
	limit := min(pageSize(in.MaxItems), provisionedPageMax)
	page, more, err := c.table.ListProvisioned(ctx, n.ID, at[0], limit)
	if err != nil {
		return nil, fault(err)
	}
	out := &api.ListProvisionedConcurrencyConfigsResponse{ProvisionedConcurrencyConfigs: []api.ProvisionedConcurrencyConfigListItem{}}
	for _, p := range page {
		out.ProvisionedConcurrencyConfigs = append(out.ProvisionedConcurrencyConfigs, shownProvisioned(p.Provisioned))
	}
	if more && len(page) > 0 {
		out.NextMarker = writeMarker(page[len(page)-1].Version)
	}
	return out, nil
}

// deleteProvisionedConcurrencyConfig is content when there is none (recorded:
// delete_provisioned_config_doesnotexist).
func (c *Control) deleteProvisionedConcurrencyConfig(ctx context.Context, call *wire.Call, in *api.DeleteProvisionedConcurrencyConfigRequest) error {
	for range commitAttemptsMax {
		of, err := c.provisionable(ctx, call, in.FunctionName, in.Qualifier, readOfLatest)
		if err != nil {
			return err
		}
		p, err := c.config(ctx, of)
		if p == nil {
			return err
		}
		_, err = c.table.Commit(ctx, append(of.guards, record.DropProvisioned(of.ID, of.Version))...)
		if !errors.Is(err, store.ErrConflict) {
			return fault(err)
		}
	}
	return updateInProgress(record.FunctionID{Account: call.Account, Region: call.Region, Name: value(in.FunctionName)})
}

func shownProvisioned(p *record.Provisioned) api.ProvisionedConcurrencyConfigListItem {
	return api.ProvisionedConcurrencyConfigListItem{
		FunctionArn:                              wire.Ptr(p.ID.QualifiedARN(p.Qualifier())),
		RequestedProvisionedConcurrentExecutions: wire.Ptr(int32(p.Requested)),
		// Without weighted aliases, what is allocated is what is available.
		AvailableProvisionedConcurrentExecutions: wire.Ptr(int32(p.Status.Available)),
		AllocatedProvisionedConcurrentExecutions: wire.Ptr(int32(p.Status.Available)),
		Status:                                   wire.Ptr(string(p.Status.State)),
		StatusReason:                             unlessEmpty(p.Status.Reason),
		LastModified:                             wire.Ptr(p.LastModified.UTC().Format(lastModifiedForm)),
	}
}
