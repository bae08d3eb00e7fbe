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
