package iam_test

import (
	"os"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/iam/managed"
)

// Every service's role can be made, read and deleted, and has the policy of its service,
// which its owner cannot take away.
func TestServiceLinkedRoles(t *testing.T) {
	h := open(t)
	lines, err := os.ReadFile("servicelinked.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(lines)) {
		f := strings.Fields(line)
		if f[0] == "#" {
			continue
		}
		service, role := f[0]+".amazonaws.com", "AWSServiceRoleFor"+f[1]
		arn := "arn:aws:iam::aws:policy/aws-service-role/" + f[2]
		if _, ok := managed.Find(arn); !ok {
			t.Errorf("%s: no policy %s", service, arn)
		}
		created, _ := h.IAM("CreateServiceLinkedRole", params{"AWSServiceName": service})["Role"].(object)
		if created["RoleName"] != role || created["Path"] != "/aws-service-role/"+service+"/" {
			t.Errorf("%s: %v", service, created)
		}
		attached, _ := h.IAM("ListAttachedRolePolicies", params{"RoleName": role})["AttachedPolicies"].([]any)
		if len(attached) != 1 || attached[0].(object)["PolicyArn"] != arn || attached[0].(object)["PolicyName"] != f[2] {
			t.Errorf("%s: %v", service, attached)
		}
		if got := fault(h.IAM("CreateServiceLinkedRole", params{"AWSServiceName": service})); !strings.HasPrefix(got, "InvalidInput: Service role name "+role+" has been taken") {
			t.Errorf("%s: %s", service, got)
		}
		got := fault(h.IAM("CreateServiceLinkedRole", params{"AWSServiceName": service, "CustomSuffix": "mine"}))
		if suffix := len(f) > 3; suffix && got != "" || !suffix && got != "InvalidInput: Custom suffix is not allowed for "+service {
			t.Errorf("%s: %s", service, got)
		}
		if got := fault(h.IAM("DetachRolePolicy", params{"RoleName": role, "PolicyArn": arn})); !strings.HasPrefix(got, "UnmodifiableEntity") {
			t.Errorf("%s: %s", service, got)
		}
		if got := fault(h.IAM("DeleteServiceLinkedRole", params{"RoleName": role})); got != "" {
			t.Errorf("%s: %s", service, got)
		}
	}
}

// The owner of a service's role may describe and tag it, and nothing else.
func TestServiceLinkedRoleIsProtected(t *testing.T) {
	h, role := open(t), "AWSServiceRoleForECS"
	const protected = "UnmodifiableEntity: Cannot perform the operation on the protected role 'AWSServiceRoleForECS' - this role is only modifiable by AWS"
	run(t, h, []step{
		{"CreateServiceLinkedRole", params{"AWSServiceName": "ecs.amazonaws.com"}, ""},
		{"UpdateRole", params{"RoleName": role, "Description": "d"}, ""},
		{"UpdateRoleDescription", params{"RoleName": role, "Description": "e"}, ""},
		{"TagRole", params{"RoleName": role, "Tags.member.1.Key": "k", "Tags.member.1.Value": "v"}, ""},
		{"UntagRole", params{"RoleName": role, "TagKeys.member.1": "k"}, ""},
		{"UpdateRole", params{"RoleName": role, "MaxSessionDuration": "7200"}, protected},
		{"UpdateAssumeRolePolicy", params{"RoleName": role, "PolicyDocument": trustEC2}, protected},
		{"AttachRolePolicy", params{"RoleName": role, "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, protected},
		{"PutRolePolicy", params{"RoleName": role, "PolicyName": "p", "PolicyDocument": policyS3}, protected},
		{"PutRolePermissionsBoundary", params{"RoleName": role, "PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, protected},
		{"DeleteRole", params{"RoleName": role}, protected},
	})
}
