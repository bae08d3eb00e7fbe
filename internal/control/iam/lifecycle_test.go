package iam_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	control "github.com/lambdad/lambdad/internal/control/iam"
	"github.com/lambdad/lambdad/internal/control/iam/iamtest"
	stscontrol "github.com/lambdad/lambdad/internal/control/sts"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

func open(t *testing.T) *iamtest.House {
	return iamtest.Open(t, iam.ModeSigV4, control.Handlers, stscontrol.Handlers)
}

const policyS3 = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`

// fault is "Code: message" of an answer, "" when it succeeded.
func fault(answer object) string {
	e, ok := answer["Error"].(object)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%v: %v", e["Code"], e["Message"])
}

// step is one request with how its fault begins; "" must succeed.
type step struct {
	operation string
	params    params
	want      string
}

func run(t *testing.T, h *iamtest.House, steps []step) {
	t.Helper()
	for i, s := range steps {
		got := fault(h.IAM(s.operation, s.params))
		if s.want == "" && got != "" || !strings.HasPrefix(got, s.want) {
			t.Errorf("step %d, %s %v: %q, want %q", i, s.operation, s.params, got, s.want)
		}
	}
}

func TestLifecycles(t *testing.T) {
	const arn = "arn:aws:iam::000000000000:policy/p"
	user, role, group := params{"UserName": "u"}, params{"RoleName": "r"}, params{"GroupName": "g"}
	run(t, open(t), []step{
		{"GetUser", user, "NoSuchEntity: The user with name u cannot be found."},
		{"CreateUser", user, ""},
		{"CreateUser", params{"UserName": "U"}, "EntityAlreadyExists: User with name U already exists."},
		{"CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": "{"}, "MalformedPolicyDocument: This policy contains invalid Json"},
		{"CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": policyS3}, "MalformedPolicyDocument: Has prohibited field Resource"},
		{"CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": strings.Replace(trustEC2, `{"Service":"ec2.amazonaws.com"}`, `{"AWS":"arn:aws:iam::000000000000:user/nobody"}`, 1)}, `MalformedPolicyDocument: Invalid principal in policy: "AWS":"arn:aws:iam::000000000000:user/nobody"`},
		{"CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": trustEC2, "PermissionsBoundary": arn}, "NoSuchEntity: Scope ARN: " + arn},
		{"CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": trustEC2}, ""},
		{"CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": trustEC2}, "EntityAlreadyExists: Role with name r already exists."},
		{"AttachRolePolicy", params{"RoleName": "r", "PolicyArn": "arn:aws:iam::aws:policy/aws-service-role/AWSLambdaReplicator"}, "PolicyNotAttachable: Cannot attach a Service Role Policy to a Customer Role."},
		{"AttachRolePolicy", params{"RoleName": "r", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, ""},
		{"DetachRolePolicy", params{"RoleName": "r", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, ""},
		{"CreateGroup", group, ""},
		{"CreateGroup", group, "EntityAlreadyExists: Group with name g already exists."},
		{"CreatePolicy", params{"PolicyName": "p", "PolicyDocument": `{"Version":"2012-10-17"}`}, "MalformedPolicyDocument: Syntax errors in policy."},
		{"CreatePolicy", params{"PolicyName": "p", "PolicyDocument": policyS3}, ""},
		{"CreatePolicy", params{"PolicyName": "p", "PolicyDocument": policyS3}, "EntityAlreadyExists: A policy called p already exists. Duplicate names are not allowed."},
		{"CreatePolicy", params{"PolicyName": "big", "PolicyDocument": strings.Replace(policyS3, `"s3:*"`, `["s3:*"`+strings.Repeat(`,"s3:GetObject"`, 500)+`]`, 1)}, "LimitExceeded: Cannot exceed quota for PolicySize: 6144"},

		{"AttachUserPolicy", params{"UserName": "u", "PolicyArn": arn}, ""},
		{"AttachUserPolicy", params{"UserName": "u", "PolicyArn": arn}, ""},
		{"DeletePolicy", params{"PolicyArn": arn}, "DeleteConflict: Cannot delete a policy attached to entities."},
		{"DeleteUser", user, "DeleteConflict: Cannot delete entity, must detach all policies first."},
		{"DetachUserPolicy", params{"UserName": "u", "PolicyArn": arn}, ""},
		{"DetachUserPolicy", params{"UserName": "u", "PolicyArn": arn}, "NoSuchEntity: Policy " + arn + " was not found."},
		{"PutUserPolicy", params{"UserName": "u", "PolicyName": "i", "PolicyDocument": policyS3}, ""},
		{"GetUserPolicy", params{"UserName": "u", "PolicyName": "x"}, "NoSuchEntity: The user policy with name x cannot be found."},
		{"PutUserPolicy", params{"UserName": "u", "PolicyName": "j", "PolicyDocument": strings.Replace(policyS3, `"s3:*"`, `["s3:*"`+strings.Repeat(`,"s3:GetObject"`, 150)+`]`, 1)}, "LimitExceeded: Maximum policy size of 2048 bytes exceeded for user u"},
		{"DeleteUser", user, "DeleteConflict: Cannot delete entity, must delete policies first."},
		{"DeleteUserPolicy", params{"UserName": "u", "PolicyName": "i"}, ""},
		{"AddUserToGroup", params{"GroupName": "g", "UserName": "u"}, ""},
		{"DeleteUser", user, "DeleteConflict: Cannot delete entity, must remove users from group first."},
		{"DeleteGroup", group, "DeleteConflict: Cannot delete entity, must remove users from group first."},
		{"UpdateGroup", params{"GroupName": "g", "NewGroupName": "g2", "NewPath": "/x/"}, ""},
		{"UpdateUser", params{"UserName": "u", "NewUserName": "v"}, ""},
		{"GetUser", user, "NoSuchEntity"},
		{"RemoveUserFromGroup", params{"GroupName": "g2", "UserName": "v"}, ""},
		{"DeleteGroup", params{"GroupName": "g2"}, ""},
		{"CreateAccessKey", params{"UserName": "v"}, ""},
		{"CreateAccessKey", params{"UserName": "v"}, ""},
		{"CreateAccessKey", params{"UserName": "v"}, "LimitExceeded: Cannot exceed quota for AccessKeysPerUser: 2"},
		{"DeleteUser", params{"UserName": "v"}, "DeleteConflict: Cannot delete entity, must delete access keys first."},
		{"DeleteAccessKey", params{"UserName": "v", "AccessKeyId": "AKIAXXXXXXXXXXXXXXXX"}, "NoSuchEntity: The Access Key with id AKIAXXXXXXXXXXXXXXXX cannot be found."},

		{"CreatePolicyVersion", params{"PolicyArn": arn, "PolicyDocument": policyS3}, ""},
		{"CreatePolicyVersion", params{"PolicyArn": arn, "PolicyDocument": policyS3, "SetAsDefault": "true"}, ""},
		{"CreatePolicyVersion", params{"PolicyArn": arn, "PolicyDocument": policyS3}, ""},
		{"CreatePolicyVersion", params{"PolicyArn": arn, "PolicyDocument": policyS3}, ""},
		{"CreatePolicyVersion", params{"PolicyArn": arn, "PolicyDocument": policyS3}, "LimitExceeded: A managed policy can have up to 5 versions."},
		{"DeletePolicyVersion", params{"PolicyArn": arn, "VersionId": "v3"}, "DeleteConflict: Cannot delete the default version of a policy."},
		{"DeletePolicyVersion", params{"PolicyArn": arn, "VersionId": "v9"}, "NoSuchEntity: Policy " + arn + " version v9 does not exist"},
		{"SetDefaultPolicyVersion", params{"PolicyArn": arn, "VersionId": "v1"}, ""},
		{"DeletePolicy", params{"PolicyArn": arn}, "DeleteConflict: This policy has more than one version."},
		{"DeletePolicyVersion", params{"PolicyArn": arn, "VersionId": "v2"}, ""},
		{"DeletePolicyVersion", params{"PolicyArn": arn, "VersionId": "v3"}, ""},
		{"DeletePolicyVersion", params{"PolicyArn": arn, "VersionId": "v4"}, ""},
		{"DeletePolicyVersion", params{"PolicyArn": arn, "VersionId": "v5"}, ""},
		{"PutRolePermissionsBoundary", params{"RoleName": "r", "PermissionsBoundary": arn}, ""},
		{"DeletePolicy", params{"PolicyArn": arn}, "DeleteConflict: Cannot delete a policy attached to entities."},
		{"DeleteRolePermissionsBoundary", role, ""},
		{"DeletePolicy", params{"PolicyArn": arn}, ""},
		{"GetPolicy", params{"PolicyArn": arn}, "NoSuchEntity: Policy " + arn + " was not found."},
		{"CreatePolicyVersion", params{"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess", "PolicyDocument": policyS3}, "AccessDenied"},

		{"CreateInstanceProfile", params{"InstanceProfileName": "ip"}, ""},
		{"CreateInstanceProfile", params{"InstanceProfileName": "ip"}, "EntityAlreadyExists: Instance Profile ip already exists."},
		{"AddRoleToInstanceProfile", params{"InstanceProfileName": "ip", "RoleName": "r"}, ""},
		{"AddRoleToInstanceProfile", params{"InstanceProfileName": "ip", "RoleName": "r"}, "LimitExceeded: Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"},
		{"DeleteRole", role, "DeleteConflict: Cannot delete entity, must remove roles from instance profile first."},
		{"DeleteInstanceProfile", params{"InstanceProfileName": "ip"}, "DeleteConflict: Cannot delete entity, must remove roles from instance profile first."},
		{"RemoveRoleFromInstanceProfile", params{"InstanceProfileName": "ip", "RoleName": "r"}, ""},
		{"DeleteInstanceProfile", params{"InstanceProfileName": "ip"}, ""},
		{"GetInstanceProfile", params{"InstanceProfileName": "ip"}, "NoSuchEntity: Instance Profile ip cannot be found."},
		{"TagRole", params{"RoleName": "r", "Tags.member.1.Key": "a", "Tags.member.1.Value": "1", "Tags.member.2.Key": "A", "Tags.member.2.Value": "1"}, "InvalidInput: Duplicate tag keys found."},
		{"UpdateRole", params{"RoleName": "r", "MaxSessionDuration": "43201"}, "ValidationError"},
		{"UpdateRole", params{"RoleName": "r", "MaxSessionDuration": "43200", "Description": "d"}, ""},
		{"DeleteRole", role, ""},
		{"DeleteRole", role, "NoSuchEntity: The role with name r cannot be found."},

		{"CreateServiceLinkedRole", params{"AWSServiceName": "ecs.amazonaws.com"}, ""},
		{"CreateServiceLinkedRole", params{"AWSServiceName": "ecs.amazonaws.com"}, "InvalidInput: Service role name AWSServiceRoleForECS has been taken in this account"},
		{"CreateServiceLinkedRole", params{"AWSServiceName": "nothing.amazonaws.com"}, "InvalidInput"},
		{"DeleteRole", params{"RoleName": "AWSServiceRoleForECS"}, "UnmodifiableEntity: Cannot perform the operation on the protected role 'AWSServiceRoleForECS'"},
		{"GetServiceLinkedRoleDeletionStatus", params{"DeletionTaskId": "task/x"}, "NoSuchEntity"},
		{"ListServiceSpecificCredentials", params{"UserName": "nobody", "ServiceName": "lambda.amazonaws.com"}, "NoSuchEntity: The user with name nobody cannot be found."},
		{"ListServiceSpecificCredentials", params{"UserName": "admin", "ServiceName": "lambda.amazonaws.com"}, "NoSuchEntity: No such service lambda.amazonaws.com is supported for Service Specific Credentials"},
		{"ListServiceSpecificCredentials", params{"UserName": "admin", "ServiceName": "cassandra.amazonaws.com"}, ""},
		{"ListSSHPublicKeys", params{"UserName": "admin"}, ""},
		{"ListMFADevices", params{"UserName": "nobody"}, "NoSuchEntity: The user with name nobody cannot be found."},
		{"DeleteLoginProfile", params{"UserName": "admin"}, "NoSuchEntity: Login Profile for User admin cannot be found."},
		{"ListAccountAliases", params{}, ""},
		{"ListRoles", params{"Marker": "%%%"}, "ValidationError: Invalid Marker."},
		{"ListRoles", params{"Marker": "zzz"}, "ValidationError: Invalid Marker."}, // base64, but none of ours
		{"SimulatePrincipalPolicy", params{"PolicySourceArn": "arn:aws:iam::000000000000:user/admin", "ActionNames.member.1": "nonsense"}, "InvalidInput"},
	})
}

func TestRoleReadsBackWhatWasWritten(t *testing.T) {
	h := open(t)
	trust := "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [{\"Effect\": \"Allow\", \"Principal\": {\"Service\": \"lambda.amazonaws.com\"}, \"Action\": \"sts:AssumeRole\"}]\n}"
	h.IAM("CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": trust, "Description": "d", "MaxSessionDuration": "7200", "PermissionsBoundary": "arn:aws:iam::aws:policy/PowerUserAccess", "Tags.member.1.Key": "k", "Tags.member.1.Value": "v"})
	r, _ := h.IAM("GetRole", params{"RoleName": "r"})["Role"].(object)
	b, _ := r["PermissionsBoundary"].(object)
	if r["Description"] != "d" || r["MaxSessionDuration"] != 7200.0 || b["PermissionsBoundaryArn"] != "arn:aws:iam::aws:policy/PowerUserAccess" || b["PermissionsBoundaryType"] != "Policy" {
		t.Errorf("%v", r)
	}
	if id, _ := r["RoleId"].(string); len(id) != 21 || !strings.HasPrefix(id, "AROA") {
		t.Errorf("id %q", id)
	}
}

// CreateRole answers a trust policy as it was given; all others tell who is trusted.
func TestTrustReadsBack(t *testing.T) {
	h := open(t)
	given := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["000000000000"],"Service":["ec2.amazonaws.com"]},"Action":["sts:AssumeRole"]}]}`
	read := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root","Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	document := func(text string) any {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	created, _ := h.IAM("CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": given})["Role"].(object)
	got, _ := h.IAM("GetRole", params{"RoleName": "r"})["Role"].(object)
	roles, _ := h.IAM("ListRoles", nil)["Roles"].([]any)
	details, _ := h.IAM("GetAccountAuthorizationDetails", params{"Filter.member.1": "Role"})["RoleDetailList"].([]any)
	for _, test := range []struct {
		role any
		want string
	}{{created, given}, {got, read}, {roles[0], read}, {details[0], read}} {
		if doc := test.role.(object)["AssumeRolePolicyDocument"]; !reflect.DeepEqual(doc, document(test.want)) {
			t.Errorf("%v, want %s", doc, test.want)
		}
	}
	h.IAM("CreateServiceLinkedRole", params{"AWSServiceName": "ecs.amazonaws.com"})
	linked, _ := h.IAM("GetRole", params{"RoleName": "AWSServiceRoleForECS"})["Role"].(object)
	if doc := linked["AssumeRolePolicyDocument"]; !reflect.DeepEqual(doc, document(`{"Version":"2012-10-17","Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":"ecs.amazonaws.com"}}]}`)) {
		t.Errorf("%v", doc)
	}
}

