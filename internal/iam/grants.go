package iam

import (
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam/managed"
	"github.com/lambdad/lambdad/internal/iam/policy"
)

// grants are the compiled policies of a user or role, as of one generation of
// the directory.
type grants struct {
	generation  uint64
	identity    []policy.Source
	boundary    []policy.Source
	hasBoundary bool
}

// denyAll stands in for a policy that cannot be compiled or found: an unknown
// policy may have denied.
var denyAll = func() *policy.Document {
	d, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`)
	if err != nil {
		panic("the policy that denies everything does not parse: " + err.Error())
	}
	return d
}()

func (d *Directory) userGrants(u *userEntry) *grants {
	gen := d.generation.Load()
	if g := u.grants.Load(); g != nil && g.generation == gen {
		return g
	}
	g := &grants{generation: gen}
	g.add(d, &u.Grants, u.Account)
	for _, name := range u.Groups {
		if v, ok := d.groups.Load(Key(KindGroup, u.Account, name)); ok {
			g.add(d, &v.(*Group).Grants, u.Account)
		}
	}
	g.bound(d, u.Boundary)
	u.grants.Store(g)
	return g
}

func (d *Directory) roleGrants(r *roleEntry) *grants {
	gen := d.generation.Load()
	if g := r.grants.Load(); g != nil && g.generation == gen {
		return g
	}
	g := &grants{generation: gen}
	g.add(d, &r.Grants, r.Account)
	g.bound(d, r.Boundary)
	r.grants.Store(g)
	return g
}

func (g *grants) add(d *Directory, from *Grants, account aws.AccountID) {
	names := make([]string, 0, len(from.Inline))
	for name := range from.Inline {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		g.identity = append(g.identity, d.source(name, from.Inline[name]))
	}
	for _, arn := range from.Attached {
		g.identity = append(g.identity, d.managedSource(arn))
	}
}

func (g *grants) bound(d *Directory, arn string) {
	if arn != "" {
		g.hasBoundary, g.boundary = true, []policy.Source{d.managedSource(arn)}
	}
}

func (d *Directory) source(name, text string) policy.Source {
	doc, err := d.docs.Parse(text)
	if err != nil {
		doc = denyAll
	}
	return policy.Source{Name: name, Document: doc}
}

// managedSource finds the default version of a managed policy.
func (d *Directory) managedSource(arn string) policy.Source {
	if p, ok := managed.Find(arn); ok {
		return d.source(p.Name, p.Document)
	}
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	a, err := aws.ParseARN(arn)
	if err == nil {
		if v, ok := d.policies.Load(Key(KindPolicy, a.Account, name)); ok {
			if e := v.(*policyEntry); e.document != nil && e.ARN() == arn {
				return policy.Source{Name: name, Document: e.document}
			}
		}
	}
	return policy.Source{Name: name, Document: denyAll}
}
