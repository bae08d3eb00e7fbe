package iam_test

import (
	"reflect"
	"strings"
	"testing"
)

func TestAccountAlias(t *testing.T) {
	h := open(t)
	run(t, h, []step{
		{"CreateAccountAlias", params{"AccountAlias": "-x-"}, "ValidationError"},
		{"CreateAccountAlias", params{"AccountAlias": "a--b"}, "ValidationError"},
		{"DeleteAccountAlias", params{"AccountAlias": "mine"}, "NoSuchEntity: The account alias with name mine cannot be found."},
		{"CreateAccountAlias", params{"AccountAlias": "mine"}, ""},
		{"CreateAccountAlias", params{"AccountAlias": "mine"}, "EntityAlreadyExists: The account alias mine already exists."},
		{"CreateAccountAlias", params{"AccountAlias": "other-1"}, ""}, // in place of the first
		{"DeleteAccountAlias", params{"AccountAlias": "mine"}, "NoSuchEntity"},
	})
	if got := h.IAM("ListAccountAliases", nil)["AccountAliases"]; !reflect.DeepEqual(got, []any{"other-1"}) {
		t.Error(got)
	}
	run(t, h, []step{
		{"DeleteAccountAlias", params{"AccountAlias": "other-1"}, ""},
		{"CreateAccountAlias", params{"AccountAlias": "mine"}, ""},
		{"DeleteAccountAlias", params{"AccountAlias": "mine"}, ""},
	})
	if got := h.IAM("ListAccountAliases", nil)["AccountAliases"]; !reflect.DeepEqual(got, []any{}) {
		t.Error(got)
	}
}

func TestAccountSummary(t *testing.T) {
	h := open(t)
	run(t, h, []step{
		{"CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": trustEC2}, ""},
		{"CreateGroup", params{"GroupName": "g"}, ""},
		{"CreatePolicy", params{"PolicyName": "p", "PolicyDocument": policyS3}, ""},
		{"CreatePolicyVersion", params{"PolicyArn": "arn:aws:iam::000000000000:policy/p", "PolicyDocument": policyS3}, ""},
	})
	m, _ := h.IAM("GetAccountSummary", nil)["SummaryMap"].(object)
	for key, want := range map[string]string{"Users": "1", "Roles": "1", "Groups": "1", "Policies": "1", "PolicyVersionsInUse": "2", "InstanceProfiles": "0",
		"AccessKeysPerUserQuota": "2", "PolicySizeQuota": "6144", "RolePolicySizeQuota": "10240", "AccountMFAEnabled": "0", "UsersQuota": "5000"} {
		if m[key] != want {
			t.Errorf("%s is %v, want %s", key, m[key], want)
		}
	}
}