func TestPages(t *testing.T) {
	h := open(t)
	for i := range 7 {
		h.IAM("CreateUser", params{"UserName": fmt.Sprintf("User%d", i), "Path": fmt.Sprintf("/p%d/", i%2)})
	}
	var names []string
	p := params{"MaxItems": "2", "PathPrefix": "/p"}
	for range 10 {
		answer := h.IAM("ListUsers", p)
		users, _ := answer["Users"].([]any)
		for _, u := range users {
			names = append(names, u.(object)["UserName"].(string))
		}
		if answer["IsTruncated"] == false {
			break
		}
		p["Marker"] = answer["Marker"].(string)
	}
	if got := strings.Join(names, ","); got != "User0,User1,User2,User3,User4,User5,User6" {
		t.Error(got)
	}
	if users, _ := h.IAM("ListUsers", params{"PathPrefix": "/p1/"})["Users"].([]any); len(users) != 3 {
		t.Errorf("%d users under /p1/", len(users))
	}
	if policies, _ := h.IAM("ListPolicies", params{"Scope": "AWS", "OnlyAttached": "true"})["Policies"].([]any); len(policies) != 1 {
		t.Errorf("%d attached AWS policies, want the administrator's", len(policies))
	}
	entities := h.IAM("ListEntitiesForPolicy", params{"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"})
	if users, _ := entities["PolicyUsers"].([]any); len(users) != 1 {
		t.Errorf("%v", entities)
	}
}

