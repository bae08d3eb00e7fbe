package sqs

import (
	"context"
	"encoding/json"
	"reflect"
	"strconv"

	api "github.com/lambdad/lambdad/internal/api/sqs"
)

// allAttributes are a queue's attributes but for the counts of messages.
func allAttributes(q *queue) map[string]string {
	r := q.record.Load()
	out := map[string]string{
		"QueueArn":              q.name.ARN(),
		"CreatedTimestamp":      strconv.FormatInt(r.Created.Unix(), 10),
		"LastModifiedTimestamp": strconv.FormatInt(r.Modified.Unix(), 10),
		"SqsManagedSseEnabled":  "true",
	}
	for _, n := range numbers {
		out[n.name] = strconv.Itoa(n.def)
	}
	if q.name.FIFO() {
		out["FifoQueue"], out["ContentBasedDeduplication"] = "true", "false"
		out["DeduplicationScope"], out["FifoThroughputLimit"] = "queue", "perQueue"
	}
	for key, v := range r.Attributes {
		out[key] = v
	}
	if out["KmsMasterKeyId"] == "" {
		delete(out, "KmsDataKeyReusePeriodSeconds") // it is of KMS keys alone (recorded)
	}
	return out
}

// counts adds the ApproximateNumberOf attributes.
func (s *Service) counts(ctx context.Context, q *queue, out map[string]string) error {
	if err := s.lock(ctx, q); err != nil {
		return err
	}
	defer q.mu.Unlock()
	if err := s.fill(ctx, q); err != nil {
		return err
	}
	q.flow.Advance(s.instant())
	c := q.flow.Counts()
	out["ApproximateNumberOfMessages"] = strconv.Itoa(c.Visible)
	out["ApproximateNumberOfMessagesNotVisible"] = strconv.Itoa(c.InFlight)
	out["ApproximateNumberOfMessagesDelayed"] = strconv.Itoa(c.Delayed)
	return nil
}

// attributes are those that are asked for.
func (s *Service) attributes(ctx context.Context, q *queue, names []string) (map[string]string, error) {
	for _, name := range names {
		if name != "All" && !among(onlyRead, name) && !among(alsoSet, name) && !among(onlyFIFO, name) && !isNumber(name) {
			return nil, api.NewInvalidAttributeName("Unknown Attribute " + name + ".")
		}
	}
	all := allAttributes(q)
	if err := s.counts(ctx, q, all); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, name := range names {
		if name == "All" {
			return all, nil
		}
		if v, ok := all[name]; ok {
			out[name] = v
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

func isNumber(name string) bool {
	for _, n := range numbers {
		if n.name == name {
			return true
		}
	}
	return false
}

// setAttributes changes attributes; an empty value takes one away.
func (s *Service) setAttributes(ctx context.Context, q *queue, attributes map[string]string) error {
	if len(attributes) == 0 {
		return missing("Attribute.Name")
	}
	if err := s.checkAttributes(q.name, attributes); err != nil {
		return err
	}
	scope := q.settings.Load().dedupByGroup
	err := s.modify(ctx, q, func(r *queueRecord) error {
		all := map[string]string{}
		for key, v := range r.Attributes {
			all[key] = v
		}
		for key, v := range attributes {
			all[key] = v
		}
		if attributes["SqsManagedSseEnabled"] == "true" {
			delete(all, "KmsMasterKeyId")
		}
		if all["FifoThroughputLimit"] == "perMessageGroupId" && all["DeduplicationScope"] != "messageGroup" {
			return invalidAttribute("FifoThroughputLimit", "perMessageGroupId goes with DeduplicationScope messageGroup only.")
		}
		r.Attributes, r.Modified = kept(all), s.now().UTC()
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.lock(ctx, q); err != nil {
		return err
	}
	defer q.mu.Unlock()
	if q.settings.Load().dedupByGroup != scope {
		q.flow.ForgetAll()
	}
	q.waiting.wakeAll() // with less to hide behind, or another retention
	return nil
}

// sameDocument compares attributes that are JSON.
func sameDocument(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}
