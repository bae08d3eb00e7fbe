package iam

import (
	"context"
	"net/http"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam/policy"
	"github.com/lambdad/lambdad/internal/wire"
)

// Access is one question: may the caller do an action on a resource?
type Access struct {
	Action   string
	Resource string // an ARN or "*"
	// Owner of the resource; "" is the account acted in.
	Owner aws.AccountID
	// Conditions are the action's own condition keys.
	Conditions map[string][]string
	// ResourcePolicies are the documents on the resource.
	ResourcePolicies []string
	// ResourceRequired: without their grant nothing is allowed (trust).
	ResourceRequired bool
}

// Authorize asks for one action on each of the resources; no resource means "*".
// The error is a *wire.GenericFault in AWS's words.
func (a *Authority) Authorize(ctx context.Context, call *wire.Call, action string, resources []string, conditions map[string][]string) error {
	if len(resources) == 0 {
		return a.AuthorizeAccess(ctx, call, Access{Action: action, Resource: "*", Conditions: conditions})
	}
	for _, r := range resources {
		if err := a.AuthorizeAccess(ctx, call, Access{Action: action, Resource: r, Conditions: conditions}); err != nil {
			return err
		}
	}
	return nil
}

// AuthorizeAccess is Authorize for one resource with everything that can bear on it.
func (a *Authority) AuthorizeAccess(_ context.Context, call *wire.Call, access Access) error {
	if a.mode == ModeNone {
		return nil
	}
	d := a.decide(call, &access)
	if d.Outcome == policy.Allowed {
		return nil
	}
	return deniedFault(call, &access, d)
}

func (a *Authority) decide(call *wire.Call, access *Access) policy.Decision {
	who := a.subjectOf(&call.Principal, call.SessionContext)
	owner := access.Owner
	if owner == "" {
		owner = call.Account
	}
	req := policy.Request{
		Principal: who.who, Action: access.Action, Resource: access.Resource, ResourceAccount: owner,
		Context: &requestContext{call: call, subject: &who, resource: owner, extra: access.Conditions},
	}
	pol := policy.Policies{
		Identity: who.grants.identity, Boundary: who.grants.boundary, HasBoundary: who.grants.hasBoundary, ResourceRequired: access.ResourceRequired,
	}
	pol.Session, pol.HasSession = a.sessionPolicies(call)
	for _, text := range access.ResourcePolicies {
		pol.Resource = append(pol.Resource, a.dir.source("resource", text))
	}
	if who.root {
		if !pol.HasSession && owner == call.Principal.Account && len(pol.Resource) == 0 && !access.ResourceRequired {
			return policy.Decision{Outcome: policy.Allowed}
		}
		pol.Identity = []policy.Source{{Name: "root", Document: allowAll}}
	}
	return policy.Evaluate(&req, &pol)
}

// allowAll is what the root of an account has.
var allowAll = func() *policy.Document {
	d, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	if err != nil {
		panic("the policy that allows everything does not parse: " + err.Error())
	}
	return d
}()

// deniedFault words a refusal as AWS does (IAM user guide, "Troubleshoot
// access denied error messages").
func deniedFault(call *wire.Call, access *Access, d policy.Decision) error {
	action := access.Action
	if call.Service == "sqs" {
		action = strings.ToLower(action) // as SQS answers it: sqs:sendmessage
	}
	text := "User: " + call.Principal.ARN + " is not authorized to perform: " + action + " on resource: " + access.Resource
	if call.Principal.Type == aws.PrincipalAnonymous {
		text = "User: anonymous is not authorized to perform: " + action + " on resource: " + access.Resource
	}
	text += reason(action, d)
	code := "AccessDeniedException"
	switch call.Service {
	case "iam", "sts", "s3", "sns", "cloudformation", "cloudwatch": // no suffix in the query and rest-xml services
		code = "AccessDenied"
	}
	return &wire.GenericFault{Code: code, Message: text, Status: http.StatusForbidden, QueryCode: "AccessDenied"}
}

func reason(action string, d policy.Decision) string {
	if d.Outcome == policy.ExplicitDeny {
		switch d.Layer {
		case policy.LayerBoundary:
			return " with an explicit deny in a permissions boundary"
		case policy.LayerSession:
			return " with an explicit deny in a session policy"
		case policy.LayerResource:
			return " with an explicit deny in a resource-based policy"
		default:
			return " with an explicit deny in an identity-based policy"
		}
	}
	kind := "identity-based policy"
	switch d.Layer {
	case policy.LayerBoundary:
		kind = "permissions boundary"
	case policy.LayerSession:
		kind = "session policy"
	case policy.LayerResource:
		kind = "resource-based policy"
	}
	return " because no " + kind + " allows the " + action + " action"
}
