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

// provisionable reads the name of a version for an operation on its provisioned concurrency, and
// the version itself. There are no aliases yet: another qualifier names one that does not exist.
func (c *Control) provisionable(ctx context.Context, call *wire.Call, name, qualifier *string, ofLatest string) (record.Stored, error) {
	n, err := c.named(call, name, qualifier)
	if err != nil {
		return record.Stored{}, err
	}
	switch {
	case n.Qualifier == "" || n.Qualifier == record.Latest:
		return record.Stored{}, invalid("%s", ofLatest)
	case !record.IsVersionNumber(n.Qualifier):
		return record.Stored{}, api.NewResourceNotFoundException("Cannot find alias arn: " + n.ARN())
	}
	return c.read(ctx, n)
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
		f, err := c.provisionable(ctx, call, in.FunctionName, in.Qualifier, provisionOfLatest)
		if err != nil {
			return nil, err
		}
		if attempt == commitAttemptsMax {
			return nil, updateInProgress(f.ID)
		}
		if p, err = c.provision(ctx, f, int(value(in.ProvisionedConcurrentExecutions))); err != nil {
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

// provision configures a version, and returns nil if somebody else came in between.
func (c *Control) provision(ctx context.Context, f record.Stored, requested int) (*record.Provisioned, error) {
	promise, err := c.promise(ctx, record.Scope{Account: f.ID.Account, Region: f.ID.Region})
	if err != nil {
		return nil, err
	}
	if err := c.mayProvision(ctx, f.Function, requested); err != nil {
		return nil, err
	}
	p := &record.Provisioned{
		ID: f.ID, Version: f.Version, Requested: requested, LastModified: c.now(), Serial: uint64(c.now().UnixNano()),
		Status: record.ProvisionedStatus{State: record.ProvisionedInProgress},
	}
	write, err := record.PutProvisioned(p, store.Unconditional())
	if err != nil {
		return nil, err
	}
	// Only while the version is there: a removal in between would leave a configuration of nothing.
	guard, err := record.PutFunction(f.Function, store.IfRevision(f.Revision))
	if err != nil {
		return nil, err
	}
	_, err = c.table.Commit(ctx, guard, promise, write)
	if errors.Is(err, store.ErrConflict) {
		return nil, nil
	}
	return p, fault(err)
}

// mayProvision refuses what can never be READY.
func (c *Control) mayProvision(ctx context.Context, f *record.Function, requested int) error {
	if f.State != record.StateActive {
		return inState(f.State)
	}
	if f.Snapshotted() {
		return invalid("Provisioned Concurrency is not supported for SnapStart enabled functions.")
	}
	set, err := c.setAside(ctx, record.Scope{Account: f.ID.Account, Region: f.ID.Region})
	if err != nil {
		return err
	}
	before, otherMiB, err := c.provisionedBefore(ctx, f)
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

// provisionedBefore is what is provisioned of f already, and the memory of what is beside it,
// of all accounts.
func (c *Control) provisionedBefore(ctx context.Context, f *record.Function) (executions, otherMiB int, err error) {
	err = c.table.EachProvisioned(ctx, func(p *record.Provisioned) {
		if p.ID == f.ID && p.Version == f.Version {
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
	f, err := c.provisionable(ctx, call, in.FunctionName, in.Qualifier, readOfLatest)
	if err != nil {
		return nil, err
	}
	p, err := c.table.GetProvisioned(ctx, f.ID, f.Version)
	if errors.Is(err, store.ErrNotFound) {
		return nil, api.NewProvisionedConcurrencyConfigNotFoundException(noProvisioned)
	}
	if err != nil {
		return nil, fault(err)
	}
	shown := shownProvisioned(p.Provisioned)
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
	f, err := c.provisionable(ctx, call, in.FunctionName, in.Qualifier, readOfLatest)
	if err != nil {
		return err
	}
	_, err = c.table.Commit(ctx, record.DropProvisioned(f.ID, f.Version))
	return fault(err)
}

func shownProvisioned(p *record.Provisioned) api.ProvisionedConcurrencyConfigListItem {
	return api.ProvisionedConcurrencyConfigListItem{
		FunctionArn:                              wire.Ptr(p.ID.QualifiedARN(p.Version)),
		RequestedProvisionedConcurrentExecutions: wire.Ptr(int32(p.Requested)),
		// Without weighted aliases, what is allocated is what is available.
		AvailableProvisionedConcurrentExecutions: wire.Ptr(int32(p.Status.Available)),
		AllocatedProvisionedConcurrentExecutions: wire.Ptr(int32(p.Status.Available)),
		Status:                                   wire.Ptr(string(p.Status.State)),
		StatusReason:                             unlessEmpty(p.Status.Reason),
		LastModified:                             wire.Ptr(p.LastModified.UTC().Format(lastModifiedForm)),
	}
}
