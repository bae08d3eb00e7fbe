package lambda

import (
	"context"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// lastModifiedForm is how Lambda writes LastModified: a string, not a timestamp, with
// milliseconds and a zone without a colon.
const lastModifiedForm = "2006-01-02T15:04:05.000-0700"

const (
	packageTypeZip = "Zip"
	tracingDefault = "PassThrough"
)

// configuration is a function as the API shows it. Qualifier is the one of the
// ARN: what the caller asked with, "" for none.
func (c *Control) configuration(ctx context.Context, call *wire.Call, f *record.Function, qualifier string) *api.FunctionConfiguration {
	out := c.listed(ctx, call, f, qualifier)
	out.State = wire.Ptr(string(f.State))
	out.StateReason = unlessEmpty(f.StateReason)
	out.StateReasonCode = unlessEmpty(f.StateReasonCode)
	out.LastUpdateStatus = unlessEmpty(string(f.Update))
	out.LastUpdateStatusReason = unlessEmpty(f.UpdateReason)
	out.LastUpdateStatusReasonCode = unlessEmpty(f.UpdateReasonCode)
	if f.RuntimeVersionARN != "" {
		out.RuntimeVersionConfig = &api.RuntimeVersionConfig{RuntimeVersionArn: wire.Ptr(f.RuntimeVersionARN)}
	}
	return out
}

// listed is a function as ListFunctions and ListVersionsByFunction show it:
// without its state and its runtime's version (recorded:
// test_publish_version_on_create, list_versions_result).
func (c *Control) listed(ctx context.Context, call *wire.Call, f *record.Function, qualifier string) *api.FunctionConfiguration {
	out := &api.FunctionConfiguration{
		FunctionName:     wire.Ptr(f.ID.Name),
		FunctionArn:      wire.Ptr(record.Name{ID: f.ID, Qualifier: qualifier}.ARN()),
		Runtime:          unlessEmpty(f.Runtime),
		Role:             wire.Ptr(f.Role),
		Handler:          unlessEmpty(f.Handler),
		CodeSize:         wire.Ptr(f.CodeBytes),
		Description:      wire.Ptr(f.Description),
		Timeout:          wire.Ptr(int32(f.TimeoutS)),
		MemorySize:       wire.Ptr(int32(f.MemoryMiB)),
		LastModified:     wire.Ptr(f.LastModified.UTC().Format(lastModifiedForm)),
		CodeSha256:       wire.Ptr(f.CodeSHA256),
		Version:          wire.Ptr(f.Version),
		TracingConfig:    &api.TracingConfigResponse{Mode: wire.Ptr(f.TracingMode)},
		RevisionId:       wire.Ptr(f.RevisionID),
		PackageType:      wire.Ptr(packageTypeZip),
		Architectures:    []string{f.Architecture},
		EphemeralStorage: &api.EphemeralStorage{Size: wire.Ptr(int32(f.TmpMiB))},
		SnapStart:        snapStartOf(f),
		LoggingConfig: &api.LoggingConfig{
			LogFormat:           wire.Ptr(f.Logging.Format),
			LogGroup:            wire.Ptr(f.Logging.Group),
			ApplicationLogLevel: unlessEmpty(f.Logging.ApplicationLevel),
			SystemLogLevel:      unlessEmpty(f.Logging.SystemLevel),
		},
	}
	if f.Image != nil {
		showImage(out, f.Image)
	}
	out.Layers = shownLayers(f)
	if f.Tenancy != "" {
		out.TenancyConfig = &api.TenancyConfig{TenantIsolationMode: wire.Ptr(f.Tenancy)}
	}
	if f.DeadLetterARN != "" {
		out.DeadLetterConfig = &api.DeadLetterConfig{TargetArn: wire.Ptr(f.DeadLetterARN)}
	}
	out.Environment = c.shownEnvironment(ctx, call, f)
	out.SigningProfileVersionArn = unlessEmpty(f.SigningProfile)
	out.KMSKeyArn = unlessEmpty(f.KMSKeyARN)
	return out
}

// revise marks a change: clients compare revisions to find lost updates.
func revise(f *record.Function) { f.RevisionID = string(aws.NewRequestID()) }

// begin marks the start of an update of code or configuration, which the settler ends.
// The reason is the recorded one; it says "created" for updates too.
func begin(f *record.Function, now time.Time) {
	f.Update, f.UpdateReason, f.UpdateReasonCode = record.UpdateInProgress, creatingReason, creatingCode
	f.LastModified = now
	f.Generation++
	revise(f)
}

func unlessEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
