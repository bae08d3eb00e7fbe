package lambda

import (
	"context"
	"errors"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

const statusNoContent = 204

func (c *Control) deleteFunction(ctx context.Context, call *wire.Call, in *api.DeleteFunctionRequest) (*api.DeleteFunctionResponse, error) {
	n, err := c.named(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	switch {
	case n.Qualifier == "":
		err = c.deleteAll(ctx, n)
	case n.Qualifier == record.Latest:
		// Said even of a function that does not exist (recorded: test_ops_with_arn_qualifier_mismatch).
		err = invalid("$LATEST version cannot be deleted without deleting the function.")
	case n.Qualifier == record.LatestPublished:
		err = notFound(n)
	case record.IsVersionNumber(n.Qualifier):
		err = c.deleteVersion(ctx, n)
	default:
		err = invalid("Deletion of aliases is not currently supported.")
	}
	if err != nil {
		return nil, err
	}
	c.maybeGarbage()
	return &api.DeleteFunctionResponse{StatusCode: wire.Ptr(int32(statusNoContent))}, nil
}

// deleteVersion removes a published version; one that is not there is gone already. One that
// an alias may route to stays; whoever makes such an alias meanwhile changes the version's
// revision.
func (c *Control) deleteVersion(ctx context.Context, n record.Name) error {
	if _, err := c.read(ctx, record.Name{ID: n.ID}); err != nil {
		return err
	}
	for range commitAttemptsMax {
		version, err := c.table.Get(ctx, n.ID, n.Qualifier)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fault(err)
		}
		aliases, err := c.aliasesOf(ctx, n.ID, n.Qualifier)
		if err != nil {
			return err
		}
		if len(aliases) > 0 {
			// The text is AWS's, as its users quote it.
			return api.NewResourceConflictException("Unable to delete version because the following aliases reference it: [" + strings.Join(aliases, ", ") + "]")
		}
		_, err = c.table.Commit(ctx, record.DropFunction(n.ID, n.Qualifier, store.IfRevision(version.Revision)), record.DropProvisioned(n.ID, n.Qualifier))
		if !errors.Is(err, store.ErrConflict) {
			return fault(err)
		}
	}
	return updateInProgress(n.ID)
}

// dropDependents removes what belongs to a function and is no version of it.
func (c *Control) dropDependents(ctx context.Context, id record.FunctionID) error {
	return errors.Join(
		dropAll(ctx, c.records, record.Aliases, id),
		dropAll(ctx, c.records, record.Concurrencies, id),
		dropAll(ctx, c.records, record.Policies, id),
		dropAll(ctx, c.records, record.EventInvokeConfigs, id),
		dropAll(ctx, c.records, record.FunctionURLs, id),
		dropAll(ctx, c.records, record.Recursions, id),
		dropAll(ctx, c.records, record.FunctionCodeSignings, id),
	)
}

// dropAll removes everything of one kind that a function has, page by page.
func dropAll[T any](ctx context.Context, records store.Records, kind record.Kind[record.Qualified, T], id record.FunctionID) error {
	for {
		page, more, err := kind.List(ctx, records, record.OfFunction(id), nil, store.CommitWritesMax)
		if err != nil {
			return fault(err)
		}
		if len(page) == 0 {
			return nil
		}
		var writes []store.Write
		for _, h := range page {
			writes = append(writes, kind.Drop(h.Key, store.Unconditional()))
		}
		if _, err := records.Commit(ctx, writes...); err != nil {
			return fault(err)
		}
		if !more {
			return nil
		}
	}
}

// deleteAll removes the versions and then the function with the last of them, so that a
// crash in between leaves a function with fewer versions, and never versions
// that a later function of this name would inherit. What is published in between
// changes $LATEST, and the last commit starts over.
func (c *Control) deleteAll(ctx context.Context, n record.Name) error {
	for range commitAttemptsMax {
		latest, err := c.read(ctx, n)
		if err != nil {
			return err
		}
		if err := c.dropDependents(ctx, n.ID); err != nil {
			return err
		}
		last, err := c.dropVersions(ctx, n.ID)
		if err != nil {
			return err
		}
		writes := append(last, record.DropFunction(n.ID, record.Latest, store.IfRevision(latest.Revision)))
		if latest.LastVersion > 0 {
			writes = append(writes, record.Retire(n.ID, latest.LastVersion))
		}
		_, err = c.table.Commit(ctx, writes...)
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fault(err)
		}
	}
	return updateInProgress(n.ID)
}

// dropVersions commits the removal of all full pages of versions, and returns that
// of the last page for the caller's commit.
func (c *Control) dropVersions(ctx context.Context, id record.FunctionID) ([]store.Write, error) {
	// Two writes for each, and room for the function and its retired number.
	const page = (store.CommitWritesMax - 2) / 2
	after := ""
	for {
		versions, more, err := c.table.ListVersions(ctx, id, after, page)
		if err != nil {
			return nil, fault(err)
		}
		var writes []store.Write
		for _, v := range versions {
			writes = append(writes, record.DropFunction(id, v.Version, store.Unconditional()), record.DropProvisioned(id, v.Version))
			after = v.Version
		}
		if !more {
			return writes, nil
		}
		if _, err := c.table.Commit(ctx, writes...); err != nil {
			return nil, fault(err)
		}
	}
}
