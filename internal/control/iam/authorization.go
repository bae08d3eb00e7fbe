package iam

import (
	"context"
	"reflect"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/wire"
)

// target is what an operation acts on, as the Service Authorization Reference
// has it.
type target uint8

const (
	onAnything target = iota // the reference names no resource
	onUser
	onRole
	onGroup
	onPolicy
	onProfile
	onUsers // lists: the path below which the kind lives
	onRoles
	onGroups
	onProfiles
	onSource // SimulatePrincipalPolicy
	onLinkedRole
)

// targetOf finds the target of an operation. The names are regular, so the
// rules are too; operations that come later are on "*" until a rule fits them.
func targetOf(operation string) target {
	switch operation {
	case "ListUsers":
		return onUsers
	case "ListRoles":
		return onRoles
	case "ListGroups":
		return onGroups
	case "ListInstanceProfiles":
		return onProfiles
	case "ListPolicies", "GetAccessKeyLastUsed", "SimulateCustomPolicy", "GetServiceLinkedRoleDeletionStatus":
		return onAnything
	case "SimulatePrincipalPolicy", "GetContextKeysForPrincipalPolicy":
		return onSource
	case "ChangePassword":
		return onUser
	case "GetContextKeysForCustomPolicy", "GetAccountPasswordPolicy", "UpdateAccountPasswordPolicy", "DeleteAccountPasswordPolicy":
		return onAnything
	case "CreateServiceLinkedRole":
		return onLinkedRole
	case "ListInstanceProfilesForRole":
		return onRole
	case "ListGroupsForUser":
		return onUser
	}
	switch {
	case strings.Contains(operation, "InstanceProfile"):
		return onProfile
	case strings.Contains(operation, "Group"):
		return onGroup
	case strings.Contains(operation, "Role"):
		return onRole
	case strings.Contains(operation, "User"), strings.Contains(operation, "AccessKey"), strings.Contains(operation, "ServiceSpecificCredential"),
		strings.Contains(operation, "SSHPublicKey"), strings.Contains(operation, "LoginProfile"), operation == "ListMFADevices", operation == "ListSigningCertificates":
		return onUser
	case strings.Contains(operation, "Policy"), strings.Contains(operation, "Policies"):
		return onPolicy
	}
	return onAnything
}

// authorize asks for an operation's action on its target. Adding a role to an
// instance profile also passes the role.
func (c *Control) authorize(ctx context.Context, call *wire.Call, operation string, in any) error {
	resource, conditions := c.resourceOf(ctx, call, operation, in)
	if operation == "ChangePassword" {
		return c.authorizeChangePassword(ctx, call, resource)
	}
	if err := c.auth.Authorize(ctx, call, "iam:"+operation, []string{resource}, conditions); err != nil {
		return err
	}
	// Source: User Guide, "Tags for IAM resources": to create something with tags, the
	// caller must also be allowed to tag it.
	if kind, create := strings.CutPrefix(operation, "Create"); create && conditions["aws:TagKeys"] != nil {
		if err := c.auth.Authorize(ctx, call, "iam:Tag"+kind, []string{resource}, conditions); err != nil {
			return err
		}
	}
	if add, ok := in.(*api.AddRoleToInstanceProfileRequest); ok {
		role, _ := c.described(ctx, call, iam.KindRole, text(add.RoleName), "")
		return c.auth.Authorize(ctx, call, "iam:PassRole", []string{role}, map[string][]string{"iam:PassedToService": {"ec2.amazonaws.com"}})
	}
	return nil
}

// authorizeChangePassword lets users change their own passwords where the account's password policy
// lets all of them, unless a policy denies it.
func (c *Control) authorizeChangePassword(ctx context.Context, call *wire.Call, user string) error {
	access := iam.Access{Action: "iam:ChangePassword", Resource: user}
	s, _, err := c.settings(ctx, call.Account)
	if err != nil {
		return err
	}
	if s.Passwords != nil && s.Passwords.UsersChange && call.Principal.Type == aws.PrincipalUser {
		access.ResourcePolicies = []string{`{"Statement":{"Effect":"Allow","Principal":{"AWS":"` + call.Principal.ARN + `"},"Action":"iam:ChangePassword","Resource":"*"}}`}
	}
	return c.auth.AuthorizeAccess(ctx, call, access)
}

