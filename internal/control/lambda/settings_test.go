package lambda

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

func TestCreateRefusals(t *testing.T) {
	h := newHouse(t)
	tests := []struct {
		name   string
		change func(*api.CreateFunctionRequest)
		code   string
		text   string
	}{
		{"long name", func(in *api.CreateFunctionRequest) { in.FunctionName = wire.Ptr(strings.Repeat("a", 65)) }, "ValidationException", "Member must have length less than or equal to 64"},
		{"name with version", func(in *api.CreateFunctionRequest) { in.FunctionName = wire.Ptr("f:1") }, "InvalidParameterValueException", "has a qualifier"},
		{"other region", func(in *api.CreateFunctionRequest) {
			in.FunctionName = wire.Ptr("arn:aws:lambda:eu-west-1:111111111111:function:f")
		}, "ResourceNotFoundException", "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"},
		{"other account", func(in *api.CreateFunctionRequest) { in.FunctionName = wire.Ptr("222222222222:function:f") }, "AccessDeniedException", "on resource: arn:aws:lambda:us-east-1:222222222222:function:f because no resource-based policy allows"},
		{"no runtime", func(in *api.CreateFunctionRequest) { in.Runtime = nil }, "InvalidParameterValueException", "Runtime and Handler are mandatory parameters for functions created with deployment packages."},
		{"no handler", func(in *api.CreateFunctionRequest) { in.Handler = nil }, "InvalidParameterValueException", "Runtime and Handler are mandatory"},
		{"timeout", func(in *api.CreateFunctionRequest) { in.Timeout = wire.Ptr(int32(901)) }, "ValidationException", "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"},
		{"memory", func(in *api.CreateFunctionRequest) { in.MemorySize = wire.Ptr(int32(10241)) }, "InvalidParameterValueException", "less than or equal to 10240"},
		{"reserved variable", func(in *api.CreateFunctionRequest) {
			in.Environment = &api.Environment{Variables: map[string]string{"AWS_REGION": "x", "_HANDLER": "y", "FINE": "z"}}
		}, "InvalidParameterValueException", "Reserved keys used in this request: AWS_REGION, _HANDLER"},
		{"large environment", func(in *api.CreateFunctionRequest) {
			in.Environment = &api.Environment{Variables: map[string]string{"A": strings.Repeat("x", 4096)}}
		}, "InvalidParameterValueException", `exceeded the 4KB limit. String measured: {"A":"xxx`},
		{"levels with text", func(in *api.CreateFunctionRequest) {
			in.LoggingConfig = &api.LoggingConfig{LogFormat: wire.Ptr("Text"), SystemLogLevel: wire.Ptr("WARN")}
		}, "InvalidParameterValueException", "LogFormat is JSON"},
		{"no code", func(in *api.CreateFunctionRequest) { in.Code = &api.FunctionCode{} }, "InvalidParameterValueException", "Please provide a source for function code."},
		{"empty code", func(in *api.CreateFunctionRequest) { in.Code = &api.FunctionCode{ZipFile: []byte{}} }, "InvalidParameterValueException", "Uploaded file must be a non-empty zip"},
		{"zip without entries", func(in *api.CreateFunctionRequest) { in.Code = &api.FunctionCode{ZipFile: zipOf(t, nil)} }, "InvalidParameterValueException", "Uploaded file must be a non-empty zip"},
		{"not a zip", func(in *api.CreateFunctionRequest) { in.Code = &api.FunctionCode{ZipFile: []byte("PK no")} }, "InvalidParameterValueException", "Could not unzip uploaded file. Please check your file, then try to upload again."},
		{"zip with ..", func(in *api.CreateFunctionRequest) {
			in.Code = &api.FunctionCode{ZipFile: zipOf(t, map[string]string{"../x": "y"})}
		}, "InvalidParameterValueException", "Could not unzip uploaded file."},
		{"S3", func(in *api.CreateFunctionRequest) {
			in.Code = &api.FunctionCode{S3Bucket: wire.Ptr("b"), S3Key: wire.Ptr("k")}
		}, "InvalidParameterValueException", "S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist"},
		{"two sources", func(in *api.CreateFunctionRequest) { in.Code.S3Bucket = wire.Ptr("b") }, "InvalidParameterValueException", "Please do not provide other FunctionCode parameters when providing a ZipFile."},
		{"image", func(in *api.CreateFunctionRequest) {
			in.PackageType, in.Code = wire.Ptr("Image"), &api.FunctionCode{ImageUri: wire.Ptr("example/x:1")}
			in.Runtime, in.Handler = nil, nil
		}, "InvalidParameterValueException", "Source image example/x:1 does not exist. Provide a valid source image."},
		{"layers", func(in *api.CreateFunctionRequest) {
			in.Layers = []string{"arn:aws:lambda:us-east-1:111111111111:layer:l:1"}
		}, "InvalidParameterValueException", "layer:l:1 does not exist"},
		{"vpc", func(in *api.CreateFunctionRequest) { in.VpcConfig = &api.VpcConfig{SubnetIds: []string{"subnet-1"}} }, "InvalidParameterValueException", "The subnet ID 'subnet-1' does not exist"},
		{"dead letters", func(in *api.CreateFunctionRequest) {
			in.DeadLetterConfig = &api.DeadLetterConfig{TargetArn: wire.Ptr("arn:aws:s3:::a-bucket")}
		}, "InvalidParameterValueException", "is not an SQS queue or an SNS topic"},
		{"KMS", func(in *api.CreateFunctionRequest) {
			in.KMSKeyArn = wire.Ptr("arn:aws:kms:us-east-1:111111111111:key/x")
		}, "InvalidParameterValueException", "KMS Exception: NotFoundException"},
		{"package's key", func(in *api.CreateFunctionRequest) {
			in.Code.SourceKMSKeyArn = wire.Ptr("arn:aws:kms:us-east-1:111111111111:key/x")
		}, "InvalidParameterValueException", "SourceKMSKeyArn is not supported"},
		{"file system", func(in *api.CreateFunctionRequest) { in.FileSystemConfigs = make([]api.FileSystemConfig, 1) }, "InvalidParameterValueException", "FileSystemConfigs is not supported"},
		{"code signing", func(in *api.CreateFunctionRequest) { in.CodeSigningConfigArn = wire.Ptr("arn:x") }, "CodeSigningConfigNotFoundException", "cannot be found"},
		{"durable", func(in *api.CreateFunctionRequest) { in.DurableConfig = &api.DurableConfig{} }, "InvalidParameterValueException", "DurableConfig is not supported"},
		{"tenancy and SnapStart", func(in *api.CreateFunctionRequest) {
			in.TenancyConfig, in.SnapStart = &api.TenancyConfig{TenantIsolationMode: wire.Ptr("PER_TENANT")}, &api.SnapStart{ApplyOn: wire.Ptr("PublishedVersions")}
		}, "InvalidParameterValueException", "SnapStart is not supported for functions with tenant isolation mode enabled."},
		{"capacity", func(in *api.CreateFunctionRequest) { in.CapacityProviderConfig = &api.CapacityProviderConfig{} }, "InvalidParameterValueException", "CapacityProviderConfig is not supported"},
		{"many tags", func(in *api.CreateFunctionRequest) {
			in.Tags = map[string]string{}
			for i := range 51 {
				in.Tags[fmt.Sprint(i)] = "x"
			}
		}, "InvalidParameterValueException", "Number of tags exceeds resource tag limit."},
		{"reserved tag", func(in *api.CreateFunctionRequest) { in.Tags = map[string]string{"aws:x": "y"} }, "InvalidParameterValueException", "reserved"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := createRequest(t, "f")
			tt.change(in)
			_, err := h.h.CreateFunction(t.Context(), call(), in)
			wantFault(t, err, tt.code, tt.text)
		})
	}
	if digests, err := h.artifacts.Digests(); err != nil || len(digests) != 0 {
		t.Errorf("refused requests left %v, %v", digests, err)
	}
}

