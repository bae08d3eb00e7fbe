package lambda

import (
	"context"
	"fmt"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// putRuntimeManagementConfig says which build of its runtime a version gets. Only builds that were added to lambdad
// can be held: what the host's system has, its own updates replace.
func (c *Control) putRuntimeManagementConfig(ctx context.Context, call *wire.Call, in *api.PutRuntimeManagementConfigRequest) (*api.PutRuntimeManagementConfigResponse, error) {
	n, err := c.runtimeName(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	mode, arn := value(in.UpdateRuntimeOn), value(in.RuntimeVersionArn)
	switch {
	case mode == api.UpdateRuntimeOnManual && arn == "":
		return nil, invalid("RuntimeVersionArn must be given with UpdateRuntimeOn Manual.")
	case mode != api.UpdateRuntimeOnManual && arn != "":
		return nil, invalid("RuntimeVersionArn can only be given with UpdateRuntimeOn Manual.")
	}
	f, err := c.change(ctx, n, func(f *record.Function) ([]store.Write, error) {
		if err := mayManage(f); err != nil {
			return nil, err
		}
		if err := mayChange(f, nil); err != nil {
			return nil, err
		}
		before := f.Clone()
		if err := c.manageRuntime(ctx, f, mode, arn); err != nil {
			return nil, err
		}
		if f.RuntimeUpdate != before.RuntimeUpdate || f.RuntimeVersionARN != before.RuntimeVersionARN {
			f.Generation++ // environments on another build must not go on
			revise(f)
		}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return &api.PutRuntimeManagementConfigResponse{UpdateRuntimeOn: &mode, FunctionArn: wire.Ptr(f.ID.QualifiedARN(f.Version)), RuntimeVersionArn: unlessEmpty(arn)}, nil
}

// manageRuntime changes f to a mode, and to the build that it gets with it.
func (c *Control) manageRuntime(ctx context.Context, f *record.Function, mode, arn string) error {
	var found runtimes.Runtime
	var err error
	switch mode {
	case api.UpdateRuntimeOnAuto:
		f.RuntimeUpdate = ""
		if err := c.resolveRuntime(ctx, f); err != nil {
			c.log.Debug("a function has no runtime here", "function", f.ID.ARN(), "error", err)
		}
		return nil
	case api.UpdateRuntimeOnManual:
		f.RuntimeUpdate = record.RuntimeManual
		found, err = c.runtimes.ResolveVersion(ctx, f.Runtime, f.Architecture, runtimes.VersionOf(arn))
		if err == nil && found.VersionARN(f.ID.Region) != arn {
			err = fmt.Errorf("%w: of another region", runtimes.ErrNoRuntime)
		}
		if err != nil {
			return invalid("The runtime version %s is not a version of %s that is available here. `lambdad runtime list` names them.", arn, f.Runtime)
		}
		f.RuntimeVersionARN = arn
	case api.UpdateRuntimeOnFunctionUpdate:
		if f.RuntimeUpdate == "" || f.RuntimeVersionARN == "" { // what it has now; from Manual, what it is held to
			if err := c.resolveRuntime(ctx, f); err != nil {
				return invalid("%s", err)
			}
		}
		f.RuntimeUpdate = record.RuntimeOnUpdate
		if found, err = c.runtimes.ResolveVersion(ctx, f.Runtime, f.Architecture, runtimes.VersionOf(f.RuntimeVersionARN)); err != nil {
			return invalid("%s", err)
		}
	}
	if found.Origin != runtimes.OriginInstalled {
		return invalid("UpdateRuntimeOn %s cannot be kept for %s, which is this machine's own and is replaced by its updates. `lambdad runtime add %s` gives versions that stay.", mode, f.Runtime, f.Runtime)
	}
	return nil
}

func (c *Control) getRuntimeManagementConfig(ctx context.Context, call *wire.Call, in *api.GetRuntimeManagementConfigRequest) (*api.GetRuntimeManagementConfigResponse, error) {
	n, err := c.runtimeName(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	s, err := c.read(ctx, n)
	if err != nil {
		return nil, err
	}
	if err := mayManage(s.Function); err != nil {
		return nil, err
	}
	out := &api.GetRuntimeManagementConfigResponse{UpdateRuntimeOn: wire.Ptr(api.UpdateRuntimeOnAuto), FunctionArn: wire.Ptr(s.ID.QualifiedARN(s.Version))}
	if s.RuntimeUpdate != "" {
		out.UpdateRuntimeOn = wire.Ptr(s.RuntimeUpdate)
	}
	if s.RuntimeUpdate == record.RuntimeManual { // in the other modes it is null: Lambda API, GetRuntimeManagementConfig
		out.RuntimeVersionArn = wire.Ptr(s.RuntimeVersionARN)
	}
	return out, nil
}

// runtimeName reads the version that a request names. Source of the text: what users of AWS got
// (an issue of DataBiosphere/azul).
func (c *Control) runtimeName(call *wire.Call, name, qualifier *string) (record.Name, error) {
	n, err := c.named(call, name, qualifier)
	if err == nil && n.Qualifier != "" && n.Qualifier != record.LatestPublished && !record.ValidVersion(n.Qualifier) {
		return n, invalid("The provided function name %s is invalid. Aliases are not allowed.", n.ARN())
	}
	return n, err
}

func mayManage(f *record.Function) error {
	if f.Image != nil {
		return invalid("Runtime management is not supported for functions with container images.")
	}
	return nil
}
