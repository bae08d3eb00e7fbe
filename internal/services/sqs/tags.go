package sqs

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/wire"
)

// Bounds of tags (developer guide, queue quotas).
const (
	tagsMax       = 50
	tagKeyRunes   = 128
	tagValueRunes = 256
)

// checkTags refuses tags that a queue with those it has cannot get.
func checkTags(tags, have map[string]string) error {
	all := maps.Clone(have)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, tags)
	if len(all) > tagsMax {
		return invalidValue("Too many tags added for queue.")
	}
	for _, key := range sortedKeys(tags) {
		switch n := utf8.RuneCountInString(key); {
		case n < 1 || n > tagKeyRunes:
			return invalidValue("Tag keys must be between 1 and 128 characters in length.")
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return invalidValue("Tag keys that start with 'aws:' are reserved for system use.")
		case utf8.RuneCountInString(tags[key]) > tagValueRunes:
			return invalidValue("Tag values must be between 0 and 256 characters in length.")
		}
	}
	return nil
}

func (s *Service) tagQueue(ctx context.Context, call *wire.Call, in *api.TagQueueRequest) error {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return err
	}
	if len(in.Tags) == 0 {
		return missing("Tags")
	}
	return fault(s.modify(ctx, q, func(r *queueRecord) error {
		if err := checkTags(in.Tags, r.Tags); err != nil {
			return err
		}
		all := map[string]string{}
		maps.Copy(all, r.Tags)
		maps.Copy(all, in.Tags)
		r.Tags = all
		return nil
	}))
}

func (s *Service) untagQueue(ctx context.Context, call *wire.Call, in *api.UntagQueueRequest) error {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return err
	}
	if len(in.TagKeys) == 0 {
		return missing("TagKeys")
	}
	return fault(s.modify(ctx, q, func(r *queueRecord) error {
		all := maps.Clone(r.Tags)
		maps.DeleteFunc(all, func(key, _ string) bool { return slices.Contains(in.TagKeys, key) })
		r.Tags = all
		return nil
	}))
}

func (s *Service) listQueueTags(_ context.Context, call *wire.Call, in *api.ListQueueTagsRequest) (*api.ListQueueTagsResult, error) {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	out := &api.ListQueueTagsResult{}
	if tags := q.record.Load().Tags; len(tags) > 0 {
		out.Tags = tags
	}
	return out, nil
}
