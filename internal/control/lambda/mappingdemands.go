package lambda

import (
	"context"
	"maps"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// onNewMapping: a mapping that is not there yet is no resource; its function is a condition key.
// Source: Service Authorization Reference, CreateEventSourceMapping.
func (c *Control) onNewMapping(call *wire.Call, in *api.CreateEventSourceMappingRequest) []demand {
	own := demand{action: "lambda:CreateEventSourceMapping", resource: anyResource, conditions: with(c.functionKey(call, in.FunctionName), requestTags(in.Tags))}
	if len(in.Tags) == 0 {
		return []demand{own}
	}
	// As with functions: who creates with tags must be allowed to tag.
	tag := demand{action: "lambda:TagResource", resource: record.MappingARN(record.Scoped{Scope: scopeOf(call), Name: anyResource}), conditions: maps.Clone(own.conditions)}
	return []demand{own, tag}
}

// functionKey is the condition key of the function that a mapping invokes.
func (c *Control) functionKey(call *wire.Call, name *string) map[string][]string {
	n, err := record.ParseName(value(name), scopeOf(call))
	if err != nil {
		return map[string][]string{}
	}
	return map[string][]string{"lambda:FunctionArn": {n.ARN()}}
}

// onMapping is an action on a mapping, with its function and its tags as condition keys.
func (c *Control) onMapping(call *wire.Call, action string, uuid *string) demand {
	if value(uuid) == "" {
		return demand{action: action, resource: anyResource}
	}
	return c.onMappingAt(action, record.Scoped{Scope: scopeOf(call), Name: *uuid})
}

func (c *Control) onMappingAt(action string, key record.Scoped) demand {
	d := demand{action: action, resource: record.MappingARN(key), owner: key.Account, conditions: map[string][]string{}}
	held, err := record.Mappings.Get(context.Background(), c.records, key)
	if err != nil {
		return d // validation says that it is not there
	}
	d.conditions["lambda:FunctionArn"] = []string{held.Value.Function.ARN()}
	for name, v := range held.Value.Tags {
		d.conditions["aws:ResourceTag/"+name] = []string{v}
	}
	return d
}

// onTaggable is an action on a resource that has tags.
func (c *Control) onTaggable(call *wire.Call, action string, resource *string) demand {
	if key, ok := record.ParseMappingARN(value(resource)); ok {
		return c.onMappingAt(action, key)
	}
	if _, ok := record.ParseCodeSigningARN(value(resource)); ok {
		return c.onSigning(action, resource)
	}
	return c.onFunction(call, action, resource, nil)
}
