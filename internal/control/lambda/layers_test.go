package lambda

import (
	"strings"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// publishLayer makes a version of a layer with one file and gives its ARN.
func (h *house) publishLayer(name, content string, runtimes ...string) string {
	h.t.Helper()
	out, err := h.h.PublishLayerVersion(h.t.Context(), call(), &api.PublishLayerVersionRequest{
		LayerName: &name, Content: &api.LayerVersionContentInput{ZipFile: zipOf(h.t, map[string]string{"data.txt": content})}, CompatibleRuntimes: runtimes,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return *out.LayerVersionArn
}

func (h *house) giveLayers(arns ...string) (*api.FunctionConfiguration, error) {
	if arns == nil {
		arns = []string{}
	}
	out, err := h.h.UpdateFunctionConfiguration(h.t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), Layers: arns})
	h.settleAll()
	return out, err
}

func TestLayerOutlivesItsDeletion(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	arn := h.publishLayer("data", "one")
	out, err := h.giveLayers(arn)
	if err != nil || len(out.Layers) != 1 || *out.Layers[0].Arn != arn || *out.Layers[0].CodeSize == 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	if err := h.h.DeleteLayerVersion(t.Context(), call(), &api.DeleteLayerVersionRequest{LayerName: wire.Ptr("data"), VersionNumber: wire.Ptr(int64(1))}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, _ := h.table.Get(t.Context(), record.FunctionID{Account: testAccount, Region: testRegion, Name: "f"}, "$LATEST")
	if digests, err := h.artifacts.Digests(); err != nil || len(digests) != 2 {
		t.Errorf("after the sweep there are %v, %v; the function has %+v", digests, err, id.Layers)
	}
	if out, err := h.giveLayers(arn); err != nil || len(out.Layers) != 1 {
		t.Errorf("keeping a layer that was deleted: %+v, %v", out, err)
	}
	if out, err := h.giveLayers(); err != nil || len(out.Layers) != 0 {
		t.Errorf("giving it up: %+v, %v", out, err)
	}
	_, err = h.giveLayers(arn)
	wantFault(t, err, "InvalidParameterValueException", "Layer version "+arn+" does not exist.")
	if next := h.publishLayer("data", "two"); next != strings.TrimSuffix(arn, "1")+"2" {
		t.Errorf("the number of a deleted version was used again: %s", next)
	}
}

func TestLayersOfAFunctionAreChecked(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	one, two := h.publishLayer("data", "one"), h.publishLayer("data", "two")
	for want, arns := range map[string][]string{
		"Two different versions of the same layer are not allowed": {one, two},
		"Cannot reference more than 5 layers.":                     {one, one, one, one, one, one},
		"Layers are not in the same region as the function.":       {strings.Replace(one, testRegion, "eu-west-1", 1)},
		"does not exist.": {strings.TrimSuffix(one, "1") + "9"},
	} {
		_, err := h.giveLayers(arns...)
		wantFault(t, err, "InvalidParameterValueException", want)
	}
}

func TestListLayers(t *testing.T) {
	h := newHouse(t)
	h.publishLayer("a", "1", "python3.12")
	h.publishLayer("a", "2", "nodejs22.x")
	h.publishLayer("b", "1", "python3.12")
	h.publishLayer("c", "1")
	newest := func(runtime string) string {
		var got []string
		for in := (&api.ListLayersRequest{MaxItems: wire.Ptr(int32(1))}); ; {
			if runtime != "" {
				in.CompatibleRuntime = &runtime
			}
			out, err := h.h.ListLayers(t.Context(), call(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range out.Layers {
				arn := *l.LatestMatchingVersion.LayerVersionArn
				got = append(got, arn[strings.Index(arn, "layer:")+6:])
			}
			if out.NextMarker == nil {
				return strings.Join(got, " ")
			}
			in.Marker = out.NextMarker
		}
	}
	for runtime, want := range map[string]string{"": "a:2 b:1 c:1", "python3.12": "a:1 b:1", "ruby3.4": ""} {
		if got := newest(runtime); got != want {
			t.Errorf("layers for %q: %s, want %s", runtime, got, want)
		}
	}
	var versions []string
	for in := (&api.ListLayerVersionsRequest{LayerName: wire.Ptr("a"), MaxItems: wire.Ptr(int32(1))}); ; {
		out, err := h.h.ListLayerVersions(t.Context(), call(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range out.LayerVersions {
			versions = append(versions, string(rune('0'+*v.Version)))
		}
		if out.NextMarker == nil {
			break
		}
		in.Marker = out.NextMarker
	}
	if got := strings.Join(versions, " "); got != "2 1" {
		t.Errorf("versions in pages: %s", got)
	}
}

func TestLayerPermissions(t *testing.T) {
	a := &authorizerFake{}
	h := newHouse(t, func(o *Options) { o.Authorizer = a })
	arn := h.publishLayer("data", "one")
	name, one := wire.Ptr("data"), wire.Ptr(int64(1))
	add := &api.AddLayerVersionPermissionRequest{LayerName: name, VersionNumber: one, StatementId: wire.Ptr("other"), Action: wire.Ptr("lambda:GetLayerVersion"), Principal: wire.Ptr("222222222222")}
	out, err := h.h.AddLayerVersionPermission(t.Context(), call(), add)
	const want = `{"Sid":"other","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":"lambda:GetLayerVersion","Resource":"arn:aws:lambda:us-east-1:111111111111:layer:data:1"}`
	if err != nil || *out.Statement != want {
		t.Fatalf("%+v, %v", out, err)
	}
	_, err = h.h.AddLayerVersionPermission(t.Context(), call(), add)
	wantFault(t, err, "ResourceConflictException", "already exists")
	policy, err := h.h.GetLayerVersionPolicy(t.Context(), call(), &api.GetLayerVersionPolicyRequest{LayerName: name, VersionNumber: one})
	if err != nil || *policy.RevisionId != *out.RevisionId || !strings.Contains(*policy.Policy, want) {
		t.Errorf("%+v, %v", policy, err)
	}
	theirs := call()
	theirs.Account = "222222222222"
	if err := h.h.Authorize(t.Context(), theirs, "GetLayerVersionByArn", &api.GetLayerVersionByArnRequest{Arn: &arn}); err != nil {
		t.Fatal(err)
	}
	if a.last.Owner != testAccount || len(a.last.ResourcePolicies) != 1 {
		t.Errorf("asked with %+v", a.last)
	}
	if err := h.h.RemoveLayerVersionPermission(t.Context(), call(), &api.RemoveLayerVersionPermissionRequest{LayerName: name, VersionNumber: one, StatementId: wire.Ptr("other"), RevisionId: policy.RevisionId}); err != nil {
		t.Fatal(err)
	}
	_, err = h.h.GetLayerVersionPolicy(t.Context(), call(), &api.GetLayerVersionPolicyRequest{LayerName: name, VersionNumber: one})
	wantFault(t, err, "ResourceNotFoundException", "No policy is associated with the given resource.")
	_, err = h.h.GetLayerVersionPolicy(t.Context(), call(), &api.GetLayerVersionPolicyRequest{LayerName: name, VersionNumber: wire.Ptr(int64(7))})
	wantFault(t, err, "ResourceNotFoundException", "Layer version arn:aws:lambda:us-east-1:111111111111:layer:data:7 does not exist.")
}
