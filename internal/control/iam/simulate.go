package iam

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/iam/managed"
	"github.com/lambdad/lambdad/internal/iam/policy"
	"github.com/lambdad/lambdad/internal/wire"
)

// simulatedPolicyType is what the simulator calls every identity policy, as recorded.
const simulatedPolicyType = "IAM Policy"

// simulation is one run of the simulator.
type simulation struct {
	who       policy.Principal
	policies  policy.Policies
	actions   []string
	resources []string
	owner     aws.AccountID
	context   policy.Values
	marker    *string
	maxItems  *int32
}

func (c *Control) simulatePrincipalPolicy(ctx context.Context, call *wire.Call, in *api.SimulatePrincipalPolicyRequest) (*api.SimulatePolicyResponse, error) {
	s := &simulation{actions: in.ActionNames, resources: in.ResourceArns, context: contextOf(in.ContextEntries), marker: in.Marker, maxItems: in.MaxItems}
	if err := c.gather(ctx, call.Account, text(in.PolicySourceArn), s); err != nil {
		return nil, err
	}
	if err := s.inputs(in.PolicyInputList, in.PermissionsBoundaryPolicyInputList, in.ResourcePolicy); err != nil {
		return nil, err
	}
	if err := s.caller(in.CallerArn, in.ResourceOwner); err != nil {
		return nil, err
	}
	return s.run()
}

func (c *Control) simulateCustomPolicy(_ context.Context, call *wire.Call, in *api.SimulateCustomPolicyRequest) (*api.SimulatePolicyResponse, error) {
	s := &simulation{actions: in.ActionNames, resources: in.ResourceArns, context: contextOf(in.ContextEntries), marker: in.Marker, maxItems: in.MaxItems,
		who: policy.Principal{Type: aws.PrincipalUser, Account: call.Account}}
	if err := s.inputs(in.PolicyInputList, in.PermissionsBoundaryPolicyInputList, in.ResourcePolicy); err != nil {
		return nil, err
	}
	if err := s.caller(in.CallerArn, in.ResourceOwner); err != nil {
		return nil, err
	}
	return s.run()
}

// gather reads the policies of the user, role or group to simulate.
func (c *Control) gather(ctx context.Context, account aws.AccountID, source string, s *simulation) error {
	arn, err := aws.ParseARN(source)
	if err != nil {
		return invalid("Invalid ARN:  Could not be parsed!")
	}
	kind, path, _ := strings.Cut(arn.Resource, "/")
	name := path[strings.LastIndexByte(path, '/')+1:]
	s.who = policy.Principal{Type: aws.PrincipalUser, Account: account, ARN: source}
	var boundary string
	var holders []*holder
	switch iam.Kind(kind) {
	case iam.KindUser, iam.KindRole, iam.KindGroup:
		h, err := c.holder(ctx, iam.Kind(kind), account, name)
		if err != nil {
			return err
		}
		holders = append(holders, h)
		switch v := h.record.(type) {
		case *iam.User:
			boundary = v.Boundary
			for _, g := range v.Groups {
				h, err := c.holder(ctx, iam.KindGroup, account, g)
				if err != nil {
					return err
				}
				holders = append(holders, h)
			}
		case *iam.Role:
			boundary = v.Boundary
			s.who.Type, s.who.RoleARN = aws.PrincipalAssumedRole, source
		}
	default:
		return api.NewInvalidInputException("Invalid Entity Arn: " + source + " does not clearly define entity type and name.")
	}
	for _, h := range holders {
		for _, name := range slices.Sorted(maps.Keys(h.grants.Inline)) {
			if err := s.add(&s.policies.Identity, name, h.grants.Inline[name]); err != nil {
				return err
			}
		}
		for _, arn := range h.grants.Attached {
			if err := c.addManaged(ctx, account, arn, &s.policies.Identity, s); err != nil {
				return err
			}
		}
	}
	if boundary != "" {
		s.policies.HasBoundary = true
		return c.addManaged(ctx, account, boundary, &s.policies.Boundary, s)
	}
	return nil
}

func (c *Control) addManaged(ctx context.Context, account aws.AccountID, arn string, to *[]policy.Source, s *simulation) error {
	if m, ok := managed.Find(arn); ok {
		return s.add(to, m.Name, m.Document)
	}
	p, _, err := c.findPolicy(ctx, account, arn, notFound(arn))
	if err != nil {
		return err
	}
	return s.add(to, p.Value.Name, p.Value.Version(p.Value.Default).Document)
}

func (s *simulation) add(to *[]policy.Source, name, document string) error {
	d, err := policy.Parse(document)
	if err != nil {
		return api.NewPolicyEvaluationException(err.Error())
	}
	*to = append(*to, policy.Source{Name: name, Document: d})
	return nil
}

