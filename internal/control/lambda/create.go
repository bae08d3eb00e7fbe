package lambda

import (
	"context"
	"errors"
	"fmt"
	"maps"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// The state of a function that is being made or changed (recorded).
const (
	creatingReason = "The function is being created."
	creatingCode   = "Creating"
)

func (c *Control) createFunction(ctx context.Context, call *wire.Call, in *api.CreateFunctionRequest) (*api.FunctionConfiguration, error) {
	n, err := c.named(call, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	if n.Qualifier != "" {
		return nil, invalid("The function name %s has a qualifier; a function is created without one.", *in.FunctionName)
	}
	if len(n.ID.Name) > record.FunctionNameBytesMax {
		return nil, constraint(n.ID.Name, "functionName", fmt.Sprintf("Member must have length less than or equal to %d", record.FunctionNameBytesMax))
	}
	set := settingsOfCreate(in)
	if err := c.checkCreate(ctx, n.ID.Account, in, &set); err != nil {
		return nil, err
	}
	f := withDefaults(n.ID)
	if isImage(in) {
		f.Image = &record.Image{}
	}
	if err := set.apply(f); err != nil {
		return nil, err
	}
	if err := c.sealEnvironment(ctx, call, f, &set); err != nil {
		return nil, err
	}
	if err := c.checkDeadLetter(ctx, f); err != nil {
		return nil, err
	}
	if f.Layers, err = c.layersOf(ctx, call, f, set.Layers); err != nil {
		return nil, err
	}
	signing, err := c.createSigning(ctx, call, f, in)
	if err != nil {
		return nil, err
	}
	if _, err := c.table.Get(ctx, n.ID, record.Latest); err == nil {
		return nil, alreadyExists(n.ID)
	} else if !errors.Is(err, store.ErrNotFound) {
		return nil, fault(err)
	}
	// Only now: a refused request stores nothing.
	setArchitecture(f, in.Architectures)
	if err := c.createCode(ctx, f, in); err != nil {
		return nil, err
	}
	f.Tags = maps.Clone(in.Tags)
	if f.Image == nil {
		if err := c.resolveRuntime(ctx, f); err != nil {
			c.log.Debug("a function is created that has no runtime here", "function", n.ARN(), "error", err)
		}
	}
	f.State, f.StateReason, f.StateReasonCode = record.StatePending, creatingReason, creatingCode
	f.LastModified = c.now()
	// Not 1: an environment of an earlier function of the same name must never match.
	f.Generation = uint64(f.LastModified.UnixNano())
	revise(f)
	return c.commitNew(ctx, call, f, value(in.Publish), signing...)
}

// createCode gives a new function the code that a request names.
func (c *Control) createCode(ctx context.Context, f *record.Function, in *api.CreateFunctionRequest) error {
	if isImage(in) {
		return c.createImage(ctx, f, in)
	}
	zip, err := c.take(ctx, codeSource{
		operation: "CreateFunction", zip: in.Code.ZipFile, s3: in.Code.S3Bucket != nil || in.Code.S3Key != nil || in.Code.S3ObjectVersion != nil,
		imageURI: value(in.Code.ImageUri), kmsKey: value(in.Code.SourceKMSKeyArn),
	}, true)
	if err != nil {
		return err
	}
	if err := c.checkCodeQuota(f.ID, zip.Bytes); err != nil {
		c.maybeGarbage()
		return err
	}
	setCode(f, zip)
	f.SigningProfile = c.publisherOf(in.Code.ZipFile)
	if err := checkUnzipped(f); err != nil {
		c.maybeGarbage()
		return err
	}
	return nil
}

func (c *Control) checkCreate(ctx context.Context, account aws.AccountID, in *api.CreateFunctionRequest, set *settings) error {
	if err := checkPackageType(in); err != nil {
		return err
	}
	if err := set.check(); err != nil {
		return err
	}
	if err := c.checkMemory(set.MemorySize); err != nil {
		return err
	}
	if err := checkTags(in.Tags); err != nil {
		return err
	}
	if err := c.checkIsolation(ctx, account, in.Tags); err != nil {
		return err
	}
	return c.checkRole(ctx, value(in.Role))
}

// checkRole asks whether Lambda may assume a role.
func (c *Control) checkRole(ctx context.Context, role string) error {
	if c.roles == nil {
		return nil
	}
	if err := c.roles.Assumable(ctx, role); err != nil {
		c.log.Info("a function's role is refused", "role", role, "error", err)
		return invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	return nil
}

// commitNew writes a new function, and its version 1 (or the one after the last of
// an earlier function of this name) if it is published at once.
func (c *Control) commitNew(ctx context.Context, call *wire.Call, f *record.Function, publish bool, writes ...store.Write) (*api.FunctionConfiguration, error) {
	retired, err := c.table.GetRetired(ctx, f.ID)
	if err != nil {
		return nil, fault(err)
	}
	f.LastVersion = retired.LastVersion
	shown := f
	if publish {
		version, write, err := publishFrom(f, f.Description)
		if err != nil {
			return nil, err
		}
		// The answer is the version with the function's own ARN and revision (recorded:
		// test_publish_version_on_create).
		shown = version.Clone()
		shown.RevisionID = f.RevisionID
		writes = append(writes, write)
	}
	write, err := record.PutFunction(f, store.IfAbsent())
	if err != nil {
		return nil, err
	}
	_, err = c.table.Commit(ctx, append(writes, write)...)
	if err != nil {
		c.maybeGarbage()
	}
	if errors.Is(err, store.ErrConflict) {
		return nil, alreadyExists(f.ID)
	}
	if err != nil {
		return nil, fault(err)
	}
	return c.configuration(ctx, call, shown, ""), nil
}

// resolveRuntime notes which build of the runtime the function gets. What
// cannot be resolved has none; the settler says why.
func (c *Control) resolveRuntime(ctx context.Context, f *record.Function) error {
	if f.RuntimeUpdate == record.RuntimeManual {
		_, err := c.runtimes.ResolveVersion(ctx, f.Runtime, f.Architecture, runtimes.VersionOf(f.RuntimeVersionARN))
		return err
	}
	found, err := c.runtimes.Resolve(ctx, f.Runtime, f.Architecture)
	if err != nil {
		f.RuntimeVersionARN = ""
		return err
	}
	f.RuntimeVersionARN = found.VersionARN(f.ID.Region)
	return nil
}

func alreadyExists(id record.FunctionID) error {
	return api.NewResourceConflictException("Function already exist: " + id.Name)
}
