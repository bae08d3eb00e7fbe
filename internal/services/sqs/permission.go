package sqs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/wire"
)

// permittable are the actions that AddPermission gives (API reference).
const permittable = "* SendMessage ReceiveMessage DeleteMessage ChangeMessageVisibility GetQueueAttributes GetQueueUrl ListDeadLetterSourceQueues PurgeQueue"

// actionsMax bounds the actions of a statement (API reference, AddPermission).
const actionsMax = 7

// queuePolicy is a policy as AddPermission writes it. Statements that others wrote
// are kept as they are.
type queuePolicy struct {
	Version    string            `json:"Version"`
	ID         string            `json:"Id"`
	Statements []json.RawMessage `json:"Statement"`
}

type statement struct {
	Sid       string         `json:"Sid"`
	Effect    string         `json:"Effect"`
	Principal map[string]any `json:"Principal"`
	Action    any            `json:"Action"`
	Resource  string         `json:"Resource"`
}

func readPolicy(q *queue, text string) (queuePolicy, error) {
	p := queuePolicy{Version: "2008-10-17", ID: q.name.ARN() + "/SQSDefaultPolicy"} // recorded
	if text == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		var single struct{ Statement json.RawMessage }
		if json.Unmarshal([]byte(text), &single) != nil {
			return p, fmt.Errorf("policy of %s: %w", q.name.ARN(), err)
		}
		p.Statements = []json.RawMessage{single.Statement} // one that is not in a list
	}
	return p, nil
}

// labelled is the index of the statement with a label, -1 without.
func (p *queuePolicy) labelled(label string) int {
	return slices.IndexFunc(p.Statements, func(raw json.RawMessage) bool {
		var s struct{ Sid string }
		return json.Unmarshal(raw, &s) == nil && s.Sid == label
	})
}

func (s *Service) addPermission(ctx context.Context, call *wire.Call, in *api.AddPermissionRequest) error {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return err
	}
	label := value(in.Label)
	added, err := permission(q, in)
	if err != nil {
		return err
	}
	return fault(s.changePolicy(ctx, q, func(p *queuePolicy) error {
		if p.labelled(label) >= 0 {
			return invalidParameter(label, "Label", "Already exists.")
		}
		p.Statements = append(p.Statements, added)
		return nil
	}))
}

// permission makes the statement that is asked for.
func permission(q *queue, in *api.AddPermissionRequest) (json.RawMessage, error) {
	if n := len(in.Actions); n > actionsMax {
		return nil, api.NewOverLimit(fmt.Sprintf("%d Actions were found, maximum allowed is %d.", n, actionsMax))
	}
	if !validName(value(in.Label)) || strings.HasSuffix(value(in.Label), fifoSuffix) {
		return nil, invalidParameter(value(in.Label), "Label", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.")
	}
	var principals, actions []string
	for _, account := range in.AWSAccountIds {
		if !aws.AccountID(account).Valid() {
			return nil, invalidParameter("["+account+"]", "PrincipalId", "Unable to verify.")
		}
		principals = append(principals, "arn:"+q.name.Region.Partition()+":iam::"+account+":root")
	}
	for _, action := range in.Actions {
		if !among(permittable, action) {
			return nil, invalidParameter("SQS:"+action, "ActionName", "Only the queue owner is allowed to invoke this action.")
		}
		actions = append(actions, "SQS:"+action)
	}
	if len(principals) == 0 {
		return nil, missing("AWSAccountIds")
	}
	if len(actions) == 0 {
		return nil, missing("Actions")
	}
	text, err := json.Marshal(statement{
		Sid: value(in.Label), Effect: "Allow", Principal: map[string]any{"AWS": oneOrMany(principals)}, Action: oneOrMany(actions), Resource: q.name.ARN(),
	})
	if err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	return text, nil
}

func oneOrMany(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

func (s *Service) removePermission(ctx context.Context, call *wire.Call, in *api.RemovePermissionRequest) error {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return err
	}
	return fault(s.changePolicy(ctx, q, func(p *queuePolicy) error {
		i := p.labelled(value(in.Label))
		if i < 0 {
			return invalidParameter(value(in.Label), "Label", "can't find label.")
		}
		p.Statements = slices.Delete(p.Statements, i, i+1)
		return nil
	}))
}

// changePolicy rewrites the queue's policy; one without statements is none.
func (s *Service) changePolicy(ctx context.Context, q *queue, change func(*queuePolicy) error) error {
	return s.modify(ctx, q, func(r *queueRecord) error {
		p, err := readPolicy(q, r.Attributes["Policy"])
		if err != nil {
			return err
		}
		if err := change(&p); err != nil {
			return err
		}
		all := map[string]string{}
		for key, v := range r.Attributes {
			all[key] = v
		}
		delete(all, "Policy")
		if len(p.Statements) > 0 {
			text, err := json.Marshal(p)
			if err != nil {
				return fmt.Errorf("encode policy: %w", err)
			}
			if len(text) > policyBytes {
				return api.NewOverLimit("The policy is longer than 8192 bytes.")
			}
			all["Policy"] = string(text)
		}
		r.Attributes, r.Modified = all, s.now().UTC()
		return nil
	})
}