func TestAuthorizationDetails(t *testing.T) {
	h := open(t)
	run(t, h, []step{
		{"CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": trustEC2, "Tags.member.1.Key": "k", "Tags.member.1.Value": "v"}, ""},
		{"CreateInstanceProfile", params{"InstanceProfileName": "ip"}, ""},
		{"AddRoleToInstanceProfile", params{"InstanceProfileName": "ip", "RoleName": "r"}, ""},
		{"PutRolePolicy", params{"RoleName": "r", "PolicyName": "inline", "PolicyDocument": policyS3}, ""},
		{"CreateUser", params{"UserName": "u"}, ""},
		{"CreateGroup", params{"GroupName": "g"}, ""},
		{"AddUserToGroup", params{"GroupName": "g", "UserName": "u"}, ""},
		{"CreatePolicy", params{"PolicyName": "p", "PolicyDocument": policyS3, "Description": "d"}, ""},
		{"CreatePolicyVersion", params{"PolicyArn": "arn:aws:iam::000000000000:policy/p", "PolicyDocument": policyS3}, ""},
		{"AttachGroupPolicy", params{"GroupName": "g", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, ""},
	})
	whole := h.IAM("GetAccountAuthorizationDetails", nil)
	roles, _ := whole["RoleDetailList"].([]any)
	if len(roles) != 1 {
		t.Fatal(whole)
	}
	role := roles[0].(object)
	if profiles := role["InstanceProfileList"].([]any); len(profiles) != 1 || role["Tags"].([]any)[0].(object)["Key"] != "k" {
		t.Error(role)
	}
	inline := role["RolePolicyList"].([]any)[0].(object)
	if inline["PolicyName"] != "inline" || inline["PolicyDocument"].(object)["Version"] != "2012-10-17" {
		t.Error(inline)
	}
	var names []string
	for _, list := range []struct{ member, name string }{{"UserDetailList", "UserName"}, {"GroupDetailList", "GroupName"}, {"Policies", "PolicyName"}} {
		for _, e := range whole[list.member].([]any) {
			names = append(names, e.(object)[list.name].(string))
		}
	}
	if got := strings.Join(names, " "); got != "admin u g p AdministratorAccess ReadOnlyAccess" {
		t.Error(got)
	}
	policies := whole["Policies"].([]any)
	if own := policies[0].(object); own["Description"] != "d" || len(own["PolicyVersionList"].([]any)) != 2 || own["PolicyVersionList"].([]any)[0].(object)["VersionId"] != "v2" {
		t.Error(own)
	}
	if read := policies[2].(object); read["AttachmentCount"] != 1.0 || len(read["PolicyVersionList"].([]any)) != 1 {
		t.Error(read)
	}
	// Pages go through all lists, one after the other.
	p, n := params{"MaxItems": "2", "Filter.member.1": "User", "Filter.member.2": "Role", "Filter.member.3": "AWSManagedPolicy"}, 0
	for range 10 {
		answer := h.IAM("GetAccountAuthorizationDetails", p)
		for _, list := range []string{"UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"} {
			n += len(answer[list].([]any))
		}
		if answer["IsTruncated"] != true {
			break
		}
		p["Marker"] = answer["Marker"].(string)
	}
	if n != 5 {
		t.Errorf("%d on all pages, want 5", n)
	}
}

func TestContextKeysOfPolicies(t *testing.T) {
	h := open(t)
	document := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username}","Condition":{"Bool":{"aws:SecureTransport":"true"}}}}`
	run(t, h, []step{
		{"CreateUser", params{"UserName": "u"}, ""},
		{"CreateGroup", params{"GroupName": "g"}, ""},
		{"AddUserToGroup", params{"GroupName": "g", "UserName": "u"}, ""},
		{"PutGroupPolicy", params{"GroupName": "g", "PolicyName": "p", "PolicyDocument": document}, ""},
		{"GetContextKeysForCustomPolicy", params{"PolicyInputList.member.1": "{"}, "InvalidInput"},
		{"GetContextKeysForPrincipalPolicy", params{"PolicySourceArn": "arn:aws:iam::000000000000:user/nobody"}, "NoSuchEntity: The user with name nobody cannot be found."},
	})
	extra := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}}`
	got := h.IAM("GetContextKeysForPrincipalPolicy", params{"PolicySourceArn": "arn:aws:iam::000000000000:user/u", "PolicyInputList.member.1": extra})["ContextKeyNames"]
	if want := []any{"aws:username", "aws:SecureTransport", "aws:SourceIp"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	got = h.IAM("GetContextKeysForCustomPolicy", params{"PolicyInputList.member.1": document})["ContextKeyNames"]
	if want := []any{"aws:username", "aws:SecureTransport"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	// The simulator names keys that it lacks as the policy has them.
	result := h.IAM("SimulateCustomPolicy", params{"PolicyInputList.member.1": extra, "ActionNames.member.1": "s3:GetObject"})
	if got := result["EvaluationResults"].([]any)[0].(object)["MissingContextValues"]; !reflect.DeepEqual(got, []any{"aws:SourceIp"}) {
		t.Error(got)
	}
}