func TestNeutralSettingsAreTaken(t *testing.T) {
	h := newHouse(t)
	in := createRequest(t, "f")
	in.VpcConfig = &api.VpcConfig{SubnetIds: []string{}, SecurityGroupIds: []string{}, Ipv6AllowedForDualStack: wire.Ptr(false)}
	in.SnapStart = &api.SnapStart{ApplyOn: wire.Ptr("None")}
	in.Layers, in.FileSystemConfigs = []string{}, []api.FileSystemConfig{}
	in.DeadLetterConfig, in.KMSKeyArn, in.CodeSigningConfigArn = &api.DeadLetterConfig{TargetArn: wire.Ptr("")}, wire.Ptr(""), wire.Ptr("")
	in.ImageConfig, in.PackageType = &api.ImageConfig{}, wire.Ptr("Zip")
	out, err := h.h.CreateFunction(t.Context(), call(), in)
	if err != nil {
		t.Fatal(err)
	}
	if out.VpcConfig != nil || out.Layers != nil || out.DeadLetterConfig != nil || out.Environment != nil || out.KMSKeyArn != nil {
		t.Errorf("what was not set is shown: %+v", out)
	}
}

func TestEverySettingIsKept(t *testing.T) {
	h := newHouse(t)
	in := createRequest(t, "f")
	in.Description, in.Timeout, in.MemorySize = wire.Ptr("d"), wire.Ptr(int32(900)), wire.Ptr(int32(10240))
	in.Environment = &api.Environment{Variables: map[string]string{"A": "b"}}
	in.TracingConfig = &api.TracingConfig{Mode: wire.Ptr("Active")}
	in.EphemeralStorage = &api.EphemeralStorage{Size: wire.Ptr(int32(1024))}
	in.LoggingConfig = &api.LoggingConfig{LogFormat: wire.Ptr("JSON"), ApplicationLogLevel: wire.Ptr("DEBUG"), LogGroup: wire.Ptr("g")}
	if _, err := h.h.CreateFunction(t.Context(), call(), in); err != nil {
		t.Fatal(err)
	}
	h.settleAll()
	got := h.configuration("f")
	if *got.Description != "d" || *got.Timeout != 900 || *got.MemorySize != 10240 || got.Environment.Variables["A"] != "b" ||
		*got.TracingConfig.Mode != "Active" || *got.EphemeralStorage.Size != 1024 || *got.Role != testRole ||
		*got.LoggingConfig.LogFormat != "JSON" || *got.LoggingConfig.ApplicationLogLevel != "DEBUG" || *got.LoggingConfig.SystemLogLevel != "INFO" || *got.LoggingConfig.LogGroup != "g" {
		t.Errorf("created as %+v", got)
	}
	// Back to Text drops the levels and keeps the group and everything else; an
	// environment without variables stays an environment.
	_, err := h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{
		FunctionName: wire.Ptr("f"), LoggingConfig: &api.LoggingConfig{LogFormat: wire.Ptr("Text")}, Environment: &api.Environment{},
	})
	if err != nil {
		t.Fatal(err)
	}
	got = h.configuration("f")
	if l := got.LoggingConfig; *l.LogFormat != "Text" || l.ApplicationLogLevel != nil || l.SystemLogLevel != nil || *l.LogGroup != "g" {
		t.Errorf("logging is %+v", l)
	}
	if got.Environment == nil || len(got.Environment.Variables) != 0 || *got.MemorySize != 10240 || *got.Description != "d" {
		t.Errorf("updated as %+v", got)
	}
}

func TestCodeQuota(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.TotalCodeBytes = 300 })
	h.create("a")
	waitFor(t, func() bool { n := 0; h.view.Each(func(*record.Function) bool { n++; return true }); return n == 1 })
	_, err := h.h.CreateFunction(t.Context(), call(), createRequest(t, "b"))
	wantFault(t, err, "CodeStorageExceededException", "Code storage limit exceeded.")
}

// The runtimes that a creation may name are those that the catalog does not refuse.
func TestSupportedRuntimesAreTheCatalogs(t *testing.T) {
	var want []string
	for _, spec := range runtimes.Specs() {
		if spec.Phase != runtimes.Refused {
			want = append(want, spec.Identifier)
		}
	}
	got := supportedRuntimes()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("supported %v\ncatalog %v", got, want)
	}
}
