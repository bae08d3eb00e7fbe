package iam

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam/policy"
	"github.com/lambdad/lambdad/internal/store"
)

// Directory holds all identities in memory, kept fresh by the store's watch:
// authentication and authorisation touch no disk. Its maps are read without a
// lock.
type Directory struct {
	records store.Records
	master  *Master
	docs    *policy.Cache

	keys, users, roles, groups, policies sync.Map // by store key; keys by id
	// generation counts changes: what was computed from an older one is
	// computed again.
	generation atomic.Uint64

	mu      sync.Mutex
	applied progress
	changed chan struct{} // closed and replaced when applied grows
	failed  error         // why the directory follows no more
}

// progress is how far the directory has followed: so many changes of a commit,
// and all of the commits before it. A watch does not tell where a commit ends.
type progress struct {
	revision store.Revision
	changes  int
}

func (p progress) reached(q progress) bool {
	return p.revision > q.revision || p.revision == q.revision && p.changes >= q.changes
}

type keyEntry struct {
	AccessKey
	secret string
	used   atomic.Pointer[keyUse]
}

// keyUse is the last use of an access key.
type keyUse struct {
	At      time.Time `json:"at"`
	Service string    `json:"service"`
	Region  string    `json:"region"`
}

type userEntry struct {
	User
	principal aws.Principal
	grants    atomic.Pointer[grants]
}

type roleEntry struct {
	Role
	trust  *policy.Document // nil: malformed, trusts nobody
	arn    string
	grants atomic.Pointer[grants]
}

type policyEntry struct {
	Policy
	document *policy.Document
}

func newDirectory(records store.Records, master *Master) *Directory {
	return &Directory{records: records, master: master, docs: policy.NewCache(), changed: make(chan struct{})}
}

// load fills the directory and returns the revision to watch from.
func (d *Directory) load(ctx context.Context) (store.Revision, error) {
	rev, err := d.records.Revision(ctx)
	if err != nil {
		return 0, fmt.Errorf("load identities: %w", err)
	}
	seen := map[string]bool{}
	after := ""
	for {
		page, more, err := d.records.List(ctx, storePrefix, after, store.ListLimitMax)
		if err != nil {
			return 0, fmt.Errorf("load identities: %w", err)
		}
		for _, r := range page {
			after = r.Key
			seen[r.Key] = true
			if err := d.put(r); err != nil {
				return 0, err
			}
		}
		if !more || len(page) == 0 {
			break
		}
	}
	d.forgetUnseen(seen)
	d.advance(progress{rev, store.CommitWritesMax})
	return rev, nil
}

// forgetUnseen drops what a reload did not find any more.
func (d *Directory) forgetUnseen(seen map[string]bool) {
	for _, m := range []*sync.Map{&d.users, &d.roles, &d.groups, &d.policies} {
		m.Range(func(key, _ any) bool {
			if !seen[key.(string)] {
				m.Delete(key)
			}
			return true
		})
	}
	d.keys.Range(func(id, _ any) bool {
		if !seen[AccessKeyKey(id.(string))] {
			d.keys.Delete(id)
		}
		return true
	})
}

