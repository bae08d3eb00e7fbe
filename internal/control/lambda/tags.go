package lambda

import (
	"context"
	"maps"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// Bounds of tags. Source: Lambda developer guide, "Requirements for tags".
const (
	tagsMax          = 50
	tagKeyRunesMax   = 128
	tagValueRunesMax = 256
	tagKeyReserved   = "aws:"
)

func (c *Control) listTags(ctx context.Context, call *wire.Call, in *api.ListTagsRequest) (*api.ListTagsResponse, error) {
	if _, ok := record.ParseCodeSigningARN(value(in.Resource)); ok {
		held, err := c.signingAt(ctx, call, *in.Resource)
		if err != nil {
			return nil, err
		}
		return shownTags(held.Value.Tags), nil
	}
	if key, ok := taggableMapping(call, in.Resource); ok {
		held, err := c.mappingAt(ctx, key)
		if err != nil {
			return nil, err
		}
		return shownTags(held.Value.Tags), nil
	}
	n, err := c.taggable(call, value(in.Resource))
	if err != nil {
		return nil, err
	}
	s, err := c.read(ctx, n)
	if err != nil {
		return nil, err
	}
	return shownTags(s.Tags), nil
}

func shownTags(tags map[string]string) *api.ListTagsResponse {
	if tags == nil {
		tags = map[string]string{} // shown even when there are none (recorded: list_tags_response_postuntagall)
	}
	return &api.ListTagsResponse{Tags: tags}
}

func (c *Control) tagResource(ctx context.Context, call *wire.Call, in *api.TagResourceRequest) error {
	if _, ok := record.ParseCodeSigningARN(value(in.Resource)); ok && len(in.Tags) > 0 {
		_, _, err := c.changeSigning(ctx, call, *in.Resource, func(config *record.CodeSigningConfig) error {
			maps.Copy(config.Tags, in.Tags)
			return checkTags(config.Tags)
		})
		return err
	}
	if key, ok := taggableMapping(call, in.Resource); ok && len(in.Tags) > 0 {
		return c.changeMappingTags(ctx, key, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
	}
	n, err := c.taggable(call, value(in.Resource))
	if err != nil {
		return err
	}
	if len(in.Tags) == 0 {
		return invalid("An error occurred and the request cannot be processed.")
	}
	_, err = c.change(ctx, n, func(f *record.Function) ([]store.Write, error) {
		tags := maps.Clone(f.Tags)
		if tags == nil {
			tags = map[string]string{}
		}
		maps.Copy(tags, in.Tags)
		if err := checkTags(tags); err != nil {
			return nil, err
		}
		if err := c.checkIsolation(ctx, f.ID.Account, in.Tags); err != nil {
			return nil, err
		}
		f.Tags = tags
		revise(f)
		return nil, nil
	})
	return err
}

func (c *Control) untagResource(ctx context.Context, call *wire.Call, in *api.UntagResourceRequest) error {
	if _, ok := record.ParseCodeSigningARN(value(in.Resource)); ok {
		_, _, err := c.changeSigning(ctx, call, *in.Resource, func(config *record.CodeSigningConfig) error {
			for _, name := range in.TagKeys {
				delete(config.Tags, name)
			}
			return nil
		})
		return err
	}
	if key, ok := taggableMapping(call, in.Resource); ok {
		return c.changeMappingTags(ctx, key, func(tags map[string]string) {
			for _, name := range in.TagKeys {
				delete(tags, name)
			}
		})
	}
	n, err := c.taggable(call, value(in.Resource))
	if err != nil {
		return err
	}
	_, err = c.change(ctx, n, func(f *record.Function) ([]store.Write, error) {
		for _, key := range in.TagKeys {
			delete(f.Tags, key)
		}
		revise(f)
		return nil, nil
	})
	return err
}

// taggable reads the ARN of a resource that can have tags. Only functions exist here yet.
func (c *Control) taggable(call *wire.Call, resource string) (record.Name, error) {
	arn, err := aws.ParseARN(resource)
	if err != nil {
		return record.Name{}, constraint(resource, "resource", "Member must satisfy regular expression pattern: "+
			`arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)`)
	}
	if !strings.HasPrefix(arn.Resource, "function:") {
		return record.Name{}, notThere()
	}
	n, err := c.named(call, &resource, nil)
	if err != nil {
		return n, err
	}
	if n.Qualifier != "" {
		return n, invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
	}
	return n, nil
}

func checkTags(tags map[string]string) error {
	if len(tags) > tagsMax {
		return invalid("Number of tags exceeds resource tag limit.")
	}
	for key, v := range tags {
		switch {
		case key == "" || len([]rune(key)) > tagKeyRunesMax:
			return invalid("Tag keys must have between 1 and %d characters.", tagKeyRunesMax)
		case len([]rune(v)) > tagValueRunesMax:
			return invalid("Tag values must have at most %d characters.", tagValueRunesMax)
		case strings.HasPrefix(strings.ToLower(key), tagKeyReserved):
			return invalid("Tag keys that begin with %q are reserved for AWS.", tagKeyReserved)
		}
	}
	return nil
}
