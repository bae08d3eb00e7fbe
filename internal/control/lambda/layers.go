package lambda

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// layerItemsMax is a page of layers or of their versions. Source: Lambda API, MaxItems.
const layerItemsMax = 50

// createdForm is how a layer version's CreatedDate is written.
const createdForm = lastModifiedForm

// The texts here are AWS's (recorded: TestLambdaLayer).

func (c *Control) publishLayerVersion(ctx context.Context, call *wire.Call, in *api.PublishLayerVersionRequest) (*api.PublishLayerVersionResponse, error) {
	id, ok := record.ParseLayer(value(in.LayerName), scopeOf(call))
	if !ok || id.Version != 0 || id.Scope != scopeOf(call) {
		return nil, notThere()
	}
	if err := checkLayerRuntimes(in.CompatibleRuntimes); err != nil {
		return nil, err
	}
	if in.Content == nil {
		in.Content = &api.LayerVersionContentInput{}
	}
	s3 := in.Content.S3Bucket != nil || in.Content.S3Key != nil || in.Content.S3ObjectVersion != nil
	zip, err := c.take(ctx, codeSource{operation: call.Operation, zip: in.Content.ZipFile, s3: s3}, true)
	if err != nil {
		return nil, err
	}
	if err := c.checkCodeQuota(record.FunctionID{Account: id.Account, Region: id.Region}, zip.Bytes); err != nil {
		c.maybeGarbage()
		return nil, err
	}
	v := &record.LayerVersion{
		Description: value(in.Description), Artifact: string(zip.Digest), CodeSHA256: zip.Digest.Base64(), CodeBytes: zip.Bytes, UnzippedBytes: zip.UnzippedBytes, SigningProfile: c.publisherOf(in.Content.ZipFile),
		Runtimes: in.CompatibleRuntimes, Architectures: in.CompatibleArchitectures, License: value(in.LicenseInfo), Created: c.now(),
	}
	if id.Version, err = c.putLayerVersion(ctx, id, v); err != nil {
		return nil, err
	}
	shown := c.shownLayer(call, id, v)
	return &api.PublishLayerVersionResponse{
		Content: shown.Content, LayerArn: shown.LayerArn, LayerVersionArn: shown.LayerVersionArn, Description: shown.Description, CreatedDate: shown.CreatedDate,
		Version: shown.Version, CompatibleRuntimes: shown.CompatibleRuntimes, LicenseInfo: shown.LicenseInfo, CompatibleArchitectures: shown.CompatibleArchitectures,
	}, nil
}

// putLayerVersion stores a version under the next number.
func (c *Control) putLayerVersion(ctx context.Context, id record.LayerID, v *record.LayerVersion) (uint64, error) {
	key := record.Scoped{Scope: id.Scope, Name: id.Name}
	for range commitAttemptsMax {
		counter, cond := record.LayerCounter{}, store.IfAbsent()
		held, err := record.LayerCounters.Get(ctx, c.records, key)
		switch {
		case err == nil:
			counter, cond = *held.Value, store.IfRevision(held.Revision)
		case !errors.Is(err, store.ErrNotFound):
			return 0, fault(err)
		}
		counter.Last++
		id.Version = counter.Last
		count, err := record.LayerCounters.Put(key, &counter, cond)
		if err != nil {
			return 0, err
		}
		put, err := record.LayerVersions.Put(id.Key(), v, store.IfAbsent())
		if err != nil {
			return 0, err
		}
		_, err = c.records.Commit(ctx, count, put)
		if err == nil {
			return id.Version, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return 0, fault(err)
		}
	}
	return 0, api.NewResourceConflictException("The operation cannot be performed at this time. An update is in progress for resource: " + id.ARN())
}

// layerVersion reads the version that a request names by layer and number.
func (c *Control) layerVersion(ctx context.Context, call *wire.Call, name *string, number *int64) (record.LayerID, record.Held[record.Scoped, record.LayerVersion], error) {
	var none record.Held[record.Scoped, record.LayerVersion]
	if value(number) < 1 {
		return record.LayerID{}, none, invalid("Layer Version Cannot be less than 1")
	}
	id, ok := record.ParseLayer(value(name), scopeOf(call))
	if !ok || id.Version != 0 {
		return id, none, notThere()
	}
	id.Version = uint64(*number)
	held, err := c.readLayer(ctx, id)
	return id, held, err
}

