// Package iam owns the control plane of IAM: it implements the API's operations
// on identities as reads and conditional writes of records. It must never
// import a room that runs functions, and it decides nothing about access itself:
// that is internal/iam, which goes on while this is down.
package iam

import (
	"context"
	"errors"
	"fmt"
	"time"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// Control implements the operations. Make it with Handlers.
type Control struct {
	auth  *iam.Authority
	table *iam.Table
}

// Handlers returns the operations of IAM that are built, with their
// authorisation.
func Handlers(auth *iam.Authority) api.Handlers {
	c := &Control{auth: auth, table: auth.Table()}
	h := api.Handlers{Authorize: c.authorize}
	c.users(&h)
	c.roles(&h)
	c.groups(&h)
	c.policies(&h)
	c.inlinePolicies(&h)
	c.attachments(&h)
	c.profiles(&h)
	c.tags(&h)
	c.credentials(&h)
	c.account(&h)
	c.logins(&h)
	c.never(&h)
	h.SimulatePrincipalPolicy = c.simulatePrincipalPolicy
	h.SimulateCustomPolicy = c.simulateCustomPolicy
	h.GetContextKeysForPrincipalPolicy, h.GetContextKeysForCustomPolicy = c.contextKeysForPrincipalPolicy, c.contextKeysForCustomPolicy
	return h
}

// now is AWS's grain of time: whole seconds.
func (c *Control) now() time.Time { return c.auth.Now().UTC().Truncate(time.Second) }

// change runs a transaction on one record: find it, change it, write it back.
// f may add further writes.
func change[T any](ctx context.Context, c *Control, get func(context.Context) (iam.Stored[T], string, error), f func(*T) ([]store.Write, error)) error {
	return c.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		s, key, err := get(ctx)
		if err != nil {
			return nil, err
		}
		more, err := f(s.Value)
		if err != nil {
			return nil, err
		}
		w, err := iam.Put(key, s.Value, store.IfRevision(s.Revision))
		return append(more, w), err
	})
}

// find reads a named record; absent is what to answer when there is none.
func find[T any](ctx context.Context, c *Control, kind iam.Kind, account aws.AccountID, name string, absent func() error) (iam.Stored[T], string, error) {
	key := iam.Key(kind, account, name)
	s, err := iam.Get[T](ctx, c.table, key)
	if errors.Is(err, store.ErrNotFound) {
		return s, key, absent()
	}
	return s, key, err
}

func (c *Control) findUser(ctx context.Context, account aws.AccountID, name string) (iam.Stored[iam.User], string, error) {
	return find[iam.User](ctx, c, iam.KindUser, account, name, func() error { return noSuch("The user with name %s cannot be found.", name) })
}

func (c *Control) findRole(ctx context.Context, account aws.AccountID, name string) (iam.Stored[iam.Role], string, error) {
	return find[iam.Role](ctx, c, iam.KindRole, account, name, func() error { return noSuch("The role with name %s cannot be found.", name) })
}

func (c *Control) findGroup(ctx context.Context, account aws.AccountID, name string) (iam.Stored[iam.Group], string, error) {
	return find[iam.Group](ctx, c, iam.KindGroup, account, name, func() error { return noSuch("The group with name %s cannot be found.", name) })
}

func (c *Control) findProfile(ctx context.Context, account aws.AccountID, name string) (iam.Stored[iam.Profile], string, error) {
	return find[iam.Profile](ctx, c, iam.KindProfile, account, name, func() error { return noSuch("Instance Profile %s cannot be found.", name) })
}

// create writes a new record with what belongs to it.
func (c *Control) create(ctx context.Context, key string, v any, taken error, more func(context.Context) ([]store.Write, error)) error {
	return c.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		if _, err := iam.Get[struct{}](ctx, c.table, key); err == nil {
			return nil, taken
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		var writes []store.Write
		if more != nil {
			var err error
			if writes, err = more(ctx); err != nil {
				return nil, err
			}
		}
		w, err := iam.Put(key, v, store.IfAbsent())
		return append(writes, w), err
	})
}

func noSuch(format string, args ...any) error {
	return api.NewNoSuchEntityException(fmt.Sprintf(format, args...))
}

func conflict(text string) error { return api.NewDeleteConflictException(text) }

func exceeded(format string, args ...any) error {
	return api.NewLimitExceededException(fmt.Sprintf(format, args...))
}

func taken(format string, args ...any) error {
	return api.NewEntityAlreadyExistsException(fmt.Sprintf(format, args...))
}

// invalid is the fault of a request that the model's constraints let through.
func invalid(format string, args ...any) error {
	return wire.NewFault(400, "ValidationError", format, args...)
}

// text reads an optional string.
func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func textOr(p *string, fallback string) string {
	if p == nil || *p == "" {
		return fallback
	}
	return *p
}

// present is nil for "", for members that AWS leaves out.
func present(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func entity(c *Control, call *wire.Call, name, path *string, idPrefix string, tags []api.Tag) (iam.Entity, error) {
	t, err := mergeTags(nil, tags)
	return iam.Entity{
		Account: call.Account, Name: text(name), Path: textOr(path, "/"), ID: iam.NewUniqueID(idPrefix), Created: c.now(), Tags: t,
	}, err
}