// inputs adds the policies that the request itself carries.
func (s *simulation) inputs(identity, boundary []string, resource *string) error {
	for i, text := range identity {
		if err := s.input(&s.policies.Identity, "PolicyInputList."+strconv.Itoa(i+1), text); err != nil {
			return err
		}
	}
	for i, text := range boundary {
		s.policies.HasBoundary = true
		if err := s.input(&s.policies.Boundary, "PermissionsBoundaryPolicyInputList."+strconv.Itoa(i+1), text); err != nil {
			return err
		}
	}
	if resource != nil {
		return s.input(&s.policies.Resource, "ResourcePolicy", *resource)
	}
	return nil
}

func (s *simulation) input(to *[]policy.Source, name, text string) error {
	d, err := policy.Parse(text)
	if err != nil {
		return api.NewInvalidInputException(err.Error())
	}
	*to = append(*to, policy.Source{Name: name, Document: d})
	return nil
}

func (s *simulation) caller(caller, owner *string) error {
	if owner != nil {
		arn, err := aws.ParseARN(*owner)
		if err != nil {
			return api.NewInvalidInputException("Invalid ResourceOwner: " + *owner)
		}
		s.owner = arn.Account
	}
	if caller != nil {
		arn, err := aws.ParseARN(*caller)
		if err != nil || !strings.HasPrefix(arn.Resource, "user/") {
			return api.NewInvalidInputException("Invalid CallerArn: " + *caller)
		}
		s.who = policy.Principal{Type: aws.PrincipalUser, Account: arn.Account, ARN: *caller}
	}
	return nil
}

func contextOf(entries []api.ContextEntry) policy.Values {
	m := map[string][]string{}
	for _, e := range entries {
		m[text(e.ContextKeyName)] = e.ContextKeyValues
	}
	return policy.NewValues(m)
}

// simulated is one action on one resource, with its place in the list.
type simulated struct{ action, resource, place string }

func (s *simulation) run() (*api.SimulatePolicyResponse, error) {
	resources := s.resources
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	var questions []simulated
	for _, action := range s.actions {
		if vendor, name, ok := strings.Cut(action, ":"); !ok || vendor == "" || name == "" {
			return nil, api.NewInvalidInputException("Invalid action name: " + action)
		}
		for _, r := range resources {
			// A fixed width keeps the order of the places that of the list.
			questions = append(questions, simulated{action, r, strconv.Itoa(1<<30 + len(questions))})
		}
	}
	p, err := pageSorted(questions, s.marker, s.maxItems, func(q simulated) string { return q.place })
	if err != nil {
		return nil, err
	}
	out := &api.SimulatePolicyResponse{EvaluationResults: []api.EvaluationResult{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, q := range p.items {
		out.EvaluationResults = append(out.EvaluationResults, s.evaluate(q.action, q.resource))
	}
	return out, nil
}

func (s *simulation) evaluate(action, resource string) api.EvaluationResult {
	req := &policy.Request{Principal: s.who, Action: action, Resource: resource, ResourceAccount: s.owner, Context: s.context}
	decision, matches := policy.Explain(req, &s.policies)
	word := api.PolicyEvaluationDecisionTypeImplicitDeny
	switch decision.Outcome {
	case policy.Allowed:
		word = api.PolicyEvaluationDecisionTypeAllowed
	case policy.ExplicitDeny:
		word = api.PolicyEvaluationDecisionTypeExplicitDeny
	}
	statements := []api.Statement{}
	for _, m := range matches {
		statements = append(statements, api.Statement{
			SourcePolicyId: &m.Source, SourcePolicyType: wire.Ptr(simulatedPolicyType),
			StartPosition: positionShape(m.Statement.Start), EndPosition: positionShape(m.Statement.End),
		})
	}
	missing := []string{}
	for _, set := range [][]policy.Source{s.policies.Identity, s.policies.Boundary, s.policies.Resource} {
		for _, src := range set {
			for _, key := range src.Document.MissingKeys(req) {
				if !slices.Contains(missing, key) {
					missing = append(missing, key)
				}
			}
		}
	}
	result := api.EvaluationResult{
		EvalActionName: &action, EvalResourceName: &resource, EvalDecision: &word, MatchedStatements: statements, MissingContextValues: missing,
		EvalDecisionDetails:         map[string]string{},
		OrganizationsDecisionDetail: &api.OrganizationsDecisionDetail{AllowedByOrganizations: wire.Ptr(true)}, // no organisation bounds anything here
		ResourceSpecificResults: []api.ResourceSpecificResult{{
			EvalResourceName: &resource, EvalResourceDecision: &word, MatchedStatements: statements, MissingContextValues: missing,
		}},
	}
	if s.policies.HasBoundary {
		allowed := decision.Layer != policy.LayerBoundary
		result.PermissionsBoundaryDecisionDetail = &api.PermissionsBoundaryDecisionDetail{AllowedByPermissionsBoundary: &allowed}
	}
	return result
}

func positionShape(p policy.Position) *api.Position {
	return &api.Position{Line: wire.Ptr(int32(p.Line)), Column: wire.Ptr(int32(p.Column))}
}
