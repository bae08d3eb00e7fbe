package lambda

import (
	"context"
	"errors"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// layersMax is how many layers a function may have. Source: Lambda quotas.
const layersMax = 5

// layersOf reads the layers that a request gives a function. One that the function has already
// it keeps, though the version may be deleted meanwhile. The texts are AWS's, as its users quote
// them; the first is recorded: test_layer_function_quota_exception.
func (c *Control) layersOf(ctx context.Context, call *wire.Call, f *record.Function, arns []string) ([]record.Layer, error) {
	if len(arns) > layersMax {
		return nil, invalid("Cannot reference more than %d layers.", layersMax)
	}
	byLayer := map[string]string{}
	var out []record.Layer
	for _, arn := range arns {
		id, ok := record.ParseLayer(arn, record.Scope{Account: f.ID.Account, Region: f.ID.Region})
		if !ok || id.Version == 0 {
			return nil, invalid("Layer version %s does not exist.", arn)
		}
		if id.Region != f.ID.Region {
			return nil, invalid("Layers are not in the same region as the function. Layers are expected to be in region %s.", f.ID.Region)
		}
		layer := record.LayerID{Scope: id.Scope, Name: id.Name}.ARN()
		if other, twice := byLayer[layer]; twice {
			return nil, invalid("Two different versions of the same layer are not allowed to be referenced in the same function. %s and %s are versions of the same layer.", arn, other)
		}
		byLayer[layer] = arn
		l, err := c.layerFor(ctx, call, f, arn, id)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

func (c *Control) layerFor(ctx context.Context, call *wire.Call, f *record.Function, arn string, id record.LayerID) (record.Layer, error) {
	held, err := record.LayerVersions.Get(ctx, c.records, id.Key())
	if errors.Is(err, store.ErrNotFound) {
		for _, has := range f.Layers {
			if has.ARN == arn {
				return has, nil
			}
		}
		return record.Layer{}, invalid("Layer version %s does not exist.", arn)
	}
	if err != nil {
		return record.Layer{}, fault(err)
	}
	v := held.Value
	if c.authorize != nil {
		// Source: Lambda developer guide, "Working with Lambda layers": users of a layer need it.
		access := iam.Access{Action: "lambda:GetLayerVersion", Resource: id.ARN(), Owner: id.Account, ResourcePolicies: documents(v.Policy)}
		if err := c.authorize.AuthorizeAccess(ctx, call, access); err != nil {
			return record.Layer{}, err
		}
	}
	return record.Layer{ARN: arn, Artifact: v.Artifact, CodeBytes: v.CodeBytes, UnzippedBytes: v.UnzippedBytes, SigningProfile: v.SigningProfile}, nil
}

// checkUnzipped holds code and layers together to the bound of a package.
func checkUnzipped(f *record.Function) error {
	total := f.UnzippedBytes
	for _, l := range f.Layers {
		total += l.UnzippedBytes
	}
	if len(f.Layers) > 0 && total > artifact.UnzippedBytesMax {
		return invalid("Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is %d bytes.", artifact.UnzippedBytesMax, total)
	}
	return nil
}

// documents is a policy for the evaluator.
func documents(p record.Policy) []string {
	if p.Document == "" {
		return nil
	}
	return []string{p.Document}
}

func shownLayers(f *record.Function) []api.Layer {
	var out []api.Layer
	for _, l := range f.Layers {
		out = append(out, api.Layer{Arn: wire.Ptr(l.ARN), CodeSize: wire.Ptr(l.CodeBytes), SigningProfileVersionArn: unlessEmpty(l.SigningProfile)})
	}
	return out
}