func newUser(t *testing.T, h *iamtest.House, name string) sigv4.Credentials {
	t.Helper()
	h.IAM("CreateUser", params{"UserName": name})
	k, ok := h.IAM("CreateAccessKey", params{"UserName": name})["AccessKey"].(object)
	if !ok {
		t.Fatal("no access key")
	}
	return sigv4.Credentials{AccessKeyID: k["AccessKeyId"].(string), SecretAccessKey: k["SecretAccessKey"].(string)}
}

// A trust policy goes on meaning the user that it named, not the next one of that name.
func TestTrustEndsWithItsPrincipal(t *testing.T) {
	h := open(t)
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/u"},"Action":"sts:AssumeRole"}]}`
	assume := params{"RoleArn": "arn:aws:iam::000000000000:role/r", "RoleSessionName": "session"}
	shown := func() string {
		r, _ := h.IAM("GetRole", params{"RoleName": "r"})["Role"].(object)
		return fmt.Sprint(r["AssumeRolePolicyDocument"])
	}
	const named = "Principal:map[AWS:arn:aws:iam::000000000000:user/u]"
	first := newUser(t, h, "u")
	run(t, h, []step{{"CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": trust}, ""}})
	if got := fault(h.As(first, "sts", "AssumeRole", assume)); got != "" || !strings.Contains(shown(), named) {
		t.Fatalf("%s %s", got, shown())
	}
	u, _ := h.IAM("GetUser", params{"UserName": "u"})["User"].(object)
	run(t, h, []step{
		{"DeleteAccessKey", params{"UserName": "u", "AccessKeyId": first.AccessKeyID}, ""},
		{"DeleteUser", params{"UserName": "u"}, ""},
	})
	if want := fmt.Sprintf("AWS:%s]", u["UserId"]); !strings.Contains(shown(), want) {
		t.Errorf("shown is %s without %s", shown(), want)
	}
	second := newUser(t, h, "u")
	if got := fault(h.As(second, "sts", "AssumeRole", assume)); !strings.HasPrefix(got, "AccessDenied") {
		t.Errorf("the next user of that name: %q", got)
	}
	run(t, h, []step{{"UpdateAssumeRolePolicy", params{"RoleName": "r", "PolicyDocument": trust}, ""}})
	if got := fault(h.As(second, "sts", "AssumeRole", assume)); got != "" || !strings.Contains(shown(), named) {
		t.Errorf("after it is named anew: %s %s", got, shown())
	}
}