// follow applies changes until ctx ends. When the watch cannot go on it loads
// everything again.
func (d *Directory) follow(ctx context.Context, from store.Revision) error {
	for ctx.Err() == nil {
		changes, err := d.records.Watch(ctx, storePrefix, from)
		if err == nil {
			at := progress{revision: from}
			for c := range changes {
				if c.Kind == store.WriteDelete {
					d.drop(c.Record.Key)
				} else if err := d.put(c.Record); err != nil {
					return err
				}
				if c.Record.Revision != at.revision {
					at = progress{revision: c.Record.Revision}
				}
				at.changes++
				d.advance(at)
			}
		}
		if ctx.Err() != nil {
			break
		}
		if from, err = d.load(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func (d *Directory) advance(to progress) {
	d.generation.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.applied.reached(to) {
		d.applied = to
		close(d.changed)
		d.changed = make(chan struct{})
	}
}

// fail makes every waiter return.
func (d *Directory) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = err
	close(d.changed)
	d.changed = make(chan struct{})
}

// await returns when the directory has followed so far.
func (d *Directory) await(ctx context.Context, to progress) error {
	for {
		d.mu.Lock()
		applied, changed, failed := d.applied, d.changed, d.failed
		d.mu.Unlock()
		if to.changes == 0 || applied.reached(to) {
			return nil
		}
		if failed != nil {
			return fmt.Errorf("identities follow the store no more: %w", failed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// kindOf reads the kind out of a store key.
func kindOf(key string) Kind {
	kind, _, _ := strings.Cut(strings.TrimPrefix(key, storePrefix), "/")
	return Kind(kind)
}

func (d *Directory) put(r store.Record) error {
	switch kindOf(r.Key) {
	case KindAccessKey:
		e := &keyEntry{}
		if err := into(r, &e.AccessKey); err != nil {
			return err
		}
		secret, err := d.master.unseal(purposeSecret, e.ID, e.Sealed)
		if err != nil {
			return fmt.Errorf("record %s: %w", r.Key, err)
		}
		e.secret = string(secret)
		if old, ok := d.keys.Load(e.ID); ok {
			e.used.Store(old.(*keyEntry).used.Load())
		}
		d.keys.Store(e.ID, e)
	case KindKeyUse:
		u := &keyUse{}
		if err := into(r, u); err != nil {
			return err
		}
		if k := d.key(strings.TrimPrefix(r.Key, keyUseKey(""))); k != nil {
			k.sawUse(u)
		}
	case KindUser:
		e := &userEntry{}
		if err := into(r, &e.User); err != nil {
			return err
		}
		e.principal = aws.Principal{Type: aws.PrincipalUser, Account: e.Account, ARN: e.ARN(), UserID: e.ID}
		d.users.Store(r.Key, e)
	case KindRole:
		e := &roleEntry{}
		if err := into(r, &e.Role); err != nil {
			return err
		}
		e.arn = e.ARN()
		e.trust, _ = d.docs.Parse(e.Trust) // validated when written; a malformed one trusts nobody
		d.roles.Store(r.Key, e)
	case KindGroup:
		e := &Group{}
		if err := into(r, e); err != nil {
			return err
		}
		d.groups.Store(r.Key, e)
	case KindPolicy:
		e := &policyEntry{}
		if err := into(r, &e.Policy); err != nil {
			return err
		}
		if v := e.Version(e.Default); v != nil {
			e.document, _ = d.docs.Parse(v.Document) // nil denies everything, see source
		}
		d.policies.Store(r.Key, e)
	}
	return nil
}

func into(r store.Record, v any) error {
	if err := json.Unmarshal(r.Value, v); err != nil {
		return fmt.Errorf("record %s: %w", r.Key, err)
	}
	return nil
}

func (d *Directory) drop(key string) {
	switch kindOf(key) {
	case KindAccessKey:
		d.keys.Delete(strings.TrimPrefix(key, AccessKeyKey("")))
	case KindUser:
		d.users.Delete(key)
	case KindRole:
		d.roles.Delete(key)
	case KindGroup:
		d.groups.Delete(key)
	case KindPolicy:
		d.policies.Delete(key)
	}
}

func (d *Directory) key(id string) *keyEntry {
	if v, ok := d.keys.Load(id); ok {
		return v.(*keyEntry)
	}
	return nil
}

func (d *Directory) user(account aws.AccountID, name string) *userEntry {
	if v, ok := d.users.Load(Key(KindUser, account, name)); ok {
		return v.(*userEntry)
	}
	return nil
}

func (d *Directory) role(account aws.AccountID, name string) *roleEntry {
	if v, ok := d.roles.Load(Key(KindRole, account, name)); ok {
		return v.(*roleEntry)
	}
	return nil
}

// roleByARN finds a role by its full name, path and all.
func (d *Directory) roleByARN(arn string) *roleEntry {
	a, err := aws.ParseARN(arn)
	if err != nil || a.Service != "iam" || !strings.HasPrefix(a.Resource, "role/") {
		return nil
	}
	r := d.role(a.Account, arn[strings.LastIndexByte(arn, '/')+1:])
	if r == nil || r.arn != arn {
		return nil
	}
	return r
}
