package lambda

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

func permission(name, sid, principal string) *api.AddPermissionRequest {
	return &api.AddPermissionRequest{FunctionName: &name, StatementId: &sid, Principal: &principal, Action: wire.Ptr("lambda:InvokeFunction")}
}

func TestPolicyIsBounded(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	for i := range 1000 {
		_, err := h.h.AddPermission(t.Context(), call(), permission("f", fmt.Sprintf("sid-%d", i), "s3.amazonaws.com"))
		if err == nil {
			continue
		}
		var tooLong *api.PolicyLengthExceededException
		if !errors.As(err, &tooLong) || !strings.Contains(tooLong.FaultMessage(), "is bigger than the limit (20480).") {
			t.Errorf("after %d permissions: %v", i, err)
		}
		return
	}
	t.Error("a policy took 1,000 statements")
}

func TestPermissionRevisesWhatItIsOn(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	before := *h.configuration("f").RevisionId
	add := permission("f", "s3", "s3.amazonaws.com")
	add.RevisionId = &before
	if _, err := h.h.AddPermission(t.Context(), call(), add); err != nil {
		t.Fatal(err)
	}
	policy, err := h.h.GetPolicy(t.Context(), call(), &api.GetPolicyRequest{FunctionName: wire.Ptr("f")})
	if err != nil {
		t.Fatal(err)
	}
	if after := *h.configuration("f").RevisionId; after == before || after != *policy.RevisionId {
		t.Errorf("the function's revision %s became %s, the policy's is %s", before, after, *policy.RevisionId)
	}
	stale := permission("f", "s4", "s3.amazonaws.com")
	stale.RevisionId = &before
	_, err = h.h.AddPermission(t.Context(), call(), stale)
	wantFault(t, err, "PreconditionFailedException", "Call the GetPolicy API")
}

func TestPrincipalsMustExist(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Roles = rolesFake{testRole: true} })
	h.create("f")
	if _, err := h.h.AddPermission(t.Context(), call(), permission("f", "role", testRole)); err != nil {
		t.Error(err)
	}
	_, err := h.h.AddPermission(t.Context(), call(), permission("f", "nobody", testRole+"-other"))
	wantFault(t, err, "InvalidParameterValueException", "The provided principal was invalid. Please check the principal and try again.")
}

func TestURLConditionsAreOfURLs(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	in := permission("f", "url", "*")
	in.FunctionUrlAuthType = wire.Ptr("NONE")
	_, err := h.h.AddPermission(t.Context(), call(), in)
	wantFault(t, err, "InvalidParameterValueException", "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
	in.Action = wire.Ptr("lambda:InvokeFunctionUrl")
	in.InvokedViaFunctionUrl = wire.Ptr(true)
	out, err := h.h.AddPermission(t.Context(), call(), in)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"Sid":"url","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunctionUrl","Resource":"arn:aws:lambda:us-east-1:111111111111:function:f",` +
		`"Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"},"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}}}`
	if *out.Statement != want {
		t.Errorf("%s, want %s", *out.Statement, want)
	}
}

// TestOtherAccounts: what a function's policy can open asks for it with the owner and the policy;
// the rest is closed to other accounts whatever a policy says.
func TestOtherAccounts(t *testing.T) {
	a := &authorizerFake{}
	h := newHouse(t, func(o *Options) { o.Authorizer = a })
	h.create("f")
	if _, err := h.h.AddPermission(t.Context(), call(), permission("f", "other", "222222222222")); err != nil {
		t.Fatal(err)
	}
	id := record.FunctionID{Account: testAccount, Region: testRegion, Name: "f"}
	waitFor(t, func() bool { _, ok := h.policies.Get(record.Qualified{ID: id, Qualifier: record.Latest}); return ok })

	theirs := call()
	theirs.Account, theirs.Operation = "222222222222", "GetFunction"
	in := &api.GetFunctionRequest{FunctionName: wire.Ptr(id.ARN())}
	if err := h.h.Authorize(t.Context(), theirs, "GetFunction", in); err != nil {
		t.Fatal(err)
	}
	if a.last.Owner != testAccount || len(a.last.ResourcePolicies) != 1 || !strings.Contains(a.last.ResourcePolicies[0], "222222222222:root") {
		t.Errorf("asked with %+v", a.last)
	}
	if _, err := h.h.GetFunction(t.Context(), theirs, in); err != nil {
		t.Errorf("an operation that the policy opened: %v", err)
	}
	theirs.Operation = "UpdateFunctionConfiguration"
	_, err := h.h.UpdateFunctionConfiguration(t.Context(), theirs, &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr(id.ARN())})
	wantFault(t, err, "AccessDeniedException", "because no resource-based policy allows the lambda:UpdateFunctionConfiguration action")

	// A qualifier beside the name has a policy of its own.
	if err := h.h.Authorize(t.Context(), theirs, "Invoke", &api.InvocationRequest{FunctionName: wire.Ptr(id.ARN()), Qualifier: wire.Ptr("1")}); err != nil {
		t.Fatal(err)
	}
	if a.last.Resource != id.QualifiedARN("1") || len(a.last.ResourcePolicies) != 0 {
		t.Errorf("asked with %+v", a.last)
	}
}

// behind is a view that has nothing yet.
type behind struct{ Policies }

func (behind) Get(record.Qualified) (*record.Policy, bool) { return nil, false }

// needsPolicy lets nobody in without a policy of the resource's.
type needsPolicy struct{ asked int }

func (n *needsPolicy) AuthorizeAccess(_ context.Context, _ *wire.Call, access iam.Access) error {
	n.asked++
	if len(access.ResourcePolicies) == 0 {
		return errors.New("denied")
	}
	return nil
}

// TestPermissionLetsInAtOnce: a permission is good as soon as AddPermission has answered.
func TestPermissionLetsInAtOnce(t *testing.T) {
	who := &needsPolicy{}
	h := newHouse(t, func(o *Options) { o.Policies, o.Authorizer = behind{o.Policies}, who })
	h.create("f")
	theirs := call()
	theirs.Account = "222222222222"
	invoke := &api.InvocationRequest{FunctionName: wire.Ptr("arn:aws:lambda:us-east-1:" + testAccount + ":function:f")}
	if err := h.h.Authorize(t.Context(), theirs, "Invoke", invoke); err == nil || who.asked != 1 {
		t.Errorf("without a permission: %v, asked %d times", err, who.asked)
	}
	if _, err := h.h.AddPermission(t.Context(), call(), permission("f", "other", "222222222222")); err != nil {
		t.Fatal(err)
	}
	if err := h.h.Authorize(t.Context(), theirs, "Invoke", invoke); err != nil {
		t.Error(err)
	}
}
