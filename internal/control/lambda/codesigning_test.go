package lambda

import (
	"io"
	"testing"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact/signature"
	"github.com/lambdad/lambdad/internal/wire"
)

// signaturesFake says of every archive the same.
type signaturesFake struct{ said error }

const testProfile = "arn:aws:signer:us-east-1:111111111111:/signing-profiles/p"

func (s *signaturesFake) Verify(_ io.ReaderAt, _, _ int64, publishers []string, _ time.Time) (string, error) {
	if s.said != nil {
		return "", s.said
	}
	return publishers[0], nil
}

func (s *signaturesFake) Publishers() []string { return []string{testProfile} }

// TestSigningProfiles: who signed code and layers is shown, of code without a config too.
func TestSigningProfiles(t *testing.T) {
	judge := &signaturesFake{}
	h := newHouse(t, func(o *Options) { o.Signatures = judge })
	layer, err := h.h.PublishLayerVersion(t.Context(), call(), &api.PublishLayerVersionRequest{LayerName: wire.Ptr("l"), Content: &api.LayerVersionContentInput{ZipFile: zipOf(t, map[string]string{"a": "b"})}})
	if err != nil || *layer.Content.SigningProfileVersionArn != testProfile || layer.Content.SigningJobArn != nil {
		t.Fatalf("%+v, %v", layer, err)
	}
	in := createRequest(t, "f")
	in.Layers = []string{*layer.LayerVersionArn}
	made, err := h.h.CreateFunction(t.Context(), call(), in)
	if err != nil || *made.SigningProfileVersionArn != testProfile || *made.Layers[0].SigningProfileVersionArn != testProfile {
		t.Fatalf("%+v, %v", made, err)
	}
	h.settleAll()
	got, err := h.h.GetFunction(t.Context(), call(), &api.GetFunctionRequest{FunctionName: wire.Ptr("f")})
	if err != nil || *got.Configuration.SigningProfileVersionArn != testProfile || got.Configuration.SigningJobArn != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if v, err := h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: wire.Ptr("f")}); err != nil || *v.SigningProfileVersionArn != testProfile {
		t.Errorf("%+v, %v", v, err)
	}
	judge.said = signature.ErrUnsigned
	if out, err := h.h.UpdateFunctionCode(t.Context(), call(), &api.UpdateFunctionCodeRequest{FunctionName: wire.Ptr("f"), ZipFile: zipOf(t, map[string]string{"c": "d"})}); err != nil || out.SigningProfileVersionArn != nil {
		t.Errorf("%+v, %v", out, err)
	}
	if c := h.configuration("f:1"); *c.SigningProfileVersionArn != testProfile {
		t.Errorf("%+v", c)
	}
}

