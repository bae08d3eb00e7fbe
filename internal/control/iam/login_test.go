package iam_test

import (
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

func TestLoginProfiles(t *testing.T) {
	h := open(t)
	login := func(password string) params { return params{"UserName": "u", "Password": password} }
	run(t, h, []step{
		{"CreateLoginProfile", login("abcD1234"), "NoSuchEntity: The user with name u cannot be found."},
		{"CreateUser", params{"UserName": "u"}, ""},
		{"GetLoginProfile", params{"UserName": "u"}, "NoSuchEntity: Login Profile for User u cannot be found."},
		{"UpdateLoginProfile", login("abcD1234"), "NoSuchEntity: Login Profile for User u cannot be found."},
		{"DeleteLoginProfile", params{"UserName": "u"}, "NoSuchEntity: Login Profile for User u cannot be found."},
		{"CreateLoginProfile", params{"UserName": "u"}, "ValidationError"},
		{"CreateLoginProfile", login("abcD123"), "PasswordPolicyViolation: Password does not conform to the account password policy."},
		{"CreateLoginProfile", login("abcd1234"), "PasswordPolicyViolation"}, // two kinds of characters
		{"CreateLoginProfile", params{"UserName": "u", "Password": "abcD1234", "PasswordResetRequired": "true"}, ""},
		{"CreateLoginProfile", login("abcD1234"), "EntityAlreadyExists: Login Profile for user u already exists."},
		{"DeleteUser", params{"UserName": "u"}, "DeleteConflict: Cannot delete entity, must delete login profile first."},
		{"UpdateLoginProfile", login("short"), "PasswordPolicyViolation"},
	})
	p, _ := h.IAM("GetLoginProfile", params{"UserName": "u"})["LoginProfile"].(object)
	if p["UserName"] != "u" || p["PasswordResetRequired"] != true || p["CreateDate"] == nil {
		t.Error(p)
	}
	run(t, h, []step{
		{"UpdateLoginProfile", params{"UserName": "u", "PasswordResetRequired": "false"}, ""},
		{"UpdateLoginProfile", login("abcd_1234"), ""},
		{"DeleteLoginProfile", params{"UserName": "u"}, ""},
		{"DeleteUser", params{"UserName": "u"}, ""},
		{"ChangePassword", params{"OldPassword": "x", "NewPassword": "y"}, "NoSuchEntity: Login Profile for User admin cannot be found."},
	})
}

func TestPasswordPolicy(t *testing.T) {
	h := open(t)
	run(t, h, []step{
		{"GetAccountPasswordPolicy", nil, "NoSuchEntity: The Password Policy with domain name 000000000000 cannot be found."},
		{"DeleteAccountPasswordPolicy", nil, "NoSuchEntity: The account policy with name PasswordPolicy cannot be found."},
		{"UpdateAccountPasswordPolicy", params{"MinimumPasswordLength": "5"}, "ValidationError"},
		{"UpdateAccountPasswordPolicy", params{"PasswordReusePrevention": "25"}, "ValidationError"},
		{"UpdateAccountPasswordPolicy", nil, ""},
	})
	p, _ := h.IAM("GetAccountPasswordPolicy", nil)["PasswordPolicy"].(object)
	if p["MinimumPasswordLength"] != 6.0 || p["ExpirePasswords"] != false || p["RequireSymbols"] != false || p["AllowUsersToChangePassword"] != false || len(p) != 7 {
		t.Error(p)
	}
	run(t, h, []step{
		{"UpdateAccountPasswordPolicy", params{"MinimumPasswordLength": "10", "RequireSymbols": "true", "RequireNumbers": "true", "RequireUppercaseCharacters": "true",
			"RequireLowercaseCharacters": "true", "MaxPasswordAge": "90", "PasswordReusePrevention": "2", "HardExpiry": "true"}, ""},
		{"CreateUser", params{"UserName": "u"}, ""},
		{"CreateLoginProfile", params{"UserName": "u", "Password": "abc_D1234"}, "PasswordPolicyViolation: Password should have a minimum length of 10"},
		{"CreateLoginProfile", params{"UserName": "u", "Password": "abc_d12345"}, "PasswordPolicyViolation: Password should have at least one uppercase letter"},
		{"CreateLoginProfile", params{"UserName": "u", "Password": "ABC_D12345"}, "PasswordPolicyViolation: Password should have at least one lowercase letter"},
		{"CreateLoginProfile", params{"UserName": "u", "Password": "abcdD_efgh"}, "PasswordPolicyViolation: Password should have at least one number"},
		{"CreateLoginProfile", params{"UserName": "u", "Password": "abcdD12345"}, "PasswordPolicyViolation: Password should have at least one symbol"},
		{"CreateLoginProfile", params{"UserName": "u", "Password": "abc_D12345"}, ""},
		{"UpdateLoginProfile", params{"UserName": "u", "Password": "abc_D12345"}, "PasswordPolicyViolation: Password cannot be one of the previously used passwords"},
		{"UpdateLoginProfile", params{"UserName": "u", "Password": "abc_D12346"}, ""},
		{"UpdateLoginProfile", params{"UserName": "u", "Password": "abc_D12345"}, "PasswordPolicyViolation"},
		{"UpdateLoginProfile", params{"UserName": "u", "Password": "abc_D12347"}, ""},
		{"UpdateLoginProfile", params{"UserName": "u", "Password": "abc_D12345"}, ""}, // the last two only
	})
	p, _ = h.IAM("GetAccountPasswordPolicy", nil)["PasswordPolicy"].(object)
	if p["MaxPasswordAge"] != 90.0 || p["ExpirePasswords"] != true || p["PasswordReusePrevention"] != 2.0 || p["HardExpiry"] != true {
		t.Error(p)
	}
	run(t, h, []step{{"DeleteAccountPasswordPolicy", nil, ""}, {"UpdateLoginProfile", params{"UserName": "u", "Password": "abcD1234"}, ""}})
}

// Users change their own passwords where the account lets them all, and nobody denies it.
func TestChangePassword(t *testing.T) {
	h := open(t)
	bob := newUser(t, h, "bob")
	h.IAM("CreateLoginProfile", params{"UserName": "bob", "Password": "abcD1234", "PasswordResetRequired": "true"})
	change := func(cred sigv4.Credentials, from, to string) string {
		return fault(h.As(cred, "iam", "ChangePassword", params{"OldPassword": from, "NewPassword": to}))
	}
	if got := change(bob, "abcD1234", "abcD12345"); !strings.HasPrefix(got, "AccessDenied: User: arn:aws:iam::000000000000:user/bob is not authorized to perform: iam:ChangePassword on resource: arn:aws:iam::000000000000:user/bob") {
		t.Error(got)
	}
	h.IAM("UpdateAccountPasswordPolicy", params{"AllowUsersToChangePassword": "true", "RequireNumbers": "true"})
	if got := change(bob, "wrong", "abcD12345"); got != "AccessDenied: The old password was incorrect." {
		t.Error(got)
	}
	if got := change(bob, "abcD1234", "abcDefgh"); got != "PasswordPolicyViolation: Password should have at least one number" {
		t.Error(got)
	}
	if got := change(bob, "abcD1234", "new123"); got != "" {
		t.Error(got)
	}
	if p, _ := h.IAM("GetLoginProfile", params{"UserName": "bob"})["LoginProfile"].(object); p["PasswordResetRequired"] != false {
		t.Error(p)
	}
	if got := change(bob, "abcD1234", "new1234"); got != "AccessDenied: The old password was incorrect." {
		t.Error(got)
	}
	h.IAM("PutUserPolicy", params{"UserName": "bob", "PolicyName": "p", "PolicyDocument": `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iam:ChangePassword","Resource":"*"}}`})
	if got := change(bob, "new123", "new1234"); !strings.Contains(got, "explicit deny") {
		t.Error(got)
	}
}
