package iam

import (
	"context"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

// Mode is how requests are authenticated.
type Mode string

const (
	// ModeSigV4 verifies every signature and enforces every policy.
	ModeSigV4 Mode = "sigv4"
	// ModeNone takes any key for the root of an account, for laptops and CI.
	ModeNone Mode = "none"
)

// Options of an Authority.
type Options struct {
	Records store.Records
	Mode    Mode             // "" is ModeSigV4
	Now     func() time.Time // nil is time.Now
	Log     *slog.Logger     // nil is silence
}

// Authority authenticates requests, authorises actions and issues temporary
// credentials. It is safe for concurrent use.
type Authority struct {
	mode   Mode
	now    func() time.Time
	log    *slog.Logger
	master *Master
	dir    *Directory
	table  *Table
	tokens tokenCache
	keys   *sigv4.KeyCache

	stop context.CancelFunc
	done sync.WaitGroup
}

// Open loads all identities and follows the store until Close.
func Open(ctx context.Context, o Options) (*Authority, error) {
	if o.Mode == "" {
		o.Mode = ModeSigV4
	}
	if o.Mode != ModeSigV4 && o.Mode != ModeNone {
		return nil, fmt.Errorf("authentication mode %q is neither %q nor %q", o.Mode, ModeSigV4, ModeNone)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	master, err := loadMaster(ctx, o.Records)
	if err != nil {
		return nil, err
	}
	dir := newDirectory(o.Records, master)
	from, err := dir.load(ctx)
	if err != nil {
		return nil, err
	}
	a := &Authority{
		mode: o.Mode, now: o.Now, log: o.Log, master: master, dir: dir,
		table: &Table{records: o.Records, dir: dir}, keys: sigv4.NewKeyCache(),
	}
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.stop = stop
	a.done.Add(2)
	go func() {
		defer a.done.Done()
		a.saveUses(watch)
	}()
	go func() {
		defer a.done.Done()
		if err := dir.follow(watch, from); err != nil {
			// Answers would grow stale without anybody noticing; writers
			// are told, and so is whoever reads the log.
			a.log.Error("identities follow the store no more", "error", err)
			dir.fail(err)
		}
	}()
	return a, nil
}

// Close stops following the store and saves what is not saved yet.
func (a *Authority) Close() error {
	a.stop()
	a.done.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return a.saveUsesOnce(ctx)
}

// closeTimeout bounds the last write of Close.
const closeTimeout = 5 * time.Second

// Mode tells how requests are authenticated.
func (a *Authority) Mode() Mode { return a.mode }

// Table is the authority's view of the records at rest.
func (a *Authority) Table() *Table { return a.table }

// Now is the authority's clock.
func (a *Authority) Now() time.Time { return a.now() }

// NewAccessKey makes a key for a user of an account; the secret is returned
// beside the record, which holds it sealed.
func (a *Authority) NewAccessKey(user *User) (AccessKey, string) {
	return a.newAccessKey(user.Account, user.Name, user.ID)
}

func (a *Authority) newAccessKey(account aws.AccountID, user, userID string) (AccessKey, string) {
	id, secret := newKeyID(prefixAccessKey, account), newSecret()
	return AccessKey{
		ID: id, Account: account, User: user, UserID: userID, Active: true, Created: a.now().UTC().Truncate(time.Second),
		Sealed: a.master.seal(purposeSecret, id, []byte(secret)),
	}, secret
}

// SealPassword seals the password of a service-specific credential.
func (a *Authority) SealPassword(credentialID, password string) []byte {
	return a.master.seal(purposeService, credentialID, []byte(password))
}

// SealLogin seals the password of a user.
func (a *Authority) SealLogin(userID, password string) []byte {
	return a.master.seal(purposeLogin, userID, []byte(password))
}

// IsLogin reports whether a sealed password of a user is this one.
func (a *Authority) IsLogin(userID string, sealed []byte, password string) bool {
	known, err := a.master.unseal(purposeLogin, userID, sealed)
	return err == nil && subtle.ConstantTimeCompare(known, []byte(password)) == 1
}

// NewPassword makes the password of a service-specific credential.
func NewPassword() string { return newSecret() }
