package iam

import (
	"context"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/store"
)

// Quotas of all inline policies of an identity together ("IAM and AWS STS quotas").
const (
	userInlineMax  = 2048
	groupInlineMax = 5120
	roleInlineMax  = 10240
)

// holder is a user, role or group, seen as what holds policies.
type holder struct {
	kind     iam.Kind
	word     string // in sentences
	key      string
	record   any
	entity   *iam.Entity
	grants   *iam.Grants
	revision store.Revision
	arn      string
	guard    error // why it may not be changed
	// inlineMax is the quota of all inline policies together.
	inlineMax int
	quota     string // name of the quota of attached policies
}

func (c *Control) holder(ctx context.Context, kind iam.Kind, account aws.AccountID, name string) (*holder, error) {
	switch kind {
	case iam.KindUser:
		s, key, err := c.findUser(ctx, account, name)
		if err != nil {
			return nil, err
		}
		u := s.Value
		return &holder{kind, "user", key, u, &u.Entity, &u.Grants, s.Revision, u.ARN(), nil, userInlineMax, "PoliciesPerUser"}, nil
	case iam.KindRole:
		s, key, err := c.findRole(ctx, account, name)
		if err != nil {
			return nil, err
		}
		r := s.Value
		return &holder{kind, "role", key, r, &r.Entity, &r.Grants, s.Revision, r.ARN(), modifiable(r), roleInlineMax, "PoliciesPerRole"}, nil
	default:
		s, key, err := c.findGroup(ctx, account, name)
		if err != nil {
			return nil, err
		}
		g := s.Value
		return &holder{kind, "group", key, g, &g.Entity, &g.Grants, s.Revision, g.ARN(), nil, groupInlineMax, "PoliciesPerGroup"}, nil
	}
}

// holderName names whose policies an operation is about.
type holderName struct {
	kind    iam.Kind
	account aws.AccountID
	name    *string
}

// changeHolder runs a transaction on one holder's rights, which a service's own role keeps from its owner.
func (c *Control) changeHolder(ctx context.Context, who holderName, f func(context.Context, *holder) ([]store.Write, error)) error {
	return c.changeAnyHolder(ctx, who, func(ctx context.Context, h *holder) ([]store.Write, error) {
		if h.guard != nil {
			return nil, h.guard
		}
		return f(ctx, h)
	})
}

// changeAnyHolder runs a transaction on one holder, be it a service's own role.
func (c *Control) changeAnyHolder(ctx context.Context, who holderName, f func(context.Context, *holder) ([]store.Write, error)) error {
	return c.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		h, err := c.holder(ctx, who.kind, who.account, text(who.name))
		if err != nil {
			return nil, err
		}
		more, err := f(ctx, h)
		if err != nil {
			return nil, err
		}
		w, err := iam.Put(h.key, h.record, store.IfRevision(h.revision))
		return append(more, w), err
	})
}
