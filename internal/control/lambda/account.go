package lambda

import (
	"context"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// AWS's defaults. Source: Lambda quotas, "Concurrent executions" and "Storage for
// uploaded functions (.zip file archives) and layers".
const (
	concurrentExecutionsDefault = 1000
	totalCodeBytesDefault       = 75 << 30
)

func (c *Control) getAccountSettings(ctx context.Context, call *wire.Call, _ *api.GetAccountSettingsRequest) (*api.GetAccountSettingsResponse, error) {
	functions, bytes, err := c.usage(ctx, scopeOf(call))
	if err != nil {
		return nil, err
	}
	set, err := c.setAside(ctx, scopeOf(call))
	if err != nil {
		return nil, err
	}
	return &api.GetAccountSettingsResponse{
		AccountLimit: &api.AccountLimit{
			CodeSizeUnzipped:     wire.Ptr(int64(artifact.UnzippedBytesMax)),
			CodeSizeZipped:       wire.Ptr(int64(artifact.ZipBytesMax)),
			ConcurrentExecutions: wire.Ptr(int32(c.limits.ConcurrentExecutions)),
			TotalCodeSize:        wire.Ptr(c.limits.TotalCodeBytes),
			// What is provisioned is not for others either.
			UnreservedConcurrentExecutions: wire.Ptr(int32(max(0, c.limits.ConcurrentExecutions-set.total()))),
		},
		AccountUsage: &api.AccountUsage{FunctionCount: wire.Ptr(functions), TotalCodeSize: wire.Ptr(bytes)},
	}, nil
}

// usage counts functions, and the code of all their versions.
func (c *Control) usage(ctx context.Context, scope record.Scope) (functions, bytes int64, err error) {
	for after, more := "", true; more; {
		var page []record.Stored
		if page, more, err = c.table.ListLatest(ctx, scope, after, store.ListLimitMax); err != nil {
			return 0, 0, fault(err)
		}
		for _, s := range page {
			functions++
			bytes += s.CodeBytes
			after = s.ID.Name
		}
	}
	for after, more := "", true; more; {
		var page []record.Stored
		if page, more, err = c.table.ListAllVersions(ctx, scope, after, store.ListLimitMax); err != nil {
			return 0, 0, fault(err)
		}
		for _, s := range page {
			bytes += s.CodeBytes
			after = record.FunctionKey(s.ID, s.Version)
		}
	}
	return functions, bytes, nil
}
