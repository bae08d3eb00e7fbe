package lambda

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/wire"
)

type authorizerFake struct {
	asked []string
	last  iam.Access
	deny  string
}

func (a *authorizerFake) AuthorizeAccess(_ context.Context, _ *wire.Call, access iam.Access) error {
	line := access.Action + " " + access.Resource
	for _, key := range slices.Sorted(maps.Keys(access.Conditions)) {
		line += " " + key + "=" + strings.Join(access.Conditions[key], ",")
	}
	a.asked = append(a.asked, line)
	a.last = access
	if access.Action == a.deny {
		return wire.NewFault(403, "AccessDeniedException", "no")
	}
	return nil
}

func TestDemands(t *testing.T) {
	a := &authorizerFake{}
	h := newHouse(t, func(o *Options) { o.Authorizer = a })
	in := createRequest(t, "tagged")
	in.Tags = map[string]string{"team": "blue"}
	if _, err := h.h.CreateFunction(t.Context(), call(), in); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		return len(h.demands(call(), "GetFunction", &api.GetFunctionRequest{FunctionName: wire.Ptr("tagged")})[0].conditions) == 1
	})

	const arn = "arn:aws:lambda:us-east-1:111111111111:function:"
	f := wire.Ptr("f")
	tests := []struct {
		operation string
		in        any
		want      []string
	}{
		{"CreateFunction", in, []string{
			"lambda:CreateFunction " + arn + "tagged aws:RequestTag/team=blue aws:ResourceTag/team=blue aws:TagKeys=team",
			"lambda:TagResource " + arn + "tagged aws:RequestTag/team=blue aws:ResourceTag/team=blue aws:TagKeys=team",
			"iam:PassRole " + testRole + " iam:AssociatedResourceArn=" + arn + "tagged iam:PassedToService=lambda.amazonaws.com"}},
		{"UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationRequest{FunctionName: f}, []string{"lambda:UpdateFunctionConfiguration " + arn + "f"}},
		{"UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationRequest{FunctionName: f, Role: wire.Ptr("r")}, []string{
			"lambda:UpdateFunctionConfiguration " + arn + "f",
			"iam:PassRole r iam:AssociatedResourceArn=" + arn + "f iam:PassedToService=lambda.amazonaws.com"}},
		{"UpdateFunctionCode", &api.UpdateFunctionCodeRequest{FunctionName: f}, []string{"lambda:UpdateFunctionCode " + arn + "f"}},
		{"GetFunction", &api.GetFunctionRequest{FunctionName: f, Qualifier: wire.Ptr("1")}, []string{"lambda:GetFunction " + arn + "f:1"}},
		{"GetFunctionConfiguration", &api.GetFunctionConfigurationRequest{FunctionName: wire.Ptr("tagged")}, []string{"lambda:GetFunctionConfiguration " + arn + "tagged aws:ResourceTag/team=blue"}},
		{"GetFunctionCodeSigningConfig", &api.GetFunctionCodeSigningConfigRequest{FunctionName: f}, []string{"lambda:GetFunctionCodeSigningConfig " + arn + "f"}},
		{"DeleteFunction", &api.DeleteFunctionRequest{FunctionName: wire.Ptr("222222222222:function:f")}, []string{"lambda:DeleteFunction arn:aws:lambda:us-east-1:222222222222:function:f"}},
		{"PublishVersion", &api.PublishVersionRequest{FunctionName: f}, []string{"lambda:PublishVersion " + arn + "f"}},
		{"ListVersionsByFunction", &api.ListVersionsByFunctionRequest{FunctionName: f}, []string{"lambda:ListVersionsByFunction " + arn + "f"}},
		{"Invoke", &api.InvocationRequest{FunctionName: wire.Ptr("f:live")}, []string{"lambda:InvokeFunction " + arn + "f:live"}},
		{"ListTags", &api.ListTagsRequest{Resource: wire.Ptr(arn + "f")}, []string{"lambda:ListTags " + arn + "f"}},
		{"TagResource", &api.TagResourceRequest{Resource: wire.Ptr(arn + "f"), Tags: map[string]string{"b": "2", "a": "1"}}, []string{"lambda:TagResource " + arn + "f aws:RequestTag/a=1 aws:RequestTag/b=2 aws:TagKeys=a,b"}},
		{"UntagResource", &api.UntagResourceRequest{Resource: wire.Ptr(arn + "f"), TagKeys: []string{"a"}}, []string{"lambda:UntagResource " + arn + "f aws:TagKeys=a"}},
		{"ListFunctions", &api.ListFunctionsRequest{}, []string{"lambda:ListFunctions *"}},
		{"GetAccountSettings", &api.GetAccountSettingsRequest{}, []string{"lambda:GetAccountSettings *"}},
		{"CreateAlias", &api.CreateAliasRequest{}, []string{"lambda:CreateAlias *"}},
		{"InvokeWithResponseStream", &api.InvokeWithResponseStreamRequest{FunctionName: wire.Ptr("f:live")}, []string{"lambda:InvokeFunction " + arn + "f:live"}},
		{"Invoke", &api.InvocationRequest{}, []string{"lambda:InvokeFunction *"}},
	}
	for _, tt := range tests {
		a.asked = nil
		if err := h.h.Authorize(t.Context(), call(), tt.operation, tt.in); err != nil {
			t.Errorf("%s: %v", tt.operation, err)
		}
		if !slices.Equal(a.asked, tt.want) {
			t.Errorf("%s asked\n%s\nwant\n%s", tt.operation, strings.Join(a.asked, "\n"), strings.Join(tt.want, "\n"))
		}
	}

	a.deny = "iam:PassRole"
	wantFault(t, h.h.Authorize(t.Context(), call(), "CreateFunction", createRequest(t, "g")), "AccessDeniedException", "no")
	if newHouse(t).h.Authorize != nil {
		t.Error("without an authorizer there is a hook")
	}
}

type rolesFake map[string]bool

func (r rolesFake) Assumable(_ context.Context, role string) error {
	if !r[role] {
		return errors.New("no such role")
	}
	return nil
}

func (r rolesFake) Known(_ context.Context, principal string) bool { return r[principal] }

func TestRolesAreChecked(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Roles = rolesFake{testRole: true} })
	h.create("f")
	in := createRequest(t, "g")
	in.Role = wire.Ptr(testRole + "-other")
	_, err := h.h.CreateFunction(t.Context(), call(), in)
	wantFault(t, err, "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.")
	_, err = h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), Role: in.Role})
	wantFault(t, err, "InvalidParameterValueException", "cannot be assumed by Lambda.")
}
