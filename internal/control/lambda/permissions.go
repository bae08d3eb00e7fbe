package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	// policyBytesMax is the largest policy. Source: Lambda quotas, "Function resource-based policy".
	policyBytesMax = 20480
	invokeURL      = "lambda:InvokeFunctionUrl"
)

// The texts here are AWS's (recorded: TestLambdaPermissions); where none is recorded, as its
// users quote them.

// policyDocument is a policy with its members in AWS's order.
type policyDocument struct {
	Version   string
	ID        string `json:"Id"`
	Statement []policyStatement
}

type policyStatement struct {
	Sid       string
	Effect    string
	Principal any // "*", or one kind of principal and its name
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

func (c *Control) addPermission(ctx context.Context, call *wire.Call, in *api.AddPermissionRequest) (*api.AddPermissionResponse, error) {
	n, err := c.named(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	statement, err := c.statementOf(ctx, n, in)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(statement)
	if err != nil {
		return nil, fmt.Errorf("encode a permission: %w", err)
	}
	err = c.changePolicy(ctx, n, in.RevisionId, func(doc *policyDocument) error {
		if slices.ContainsFunc(doc.Statement, func(s policyStatement) bool { return s.Sid == statement.Sid }) {
			return api.NewResourceConflictException("The statement id (" + statement.Sid + ") provided already exists. Please provide a new statement id, or remove the existing statement.")
		}
		doc.Statement = append(doc.Statement, *statement)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.AddPermissionResponse{Statement: wire.Ptr(string(text))}, nil
}

func (c *Control) statementOf(ctx context.Context, n record.Name, in *api.AddPermissionRequest) (*policyStatement, error) {
	s := &policyStatement{Sid: value(in.StatementId), Effect: "Allow", Action: value(in.Action), Resource: n.ARN()}
	var err error
	if s.Principal, err = c.principalOf(ctx, n.ID.Region, value(in.Principal)); err != nil {
		return nil, err
	}
	if in.FunctionUrlAuthType != nil && s.Action != invokeURL {
		return nil, invalid("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
	}
	add := func(operator, key string, v *string) {
		if value(v) == "" {
			return
		}
		if s.Condition == nil {
			s.Condition = map[string]map[string]string{}
		}
		if s.Condition[operator] == nil {
			s.Condition[operator] = map[string]string{}
		}
		s.Condition[operator][key] = *v
	}
	add("ArnLike", "AWS:SourceArn", in.SourceArn)
	add("StringEquals", "AWS:SourceAccount", in.SourceAccount)
	add("StringEquals", "aws:PrincipalOrgID", in.PrincipalOrgID)
	add("StringEquals", "lambda:EventSourceToken", in.EventSourceToken)
	add("StringEquals", "lambda:FunctionUrlAuthType", in.FunctionUrlAuthType)
	if in.InvokedViaFunctionUrl != nil {
		add("Bool", "lambda:InvokedViaFunctionUrl", wire.Ptr(fmt.Sprint(*in.InvokedViaFunctionUrl)))
	}
	return s, nil
}

// principalOf reads a principal in each form that AddPermission takes: everybody, an account, a
// user or role, or a service by its host name. Users and roles must exist. Source: IAM user guide,
// "AWS JSON policy elements: Principal": a resource policy is saved with the principal's unique id.
func (c *Control) principalOf(ctx context.Context, region aws.Region, s string) (any, error) {
	switch arn, err := aws.ParseARN(s); {
	case s == "*":
		return "*", nil
	case aws.AccountID(s).Valid():
		return map[string]string{"AWS": aws.ARN{Partition: region.Partition(), Service: "iam", Account: aws.AccountID(s), Resource: "root"}.String()}, nil
	case err == nil && (arn.Service == "iam" || arn.Service == "sts") && arn.Account.Valid() && (c.roles == nil || c.roles.Known(ctx, s)):
		return map[string]string{"AWS": s}, nil
	case serviceHost(s):
		return map[string]string{"Service": s}, nil
	}
	return nil, invalid("The provided principal was invalid. Please check the principal and try again.")
}

// serviceHost reports whether s can be a service's principal. Alexa's is not under amazonaws.com.
func serviceHost(s string) bool {
	return strings.HasSuffix(s, ".amazonaws.com") || strings.HasSuffix(s, ".amazonaws.com.cn") || strings.HasSuffix(s, ".amazon.com")
}

func (c *Control) removePermission(ctx context.Context, call *wire.Call, in *api.RemovePermissionRequest) error {
	n, err := c.named(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return err
	}
	if _, err := c.table.Get(ctx, n.ID, record.Latest); errors.Is(err, store.ErrNotFound) {
		return api.NewResourceNotFoundException("No policy found for: " + n.ARN())
	} else if err != nil {
		return fault(err)
	}
	sid := value(in.StatementId)
	return c.changePolicy(ctx, n, in.RevisionId, func(doc *policyDocument) error {
		if len(doc.Statement) == 0 {
			return api.NewResourceNotFoundException("No policy is associated with the given resource.")
		}
		i := slices.IndexFunc(doc.Statement, func(s policyStatement) bool { return s.Sid == sid })
		if i < 0 {
			return api.NewResourceNotFoundException("Statement " + sid + " is not found in resource policy.")
		}
		doc.Statement = slices.Delete(doc.Statement, i, i+1)
		return nil
	})
}

func (c *Control) getPolicy(ctx context.Context, call *wire.Call, in *api.GetPolicyRequest) (*api.GetPolicyResponse, error) {
	n, err := c.named(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	held, err := record.Policies.Get(ctx, c.records, n.PolicyKey())
	if errors.Is(err, store.ErrNotFound) {
		return nil, notThere()
	}
	if err != nil {
		return nil, fault(err)
	}
	return &api.GetPolicyResponse{Policy: &held.Value.Document, RevisionId: &held.Value.RevisionID}, nil
}

// changePolicy edits the policy of what a name names, which gets a new revision itself.
func (c *Control) changePolicy(ctx context.Context, n record.Name, wanted *string, edit func(*policyDocument) error) error {
	key := n.PolicyKey()
	for range commitAttemptsMax {
		revisionID := string(aws.NewRequestID())
		had, revise, err := c.reviseTarget(ctx, n, revisionID)
		if err != nil {
			return err
		}
		doc, cond := &policyDocument{Version: "2012-10-17", ID: "default"}, store.IfAbsent()
		held, err := record.Policies.Get(ctx, c.records, key)
		switch {
		case err == nil:
			had, cond = held.Value.RevisionID, store.IfRevision(held.Revision)
			if err := json.Unmarshal([]byte(held.Value.Document), doc); err != nil {
				return fmt.Errorf("policy of %s: %w", n.ARN(), err)
			}
		case !errors.Is(err, store.ErrNotFound):
			return fault(err)
		}
		if wanted != nil && *wanted != had {
			return api.NewPreconditionFailedException("The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id")
		}
		if err := edit(doc); err != nil {
			return err
		}
		write, err := putPolicy(key, doc, revisionID, cond)
		if err != nil {
			return err
		}
		_, err = c.table.Commit(ctx, revise, write)
		if !errors.Is(err, store.ErrConflict) {
			return fault(err)
		}
	}
	return updateInProgress(n.ID)
}

func putPolicy(key record.Qualified, doc *policyDocument, revisionID string, cond store.Condition) (store.Write, error) {
	if len(doc.Statement) == 0 {
		return record.Policies.Drop(key, cond), nil
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return store.Write{}, fmt.Errorf("encode a policy: %w", err)
	}
	if len(text) > policyBytesMax {
		return store.Write{}, policyTooLong(len(text))
	}
	return record.Policies.Put(key, &record.Policy{Document: string(text), RevisionID: revisionID}, cond)
}

func policyTooLong(n int) error {
	return api.NewPolicyLengthExceededException(fmt.Sprintf("The final policy size (%d) is bigger than the limit (%d).", n, policyBytesMax))
}

// reviseTarget gives the revision of the function, version or alias that a name names, and the
// write that gives it another.
func (c *Control) reviseTarget(ctx context.Context, n record.Name, revisionID string) (had string, write store.Write, err error) {
	if n.Qualifier == record.Latest {
		return "", write, invalid("We currently do not support adding policies for $LATEST.")
	}
	if n.Qualifier == "" || record.IsVersionNumber(n.Qualifier) || strings.Contains(n.Qualifier, "$") {
		f, err := c.read(ctx, n)
		if err != nil {
			return "", write, err
		}
		had := f.RevisionID
		changed := f.Clone()
		changed.RevisionID = revisionID
		write, err = record.PutFunction(changed, store.IfRevision(f.Revision))
		return had, write, err
	}
	if _, err := c.read(ctx, record.Name{ID: n.ID}); err != nil {
		return "", write, err
	}
	key := record.Qualified{ID: n.ID, Qualifier: n.Qualifier}
	alias, err := record.Aliases.Get(ctx, c.records, key)
	if errors.Is(err, store.ErrNotFound) {
		return "", write, noAlias(key)
	}
	if err != nil {
		return "", write, fault(err)
	}
	changed := *alias.Value
	changed.RevisionID = revisionID
	write, err = record.Aliases.Put(key, &changed, store.IfRevision(alias.Revision))
	return alias.Value.RevisionID, write, err
}