func (c *Control) resourceOf(ctx context.Context, call *wire.Call, operation string, in any) (string, map[string][]string) {
	prefix := "arn:aws:iam::" + string(call.Account) + ":"
	member := func(name string) string { return memberText(in, name) }
	var resource string
	conditions := map[string][]string{}
	switch targetOf(operation) {
	case onUsers:
		resource = prefix + "user/"
	case onRoles:
		resource = prefix + "role/"
	case onGroups:
		resource = prefix + "group/"
	case onProfiles:
		resource = prefix + "instance-profile/"
	case onSource:
		resource = member("PolicySourceArn")
	case onUser:
		name := member("UserName")
		if name == "" {
			if own, err := userNameOf(call, nil); err == nil {
				name = own
			} else {
				resource = call.Principal.ARN
				break
			}
		}
		resource, conditions = c.described(ctx, call, iam.KindUser, name, member("Path"))
	case onRole:
		resource, conditions = c.described(ctx, call, iam.KindRole, member("RoleName"), member("Path"))
	case onGroup:
		resource, conditions = c.described(ctx, call, iam.KindGroup, member("GroupName"), member("Path"))
	case onProfile:
		resource, conditions = c.described(ctx, call, iam.KindProfile, member("InstanceProfileName"), member("Path"))
	case onPolicy:
		if resource = member("PolicyArn"); resource == "" {
			resource = prefix + "policy" + pathOr(member("Path")) + member("PolicyName")
		} else if p, _, err := c.findPolicy(ctx, call.Account, resource, notFound(resource)); err == nil {
			conditions = tagConditions(p.Value.Tags)
		}
	case onLinkedRole:
		service := member("AWSServiceName")
		linked, _ := findLinkedService(service)
		resource = prefix + "role" + serviceRolePath + service + "/" + linked.role
		conditions["iam:AWSServiceName"] = []string{service}
	}
	if resource == "" {
		resource = "*"
	}
	if arn := member("PolicyArn"); arn != "" && targetOf(operation) != onPolicy {
		conditions["iam:PolicyARN"] = []string{arn}
	}
	if arn := member("PermissionsBoundary"); arn != "" {
		conditions["iam:PermissionsBoundary"] = []string{arn}
	}
	requestTags(in, conditions)
	return resource, conditions
}

func pathOr(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// described is the ARN of a named identity with its tags and boundary; of one
// that does not exist yet, the ARN that it would have.
func (c *Control) described(ctx context.Context, call *wire.Call, kind iam.Kind, name, path string) (string, map[string][]string) {
	if kind == iam.KindProfile {
		if p, _, err := c.findProfile(ctx, call.Account, name); err == nil {
			return p.Value.ARN(), tagConditions(p.Value.Tags)
		}
		return "arn:aws:iam::" + string(call.Account) + ":instance-profile" + pathOr(path) + name, map[string][]string{}
	}
	h, err := c.holder(ctx, kind, call.Account, name)
	if err != nil {
		return "arn:aws:iam::" + string(call.Account) + ":" + string(kind) + pathOr(path) + name, map[string][]string{}
	}
	conditions := tagConditions(h.entity.Tags)
	boundary := ""
	switch v := h.record.(type) {
	case *iam.User:
		boundary = v.Boundary
	case *iam.Role:
		boundary = v.Boundary
	}
	if boundary != "" {
		conditions["iam:PermissionsBoundary"] = []string{boundary}
	}
	return h.arn, conditions
}

func tagConditions(tags []iam.Tag) map[string][]string {
	m := map[string][]string{}
	for _, t := range tags {
		m["aws:ResourceTag/"+t.Key], m["iam:ResourceTag/"+t.Key] = []string{t.Value}, []string{t.Value}
	}
	return m
}

// memberText reads a string member of a generated request by its name; "" where
// the shape has none.
func memberText(in any, name string) string {
	v := reflect.ValueOf(in)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return ""
	}
	if s, ok := fieldOf(v, name).(*string); ok {
		return text(s)
	}
	return ""
}

func fieldOf(v reflect.Value, name string) any {
	f := v.Elem().FieldByName(name)
	if !f.IsValid() {
		return nil
	}
	return f.Interface()
}

// requestTags adds the condition keys of the tags that a request brings or
// takes away.
func requestTags(in any, conditions map[string][]string) {
	v := reflect.ValueOf(in)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return
	}
	if keys, ok := fieldOf(v, "TagKeys").([]string); ok && len(keys) > 0 {
		conditions["aws:TagKeys"] = keys
	}
	tags, _ := fieldOf(v, "Tags").([]api.Tag)
	for _, t := range tags {
		conditions["aws:TagKeys"] = append(conditions["aws:TagKeys"], text(t.Key))
		conditions["aws:RequestTag/"+text(t.Key)] = []string{text(t.Value)}
	}
}
