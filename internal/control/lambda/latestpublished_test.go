package lambda

import (
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// TestLatestPublished: no function here has the version $LATEST.PUBLISHED. In every form of name, each operation whose
// model has it says that it does not exist; an operation on what a version may have (a policy, a
// configuration) says that there is none.
func TestLatestPublished(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	if _, err := h.h.CreateAlias(t.Context(), call(), &api.CreateAliasRequest{FunctionName: wire.Ptr("f"), Name: wire.Ptr("live"), FunctionVersion: wire.Ptr(record.Latest)}); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	operations := map[string]func(name, qualifier *string) error{
		"GetFunction": func(n, q *string) error {
			_, err := h.h.GetFunction(ctx, call(), &api.GetFunctionRequest{FunctionName: n, Qualifier: q})
			return err
		},
		"GetFunctionConfiguration": func(n, q *string) error {
			_, err := h.h.GetFunctionConfiguration(ctx, call(), &api.GetFunctionConfigurationRequest{FunctionName: n, Qualifier: q})
			return err
		},
		"DeleteFunction": func(n, q *string) error {
			_, err := h.h.DeleteFunction(ctx, call(), &api.DeleteFunctionRequest{FunctionName: n, Qualifier: q})
			return err
		},
		"AddPermission": func(n, q *string) error {
			_, err := h.h.AddPermission(ctx, call(), &api.AddPermissionRequest{FunctionName: n, Qualifier: q, StatementId: wire.Ptr("s"), Action: wire.Ptr("lambda:InvokeFunction"), Principal: wire.Ptr("s3.amazonaws.com")})
			return err
		},
		"RemovePermission": func(n, q *string) error {
			return h.h.RemovePermission(ctx, call(), &api.RemovePermissionRequest{FunctionName: n, Qualifier: q, StatementId: wire.Ptr("s")})
		},
		"GetPolicy": func(n, q *string) error {
			_, err := h.h.GetPolicy(ctx, call(), &api.GetPolicyRequest{FunctionName: n, Qualifier: q})
			return err
		},
		"PutFunctionEventInvokeConfig": func(n, q *string) error {
			_, err := h.h.PutFunctionEventInvokeConfig(ctx, call(), &api.PutFunctionEventInvokeConfigRequest{FunctionName: n, Qualifier: q, MaximumRetryAttempts: wire.Ptr(int32(1))})
			return err
		},
		"UpdateFunctionEventInvokeConfig": func(n, q *string) error {
			_, err := h.h.UpdateFunctionEventInvokeConfig(ctx, call(), &api.UpdateFunctionEventInvokeConfigRequest{FunctionName: n, Qualifier: q, MaximumRetryAttempts: wire.Ptr(int32(1))})
			return err
		},
		"GetFunctionEventInvokeConfig": func(n, q *string) error {
			_, err := h.h.GetFunctionEventInvokeConfig(ctx, call(), &api.GetFunctionEventInvokeConfigRequest{FunctionName: n, Qualifier: q})
			return err
		},
		"DeleteFunctionEventInvokeConfig": func(n, q *string) error {
			return h.h.DeleteFunctionEventInvokeConfig(ctx, call(), &api.DeleteFunctionEventInvokeConfigRequest{FunctionName: n, Qualifier: q})
		},
		"GetRuntimeManagementConfig": func(n, q *string) error {
			_, err := h.h.GetRuntimeManagementConfig(ctx, call(), &api.GetRuntimeManagementConfigRequest{FunctionName: n, Qualifier: q})
			return err
		},
		"PutRuntimeManagementConfig": func(n, q *string) error {
			_, err := h.h.PutRuntimeManagementConfig(ctx, call(), &api.PutRuntimeManagementConfigRequest{FunctionName: n, Qualifier: q, UpdateRuntimeOn: wire.Ptr("Auto")})
			return err
		},
		"ListDurableExecutionsByFunction": func(n, q *string) error {
			_, err := h.h.ListDurableExecutionsByFunction(ctx, call(), &api.ListDurableExecutionsByFunctionRequest{FunctionName: n, Qualifier: q})
			return err
		},
		"GetFunctionScalingConfig": func(n, q *string) error {
			_, err := h.h.GetFunctionScalingConfig(ctx, call(), &api.GetFunctionScalingConfigRequest{FunctionName: n, Qualifier: q})
			return err
		},
		// These have no qualifier of their own.
		"ListVersionsByFunction": onlyName(func(n *string) error {
			_, err := h.h.ListVersionsByFunction(ctx, call(), &api.ListVersionsByFunctionRequest{FunctionName: n})
			return err
		}),
		"GetFunctionCodeSigningConfig": onlyName(func(n *string) error {
			_, err := h.h.GetFunctionCodeSigningConfig(ctx, call(), &api.GetFunctionCodeSigningConfigRequest{FunctionName: n})
			return err
		}),
		"DeleteFunctionCodeSigningConfig": onlyName(func(n *string) error {
			return h.h.DeleteFunctionCodeSigningConfig(ctx, call(), &api.DeleteFunctionCodeSigningConfigRequest{FunctionName: n})
		}),
		"ListFunctionEventInvokeConfigs": onlyName(func(n *string) error {
			_, err := h.h.ListFunctionEventInvokeConfigs(ctx, call(), &api.ListFunctionEventInvokeConfigsRequest{FunctionName: n})
			return err
		}),
	}
	const arn = "arn:aws:lambda:us-east-1:111111111111:function:f"
	for operation, do := range operations {
		for _, form := range [][2]string{
			{"f", record.LatestPublished}, {arn, record.LatestPublished}, {"111111111111:function:f", record.LatestPublished},
			{"f:" + record.LatestPublished, ""}, {"function:f:" + record.LatestPublished, ""},
			{"111111111111:function:f:" + record.LatestPublished, ""}, {arn + ":" + record.LatestPublished, ""}, {arn + ":" + record.LatestPublished, record.LatestPublished},
		} {
			var q *string
			if form[1] != "" {
				q = &form[1]
			}
			if err := do(&form[0], q); err != nil || q == nil {
				wantFault(t, err, "ResourceNotFoundException", "")
			} else {
				t.Errorf("%s of %v was done", operation, form)
			}
			if t.Failed() {
				t.Fatalf("%s of %v", operation, form)
			}
		}
	}
	// An alias cannot mean it.
	_, err := h.h.CreateAlias(ctx, call(), &api.CreateAliasRequest{FunctionName: wire.Ptr("f"), Name: wire.Ptr("x"), FunctionVersion: wire.Ptr(record.LatestPublished)})
	wantFault(t, err, "ResourceNotFoundException", record.LatestPublished)
	_, err = h.h.UpdateAlias(ctx, call(), &api.UpdateAliasRequest{FunctionName: wire.Ptr("f"), Name: wire.Ptr("live"), FunctionVersion: wire.Ptr(record.LatestPublished)})
	wantFault(t, err, "ResourceNotFoundException", record.LatestPublished)
	if out, err := h.h.ListAliases(ctx, call(), &api.ListAliasesRequest{FunctionName: wire.Ptr("f"), FunctionVersion: wire.Ptr(record.LatestPublished)}); err != nil || len(out.Aliases) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	// Nor can it be made.
	to := wire.Ptr("LATEST_PUBLISHED")
	_, err = h.h.PublishVersion(ctx, call(), &api.PublishVersionRequest{FunctionName: wire.Ptr("f"), PublishTo: to})
	wantFault(t, err, "InvalidParameterValueException", "PublishTo LATEST_PUBLISHED is only supported")
	_, err = h.h.UpdateFunctionCode(ctx, call(), &api.UpdateFunctionCodeRequest{FunctionName: wire.Ptr("f"), ZipFile: zipOf(t, map[string]string{"a": "b"}), PublishTo: to})
	wantFault(t, err, "InvalidParameterValueException", "PublishTo LATEST_PUBLISHED is only supported")
	in := createRequest(t, "g")
	in.PublishTo = to
	_, err = h.h.CreateFunction(ctx, call(), in)
	wantFault(t, err, "InvalidParameterValueException", "PublishTo LATEST_PUBLISHED is only supported")
}

// onlyName gives an operation that has no qualifier the whole name.
func onlyName(do func(name *string) error) func(name, qualifier *string) error {
	return func(n, q *string) error {
		parsed, err := record.ParseQualified(*n, value(q), record.Scope{Account: testAccount, Region: testRegion})
		if err != nil {
			return err
		}
		return do(wire.Ptr(parsed.ARN()))
	}
}
