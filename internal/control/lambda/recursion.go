package lambda

import (
	"context"
	"errors"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

func (c *Control) putFunctionRecursionConfig(ctx context.Context, call *wire.Call, in *api.PutFunctionRecursionConfigRequest) (*api.PutFunctionRecursionConfigResponse, error) {
	key, err := c.unqualified(ctx, call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	put, err := record.Recursions.Put(key, &record.Recursion{Allow: value(in.RecursiveLoop) == api.RecursiveLoopAllow}, store.Unconditional())
	if err != nil {
		return nil, err
	}
	// Only while the function is there: its removal in between would leave a record of nothing.
	there := store.Write{Kind: store.WriteCheck, Key: record.FunctionKey(key.ID, record.Latest), If: store.IfExists()}
	_, err = c.table.Commit(ctx, there, put)
	if errors.Is(err, store.ErrConflict) {
		return nil, updateInProgress(key.ID)
	}
	if err != nil {
		return nil, fault(err)
	}
	return &api.PutFunctionRecursionConfigResponse{RecursiveLoop: in.RecursiveLoop}, nil
}

func (c *Control) getFunctionRecursionConfig(ctx context.Context, call *wire.Call, in *api.GetFunctionRecursionConfigRequest) (*api.GetFunctionRecursionConfigResponse, error) {
	key, err := c.unqualified(ctx, call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	loop := api.RecursiveLoopTerminate
	held, err := record.Recursions.Get(ctx, c.records, key)
	switch {
	case err == nil && held.Value.Allow:
		loop = api.RecursiveLoopAllow
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return nil, fault(err)
	}
	return &api.GetFunctionRecursionConfigResponse{RecursiveLoop: &loop}, nil
}
