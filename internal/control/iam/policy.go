package iam

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/iam/managed"
	"github.com/lambdad/lambdad/internal/iam/policy"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// Quotas of managed policies ("IAM and AWS STS quotas").
const (
	managedBytesMax   = 6144
	policyVersionsMax = 5
)

func (c *Control) policies(h *api.Handlers) {
	h.CreatePolicy, h.GetPolicy, h.DeletePolicy, h.ListPolicies = c.createPolicy, c.getPolicy, c.deletePolicy, c.listPolicies
	h.CreatePolicyVersion, h.GetPolicyVersion, h.DeletePolicyVersion = c.createPolicyVersion, c.getPolicyVersion, c.deletePolicyVersion
	h.ListPolicyVersions, h.SetDefaultPolicyVersion = c.listPolicyVersions, c.setDefaultPolicyVersion
}

func checkManaged(text string) error {
	if _, err := policy.ParseFor(policy.KindManaged, text); err != nil {
		return api.NewMalformedPolicyDocumentException(err.Error())
	}
	if documentBytes(text) > managedBytesMax {
		return exceeded("Cannot exceed quota for PolicySize: %d", managedBytesMax)
	}
	return nil
}

// policyARN checks the form of a policy's ARN, in the words that are recorded.
func policyARN(s string) (aws.ARN, error) {
	arn, err := aws.ParseARN(s)
	if err != nil {
		return arn, invalid("Invalid ARN:  Could not be parsed!")
	}
	if arn.Service != "iam" || !strings.HasPrefix(arn.Resource, "policy/") {
		return arn, invalid("ARN %s is not valid.", s)
	}
	return arn, nil
}

// findPolicy reads a customer's policy; absent is what to answer without one.
func (c *Control) findPolicy(ctx context.Context, account aws.AccountID, s string, absent func() error) (iam.Stored[iam.Policy], string, error) {
	arn, err := policyARN(s)
	if err != nil {
		return iam.Stored[iam.Policy]{}, "", err
	}
	if arn.Account != account {
		return iam.Stored[iam.Policy]{}, "", absent()
	}
	p, key, err := find[iam.Policy](ctx, c, iam.KindPolicy, account, s[strings.LastIndexByte(s, '/')+1:], absent)
	if err == nil && p.Value.ARN() != s {
		err = absent()
	}
	return p, key, err
}

func notFound(arn string) func() error {
	return func() error { return noSuch("Policy %s was not found.", arn) }
}

func notAttachable(arn string) func() error {
	return func() error { return noSuch("Policy %s does not exist or is not attachable.", arn) }
}

// swapBoundary counts a boundary out and another one in.
func (c *Control) swapBoundary(ctx context.Context, from, to string) ([]store.Write, error) {
	if from == to {
		return nil, nil
	}
	var writes []store.Write
	for _, step := range []struct {
		arn   string
		delta int32
	}{{from, -1}, {to, 1}} {
		if step.arn == "" {
			continue
		}
		w, err := c.countUse(ctx, step.arn, func(p *iam.Policy) { p.BoundaryUses += step.delta }, func() error {
			return noSuch("Scope ARN: %s does not exist or is not attachable.", step.arn)
		})
		if err != nil {
			return nil, err
		}
		writes = append(writes, w...)
	}
	return writes, nil
}

// countUse writes the change of a policy's use. AWS managed policies keep no
// count: nobody can delete them.
func (c *Control) countUse(ctx context.Context, s string, f func(*iam.Policy), absent func() error) ([]store.Write, error) {
	if _, ok := managed.Find(s); ok {
		return nil, nil
	}
	arn, err := policyARN(s)
	if err != nil {
		return nil, err
	}
	p, key, err := c.findPolicy(ctx, arn.Account, s, absent)
	if err != nil {
		return nil, err
	}
	f(p.Value)
	w, err := iam.Put(key, p.Value, store.IfRevision(p.Revision))
	return []store.Write{w}, err
}

