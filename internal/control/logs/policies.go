package logs

import (
	"context"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/iam/policy"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/wire"
)

// A resource policy is asked with each request, beside the caller's own. Those on single groups are not here.
const policyScope = "ACCOUNT"

func (c *control) putResourcePolicy(ctx context.Context, call *wire.Call, in *api.PutResourcePolicyRequest) (*api.PutResourcePolicyResponse, error) {
	switch {
	case in.ResourceArn != nil || in.ExpectedRevisionId != nil:
		return nil, invalid("Resource policies of single log groups (resourceArn, expectedRevisionId) are not supported here.")
	case value(in.PolicyName) == "":
		return nil, invalid("PolicyName is required.")
	}
	if _, err := policy.Parse(value(in.PolicyDocument)); err != nil {
		return nil, invalid("The policy document is malformed: " + err.Error())
	}
	p, err := c.logs.PutPolicy(ctx, scopeOf(call), logs.Policy{Name: *in.PolicyName, Document: *in.PolicyDocument})
	if err != nil {
		return nil, fault(err)
	}
	return &api.PutResourcePolicyResponse{ResourcePolicy: wire.Ptr(shownPolicy(p))}, nil
}

func (c *control) deleteResourcePolicy(ctx context.Context, call *wire.Call, in *api.DeleteResourcePolicyRequest) error {
	if in.ResourceArn != nil || in.ExpectedRevisionId != nil {
		return fault(logs.ErrPolicyNotFound)
	}
	return fault(c.logs.DeletePolicy(ctx, scopeOf(call), value(in.PolicyName)))
}

// describeResourcePolicies lists by name. The token is the last name that was shown.
func (c *control) describeResourcePolicies(ctx context.Context, call *wire.Call, in *api.DescribeResourcePoliciesRequest) (*api.DescribeResourcePoliciesResponse, error) {
	out := &api.DescribeResourcePoliciesResponse{ResourcePolicies: []api.ResourcePolicy{}}
	if in.ResourceArn != nil || in.PolicyScope != nil && *in.PolicyScope != policyScope {
		return out, nil
	}
	all, err := c.logs.Policies(ctx, scopeOf(call))
	if err != nil {
		return nil, fault(err)
	}
	most := describeDefault
	if in.Limit != nil {
		most = int(*in.Limit)
	}
	for _, p := range all {
		if in.NextToken != nil && p.Name <= *in.NextToken {
			continue
		}
		if len(out.ResourcePolicies) == most && most > 0 {
			out.NextToken = out.ResourcePolicies[most-1].PolicyName
			break
		}
		out.ResourcePolicies = append(out.ResourcePolicies, shownPolicy(p))
	}
	return out, nil
}

func shownPolicy(p logs.Policy) api.ResourcePolicy {
	return api.ResourcePolicy{PolicyName: &p.Name, PolicyDocument: &p.Document, LastUpdatedTime: &p.Modified, PolicyScope: wire.Ptr(policyScope)}
}
