package sts_test

import (
	"maps"
	"strings"
	"testing"

	iamcontrol "github.com/lambdad/lambdad/internal/control/iam"
	"github.com/lambdad/lambdad/internal/control/iam/iamtest"
	control "github.com/lambdad/lambdad/internal/control/sts"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
	"github.com/lambdad/lambdad/test/recorded"
)

type (
	object = iamtest.Object
	params = iamtest.Params
)

func open(t *testing.T) *iamtest.House {
	return iamtest.Open(t, iam.ModeSigV4, iamcontrol.Handlers, control.Handlers)
}

const trustAccount = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}]}`

const roleARN = "arn:aws:iam::000000000000:role/r"

// play makes the requests that the labels of a case tell.
func play(h *iamtest.House, c recorded.Case) object {
	out := object{}
	switch c.Function() {
	case "test_assume_role":
		out["create-role"] = h.IAM("CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": trustAccount})
		out["role-session-name"] = object{"RoleSessionName": "session"} // what the test noted of its own request
		out["assume-role"] = h.STS("AssumeRole", params{"RoleArn": roleARN, "RoleSessionName": "session"})
	case "test_assume_role_tag_validation":
		trust := strings.Replace(trustAccount, `"sts:AssumeRole"`, `["sts:AssumeRole","sts:TagSession"]`, 1)
		out["role-1"] = h.IAM("CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": trust})
		out["invalid-transitive-tag-keys"] = h.STS("AssumeRole", params{"RoleArn": roleARN, "RoleSessionName": "session",
			"Tags.member.1.Key": "a", "Tags.member.1.Value": "1", "TransitiveTagKeys.member.1": "b"})
		out["duplicate-tag-keys-different-casing"] = h.STS("AssumeRole", params{"RoleArn": roleARN, "RoleSessionName": "session",
			"Tags.member.1.Key": "a", "Tags.member.1.Value": "1", "Tags.member.2.Key": "A", "Tags.member.2.Value": "2"})
	case "test_get_federation_token":
		out["get-federation-token"] = h.STS("GetFederationToken", params{"Name": "federated", "DurationSeconds": "900"})
	}
	return out
}

// TestRecorded compares with what AWS answered; every recorded case of STS is played.
func TestRecorded(t *testing.T) {
	suite := recorded.Suite{Service: "STS", File: "testdata/recorded.json", Account: "000000000000", Region: "us-east-1"}
	suite.Run(t, func(t *testing.T, c recorded.Case) map[string]any {
		return play(open(t), c)
	})
}

func credentialsOf(t *testing.T, answer object) sigv4.Credentials {
	t.Helper()
	c, ok := answer["Credentials"].(object)
	if !ok {
		t.Fatalf("no credentials: %v", answer)
	}
	return sigv4.Credentials{AccessKeyID: c["AccessKeyId"].(string), SecretAccessKey: c["SecretAccessKey"].(string), SessionToken: c["SessionToken"].(string)}
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

func codeOf(answer object) string {
	e, _ := answer["Error"].(object)
	code, _ := e["Code"].(string)
	return code
}

func TestCallerIdentity(t *testing.T) {
	h := open(t)
	h.IAM("CreateRole", params{"RoleName": "r", "Path": "/p/", "AssumeRolePolicyDocument": trustAccount})
	role := credentialsOf(t, h.STS("AssumeRole", params{"RoleArn": "arn:aws:iam::000000000000:role/p/r", "RoleSessionName": "ss"}))
	bob := newUser(t, h, "bob")
	session := credentialsOf(t, h.As(bob, "sts", "GetSessionToken", nil))
	federated := credentialsOf(t, h.STS("GetFederationToken", params{"Name": "fed"}))
	for _, test := range []struct {
		cred sigv4.Credentials
		arn  string
	}{
		{h.Admin, "arn:aws:iam::000000000000:user/admin"},
		{bob, "arn:aws:iam::000000000000:user/bob"},
		{session, "arn:aws:iam::000000000000:user/bob"},
		{role, "arn:aws:sts::000000000000:assumed-role/r/ss"},
		{federated, "arn:aws:sts::000000000000:federated-user/fed"},
	} {
		got := h.As(test.cred, "sts", "GetCallerIdentity", nil)
		if got["Arn"] != test.arn || got["Account"] != "000000000000" || got["UserId"] == "" {
			t.Errorf("%v, want %s", got, test.arn)
		}
		info := h.STS("GetAccessKeyInfo", params{"AccessKeyId": test.cred.AccessKeyID})
		if info["Account"] != "000000000000" {
			t.Errorf("%v", info)
		}
	}
	for _, cred := range []sigv4.Credentials{session, role, federated} {
		if got := codeOf(h.As(cred, "sts", "GetSessionToken", nil)); got != "AccessDenied" {
			t.Errorf("a session of a session: %s", got)
		}
	}
}

func TestDecodeAuthorizationMessage(t *testing.T) {
	h := open(t)
	bob := newUser(t, h, "bob")
	if got := codeOf(h.STS("DecodeAuthorizationMessage", params{"EncodedMessage": "made-up"})); got != "InvalidAuthorizationMessageException" {
		t.Error(got)
	}
	if got := codeOf(h.As(bob, "sts", "DecodeAuthorizationMessage", params{"EncodedMessage": "made-up"})); got != "AccessDenied" {
		t.Error(got)
	}
}

func TestAssumeRole(t *testing.T) {
	h := open(t)
	bob, eve := newUser(t, h, "bob"), newUser(t, h, "eve")
	role := func(name, statement string) string {
		answer := h.IAM("CreateRole", params{"RoleName": name, "AssumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":[` + statement + `]}`, "MaxSessionDuration": "7200"})
		if code := codeOf(answer); code != "" {
			t.Fatal(name, answer)
		}
		return "arn:aws:iam::000000000000:role/" + name
	}
	byUser := role("byuser", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/bob"},"Action":"sts:AssumeRole"}`)
	byAccount := role("byaccount", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"sts:AssumeRole"}`)
	external := role("external", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/bob"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"ex"}}}`)
	service := role("service", `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`)
	h.IAM("PutUserPolicy", params{"UserName": "eve", "PolicyName": "p", "PolicyDocument": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"` + byAccount + `"}}`})
	tests := []struct {
		name string
		cred sigv4.Credentials
		p    params
		want string
	}{
		{"named", bob, params{"RoleArn": byUser}, ""},
		{"not named", eve, params{"RoleArn": byUser}, "AccessDenied"},
		{"the account, and nothing of one's own", bob, params{"RoleArn": byAccount}, "AccessDenied"},
		{"the account, and one's own policy", eve, params{"RoleArn": byAccount}, ""},
		{"service only", h.Admin, params{"RoleArn": service}, "AccessDenied"},
		{"no such role", h.Admin, params{"RoleArn": "arn:aws:iam::000000000000:role/none"}, "AccessDenied"},
		{"condition", bob, params{"RoleArn": external}, "AccessDenied"},
		{"condition met", bob, params{"RoleArn": external, "ExternalId": "ex"}, ""},
		{"tags need sts:TagSession", bob, params{"RoleArn": byUser, "Tags.member.1.Key": "a", "Tags.member.1.Value": "b"}, "AccessDenied"},
		{"long", bob, params{"RoleArn": byUser, "DurationSeconds": "7200"}, ""},
		{"too long", bob, params{"RoleArn": byUser, "DurationSeconds": "7201"}, "ValidationError"},
		{"too short", bob, params{"RoleArn": byUser, "DurationSeconds": "899"}, "ValidationError"},
		{"no arn", bob, params{"RoleArn": "this-is-no-arn-at-all"}, "ValidationError"},
		{"a session name, and nobody's role", bob, params{"RoleArn": "arn:aws:iam::000000000000:role/none", "RoleSessionName": "a%b"}, "ValidationError"},
		{"session name", bob, params{"RoleArn": byUser, "RoleSessionName": "a b"}, "ValidationError"},
		{"bad policy", bob, params{"RoleArn": byUser, "Policy": "{}"}, "MalformedPolicyDocument"},
		{"policy", bob, params{"RoleArn": byUser, "Policy": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:GetRole","Resource":"*"}}`}, ""},
		{"policy arn", bob, params{"RoleArn": byUser, "PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/IAMReadOnlyAccess"}, ""},
	}
	for _, test := range tests {
		p := params{"RoleSessionName": "session"}
		maps.Copy(p, test.p)
		answer := h.As(test.cred, "sts", "AssumeRole", p)
		if got := codeOf(answer); got != test.want {
			t.Errorf("%s: %v, want %q", test.name, answer, test.want)
		}
	}
}