func (c *Control) readLayer(ctx context.Context, id record.LayerID) (record.Held[record.Scoped, record.LayerVersion], error) {
	held, err := record.LayerVersions.Get(ctx, c.records, id.Key())
	if errors.Is(err, store.ErrNotFound) {
		return held, notThere()
	}
	return held, fault(err)
}

func (c *Control) getLayerVersion(ctx context.Context, call *wire.Call, in *api.GetLayerVersionRequest) (*api.GetLayerVersionResponse, error) {
	id, held, err := c.layerVersion(ctx, call, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	return c.shownLayer(call, id, held.Value), nil
}

func (c *Control) getLayerVersionByArn(ctx context.Context, call *wire.Call, in *api.GetLayerVersionByArnRequest) (*api.GetLayerVersionResponse, error) {
	id, ok := record.ParseLayer(value(in.Arn), scopeOf(call))
	if !ok || id.Version == 0 || id.Region != call.Region {
		return nil, notThere()
	}
	held, err := c.readLayer(ctx, id)
	if err != nil {
		return nil, err
	}
	return c.shownLayer(call, id, held.Value), nil
}

// deleteLayerVersion is content when there is none. Functions that have the version keep it.
func (c *Control) deleteLayerVersion(ctx context.Context, call *wire.Call, in *api.DeleteLayerVersionRequest) error {
	if value(in.VersionNumber) < 1 {
		return invalid("Layer Version Cannot be less than 1")
	}
	id, ok := record.ParseLayer(value(in.LayerName), scopeOf(call))
	if !ok || id.Scope != scopeOf(call) {
		return nil
	}
	id.Version = uint64(*in.VersionNumber)
	_, err := c.records.Commit(ctx, record.LayerVersions.Drop(id.Key(), store.Unconditional()))
	c.maybeGarbage()
	return fault(err)
}

// checkLayerRuntimes takes runtimes that Lambda has or had.
func checkLayerRuntimes(identifiers []string) error {
	for _, identifier := range identifiers {
		if _, known := runtimes.Lookup(identifier); !known {
			return constraint("["+strings.Join(identifiers, ", ")+"]", "compatibleRuntimes", "Member must satisfy enum value set: ["+strings.Join(supportedRuntimes(), ", ")+"]")
		}
	}
	return nil
}

func checkListRuntime(identifier *string) error {
	if _, known := runtimes.Lookup(value(identifier)); identifier != nil && !known {
		return constraint(*identifier, "compatibleRuntime", "Member must satisfy enum value set: ["+strings.Join(supportedRuntimes(), ", ")+"]")
	}
	return nil
}

// matching says which versions a list is for.
func matching(runtime, architecture *string) func(*record.LayerVersion) bool {
	return func(v *record.LayerVersion) bool {
		return (runtime == nil || slices.Contains(v.Runtimes, *runtime)) &&
			(architecture == nil || slices.Contains(v.Architectures, *architecture))
	}
}

// listLayerVersions begins with the newest version.
func (c *Control) listLayerVersions(ctx context.Context, call *wire.Call, in *api.ListLayerVersionsRequest) (*api.ListLayerVersionsResponse, error) {
	if err := checkListRuntime(in.CompatibleRuntime); err != nil {
		return nil, err
	}
	out := &api.ListLayerVersionsResponse{LayerVersions: []api.LayerVersionsListItem{}}
	id, ok := record.ParseLayer(value(in.LayerName), scopeOf(call))
	if !ok || id.Scope != scopeOf(call) {
		return out, nil
	}
	at, err := readMarker(value(in.Marker), 1)
	if err != nil {
		return nil, err
	}
	want := matching(in.CompatibleRuntime, in.CompatibleArchitecture)
	limit := layerPage(in.MaxItems)
	var all []api.LayerVersionsListItem
	err = record.LayerVersions.Each(ctx, c.records, record.OfScope(id.Scope)+id.Name+"/", func(h record.Held[record.Scoped, record.LayerVersion]) {
		v, _ := record.ParseLayerKey(h.Key)
		before := at[0] == "" || v.Key().Name < id.Name+"/"+at[0]
		if want(h.Value) && before {
			all = append(all, listedLayer(v, h.Value))
		}
	})
	if err != nil {
		return nil, fault(err)
	}
	slices.Reverse(all)
	if len(all) > limit {
		last := record.LayerID{Version: uint64(*all[limit-1].Version)}
		out.NextMarker = writeMarker(last.Key().Name[1:])
		all = all[:limit]
	}
	out.LayerVersions = append(out.LayerVersions, all...)
	return out, nil
}

// listLayers shows of each layer the newest version that matches.
func (c *Control) listLayers(ctx context.Context, call *wire.Call, in *api.ListLayersRequest) (*api.ListLayersResponse, error) {
	if err := checkListRuntime(in.CompatibleRuntime); err != nil {
		return nil, err
	}
	at, err := readMarker(value(in.Marker), 1)
	if err != nil {
		return nil, err
	}
	want := matching(in.CompatibleRuntime, in.CompatibleArchitecture)
	limit := layerPage(in.MaxItems)
	out := &api.ListLayersResponse{Layers: []api.LayersListItem{}}
	more := false
	err = record.LayerVersions.Each(ctx, c.records, record.OfScope(scopeOf(call)), func(h record.Held[record.Scoped, record.LayerVersion]) {
		id, ok := record.ParseLayerKey(h.Key)
		if !ok || id.Name <= at[0] || !want(h.Value) {
			return
		}
		item := api.LayersListItem{LayerName: wire.Ptr(id.Name), LayerArn: wire.Ptr(record.LayerID{Scope: id.Scope, Name: id.Name}.ARN()), LatestMatchingVersion: wire.Ptr(listedLayer(id, h.Value))}
		switch n := len(out.Layers); {
		case n > 0 && *out.Layers[n-1].LayerName == id.Name:
			out.Layers[n-1] = item
		case n == limit:
			more = true
		default:
			out.Layers = append(out.Layers, item)
		}
	})
	if err != nil {
		return nil, fault(err)
	}
	if more {
		out.NextMarker = writeMarker(*out.Layers[limit-1].LayerName)
	}
	return out, nil
}

func layerPage(maxItems *int32) int { return min(pageSize(maxItems), layerItemsMax) }

func listedLayer(id record.LayerID, v *record.LayerVersion) api.LayerVersionsListItem {
	return api.LayerVersionsListItem{
		LayerVersionArn: wire.Ptr(id.ARN()), Version: wire.Ptr(int64(id.Version)), Description: wire.Ptr(v.Description), CreatedDate: wire.Ptr(created(v)),
		CompatibleRuntimes: v.Runtimes, CompatibleArchitectures: v.Architectures, LicenseInfo: unlessEmpty(v.License),
	}
}

func (c *Control) shownLayer(call *wire.Call, id record.LayerID, v *record.LayerVersion) *api.GetLayerVersionResponse {
	layer := record.LayerID{Scope: id.Scope, Name: id.Name}
	return &api.GetLayerVersionResponse{
		Content: &api.LayerVersionContentOutput{
			Location: wire.Ptr(c.signer.location(call.Endpoint, artifact.Digest(v.Artifact))), CodeSha256: wire.Ptr(v.CodeSHA256), CodeSize: wire.Ptr(v.CodeBytes),
			SigningProfileVersionArn: unlessEmpty(v.SigningProfile),
		},
		LayerArn: wire.Ptr(layer.ARN()), LayerVersionArn: wire.Ptr(id.ARN()), Description: wire.Ptr(v.Description), CreatedDate: wire.Ptr(created(v)),
		Version: wire.Ptr(int64(id.Version)), CompatibleRuntimes: v.Runtimes, CompatibleArchitectures: v.Architectures, LicenseInfo: unlessEmpty(v.License),
	}
}

func created(v *record.LayerVersion) string {
	return v.Created.UTC().Truncate(time.Millisecond).Format(createdForm)
}
