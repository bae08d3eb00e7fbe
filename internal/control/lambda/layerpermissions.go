package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

func (c *Control) addLayerVersionPermission(ctx context.Context, call *wire.Call, in *api.AddLayerVersionPermissionRequest) (*api.AddLayerVersionPermissionResponse, error) {
	id, held, err := c.layerVersion(ctx, call, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, c.layerGone(id, err)
	}
	principal, err := c.principalOf(ctx, id.Region, value(in.Principal))
	if err != nil {
		return nil, err
	}
	if value(in.Principal) != "*" && in.OrganizationId != nil {
		// Source: Lambda API, AddLayerVersionPermission, OrganizationId.
		return nil, invalid("OrganizationId can only be used together with the principal *.")
	}
	s := policyStatement{Sid: value(in.StatementId), Effect: "Allow", Principal: principal, Action: value(in.Action), Resource: id.ARN()}
	if in.OrganizationId != nil {
		s.Condition = map[string]map[string]string{"StringEquals": {"aws:PrincipalOrgID": *in.OrganizationId}}
	}
	revisionID, err := c.changeLayerPolicy(ctx, id, held, in.RevisionId, func(doc *policyDocument) error {
		if slices.ContainsFunc(doc.Statement, func(has policyStatement) bool { return has.Sid == s.Sid }) {
			return api.NewResourceConflictException("The statement id (" + s.Sid + ") provided already exists. Please provide a new statement id, or remove the existing statement.")
		}
		doc.Statement = append(doc.Statement, s)
		return nil
	})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode a permission: %w", err)
	}
	return &api.AddLayerVersionPermissionResponse{Statement: wire.Ptr(string(text)), RevisionId: &revisionID}, nil
}

func (c *Control) removeLayerVersionPermission(ctx context.Context, call *wire.Call, in *api.RemoveLayerVersionPermissionRequest) error {
	id, held, err := c.layerVersion(ctx, call, in.LayerName, in.VersionNumber)
	if err != nil {
		return c.layerGone(id, err)
	}
	sid := value(in.StatementId)
	_, err = c.changeLayerPolicy(ctx, id, held, in.RevisionId, func(doc *policyDocument) error {
		i := slices.IndexFunc(doc.Statement, func(s policyStatement) bool { return s.Sid == sid })
		if i < 0 {
			return api.NewResourceNotFoundException("Statement " + sid + " is not found in resource policy.")
		}
		doc.Statement = slices.Delete(doc.Statement, i, i+1)
		return nil
	})
	return err
}

func (c *Control) getLayerVersionPolicy(ctx context.Context, call *wire.Call, in *api.GetLayerVersionPolicyRequest) (*api.GetLayerVersionPolicyResponse, error) {
	id, held, err := c.layerVersion(ctx, call, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, c.layerGone(id, err)
	}
	p := held.Value.Policy
	if p.Document == "" {
		return nil, api.NewResourceNotFoundException("No policy is associated with the given resource.")
	}
	return &api.GetLayerVersionPolicyResponse{Policy: &p.Document, RevisionId: &p.RevisionID}, nil
}

// changeLayerPolicy edits a version's policy and gives its new revision.
func (c *Control) changeLayerPolicy(ctx context.Context, id record.LayerID, held record.Held[record.Scoped, record.LayerVersion], wanted *string, edit func(*policyDocument) error) (string, error) {
	for range commitAttemptsMax {
		v := *held.Value
		doc := &policyDocument{Version: "2012-10-17", ID: "default"}
		if v.Policy.Document != "" {
			if err := json.Unmarshal([]byte(v.Policy.Document), doc); err != nil {
				return "", fmt.Errorf("policy of %s: %w", id.ARN(), err)
			}
		}
		if wanted != nil && *wanted != v.Policy.RevisionID {
			return "", api.NewPreconditionFailedException("The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the latest Revision Id")
		}
		if err := edit(doc); err != nil {
			return "", err
		}
		v.Policy = record.Policy{RevisionID: string(aws.NewRequestID())}
		if len(doc.Statement) > 0 {
			text, err := json.Marshal(doc)
			if err != nil {
				return "", fmt.Errorf("encode a policy: %w", err)
			}
			if len(text) > policyBytesMax {
				return "", policyTooLong(len(text))
			}
			v.Policy.Document = string(text)
		}
		put, err := record.LayerVersions.Put(id.Key(), &v, store.IfRevision(held.Revision))
		if err != nil {
			return "", err
		}
		_, err = c.records.Commit(ctx, put)
		if err == nil {
			return v.Policy.RevisionID, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return "", fault(err)
		}
		if held, err = c.readLayer(ctx, id); err != nil {
			return "", c.layerGone(id, err)
		}
	}
	return "", api.NewResourceConflictException("The operation cannot be performed at this time. An update is in progress for resource: " + id.ARN())
}

// layerGone words a version that does not exist as the operations on policies do.
func (c *Control) layerGone(id record.LayerID, err error) error {
	var missing *api.ResourceNotFoundException
	if errors.As(err, &missing) {
		return api.NewResourceNotFoundException("Layer version " + id.ARN() + " does not exist.")
	}
	return err
}