// A session policy only takes away, and chained roles live an hour at most.
func TestSessionPolicies(t *testing.T) {
	h := open(t)
	h.IAM("CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": trustAccount})
	h.IAM("AttachRolePolicy", params{"RoleName": "r", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"})
	whole := credentialsOf(t, h.STS("AssumeRole", params{"RoleArn": roleARN, "RoleSessionName": "ss"}))
	narrow := credentialsOf(t, h.STS("AssumeRole", params{"RoleArn": roleARN, "RoleSessionName": "ss",
		"Policy": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:GetRole","Resource":"*"}}`}))
	if got := codeOf(h.As(whole, "iam", "ListRoles", nil)); got != "" {
		t.Error(got)
	}
	if got := codeOf(h.As(narrow, "iam", "GetRole", params{"RoleName": "r"})); got != "" {
		t.Error(got)
	}
	denied := h.As(narrow, "iam", "ListRoles", nil)
	e, _ := denied["Error"].(object)
	want := "User: arn:aws:sts::000000000000:assumed-role/r/ss is not authorized to perform: iam:ListRoles on resource: arn:aws:iam::000000000000:role/ because no session policy allows the iam:ListRoles action"
	if e["Code"] != "AccessDenied" || e["Message"] != want {
		t.Errorf("%v", denied)
	}
	if got := codeOf(h.As(whole, "sts", "AssumeRole", params{"RoleArn": roleARN, "RoleSessionName": "ss", "DurationSeconds": "3601"})); got != "ValidationError" {
		t.Errorf("chained for more than an hour: %s", got)
	}
	if got := codeOf(h.As(whole, "sts", "AssumeRole", params{"RoleArn": roleARN, "RoleSessionName": "ss"})); got != "" {
		t.Errorf("chained: %s", got)
	}
}
