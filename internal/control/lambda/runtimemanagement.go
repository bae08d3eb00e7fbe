package lambda

import (
	"context"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// putRuntimeManagementConfig takes Auto, which is how environments start: on the build of the runtime that
// is here then. Nothing here would hold a function to an older build, so the other modes are refused.
func (c *Control) putRuntimeManagementConfig(ctx context.Context, call *wire.Call, in *api.PutRuntimeManagementConfigRequest) (*api.PutRuntimeManagementConfigResponse, error) {
	f, err := c.runtimeManaged(ctx, call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	mode := value(in.UpdateRuntimeOn)
	switch {
	case mode != api.UpdateRuntimeOnAuto:
		return nil, refused("UpdateRuntimeOn " + mode)
	case value(in.RuntimeVersionArn) != "":
		return nil, invalid("RuntimeVersionArn can only be given with UpdateRuntimeOn Manual.")
	}
	return &api.PutRuntimeManagementConfigResponse{UpdateRuntimeOn: &mode, FunctionArn: wire.Ptr(f.ID.QualifiedARN(f.Version))}, nil
}

func (c *Control) getRuntimeManagementConfig(ctx context.Context, call *wire.Call, in *api.GetRuntimeManagementConfigRequest) (*api.GetRuntimeManagementConfigResponse, error) {
	f, err := c.runtimeManaged(ctx, call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return &api.GetRuntimeManagementConfigResponse{UpdateRuntimeOn: wire.Ptr(api.UpdateRuntimeOnAuto), FunctionArn: wire.Ptr(f.ID.QualifiedARN(f.Version))}, nil
}

// runtimeManaged reads the version that a request names.
func (c *Control) runtimeManaged(ctx context.Context, call *wire.Call, name, qualifier *string) (*record.Function, error) {
	n, err := c.named(call, name, qualifier)
	if err != nil {
		return nil, err
	}
	s, err := c.read(ctx, n)
	if err != nil {
		return nil, err
	}
	if s.Image != nil {
		return nil, invalid("Runtime management is not supported for functions with container images.")
	}
	return s.Function, nil
}
