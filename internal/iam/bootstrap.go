package iam

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

// AdministratorName is the user that the first start makes. It is a user and
// not the root, because the root cannot assume roles.
const AdministratorName = "admin"

const administratorPolicy = "arn:aws:iam::aws:policy/AdministratorAccess"

// account is the record that says that an account was set up.
type account struct {
	ID            aws.AccountID `json:"id"`
	Created       time.Time     `json:"created"`
	Administrator string        `json:"administrator"` // access-key id
}

// Bootstrap makes the default account's administrator on the first start. On
// later starts it returns the same credentials while that key still exists
// (empty ones when it was deleted), so that a lost credentials file can be
// written again.
func (a *Authority) Bootstrap(ctx context.Context) (credentials sigv4.Credentials, created bool, err error) {
	err = a.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		credentials, created = sigv4.Credentials{}, false
		known, err := Get[account](ctx, a.table, accountKey(DefaultAccount))
		if err == nil {
			if k := a.dir.key(known.Value.Administrator); k != nil {
				credentials = sigv4.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.secret}
			}
			return nil, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		now := a.now().UTC().Truncate(time.Second)
		user := &User{Entity: Entity{Account: DefaultAccount, Name: AdministratorName, Path: "/", ID: NewUniqueID(PrefixUser), Created: now}}
		user.Attached = []string{administratorPolicy}
		key, secret := a.NewAccessKey(user)
		user.AccessKeys = []string{key.ID}
		writes, err := puts(
			put{accountKey(DefaultAccount), &account{ID: DefaultAccount, Created: now, Administrator: key.ID}},
			put{Key(KindUser, DefaultAccount, user.Name), user},
			put{AccessKeyKey(key.ID), &key},
		)
		credentials, created = sigv4.Credentials{AccessKeyID: key.ID, SecretAccessKey: secret}, true
		return writes, err
	})
	if err != nil {
		return sigv4.Credentials{}, false, fmt.Errorf("bootstrap account %s: %w", DefaultAccount, err)
	}
	return credentials, created, nil
}

type put struct {
	key   string
	value any
}

// puts makes writes of new records.
func puts(all ...put) ([]store.Write, error) {
	var out []store.Write
	for _, p := range all {
		w, err := Put(p.key, p.value, store.IfAbsent())
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}
