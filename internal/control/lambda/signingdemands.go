package lambda

import (
	"context"
	"maps"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// onNewSigning: a config that is not there yet is no resource.
func onNewSigning(call *wire.Call, in *api.CreateCodeSigningConfigRequest) []demand {
	own := demand{action: "lambda:CreateCodeSigningConfig", resource: anyResource, conditions: requestTags(in.Tags)}
	if len(in.Tags) == 0 {
		return []demand{own}
	}
	// As with functions: who creates with tags must be allowed to tag.
	tag := demand{action: "lambda:TagResource", resource: record.CodeSigningARN(record.Scoped{Scope: scopeOf(call), Name: anyResource}), conditions: maps.Clone(own.conditions)}
	return []demand{own, tag}
}

// onSigning is an action on a code signing config, with its tags as condition keys.
func (c *Control) onSigning(action string, arn *string) demand {
	key, ok := record.ParseCodeSigningARN(value(arn))
	if !ok {
		return demand{action: action, resource: anyResource}
	}
	d := demand{action: action, resource: *arn, owner: key.Account, conditions: map[string][]string{}}
	held, err := record.CodeSigningConfigs.Get(context.Background(), c.records, key)
	if err != nil {
		return d // validation says that it is not there
	}
	for name, v := range held.Value.Tags {
		d.conditions["aws:ResourceTag/"+name] = []string{v}
	}
	return d
}
