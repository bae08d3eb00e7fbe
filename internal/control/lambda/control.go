// Package lambda owns the control plane of AWS Lambda: it implements the API's
// operations on functions as reads and conditional writes of records. It must
// never import a room that runs anything (sandbox, worker, assignment,
// frontend): those follow the records, so that invokes go on while this is down.
package lambda

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
)

// settleAfterDefault is how long a new or changed function stays Pending or
// InProgress. AWS takes some hundred milliseconds to seconds; clients and their
// waiters count on seeing the state at least once.
const settleAfterDefault = 300 * time.Millisecond

// Artifacts keeps deployment packages. *artifact.Store is one.
type Artifacts interface {
	// PutZip stores an archive durably; refusals are artifact's error kinds.
	PutZip(ctx context.Context, r io.Reader) (artifact.Zip, error)
	// InspectZip answers what PutZip would and stores nothing.
	InspectZip(ctx context.Context, r io.Reader) (artifact.Zip, error)
	// OpenZip reads an archive back with its size.
	OpenZip(d artifact.Digest) (io.ReadSeekCloser, int64, error)
	// Sweep removes what keep does not want and nobody put a moment ago.
	Sweep(keep func(artifact.Digest) bool) (removed int, err error)
}

// Runtimes knows what this installation can run. *runtimes.Catalog is one.
type Runtimes interface {
	// Resolve finds what functions of an identifier run on here. The text of its error
	// tells the user what to do; runtimes.ErrWrongArchitecture is told apart.
	Resolve(ctx context.Context, identifier, architecture string) (runtimes.Runtime, error)
	// ResolveVersion finds one build of it, which may be an earlier one.
	ResolveVersion(ctx context.Context, identifier, architecture, versionID string) (runtimes.Runtime, error)
}

// Roles knows execution roles, and whom policies may name.
type Roles interface {
	// Assumable returns nil if the role exists and trusts lambda.amazonaws.com.
	Assumable(ctx context.Context, roleARN string) error
	// Known reports whether a user, role or session of this ARN exists.
	Known(ctx context.Context, principalARN string) bool
}

// Isolation decides how functions are kept apart from the host and from each other.
type Isolation interface {
	// Allow returns nil if functions of an account with these tags can run here. The text
	// of its error tells the user why they may or can not.
	Allow(ctx context.Context, account aws.AccountID, tags map[string]string) error
}

// Limits are the quotas of each account. A zero field takes AWS's default.
type Limits struct {
	ConcurrentExecutions int   // 1,000
	TotalCodeBytes       int64 // 75 GiB
	// MemoryMiB is what all environments of a host together may have; 0 is not known.
	MemoryMiB int
}

// Policies is the view of resource-based policies.
type Policies interface {
	Get(key record.Qualified) (*record.Policy, bool)
	Refresh(ctx context.Context, key record.Qualified) (*record.Policy, bool, error)
}

// Options of New. Store, Functions, Policies, Keys, Artifacts and Runtimes must be given.
type Options struct {
	Store     store.Records
	Functions *record.Functions // the same view that the invoke path reads
	Policies  Policies          // likewise
	Keys      Keys
	Artifacts Artifacts
	Runtimes  Runtimes
	// Roles is nil when nobody checks permissions (--auth=none).
	Roles Roles
	// Authorizer is nil when nobody checks permissions (--auth=none).
	Authorizer Authorizer
	// Domain is where hosts of function URLs are.
	Domain string
	// Destinations is nil where every destination is taken for one that can be reached.
	Destinations Destinations
	// Sources is nil where there is nothing to poll.
	Sources EventSources
	// Signatures is nil where no publisher is known.
	Signatures Signatures
	// Images is nil where no function can have one.
	Images Images
	// Isolation is nil where there is one kind, and no tag that chooses.
	Isolation Isolation
	Limits    Limits
	// SettleAfter is how long Pending and InProgress last; 0 is 300 ms.
	SettleAfter time.Duration
	Now         func() time.Time // nil: time.Now
	Log         *slog.Logger     // nil: discard
}

