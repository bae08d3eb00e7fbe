package lambda

import (
	"context"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

func (c *Control) getFunction(ctx context.Context, call *wire.Call, in *api.GetFunctionRequest) (*api.GetFunctionResponse, error) {
	n, err := c.named(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	s, err := c.read(ctx, n)
	if err != nil {
		return nil, err
	}
	out := &api.GetFunctionResponse{
		Configuration: c.configuration(ctx, call, s.Function, n.Qualifier),
		Code: &api.FunctionCodeLocation{
			RepositoryType: wire.Ptr("S3"),
			Location:       wire.Ptr(c.signer.location(call.Endpoint, artifact.Digest(s.Artifact))),
		},
	}
	if s.Image != nil {
		out.Code = imageLocation(s.Image)
	}
	tags := s.Tags
	if s.Version != record.Latest {
		latest, err := c.read(ctx, record.Name{ID: n.ID})
		if err != nil {
			return nil, err
		}
		tags = latest.Tags
	}
	if len(tags) > 0 {
		out.Tags = tags
	}
	if n.Qualifier == "" {
		if reserved, err := c.reservedOf(ctx, n.ID); err != nil {
			return nil, err
		} else if reserved != nil {
			out.Concurrency = &api.Concurrency{ReservedConcurrentExecutions: reserved}
		}
	}
	return out, nil
}

func (c *Control) getFunctionConfiguration(ctx context.Context, call *wire.Call, in *api.GetFunctionConfigurationRequest) (*api.FunctionConfiguration, error) {
	n, err := c.named(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	s, err := c.read(ctx, n)
	if err != nil {
		return nil, err
	}
	return c.configuration(ctx, call, s.Function, n.Qualifier), nil
}
