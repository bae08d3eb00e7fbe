package lambda

import (
	"context"
	"errors"
	"maps"
	"slices"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// Authorizer decides whether the caller may do an action on a resource. It
// returns the fault to answer, nil to go on.
type Authorizer interface {
	AuthorizeAccess(ctx context.Context, call *wire.Call, access iam.Access) error
}

// crossAccount are the operations that a function's resource-based policy can open to other
// accounts. Source: Lambda developer guide, "Granting Lambda function access to other
// accounts", its list of actions. Each of them has a line on the function in demands.
var crossAccount = map[string]bool{
	"CreateAlias": true, "DeleteAlias": true, "DeleteFunction": true, "DeleteFunctionConcurrency": true,
	"DeleteFunctionEventInvokeConfig": true, "GetFunctionEventInvokeConfig": true, "ListFunctionEventInvokeConfigs": true,
	"PutFunctionEventInvokeConfig": true, "UpdateFunctionEventInvokeConfig": true,
	"DeleteProvisionedConcurrencyConfig": true, "GetAlias": true, "GetFunction": true, "GetFunctionConcurrency": true,
	"GetFunctionConfiguration": true, "GetPolicy": true, "GetProvisionedConcurrencyConfig": true, "Invoke": true, "ListAliases": true,
	"ListProvisionedConcurrencyConfigs": true, "ListTags": true, "ListVersionsByFunction": true, "PublishVersion": true,
	"PutFunctionConcurrency": true, "PutProvisionedConcurrencyConfig": true, "TagResource": true, "UntagResource": true,
	"UpdateAlias": true, "UpdateFunctionCode": true,
}

// anyResource is the resource of actions that have none.
const anyResource = "*"

// servicePrincipal is who a function's role must trust.
const servicePrincipal = "lambda.amazonaws.com"

// demand is one thing that a caller must be allowed to do.
type demand struct {
	action     string
	resource   string
	conditions map[string][]string
	owner      aws.AccountID    // of the resource; "" is the caller's account
	policies   []string         // on the resource
	function   record.Qualified // whose policy it is, "" where none is asked for
}

// authorizeCall asks for everything that an operation demands. It runs before the
// request is validated: a name that is none is left to validation, on "*".
func (c *Control) authorizeCall(ctx context.Context, call *wire.Call, operation string, in any) error {
	for _, d := range c.demands(call, operation, in) {
		access := iam.Access{Action: d.action, Resource: d.resource, Owner: d.owner, Conditions: d.conditions, ResourcePolicies: d.policies}
		refused := c.authorize.AuthorizeAccess(ctx, call, access)
		if refused == nil {
			continue
		}
		if access.ResourcePolicies = c.freshPolicy(ctx, d); access.ResourcePolicies == nil {
			return refused
		}
		if err := c.authorize.AuthorizeAccess(ctx, call, access); err != nil {
			return err
		}
	}
	return nil
}

// freshPolicy is the function's policy where it is another than was asked with: the permission may have
// been given a moment ago.
func (c *Control) freshPolicy(ctx context.Context, d demand) []string {
	if d.function.ID.Name == "" {
		return nil
	}
	p, ok, err := c.policies.Refresh(ctx, d.function)
	if err != nil || !ok || slices.Contains(d.policies, p.Document) {
		return nil // the refusal is the answer, whatever keeps the store from being read
	}
	return []string{p.Document}
}

// demands follows the Service Authorization Reference, "Actions, resources, and
// condition keys for AWS Lambda": the action has the operation's name but for Invoke.
// An operation without a line of its own demands its action on everything, so that
// one that is built later is never open by accident.
func (c *Control) demands(call *wire.Call, operation string, in any) []demand {
	switch in := in.(type) {
	case *api.CreateFunctionRequest:
		own := c.onFunction(call, "lambda:CreateFunction", in.FunctionName, nil)
		own.conditions = with(own.conditions, requestTags(in.Tags))
		out := []demand{own}
		if len(in.Tags) > 0 {
			// What AWS denies a creator of tagged functions who may not tag them; the
			// reference does not say so.
			out = append(out, demand{action: "lambda:TagResource", resource: own.resource, conditions: maps.Clone(own.conditions)})
		}
		own.conditions = with(own.conditions, configurationKeys(in.VpcConfig, in.Layers, in.CodeSigningConfigArn))
		return append(out, passRole(in.Role, own.resource)...)
	case *api.UpdateFunctionConfigurationRequest:
		own := c.onFunction(call, "lambda:UpdateFunctionConfiguration", in.FunctionName, nil)
		own.conditions = with(own.conditions, configurationKeys(in.VpcConfig, in.Layers, nil))
		return append([]demand{own}, passRole(in.Role, own.resource)...)
	case *api.UpdateFunctionCodeRequest:
		return []demand{c.onFunction(call, "lambda:UpdateFunctionCode", in.FunctionName, nil)}
	case *api.DeleteFunctionRequest:
		return []demand{c.onFunction(call, "lambda:DeleteFunction", in.FunctionName, in.Qualifier)}
	case *api.GetFunctionRequest:
		return []demand{c.onFunction(call, "lambda:GetFunction", in.FunctionName, in.Qualifier)}
	case *api.GetFunctionConfigurationRequest:
		return []demand{c.onFunction(call, "lambda:GetFunctionConfiguration", in.FunctionName, in.Qualifier)}
	case *api.CreateCodeSigningConfigRequest:
		return onNewSigning(call, in)
	case *api.GetCodeSigningConfigRequest:
		return []demand{c.onSigning("lambda:GetCodeSigningConfig", in.CodeSigningConfigArn)}
	case *api.UpdateCodeSigningConfigRequest:
		return []demand{c.onSigning("lambda:UpdateCodeSigningConfig", in.CodeSigningConfigArn)}
	case *api.DeleteCodeSigningConfigRequest:
		return []demand{c.onSigning("lambda:DeleteCodeSigningConfig", in.CodeSigningConfigArn)}
	case *api.ListFunctionsByCodeSigningConfigRequest:
		return []demand{c.onSigning("lambda:ListFunctionsByCodeSigningConfig", in.CodeSigningConfigArn)}
	case *api.PutFunctionCodeSigningConfigRequest:
		own := c.onFunction(call, "lambda:PutFunctionCodeSigningConfig", in.FunctionName, nil)
		own.conditions = with(own.conditions, configurationKeys(nil, nil, in.CodeSigningConfigArn))
		return []demand{own, c.onSigning(own.action, in.CodeSigningConfigArn)}
	case *api.DeleteFunctionCodeSigningConfigRequest:
		return []demand{c.onFunction(call, "lambda:DeleteFunctionCodeSigningConfig", in.FunctionName, nil)}
	case *api.PutRuntimeManagementConfigRequest:
		return []demand{c.onFunction(call, "lambda:PutRuntimeManagementConfig", in.FunctionName, in.Qualifier)}
	case *api.GetRuntimeManagementConfigRequest:
		return []demand{c.onFunction(call, "lambda:GetRuntimeManagementConfig", in.FunctionName, in.Qualifier)}
	case *api.GetFunctionCodeSigningConfigRequest:
		return []demand{c.onFunction(call, "lambda:GetFunctionCodeSigningConfig", in.FunctionName, nil)}
	case *api.PublishVersionRequest:
		return []demand{c.onFunction(call, "lambda:PublishVersion", in.FunctionName, nil)}
	case *api.ListVersionsByFunctionRequest:
		return []demand{c.onFunction(call, "lambda:ListVersionsByFunction", in.FunctionName, nil)}
	case *api.CreateAliasRequest:
		return []demand{c.onFunction(call, "lambda:CreateAlias", in.FunctionName, nil)}
	case *api.UpdateAliasRequest:
		return []demand{c.onFunction(call, "lambda:UpdateAlias", in.FunctionName, nil)}
	case *api.GetAliasRequest:
		return []demand{c.onFunction(call, "lambda:GetAlias", in.FunctionName, nil)}
	case *api.DeleteAliasRequest:
		return []demand{c.onFunction(call, "lambda:DeleteAlias", in.FunctionName, nil)}
	case *api.ListAliasesRequest:
		return []demand{c.onFunction(call, "lambda:ListAliases", in.FunctionName, nil)}
	case *api.PublishLayerVersionRequest:
		return []demand{c.onLayer(call, "lambda:PublishLayerVersion", in.LayerName, nil)}
	case *api.GetLayerVersionRequest:
		return []demand{c.onLayer(call, "lambda:GetLayerVersion", in.LayerName, in.VersionNumber)}
	case *api.GetLayerVersionByArnRequest:
		return []demand{c.onLayer(call, "lambda:GetLayerVersion", in.Arn, nil)}
	case *api.DeleteLayerVersionRequest:
		return []demand{c.onLayer(call, "lambda:DeleteLayerVersion", in.LayerName, in.VersionNumber)}
	case *api.GetLayerVersionPolicyRequest:
		return []demand{c.onLayer(call, "lambda:GetLayerVersionPolicy", in.LayerName, in.VersionNumber)}
	case *api.AddLayerVersionPermissionRequest:
		return []demand{c.onLayer(call, "lambda:AddLayerVersionPermission", in.LayerName, in.VersionNumber)}
	case *api.RemoveLayerVersionPermissionRequest:
		return []demand{c.onLayer(call, "lambda:RemoveLayerVersionPermission", in.LayerName, in.VersionNumber)}
	case *api.AddPermissionRequest:
		own := c.onFunction(call, "lambda:AddPermission", in.FunctionName, in.Qualifier)
		own.conditions = with(own.conditions, map[string][]string{"lambda:Principal": {value(in.Principal)}})
		if in.FunctionUrlAuthType != nil {
			own.conditions["lambda:FunctionUrlAuthType"] = []string{*in.FunctionUrlAuthType}
		}
		return []demand{own}
	case *api.RemovePermissionRequest:
		return []demand{c.onFunction(call, "lambda:RemovePermission", in.FunctionName, in.Qualifier)}
	case *api.GetPolicyRequest:
		return []demand{c.onFunction(call, "lambda:GetPolicy", in.FunctionName, in.Qualifier)}
	case *api.PutFunctionEventInvokeConfigRequest:
		return []demand{c.onFunction(call, "lambda:PutFunctionEventInvokeConfig", in.FunctionName, in.Qualifier)}
	case *api.UpdateFunctionEventInvokeConfigRequest:
		return []demand{c.onFunction(call, "lambda:UpdateFunctionEventInvokeConfig", in.FunctionName, in.Qualifier)}
	case *api.GetFunctionEventInvokeConfigRequest:
		return []demand{c.onFunction(call, "lambda:GetFunctionEventInvokeConfig", in.FunctionName, in.Qualifier)}
	case *api.DeleteFunctionEventInvokeConfigRequest:
		return []demand{c.onFunction(call, "lambda:DeleteFunctionEventInvokeConfig", in.FunctionName, in.Qualifier)}
	case *api.ListFunctionEventInvokeConfigsRequest:
		return []demand{c.onFunction(call, "lambda:ListFunctionEventInvokeConfigs", in.FunctionName, nil)}
	case *api.CreateFunctionUrlConfigRequest:
		return []demand{c.onFunctionURL(call, "lambda:CreateFunctionUrlConfig", in.FunctionName, in.Qualifier, in.AuthType)}
	case *api.UpdateFunctionUrlConfigRequest:
		return []demand{c.onFunctionURL(call, "lambda:UpdateFunctionUrlConfig", in.FunctionName, in.Qualifier, in.AuthType)}
	case *api.GetFunctionUrlConfigRequest:
		return []demand{c.onFunctionURL(call, "lambda:GetFunctionUrlConfig", in.FunctionName, in.Qualifier, nil)}
	case *api.DeleteFunctionUrlConfigRequest:
		return []demand{c.onFunctionURL(call, "lambda:DeleteFunctionUrlConfig", in.FunctionName, in.Qualifier, nil)}
	case *api.ListFunctionUrlConfigsRequest:
		return []demand{c.onFunction(call, "lambda:ListFunctionUrlConfigs", in.FunctionName, nil)}
	case *api.ListDurableExecutionsByFunctionRequest:
		return []demand{c.onFunction(call, "lambda:ListDurableExecutionsByFunction", in.FunctionName, in.Qualifier)}
	case *api.PutFunctionConcurrencyRequest:
		return []demand{c.onFunction(call, "lambda:PutFunctionConcurrency", in.FunctionName, nil)}
	case *api.GetFunctionConcurrencyRequest:
		return []demand{c.onFunction(call, "lambda:GetFunctionConcurrency", in.FunctionName, nil)}
	case *api.DeleteFunctionConcurrencyRequest:
		return []demand{c.onFunction(call, "lambda:DeleteFunctionConcurrency", in.FunctionName, nil)}
	case *api.PutFunctionRecursionConfigRequest:
		return []demand{c.onFunction(call, "lambda:PutFunctionRecursionConfig", in.FunctionName, nil)}
	case *api.GetFunctionRecursionConfigRequest:
		return []demand{c.onFunction(call, "lambda:GetFunctionRecursionConfig", in.FunctionName, nil)}
	case *api.PutProvisionedConcurrencyConfigRequest:
		return []demand{c.onFunction(call, "lambda:PutProvisionedConcurrencyConfig", in.FunctionName, in.Qualifier)}
	case *api.GetProvisionedConcurrencyConfigRequest:
		return []demand{c.onFunction(call, "lambda:GetProvisionedConcurrencyConfig", in.FunctionName, in.Qualifier)}
	case *api.DeleteProvisionedConcurrencyConfigRequest:
		return []demand{c.onFunction(call, "lambda:DeleteProvisionedConcurrencyConfig", in.FunctionName, in.Qualifier)}
	case *api.ListProvisionedConcurrencyConfigsRequest:
		return []demand{c.onFunction(call, "lambda:ListProvisionedConcurrencyConfigs", in.FunctionName, nil)}
	case *api.InvocationRequest:
		return []demand{c.onFunction(call, "lambda:InvokeFunction", in.FunctionName, in.Qualifier)}
	case *api.InvokeWithResponseStreamRequest:
		return []demand{c.onFunction(call, "lambda:InvokeFunction", in.FunctionName, in.Qualifier)}
	case *api.CreateEventSourceMappingRequest:
		return c.onNewMapping(call, in)
	case *api.UpdateEventSourceMappingRequest:
		own := c.onMapping(call, "lambda:UpdateEventSourceMapping", in.UUID)
		if in.FunctionName == nil {
			return []demand{own}
		}
		moved := own
		moved.conditions = with(maps.Clone(own.conditions), c.functionKey(call, in.FunctionName))
		return []demand{own, moved}
	case *api.DeleteEventSourceMappingRequest:
		return []demand{c.onMapping(call, "lambda:DeleteEventSourceMapping", in.UUID)}
	case *api.GetEventSourceMappingRequest:
		return []demand{c.onMapping(call, "lambda:GetEventSourceMapping", in.UUID)}
	case *api.ListTagsRequest:
		return []demand{c.onTaggable(call, "lambda:ListTags", in.Resource)}
	case *api.TagResourceRequest:
		own := c.onTaggable(call, "lambda:TagResource", in.Resource)
		own.conditions = with(own.conditions, requestTags(in.Tags))
		return []demand{own}
	case *api.UntagResourceRequest:
		own := c.onTaggable(call, "lambda:UntagResource", in.Resource)
		if len(in.TagKeys) > 0 {
			own.conditions = with(own.conditions, map[string][]string{"aws:TagKeys": in.TagKeys})
		}
		return []demand{own}
	default:
		// ListFunctions and GetAccountSettings have no resource in the reference.
		return []demand{{action: "lambda:" + operation, resource: anyResource}}
	}
}

// onFunction is an action on the function, version or alias that a request names, with
// the function's tags as condition keys.
func (c *Control) onFunction(call *wire.Call, action string, name, qualifier *string) demand {
	n, err := record.ParseName(value(name), scopeOf(call))
	if n.ID.Name == "" {
		// Not a function's name: validation answers it once the caller is known to be
		// allowed anything at all here.
		return demand{action: action, resource: anyResource}
	}
	if (err == nil || errors.Is(err, record.ErrOtherAccount)) && qualifier != nil && record.ValidQualifier(*qualifier) {
		n.Qualifier = *qualifier
	}
	d := demand{action: action, resource: n.ARN(), owner: n.ID.Account, conditions: map[string][]string{}, function: n.PolicyKey()}
	if p, ok := c.policies.Get(d.function); ok {
		d.policies = []string{p.Document}
	}
	if f, ok := c.functions.Function(n.ID, record.Latest); ok {
		for key, v := range f.Tags {
			d.conditions["aws:ResourceTag/"+key] = []string{v}
		}
	}
	return d
}

// onFunctionURL is an action on a function's URL, with its kind of authentication as a condition key.
func (c *Control) onFunctionURL(call *wire.Call, action string, name, qualifier, authType *string) demand {
	d := c.onFunction(call, action, name, qualifier)
	if authType != nil {
		d.conditions = with(d.conditions, map[string][]string{"lambda:FunctionUrlAuthType": {*authType}})
	}
	return d
}

// onLayer is an action on the layer or the version that a request names.
func (c *Control) onLayer(call *wire.Call, action string, name *string, number *int64) demand {
	id, ok := record.ParseLayer(value(name), scopeOf(call))
	if !ok {
		return demand{action: action, resource: anyResource}
	}
	if id.Version == 0 && value(number) > 0 {
		id.Version = uint64(*number)
	}
	d := demand{action: action, resource: id.ARN(), owner: id.Account}
	if id.Version > 0 {
		if held, err := record.LayerVersions.Get(context.Background(), c.records, id.Key()); err == nil {
			d.policies = documents(held.Value.Policy)
		}
	}
	return d
}

// passRole is what hands a role to a function demands of the role.
func passRole(role *string, function string) []demand {
	if value(role) == "" {
		return nil
	}
	return []demand{{action: "iam:PassRole", resource: *role, conditions: map[string][]string{
		"iam:PassedToService":       {servicePrincipal},
		"iam:AssociatedResourceArn": {function},
	}}}
}

func requestTags(tags map[string]string) map[string][]string {
	if len(tags) == 0 {
		return nil
	}
	out := map[string][]string{"aws:TagKeys": slices.Sorted(maps.Keys(tags))}
	for key, v := range tags {
		out["aws:RequestTag/"+key] = []string{v}
	}
	return out
}

// configurationKeys are the condition keys of lambda for what a function is given.
func configurationKeys(vpc *api.VpcConfig, layers []string, codeSigning *string) map[string][]string {
	out := map[string][]string{}
	if vpc != nil && len(vpc.SubnetIds) > 0 {
		out["lambda:SubnetIds"] = vpc.SubnetIds
	}
	if vpc != nil && len(vpc.SecurityGroupIds) > 0 {
		out["lambda:SecurityGroupIds"] = vpc.SecurityGroupIds
	}
	if len(layers) > 0 {
		out["lambda:Layer"] = layers
	}
	if value(codeSigning) != "" {
		out["lambda:CodeSigningConfigArn"] = []string{*codeSigning}
	}
	return out
}

func with(a, b map[string][]string) map[string][]string {
	if a == nil {
		return b
	}
	maps.Copy(a, b)
	return a
}
