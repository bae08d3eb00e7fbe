package iam

import (
	"context"
	_ "embed"
	"errors"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	serviceRolePath   = "/aws-service-role/"
	serviceRolePrefix = "AWSServiceRoleFor"
	serviceDomain     = ".amazonaws.com"
)

//go:embed servicelinked.txt
var linkedServices string

// linkedService is what is known of a service with a service-linked role.
type linkedService struct {
	role   string // its name
	policy string // the ARN of the AWS managed policy that the role has
	suffix bool   // a role may have a custom suffix
}

func findLinkedService(service string) (linkedService, bool) {
	want, found := strings.CutSuffix(service, serviceDomain)
	if !found {
		return linkedService{}, false
	}
	for line := range strings.Lines(linkedServices) {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == want {
			return linkedService{serviceRolePrefix + f[1], "arn:aws:iam::aws:policy" + serviceRolePath + f[2], len(f) > 3}, true
		}
	}
	return linkedService{}, false
}

func (c *Control) createServiceLinkedRole(ctx context.Context, call *wire.Call, in *api.CreateServiceLinkedRoleRequest) (*api.CreateServiceLinkedRoleResponse, error) {
	service := text(in.AWSServiceName)
	linked, ok := findLinkedService(service)
	if !ok {
		return nil, api.NewInvalidInputException("Service name " + service + " is not valid for a service-linked role.")
	}
	name := linked.role
	if suffix := text(in.CustomSuffix); suffix != "" {
		if !linked.suffix {
			return nil, api.NewInvalidInputException("Custom suffix is not allowed for " + service)
		}
		name += "_" + suffix
	}
	path := serviceRolePath + service + "/"
	e, err := entity(c, call, &name, &path, iam.PrefixRole, nil)
	if err != nil {
		return nil, err
	}
	r := &iam.Role{
		Entity: e, Grants: iam.Grants{Attached: []string{linked.policy}}, Description: text(in.Description),
		MaxSessionSeconds: sessionSecondsDefault, LinkedService: service,
		Trust: `{"Version":"2012-10-17","Statement":[{"Action":["sts:AssumeRole"],"Effect":"Allow","Principal":{"Service":["` + service + `"]}}]}`,
	}
	used := api.NewInvalidInputException("Service role name " + name + " has been taken in this account, please try a different suffix.")
	if err := c.create(ctx, iam.Key(iam.KindRole, call.Account, name), r, used, nil); err != nil {
		return nil, err
	}
	out := c.roleShape(r)
	out.MaxSessionDuration, out.Description, out.AssumeRolePolicyDocument = nil, nil, encodeDocument(r.Trust)
	return &api.CreateServiceLinkedRoleResponse{Role: out}, nil
}

// deleteServiceLinkedRole deletes at once: nothing here depends on such a role.
// The task is remembered, because clients ask for its status.
func (c *Control) deleteServiceLinkedRole(ctx context.Context, call *wire.Call, in *api.DeleteServiceLinkedRoleRequest) (*api.DeleteServiceLinkedRoleResponse, error) {
	var task string
	err := c.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		s, key, err := c.findRole(ctx, call.Account, text(in.RoleName))
		if err != nil {
			return nil, err
		}
		r := s.Value
		if r.LinkedService == "" {
			return nil, noSuch("The role with name %s cannot be found.", r.Name)
		}
		task = "task" + serviceRolePath + r.LinkedService + "/" + r.Name + "/" + string(aws.NewRequestID())
		w, err := iam.Put(iam.Key(iam.KindDeletion, call.Account, task), &iam.Deletion{Account: call.Account, Task: task, Role: r.Name, Done: c.now()}, store.IfAbsent())
		return []store.Write{w, iam.Drop(key, store.IfRevision(s.Revision))}, err
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteServiceLinkedRoleResponse{DeletionTaskId: &task}, nil
}

func (c *Control) getServiceLinkedRoleDeletionStatus(ctx context.Context, call *wire.Call, in *api.GetServiceLinkedRoleDeletionStatusRequest) (*api.GetServiceLinkedRoleDeletionStatusResponse, error) {
	task := text(in.DeletionTaskId)
	_, err := iam.Get[iam.Deletion](ctx, c.table, iam.Key(iam.KindDeletion, call.Account, task))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrTooLarge) {
		return nil, noSuch("The deletion task with id %s cannot be found.", task)
	}
	if err != nil {
		return nil, err
	}
	return &api.GetServiceLinkedRoleDeletionStatusResponse{Status: wire.Ptr(api.DeletionTaskStatusTypeSucceeded)}, nil
}