// TestCodeSigningPolicies deploys code with each verdict under each policy.
func TestCodeSigningPolicies(t *testing.T) {
	judge := &signaturesFake{}
	h := newHouse(t, func(o *Options) { o.Signatures = judge })
	h.run()
	made, err := h.h.CreateCodeSigningConfig(t.Context(), call(), &api.CreateCodeSigningConfigRequest{
		AllowedPublishers: &api.AllowedPublishers{SigningProfileVersionArns: []string{"arn:aws:signer:us-east-1:111111111111:/signing-profiles/p"}}, Tags: map[string]string{"a": "b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	arn := made.CodeSigningConfig.CodeSigningConfigArn
	for i, c := range []struct {
		policy string
		said   error
		code   string
	}{
		{"Warn", nil, ""},
		{"Warn", signature.ErrUnsigned, ""},
		{"Warn", signature.ErrUntrusted, ""},
		{"Warn", signature.ErrTampered, "InvalidCodeSignatureException"},
		{"Enforce", nil, ""},
		{"Enforce", signature.ErrUnsigned, "CodeVerificationFailedException"},
		{"Enforce", signature.ErrUntrusted, "CodeVerificationFailedException"},
		{"Enforce", signature.ErrTampered, "InvalidCodeSignatureException"},
	} {
		if _, err := h.h.UpdateCodeSigningConfig(t.Context(), call(), &api.UpdateCodeSigningConfigRequest{CodeSigningConfigArn: arn, CodeSigningPolicies: &api.CodeSigningPolicies{UntrustedArtifactOnDeployment: &c.policy}}); err != nil {
			t.Fatal(err)
		}
		in := createRequest(t, "signed-"+string(rune('a'+i)))
		in.CodeSigningConfigArn = arn
		judge.said = c.said
		_, err := h.h.CreateFunction(t.Context(), call(), in)
		if c.code != "" {
			wantFault(t, err, c.code, "cannot deploy")
			judge.said = nil
			if _, err := h.h.CreateFunction(t.Context(), call(), in); err != nil {
				t.Fatal(err)
			}
		} else if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		h.settleAll()
		judge.said = c.said
		_, err = h.h.UpdateFunctionCode(t.Context(), call(), &api.UpdateFunctionCodeRequest{FunctionName: in.FunctionName, ZipFile: in.Code.ZipFile})
		if c.code != "" {
			wantFault(t, err, c.code, "cannot deploy")
		} else if err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	_, err = h.h.DeleteCodeSigningConfig(t.Context(), call(), &api.DeleteCodeSigningConfigRequest{CodeSigningConfigArn: arn})
	wantFault(t, err, "ResourceConflictException", "used by functions")
	tags, err := h.h.ListTags(t.Context(), call(), &api.ListTagsRequest{Resource: arn})
	if err != nil || tags.Tags["a"] != "b" {
		t.Errorf("tags: %v, %v", tags, err)
	}
	first, err := h.h.ListFunctionsByCodeSigningConfig(t.Context(), call(), &api.ListFunctionsByCodeSigningConfigRequest{CodeSigningConfigArn: arn, MaxItems: wire.Ptr(int32(5))})
	if err != nil || len(first.FunctionArns) != 5 || first.NextMarker == nil {
		t.Fatalf("%+v, %v", first, err)
	}
	rest, err := h.h.ListFunctionsByCodeSigningConfig(t.Context(), call(), &api.ListFunctionsByCodeSigningConfigRequest{CodeSigningConfigArn: arn, Marker: first.NextMarker})
	if err != nil || len(rest.FunctionArns) != 3 || rest.NextMarker != nil {
		t.Errorf("%+v, %v", rest, err)
	}
}

// TestSignedLayers: layers are judged when a function is given them.
func TestSignedLayers(t *testing.T) {
	judge := &signaturesFake{}
	h := newHouse(t, func(o *Options) { o.Signatures = judge })
	made, err := h.h.CreateCodeSigningConfig(t.Context(), call(), &api.CreateCodeSigningConfigRequest{
		AllowedPublishers: &api.AllowedPublishers{SigningProfileVersionArns: []string{testProfile}}, CodeSigningPolicies: &api.CodeSigningPolicies{UntrustedArtifactOnDeployment: wire.Ptr("Enforce")},
	})
	if err != nil {
		t.Fatal(err)
	}
	layer, err := h.h.PublishLayerVersion(t.Context(), call(), &api.PublishLayerVersionRequest{LayerName: wire.Ptr("l"), Content: &api.LayerVersionContentInput{ZipFile: zipOf(t, map[string]string{"a": "b"})}})
	if err != nil {
		t.Fatal(err)
	}
	in := createRequest(t, "f")
	in.CodeSigningConfigArn = made.CodeSigningConfig.CodeSigningConfigArn
	if _, err := h.h.CreateFunction(t.Context(), call(), in); err != nil {
		t.Fatal(err)
	}
	h.settleAll()
	for said, code := range map[error]string{signature.ErrUntrusted: "CodeVerificationFailedException", signature.ErrTampered: "InvalidCodeSignatureException"} {
		judge.said = said
		_, err := h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), Layers: []string{*layer.LayerVersionArn}})
		wantFault(t, err, code, "cannot deploy")
	}
}

// TestNobodyIsTrusted: without a configured publisher nothing passes Enforce.
func TestNobodyIsTrusted(t *testing.T) {
	h := newHouse(t)
	made, err := h.h.CreateCodeSigningConfig(t.Context(), call(), &api.CreateCodeSigningConfigRequest{
		AllowedPublishers: &api.AllowedPublishers{SigningProfileVersionArns: []string{"arn:aws:signer:us-east-1:111111111111:/signing-profiles/p"}}, CodeSigningPolicies: &api.CodeSigningPolicies{UntrustedArtifactOnDeployment: wire.Ptr("Enforce")},
	})
	if err != nil {
		t.Fatal(err)
	}
	in := createRequest(t, "f")
	in.CodeSigningConfigArn = made.CodeSigningConfig.CodeSigningConfigArn
	_, err = h.h.CreateFunction(t.Context(), call(), in)
	wantFault(t, err, "CodeVerificationFailedException", "cannot deploy")
}
