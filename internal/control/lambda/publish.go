package lambda

import (
	"context"
	"errors"
	"strconv"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

func (c *Control) publishVersion(ctx context.Context, call *wire.Call, in *api.PublishVersionRequest) (*api.FunctionConfiguration, error) {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if in.PublishTo != nil {
		return nil, noPublishTo()
	}
	var version *record.Function
	_, err = c.change(ctx, n, func(f *record.Function) ([]store.Write, error) {
		if err := mayPublish(f, in); err != nil {
			return nil, err
		}
		var err error
		if version, err = c.publishedSame(ctx, f); err != nil {
			return nil, err
		}
		if version != nil {
			return nil, errUnchanged
		}
		description := f.Description
		if in.Description != nil {
			description = *in.Description
		}
		fresh, write, err := publishFrom(f, description)
		if err != nil {
			return nil, err
		}
		// A publish changes the revision of $LATEST too (AWS: GetFunction before and after
		// PublishVersion differ in RevisionId alone).
		revise(f)
		version = fresh
		return []store.Write{write}, nil
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return nil, err
	}
	return c.configuration(ctx, call, version, version.Version), nil
}

// mayPublish checks what the caller expects $LATEST to be, and that it is settled.
func mayPublish(f *record.Function, in *api.PublishVersionRequest) error {
	if err := matchRevision(f.RevisionID, in.RevisionId); err != nil {
		return err
	}
	if in.CodeSha256 != nil && *in.CodeSha256 != f.CodeSHA256 {
		return invalid("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", *in.CodeSha256, f.CodeSHA256)
	}
	if f.State == record.StateFailed {
		return inState(f.State)
	}
	return mayChange(f, nil)
}

// publishFrom freezes $LATEST as the next version, and counts it in f. The version is
// as settled as f is: of a settled function it is Active at once, of one in
// progress it is Pending (recorded: TestLambdaVersions), and with SnapStart until its
// snapshot has been made.
func publishFrom(f *record.Function, description string) (*record.Function, store.Write, error) {
	f.LastVersion++
	f.PublishedDescription = f.Description
	v := f.Clone()
	v.Version = strconv.FormatUint(f.LastVersion, 10)
	v.Description = description
	v.Tags = nil
	if v.Image != nil {
		v.Image.Before = nil // the version serves nothing else meanwhile
	}
	v.LastVersion, v.PublishedDescription = 0, ""
	if f.State == record.StatePending || f.Update == record.UpdateInProgress || v.Snapshotted() {
		v.State, v.StateReason, v.StateReasonCode = record.StatePending, creatingReason, creatingCode
		v.Update, v.UpdateReason, v.UpdateReasonCode = "", "", ""
	}
	revise(v)
	write, err := record.PutFunction(v, store.IfAbsent())
	return v, write, err
}