// TestAuthorization: what an operation acts on, and the conditions it brings.
func TestAuthorization(t *testing.T) {
	h := open(t)
	h.IAM("CreateRole", params{"RoleName": "app", "Path": "/team/", "AssumeRolePolicyDocument": trustEC2, "Tags.member.1.Key": "team", "Tags.member.1.Value": "red"})
	h.IAM("CreateInstanceProfile", params{"InstanceProfileName": "ip"})
	tests := []struct {
		statement, operation string
		params               params
		allowed              bool
	}{
		{`"Action":"iam:GetRole","Resource":"arn:aws:iam::000000000000:role/team/app"`, "GetRole", params{"RoleName": "app"}, true},
		{`"Action":"iam:GetRole","Resource":"arn:aws:iam::000000000000:role/app"`, "GetRole", params{"RoleName": "app"}, false},
		{`"Action":"iam:GetRole","Resource":"arn:aws:iam::000000000000:role/*"`, "GetUser", params{"UserName": "admin"}, false},
		{`"Action":"iam:GetUser","Resource":"arn:aws:iam::000000000000:user/${aws:username}"`, "GetUser", params{}, true},
		{`"Action":"iam:GetUser","Resource":"arn:aws:iam::000000000000:user/${aws:username}"`, "GetUser", params{"UserName": "admin"}, false},
		{`"Action":"iam:CreateAccessKey","Resource":"arn:aws:iam::000000000000:user/${aws:username}"`, "CreateAccessKey", params{}, true},
		{`"Action":"iam:CreateRole","Resource":"*"`, "CreateRole", params{"RoleName": "t1", "AssumeRolePolicyDocument": trustEC2, "Tags.member.1.Key": "env", "Tags.member.1.Value": "x"}, false},
		{`"Action":["iam:CreateRole","iam:TagRole"],"Resource":"*"`, "CreateRole", params{"RoleName": "t2", "AssumeRolePolicyDocument": trustEC2, "Tags.member.1.Key": "env", "Tags.member.1.Value": "x"}, true},
		{`"Action":"iam:CreateRole","Resource":"arn:aws:iam::000000000000:role/new/*"`, "CreateRole", params{"RoleName": "n", "Path": "/new/", "AssumeRolePolicyDocument": trustEC2}, true},
		{`"Action":"iam:CreateRole","Resource":"*","Condition":{"StringEquals":{"iam:PermissionsBoundary":"arn:aws:iam::aws:policy/PowerUserAccess"}}`, "CreateRole", params{"RoleName": "n1", "AssumeRolePolicyDocument": trustEC2}, false},
		{`"Action":"iam:CreateRole","Resource":"*","Condition":{"StringEquals":{"iam:PermissionsBoundary":"arn:aws:iam::aws:policy/PowerUserAccess"}}`, "CreateRole", params{"RoleName": "n2", "AssumeRolePolicyDocument": trustEC2, "PermissionsBoundary": "arn:aws:iam::aws:policy/PowerUserAccess"}, true},
		{`"Action":"iam:AttachRolePolicy","Resource":"*","Condition":{"ArnEquals":{"iam:PolicyARN":"arn:aws:iam::aws:policy/AmazonS3*"}}`, "AttachRolePolicy", params{"RoleName": "app", "PolicyArn": "arn:aws:iam::aws:policy/AmazonS3FullAccess"}, true},
		{`"Action":"iam:AttachRolePolicy","Resource":"*","Condition":{"ArnEquals":{"iam:PolicyARN":"arn:aws:iam::aws:policy/AmazonS3*"}}`, "AttachRolePolicy", params{"RoleName": "app", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}, false},
		{`"Action":"iam:UpdateRoleDescription","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}`, "UpdateRoleDescription", params{"RoleName": "app", "Description": "x"}, true},
		{`"Action":"iam:UpdateRoleDescription","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"blue"}}`, "UpdateRoleDescription", params{"RoleName": "app", "Description": "x"}, false},
		{`"Action":"iam:TagRole","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["env"]}}`, "TagRole", params{"RoleName": "app", "Tags.member.1.Key": "env", "Tags.member.1.Value": "x"}, true},
		{`"Action":"iam:TagRole","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["env"]}}`, "TagRole", params{"RoleName": "app", "Tags.member.1.Key": "other", "Tags.member.1.Value": "x"}, false},
		{`"Action":"iam:AddRoleToInstanceProfile","Resource":"*"`, "AddRoleToInstanceProfile", params{"InstanceProfileName": "ip", "RoleName": "app"}, false},
		{`"Action":["iam:AddRoleToInstanceProfile","iam:PassRole"],"Resource":"*"`, "AddRoleToInstanceProfile", params{"InstanceProfileName": "ip", "RoleName": "app"}, true},
		{`"Action":"iam:CreateServiceLinkedRole","Resource":"*","Condition":{"StringLike":{"iam:AWSServiceName":"ecs.*"}}`, "CreateServiceLinkedRole", params{"AWSServiceName": "rds.amazonaws.com"}, false},
		{`"Action":"iam:CreateServiceLinkedRole","Resource":"*","Condition":{"StringLike":{"iam:AWSServiceName":"ecs.*"}}`, "CreateServiceLinkedRole", params{"AWSServiceName": "ecs.amazonaws.com"}, true},
		{`"Action":"iam:GetPolicy","Resource":"arn:aws:iam::aws:policy/*"`, "GetPolicy", params{"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}, true},
		{`"Action":"s3:*","Resource":"*"`, "ListUsers", params{}, false},
	}
	for i, test := range tests {
		name := fmt.Sprintf("u%d", i)
		cred := newUser(t, h, name)
		if f := fault(h.IAM("PutUserPolicy", params{"UserName": name, "PolicyName": "p", "PolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + test.statement + `}]}`})); f != "" {
			t.Fatal(f)
		}
		got := fault(h.As(cred, "iam", test.operation, test.params))
		if denied := strings.HasPrefix(got, "AccessDenied"); denied == test.allowed || test.allowed && got != "" {
			t.Errorf("%s with %s: %q", test.operation, test.statement, got)
		}
	}
}

// Writers of one record at once: none is lost.
func TestConcurrentWriters(t *testing.T) {
	h := open(t)
	h.IAM("CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": trustEC2})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if f := fault(h.IAM("PutRolePolicy", params{"RoleName": "r", "PolicyName": fmt.Sprintf("p%d", i), "PolicyDocument": policyS3})); f != "" {
				t.Error(f)
			}
		}()
	}
	wg.Wait()
	if names, _ := h.IAM("ListRolePolicies", params{"RoleName": "r"})["PolicyNames"].([]any); len(names) != 8 {
		t.Errorf("%v", names)
	}
}
