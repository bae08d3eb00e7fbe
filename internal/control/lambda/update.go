package lambda

import (
	"context"
	"errors"
	"fmt"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// commitAttemptsMax bounds how often a change is tried again after another
// one came first; beyond it the caller is told to come back.
const commitAttemptsMax = 16

// errUnchanged is what an edit returns when there is nothing to write.
var errUnchanged = errors.New("control/lambda: nothing to change")

// change reads $LATEST, lets edit change a copy, and writes it unless somebody else
// wrote in between; then it starts over. Edit may return more writes for the same
// commit, and runs once an attempt.
func (c *Control) change(ctx context.Context, n record.Name, edit func(*record.Function) ([]store.Write, error)) (*record.Function, error) {
	for range commitAttemptsMax {
		stored, err := c.read(ctx, record.Name{ID: n.ID, Qualifier: n.Qualifier})
		if err != nil {
			return nil, err
		}
		f := stored.Clone()
		writes, err := edit(f)
		if err != nil {
			return nil, err
		}
		write, err := record.PutFunction(f, store.IfRevision(stored.Revision))
		if err != nil {
			return nil, err
		}
		_, err = c.table.Commit(ctx, append(writes, write)...)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, fault(err)
		}
	}
	return nil, updateInProgress(n.ID)
}

// mayChange refuses a change of a function that is still being made or changed,
// and one that was meant for another revision.
func mayChange(f *record.Function, revisionID *string) error {
	if err := matchRevision(f.RevisionID, revisionID); err != nil {
		return err
	}
	if f.State == record.StatePending {
		return inState(f.State)
	}
	if f.Update == record.UpdateInProgress {
		return updateInProgress(f.ID)
	}
	return nil
}

func matchRevision(is string, wanted *string) error {
	if wanted != nil && *wanted != is {
		return api.NewPreconditionFailedException("The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
	}
	return nil
}

func (c *Control) updateFunctionConfiguration(ctx context.Context, call *wire.Call, in *api.UpdateFunctionConfigurationRequest) (*api.FunctionConfiguration, error) {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if _, err := c.read(ctx, n); err != nil {
		return nil, err
	}
	set := settingsOfUpdate(in)
	if err := set.check(); err != nil {
		return nil, err
	}
	if err := c.checkMemory(set.MemorySize); err != nil {
		return nil, err
	}
	if in.Role != nil {
		if err := c.checkRole(ctx, *in.Role); err != nil {
			return nil, err
		}
	}
	f, err := c.change(ctx, n, func(f *record.Function) ([]store.Write, error) {
		if err := mayChange(f, in.RevisionId); err != nil {
			return nil, err
		}
		if set.Runtime != nil && *set.Runtime != f.Runtime && f.RuntimeUpdate == record.RuntimeManual {
			return nil, invalid("The function is held to a version of %s; set UpdateRuntimeOn to another mode before you change its Runtime.", f.Runtime)
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
		if set.Layers != nil {
			var err error
			if f.Layers, err = c.layersOf(ctx, call, f, set.Layers); err != nil {
				return nil, err
			}
			if err := checkUnzipped(f); err != nil {
				return nil, err
			}
			signing, err := c.signingOf(ctx, f.ID)
			if err != nil {
				return nil, err
			}
			if err := c.checkSignedLayers(signing, f.ID, f.Layers); err != nil {
				return nil, err
			}
		}
		begin(f, c.now())
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return c.configuration(ctx, call, f, ""), nil
}

func (c *Control) updateFunctionCode(ctx context.Context, call *wire.Call, in *api.UpdateFunctionCodeRequest) (*api.FunctionConfiguration, error) {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	stored, err := c.read(ctx, n)
	if err != nil {
		return nil, err
	}
	if (in.ImageUri != nil) != (stored.Image != nil) {
		return nil, otherPackageType(stored.Function)
	}
	if in.PublishTo != nil {
		return nil, noPublishTo()
	}
	// Before the bytes are stored: most refusals need not wait for them.
	if err := mayChange(stored.Function, in.RevisionId); err != nil {
		return nil, err
	}
	dryRun := value(in.DryRun)
	take := c.takeUpdate
	if stored.Image != nil {
		take = c.takeImage
	}
	set, err := take(ctx, stored.Function, in)
	if err != nil {
		return nil, err
	}
	if dryRun {
		f := stored.Clone()
		set(f)
		setArchitecture(f, in.Architectures)
		return c.configuration(ctx, call, f, ""), nil
	}

	var version *record.Function
	f, err := c.change(ctx, n, func(f *record.Function) ([]store.Write, error) {
		version = nil
		if err := mayChange(f, in.RevisionId); err != nil {
			return nil, err
		}
		if set(f); f.Image == nil != (stored.Image == nil) {
			return nil, updateInProgress(f.ID) // removed and made again meanwhile, of the other type
		}
		if err := checkUnzipped(f); err != nil {
			c.maybeGarbage()
			return nil, err
		}
		setArchitecture(f, in.Architectures)
		if !value(in.Publish) {
			begin(f, c.now())
			return nil, nil
		}
		same, err := c.publishedSame(ctx, f)
		if err != nil {
			return nil, err
		}
		begin(f, c.now())
		if same != nil {
			version = same
			return nil, nil
		}
		fresh, write, err := publishFrom(f, f.Description)
		if err != nil {
			return nil, err
		}
		version = fresh
		return []store.Write{write}, nil
	})
	if err != nil {
		return nil, err
	}
	c.maybeGarbage()
	if version != nil {
		return c.configuration(ctx, call, version, version.Version), nil
	}
	return c.configuration(ctx, call, f, ""), nil
}

// takeUpdate stores the package of an update, unless it is a dry run.
func (c *Control) takeUpdate(ctx context.Context, f *record.Function, in *api.UpdateFunctionCodeRequest) (func(*record.Function), error) {
	signing, err := c.signingOf(ctx, f.ID)
	if err != nil {
		return nil, err
	}
	zip, err := c.take(ctx, codeSource{
		operation: "UpdateFunctionCode", zip: in.ZipFile, s3: in.S3Bucket != nil || in.S3Key != nil || in.S3ObjectVersion != nil,
		kmsKey: value(in.SourceKMSKeyArn),
	}, !value(in.DryRun))
	if err != nil {
		return nil, err
	}
	if err := c.checkSignedZip(signing, f.ID, in.ZipFile); err != nil {
		c.maybeGarbage()
		return nil, err
	}
	if !value(in.DryRun) {
		if err := c.checkCodeQuota(f.ID, zip.Bytes-f.CodeBytes); err != nil {
			return nil, err
		}
	}
	by := c.publisherOf(in.ZipFile)
	return func(f *record.Function) {
		setCode(f, zip)
		f.SigningProfile = by
	}, nil
}

// publishedSame returns the last published version if it has the code and the settings
// of f, because then a publish makes no new one. The description of $LATEST
// counts too: it is remembered as it was when the version was made.
func (c *Control) publishedSame(ctx context.Context, f *record.Function) (*record.Function, error) {
	if f.LastVersion == 0 || f.Description != f.PublishedDescription {
		return nil, nil
	}
	last, err := c.table.Get(ctx, f.ID, fmt.Sprint(f.LastVersion))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fault(err)
	}
	if !sameSettings(last.Function, f) {
		return nil, nil
	}
	return last.Function, nil
}
