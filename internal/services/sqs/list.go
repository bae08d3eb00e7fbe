package sqs

import (
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/wire"
)

// listMax is the most that a list answers at once (API reference, ListQueues).
const listMax = 1000

// pageOf cuts a page out of sorted names: those after the token. Without a limit there
// is no token, as the API reference tells.
func pageOf(names []string, limit *int32, token *string) (page []string, next *string, err error) {
	n := listMax
	if limit != nil {
		if *limit < 1 || *limit > listMax {
			return nil, nil, invalidParameter(strconv.Itoa(int(*limit)), "MaxResults", "Must be between 1 and 1000, if provided.")
		}
		n = int(*limit)
	}
	if token != nil && *token != "" {
		after, err := base64.StdEncoding.DecodeString(*token)
		if err != nil {
			return nil, nil, invalidValue("Invalid or expired next token.")
		}
		i, found := slices.BinarySearch(names, string(after))
		if found {
			i++
		}
		names = names[i:]
	}
	if len(names) <= n {
		return names, nil, nil
	}
	names = names[:n]
	if limit == nil {
		return names, nil, nil
	}
	return names, wire.Ptr(base64.StdEncoding.EncodeToString([]byte(names[n-1]))), nil
}

// names lists the caller's queues that match, in order.
func (s *Service) names(call *wire.Call, match func(*queue) bool) []string {
	var out []string
	for _, q := range s.all() {
		if q.name.Account == call.Account && q.name.Region == call.Region && match(q) {
			out = append(out, q.name.Queue)
		}
	}
	slices.Sort(out)
	return out
}

func urls(call *wire.Call, names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, Name{call.Account, call.Region, n}.url(call.Endpoint))
	}
	return out
}

func (s *Service) listQueues(_ context.Context, call *wire.Call, in *api.ListQueuesRequest) (*api.ListQueuesResult, error) {
	names := s.names(call, func(q *queue) bool { return strings.HasPrefix(q.name.Queue, value(in.QueueNamePrefix)) })
	page, next, err := pageOf(names, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.ListQueuesResult{QueueUrls: urls(call, page), NextToken: next}, nil
}

func (s *Service) listDeadLetterSourceQueues(_ context.Context, call *wire.Call, in *api.ListDeadLetterSourceQueuesRequest) (*api.ListDeadLetterSourceQueuesResult, error) {
	dead, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	names := s.names(call, func(q *queue) bool { return q.feeds(dead) })
	page, next, err := pageOf(names, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.ListDeadLetterSourceQueuesResult{QueueUrls: notNil(urls(call, page)), NextToken: next}, nil
}

// feeds tells whether dead is the queue's dead-letter queue.
func (q *queue) feeds(dead *queue) bool {
	redrive := q.settings.Load().redrive
	return redrive != nil && redrive.Target == dead.name.ARN()
}