// Control implements the operations on functions.
type Control struct {
	records   store.Records
	table     *record.Table
	functions *record.Functions
	policies  Policies
	keys      Keys
	artifacts Artifacts
	runtimes  Runtimes
	roles     Roles
	authorize Authorizer
	isolation Isolation
	limits    Limits

	destinations Destinations
	sources      EventSources
	domain       string
	signatures   Signatures

	now     func() time.Time
	log     *slog.Logger
	signer  signer
	settler *settler[record.Name]
	// pulls settles functions with images.
	pulls  *settler[record.Name]
	images Images
	// mappings settles event source mappings.
	mappings *settler[record.Scoped]
	// garbage holds a token while an artifact may have lost its last record.
	garbage chan struct{}
}

// New makes a control plane. Run settles what it writes. The error is the
// store's: the secret that signs download locations is kept there.
func New(ctx context.Context, o Options) (*Control, error) {
	if o.Limits.ConcurrentExecutions == 0 {
		o.Limits.ConcurrentExecutions = concurrentExecutionsDefault
	}
	if o.Limits.TotalCodeBytes == 0 {
		o.Limits.TotalCodeBytes = totalCodeBytesDefault
	}
	if o.SettleAfter == 0 {
		o.SettleAfter = settleAfterDefault
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	secret, err := locationSecret(ctx, o.Store)
	if err != nil {
		return nil, fmt.Errorf("control/lambda: %w", err)
	}
	return &Control{
		records:   o.Store,
		table:     record.NewTable(o.Store),
		functions: o.Functions,
		policies:  o.Policies,
		keys:      o.Keys,
		artifacts: o.Artifacts,
		runtimes:  o.Runtimes,
		roles:     o.Roles,
		authorize: o.Authorizer,
		isolation: o.Isolation,
		images:    o.Images,

		destinations: o.Destinations,
		sources:      o.Sources,
		domain:       o.Domain,
		signatures:   o.Signatures,
		limits:       o.Limits,
		now:          o.Now,
		log:          o.Log,
		signer:       signer{secret: secret, now: o.Now},
		settler:      newSettler[record.Name](o.SettleAfter),
		pulls:        newSettler[record.Name](o.SettleAfter),
		mappings:     newSettler[record.Scoped](o.SettleAfter),
		garbage:      make(chan struct{}, 1),
	}, nil
}

// Handlers fills the slots of the operations that live here; Invoke's is left
// to frontend, and those not built stay empty.
func (c *Control) Handlers() api.Handlers {
	h := api.Handlers{
		AddLayerVersionPermission:          c.addLayerVersionPermission,
		AddPermission:                      c.addPermission,
		CreateAlias:                        c.createAlias,
		CreateEventSourceMapping:           c.createEventSourceMapping,
		CreateFunction:                     c.createFunction,
		CreateFunctionUrlConfig:            c.createFunctionUrlConfig,
		DeleteAlias:                        c.deleteAlias,
		DeleteEventSourceMapping:           c.deleteEventSourceMapping,
		DeleteFunction:                     c.deleteFunction,
		DeleteFunctionUrlConfig:            c.deleteFunctionUrlConfig,
		DeleteFunctionEventInvokeConfig:    c.deleteFunctionEventInvokeConfig,
		DeleteFunctionConcurrency:          c.deleteFunctionConcurrency,
		DeleteLayerVersion:                 c.deleteLayerVersion,
		DeleteProvisionedConcurrencyConfig: c.deleteProvisionedConcurrencyConfig,
		CreateCodeSigningConfig:            c.createCodeSigningConfig,
		DeleteCodeSigningConfig:            c.deleteCodeSigningConfig,
		DeleteFunctionCodeSigningConfig:    c.deleteFunctionCodeSigningConfig,
		GetCodeSigningConfig:               c.getCodeSigningConfig,
		ListCodeSigningConfigs:             c.listCodeSigningConfigs,
		ListFunctionsByCodeSigningConfig:   c.listFunctionsByCodeSigningConfig,
		PutFunctionCodeSigningConfig:       c.putFunctionCodeSigningConfig,
		UpdateCodeSigningConfig:            c.updateCodeSigningConfig,
		GetRuntimeManagementConfig:         c.getRuntimeManagementConfig,
		PutRuntimeManagementConfig:         c.putRuntimeManagementConfig,
		GetAccountSettings:                 c.getAccountSettings,
		GetAlias:                           c.getAlias,
		GetEventSourceMapping:              c.getEventSourceMapping,
		GetFunction:                        c.getFunction,
		GetFunctionCodeSigningConfig:       c.getFunctionCodeSigningConfig,
		GetFunctionConcurrency:             c.getFunctionConcurrency,
		GetFunctionEventInvokeConfig:       c.getFunctionEventInvokeConfig,
		GetFunctionConfiguration:           c.getFunctionConfiguration,
		GetFunctionRecursionConfig:         c.getFunctionRecursionConfig,
		GetFunctionUrlConfig:               c.getFunctionUrlConfig,
		GetLayerVersion:                    c.getLayerVersion,
		GetLayerVersionByArn:               c.getLayerVersionByArn,
		GetLayerVersionPolicy:              c.getLayerVersionPolicy,
		GetPolicy:                          c.getPolicy,
		GetProvisionedConcurrencyConfig:    c.getProvisionedConcurrencyConfig,
		ListAliases:                        c.listAliases,
		ListDurableExecutionsByFunction:    c.listDurableExecutionsByFunction,
		ListEventSourceMappings:            c.listEventSourceMappings,
		ListFunctionEventInvokeConfigs:     c.listFunctionEventInvokeConfigs,
		ListFunctions:                      c.listFunctions,
		ListFunctionUrlConfigs:             c.listFunctionUrlConfigs,
		ListLayerVersions:                  c.listLayerVersions,
		ListLayers:                         c.listLayers,
		ListProvisionedConcurrencyConfigs:  c.listProvisionedConcurrencyConfigs,
		ListTags:                           c.listTags,
		ListVersionsByFunction:             c.listVersionsByFunction,
		PutFunctionConcurrency:             c.putFunctionConcurrency,
		PutFunctionEventInvokeConfig:       c.putFunctionEventInvokeConfig,
		PutFunctionRecursionConfig:         c.putFunctionRecursionConfig,
		PutProvisionedConcurrencyConfig:    c.putProvisionedConcurrencyConfig,
		PublishLayerVersion:                c.publishLayerVersion,
		PublishVersion:                     c.publishVersion,
		RemoveLayerVersionPermission:       c.removeLayerVersionPermission,
		RemovePermission:                   c.removePermission,
		TagResource:                        c.tagResource,
		UntagResource:                      c.untagResource,
		UpdateAlias:                        c.updateAlias,
		UpdateEventSourceMapping:           c.updateEventSourceMapping,
		UpdateFunctionCode:                 c.updateFunctionCode,
		UpdateFunctionConfiguration:        c.updateFunctionConfiguration,
		UpdateFunctionUrlConfig:            c.updateFunctionUrlConfig,
		UpdateFunctionEventInvokeConfig:    c.updateFunctionEventInvokeConfig,
	}
	setAbsent(&h)
	if c.authorize != nil {
		h.Authorize = c.authorizeCall
	}
	return h
}

// Run settles functions and sweeps unused code until ctx ends. Functions that
// were Pending or InProgress when an earlier process ended are settled too,
// because the view tells of them when it is first filled.
func (c *Control) Run(ctx context.Context) error {
	cancel := c.functions.Subscribe(c.noticeChange)
	defer cancel()
	// What the view told before this subscription.
	c.functions.Each(func(f *record.Function) bool {
		c.noticeChange(record.Change{ID: f.ID, Version: f.Version, After: f})
		return true
	})
	var wg sync.WaitGroup
	defer wg.Wait()
	for range settleParallel {
		wg.Go(func() { c.settleLoop(ctx, c.settler) })
	}
	for range pullParallel {
		wg.Go(func() { c.settleLoop(ctx, c.pulls) })
	}
	wg.Go(func() { c.settleMappings(ctx) })
	wg.Go(func() { c.sweepLoop(ctx) })
	<-ctx.Done()
	return ctx.Err()
}
