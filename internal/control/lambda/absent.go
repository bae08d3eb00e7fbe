package lambda

import (
	"context"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/wire"
)

// absent answers for resources of kinds that cannot be made here, so that none exists: capacity
// providers, durable executions and their callbacks.
func absent[In, Out any](_ context.Context, _ *wire.Call, _ *In) (*Out, error) {
	return nil, notThere()
}

// unknownToken answers for a token that nobody was given. These operations have no ResourceNotFoundException in
// their model.
func unknownToken[In, Out any](_ context.Context, _ *wire.Call, _ *In) (*Out, error) {
	return nil, invalid("The provided token is not valid: there is no such durable execution.")
}

// unmakeable refuses to make one.
func unmakeable[In, Out any](what string) func(context.Context, *wire.Call, *In) (*Out, error) {
	return func(context.Context, *wire.Call, *In) (*Out, error) { return nil, refused(what) }
}

// setAbsent fills the slots of what cannot be made here.
func setAbsent(h *api.Handlers) {
	h.CreateCapacityProvider = unmakeable[api.CreateCapacityProviderRequest, api.CreateCapacityProviderResponse]("CreateCapacityProvider")
	h.GetCapacityProvider = absent
	h.UpdateCapacityProvider = absent
	h.DeleteCapacityProvider = absent
	h.ListFunctionVersionsByCapacityProvider = absent
	h.ListCapacityProviders = func(context.Context, *wire.Call, *api.ListCapacityProvidersRequest) (*api.ListCapacityProvidersResponse, error) {
		return &api.ListCapacityProvidersResponse{CapacityProviders: []api.CapacityProvider{}}, nil
	}
	// A function's environments on a capacity provider are what this would scale.
	h.PutFunctionScalingConfig = unmakeable[api.PutFunctionScalingConfigRequest, api.PutFunctionScalingConfigResponse]("FunctionScalingConfig")
	h.GetFunctionScalingConfig = absent

	h.CheckpointDurableExecution = unknownToken
	h.GetDurableExecution = absent
	h.GetDurableExecutionHistory = absent
	h.GetDurableExecutionState = unknownToken
	h.StopDurableExecution = absent
	h.SendDurableExecutionCallbackFailure = unknownToken
	h.SendDurableExecutionCallbackHeartbeat = unknownToken
	h.SendDurableExecutionCallbackSuccess = unknownToken
}

// listDurableExecutionsByFunction finds none: no function here is durable.
func (c *Control) listDurableExecutionsByFunction(ctx context.Context, call *wire.Call, in *api.ListDurableExecutionsByFunctionRequest) (*api.ListDurableExecutionsByFunctionResponse, error) {
	n, err := c.named(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if _, err := c.read(ctx, n); err != nil {
		return nil, err
	}
	return &api.ListDurableExecutionsByFunctionResponse{DurableExecutions: []api.Execution{}}, nil
}