func (c *Control) createPolicy(ctx context.Context, call *wire.Call, in *api.CreatePolicyRequest) (*api.CreatePolicyResponse, error) {
	if err := checkManaged(text(in.PolicyDocument)); err != nil {
		return nil, err
	}
	e, err := entity(c, call, in.PolicyName, in.Path, iam.PrefixPolicy, in.Tags)
	if err != nil {
		return nil, err
	}
	p := &iam.Policy{Entity: e, Description: text(in.Description), Updated: e.Created, Default: "v1", LastVersion: 1,
		Versions: []iam.PolicyVersion{{ID: "v1", Document: text(in.PolicyDocument), Created: e.Created}}}
	err = c.create(ctx, iam.Key(iam.KindPolicy, call.Account, p.Name), p, taken("A policy called %s already exists. Duplicate names are not allowed.", p.Name), nil)
	if err != nil {
		return nil, err
	}
	out := policyShape(p)
	out.Tags = tagShapes(p.Tags)
	return &api.CreatePolicyResponse{Policy: out}, nil
}

// policyShape is a policy as lists show it.
func policyShape(p *iam.Policy) *api.Policy {
	return &api.Policy{
		PolicyName: &p.Name, PolicyId: &p.ID, Arn: wire.Ptr(p.ARN()), Path: &p.Path, DefaultVersionId: &p.Default, AttachmentCount: &p.Attachments,
		PermissionsBoundaryUsageCount: &p.BoundaryUses, IsAttachable: wire.Ptr(true), CreateDate: &p.Created, UpdateDate: &p.Updated,
	}
}

func managedShape(m managed.Policy, n uses) *api.Policy {
	return &api.Policy{
		PolicyName: &m.Name, PolicyId: &m.ID, Arn: &m.ARN, Path: &m.Path, DefaultVersionId: &m.Version, AttachmentCount: &n.attached,
		PermissionsBoundaryUsageCount: &n.bounds, IsAttachable: wire.Ptr(true), CreateDate: &m.Created, UpdateDate: &m.Updated,
	}
}

// uses says how often an AWS managed policy is used in an account.
type uses struct{ attached, bounds int32 }

// managedUses counts the uses of every policy by ARN. AWS managed policies
// keep no count of their own, since they belong to no account.
func (c *Control) managedUses(ctx context.Context, account aws.AccountID) (map[string]uses, error) {
	out := map[string]uses{}
	err := c.eachHolder(ctx, account, func(_ iam.Kind, _ *iam.Entity, g *iam.Grants, boundary string) {
		for _, arn := range g.Attached {
			n := out[arn]
			n.attached++
			out[arn] = n
		}
		if boundary != "" {
			n := out[boundary]
			n.bounds++
			out[boundary] = n
		}
	})
	return out, err
}

func (c *Control) getPolicy(ctx context.Context, call *wire.Call, in *api.GetPolicyRequest) (*api.GetPolicyResponse, error) {
	if m, ok := managed.Find(text(in.PolicyArn)); ok {
		n, err := c.managedUses(ctx, call.Account)
		if err != nil {
			return nil, err
		}
		out := managedShape(m, n[m.ARN])
		out.Description, out.Tags = present(m.Description), []api.Tag{}
		return &api.GetPolicyResponse{Policy: out}, nil
	}
	p, _, err := c.findPolicy(ctx, call.Account, text(in.PolicyArn), notFound(text(in.PolicyArn)))
	if err != nil {
		return nil, err
	}
	out := policyShape(p.Value)
	out.Description = present(p.Value.Description)
	if out.Tags = tagShapes(p.Value.Tags); out.Tags == nil {
		out.Tags = []api.Tag{}
	}
	return &api.GetPolicyResponse{Policy: out}, nil
}

func (c *Control) deletePolicy(ctx context.Context, call *wire.Call, in *api.DeletePolicyRequest) error {
	return c.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		p, key, err := c.findPolicy(ctx, call.Account, text(in.PolicyArn), notFound(text(in.PolicyArn)))
		switch {
		case err != nil:
			return nil, err
		case p.Value.Attachments > 0 || p.Value.BoundaryUses > 0:
			return nil, conflict("Cannot delete a policy attached to entities.")
		case len(p.Value.Versions) > 1:
			return nil, conflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		return []store.Write{iam.Drop(key, store.IfRevision(p.Revision))}, nil
	})
}

// Scopes and usages of ListPolicies.
const (
	scopeAWS      = "AWS"
	scopeLocal    = "Local"
	usageBoundary = "PermissionsBoundary"
	usagePolicy   = "PermissionsPolicy"
)

func (c *Control) listPolicies(ctx context.Context, call *wire.Call, in *api.ListPoliciesRequest) (*api.ListPoliciesResponse, error) {
	var shapes []*api.Policy
	if text(in.Scope) != scopeLocal {
		n, err := c.managedUses(ctx, call.Account)
		if err != nil {
			return nil, err
		}
		for _, m := range managed.List() {
			shapes = append(shapes, managedShape(m, n[m.ARN]))
		}
	}
	if text(in.Scope) != scopeAWS {
		own, err := all(ctx, c, iam.KindPolicy, call.Account, func(p *iam.Policy) string { return p.Name })
		if err != nil {
			return nil, err
		}
		for _, p := range own {
			shapes = append(shapes, policyShape(p))
		}
	}
	shapes = slices.DeleteFunc(shapes, func(p *api.Policy) bool {
		if !under(*p.Path, in.PathPrefix) {
			return true
		}
		switch text(in.PolicyUsageFilter) {
		case usageBoundary:
			return *p.PermissionsBoundaryUsageCount == 0
		case usagePolicy:
			return *p.AttachmentCount == 0
		}
		return in.OnlyAttached != nil && *in.OnlyAttached && *p.AttachmentCount == 0
	})
	slices.SortFunc(shapes, func(a, b *api.Policy) int { return strings.Compare(*a.Arn, *b.Arn) })
	p, err := pageSorted(shapes, in.Marker, in.MaxItems, func(p *api.Policy) string { return *p.Arn })
	if err != nil {
		return nil, err
	}
	out := &api.ListPoliciesResponse{Policies: []api.Policy{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, s := range p.items {
		out.Policies = append(out.Policies, *s)
	}
	return out, nil
}

// changePolicy changes a customer's policy.
func (c *Control) changePolicy(ctx context.Context, call *wire.Call, arn string, f func(*iam.Policy) error) error {
	if _, ok := managed.Find(arn); ok {
		return wire.NewFault(403, "AccessDenied", "Policy is outside your own account.")
	}
	return change(ctx, c, func(ctx context.Context) (iam.Stored[iam.Policy], string, error) {
		return c.findPolicy(ctx, call.Account, arn, notFound(arn))
	}, func(p *iam.Policy) ([]store.Write, error) { return nil, f(p) })
}

func (c *Control) createPolicyVersion(ctx context.Context, call *wire.Call, in *api.CreatePolicyVersionRequest) (*api.CreatePolicyVersionResponse, error) {
	if err := checkManaged(text(in.PolicyDocument)); err != nil {
		return nil, err
	}
	var v iam.PolicyVersion
	isDefault := in.SetAsDefault != nil && *in.SetAsDefault
	err := c.changePolicy(ctx, call, text(in.PolicyArn), func(p *iam.Policy) error {
		if len(p.Versions) >= policyVersionsMax {
			return exceeded("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", policyVersionsMax)
		}
		p.LastVersion++
		p.Updated = c.now()
		v = iam.PolicyVersion{ID: "v" + strconv.Itoa(p.LastVersion), Document: text(in.PolicyDocument), Created: p.Updated}
		p.Versions = append(p.Versions, v)
		if isDefault {
			p.Default = v.ID
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.CreatePolicyVersionResponse{PolicyVersion: &api.PolicyVersion{VersionId: &v.ID, IsDefaultVersion: &isDefault, CreateDate: &v.Created}}, nil
}

func noVersion(arn, id string) error {
	return noSuch("Policy %s version %s does not exist or is not attachable.", arn, id)
}

func (c *Control) getPolicyVersion(ctx context.Context, call *wire.Call, in *api.GetPolicyVersionRequest) (*api.GetPolicyVersionResponse, error) {
	arn, id := text(in.PolicyArn), text(in.VersionId)
	if m, ok := managed.Find(arn); ok {
		if id != m.Version {
			return nil, noVersion(arn, id)
		}
		return &api.GetPolicyVersionResponse{PolicyVersion: versionShape(m.Version, true, m.Updated, m.Document)}, nil
	}
	p, _, err := c.findPolicy(ctx, call.Account, arn, notFound(arn))
	if err != nil {
		return nil, err
	}
	v := p.Value.Version(id)
	if v == nil {
		return nil, noVersion(arn, id)
	}
	return &api.GetPolicyVersionResponse{PolicyVersion: versionShape(v.ID, v.ID == p.Value.Default, v.Created, v.Document)}, nil
}

// versionShape is a version; lists leave the document out.
func versionShape(id string, isDefault bool, created time.Time, document string) *api.PolicyVersion {
	out := &api.PolicyVersion{VersionId: &id, IsDefaultVersion: &isDefault, CreateDate: &created}
	if document != "" {
		out.Document = encodeDocument(document)
	}
	return out
}

func (c *Control) listPolicyVersions(ctx context.Context, call *wire.Call, in *api.ListPolicyVersionsRequest) (*api.ListPolicyVersionsResponse, error) {
	arn := text(in.PolicyArn)
	out := &api.ListPolicyVersionsResponse{Versions: []api.PolicyVersion{}}
	var versions []*api.PolicyVersion
	if m, ok := managed.Find(arn); ok {
		versions = append(versions, versionShape(m.Version, true, m.Updated, ""))
	} else {
		p, _, err := c.findPolicy(ctx, call.Account, arn, notFound(arn))
		if err != nil {
			return nil, err
		}
		for _, v := range slices.Backward(p.Value.Versions) { // newest first
			versions = append(versions, versionShape(v.ID, v.ID == p.Value.Default, v.Created, ""))
		}
	}
	// At most five: the marker of a page is the place in the list.
	place := map[*api.PolicyVersion]string{}
	for i, v := range versions {
		place[v] = strconv.Itoa(i)
	}
	p, err := pageSorted(versions, in.Marker, in.MaxItems, func(v *api.PolicyVersion) string { return place[v] })
	if err != nil {
		return nil, err
	}
	out.IsTruncated, out.Marker = p.truncated, p.marker
	for _, v := range p.items {
		out.Versions = append(out.Versions, *v)
	}
	return out, nil
}

func (c *Control) deletePolicyVersion(ctx context.Context, call *wire.Call, in *api.DeletePolicyVersionRequest) error {
	id := text(in.VersionId)
	return c.changePolicy(ctx, call, text(in.PolicyArn), func(p *iam.Policy) error {
		if p.Version(id) == nil {
			return noVersion(p.ARN(), id)
		}
		if p.Default == id {
			return conflict("Cannot delete the default version of a policy.")
		}
		p.Versions = slices.DeleteFunc(p.Versions, func(v iam.PolicyVersion) bool { return v.ID == id })
		return nil
	})
}

func (c *Control) setDefaultPolicyVersion(ctx context.Context, call *wire.Call, in *api.SetDefaultPolicyVersionRequest) error {
	id := text(in.VersionId)
	return c.changePolicy(ctx, call, text(in.PolicyArn), func(p *iam.Policy) error {
		if p.Version(id) == nil {
			return noVersion(p.ARN(), id)
		}
		p.Default, p.Updated = id, c.now()
		return nil
	})
}
