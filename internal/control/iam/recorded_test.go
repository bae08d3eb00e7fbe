package iam_test

import (
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/control/iam/iamtest"
	"github.com/lambdad/lambdad/test/recorded"
)

type (
	object = iamtest.Object
	params = iamtest.Params
)

const trustEC2 = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

// play makes the requests that the labels of a case tell, and returns the
// answers by label.
func play(h *iamtest.House, c recorded.Case) object {
	parameter, out := c.Parameter(), object{}
	switch c.Function() {
	case "test_list_roles_with_permission_boundary":
		out["created_role"] = h.IAM("CreateRole", params{"RoleName": "r", "Path": "/prefix/", "AssumeRolePolicyDocument": trustEC2})
		h.IAM("PutRolePermissionsBoundary", params{"RoleName": "r", "PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"})
		out["list_roles_result"] = h.IAM("ListRoles", params{"PathPrefix": "/prefix/"})
	case "test_role_attach_policy":
		h.IAM("CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": trustEC2})
		playAttach(h, out, "AttachRolePolicy", "RoleName", "r")
	case "test_user_attach_policy":
		h.IAM("CreateUser", params{"UserName": "u"})
		playAttach(h, out, "AttachUserPolicy", "UserName", "u")
	case "test_simulate_principle_policy":
		out["response"] = playSimulate(h, parameter)
	case "test_update_assume_role_policy":
		trust := `{"Version":"2012-10-17","Statement":[{"Action":["sts:AssumeRole"],"Effect":"Allow","Principal":{"Service":["ec2.amazonaws.com"]}}]}`
		out["created_role"] = h.IAM("CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": trust})
		out["updated_policy"] = h.IAM("UpdateAssumeRolePolicy", params{"RoleName": "r", "PolicyDocument": trust})
	case "test_put_user_policy_encoding":
		h.IAM("CreateUser", params{"UserName": "u"})
		h.IAM("PutUserPolicy", params{"UserName": "u", "PolicyName": "p", "PolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["apigatway:PUT"],"Resource":["arn:aws:apigateway:us-east-1::/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Frestapis%2Faaeeieije"]}]}`})
		out["get-policy-response"] = h.IAM("GetUserPolicy", params{"UserName": "u", "PolicyName": "p"})
	case "test_service_role_deletion":
		h.IAM("CreateServiceLinkedRole", params{"AWSServiceName": "batch.amazonaws.com"})
		out["service-linked-role-deletion-response"] = h.IAM("DeleteServiceLinkedRole", params{"RoleName": "AWSServiceRoleForBatch"})
		task, _ := out["service-linked-role-deletion-response"].(object)["DeletionTaskId"].(string)
		out["service-linked-role-deletion-status-response"] = h.IAM("GetServiceLinkedRoleDeletionStatus", params{"DeletionTaskId": task})
	case "test_service_role_lifecycle_custom_suffix_not_allowed":
		out["custom-suffix-not-allowed"] = h.IAM("CreateServiceLinkedRole", params{"AWSServiceName": parameter, "CustomSuffix": "suffix"})
	case "test_create_service_specific_credential_invalid_service":
		out["create-user-response"] = h.IAM("CreateUser", params{"UserName": "u"})
		for label, service := range map[string]string{
			"invalid-service-exception": "nonexistentservice.amazonaws.com", "invalid-service-completely-malformed-exception": "o3on3n3onosneo",
			"invalid-service-existing-but-unsupported-exception": "lambda.amazonaws.com",
		} {
			out[label] = h.IAM("CreateServiceSpecificCredential", params{"UserName": "u", "ServiceName": service})
		}
	case "test_delete_user_after_service_credential_created":
		credential(h, out, "codecommit.amazonaws.com")
		out["delete-user-existing-credential"] = h.IAM("DeleteUser", params{"UserName": "u"})
	case "test_id_match_user_mismatch":
		playCredentialMismatch(h, out, credential(h, out, "codecommit.amazonaws.com"), "wrong-user-name", "user-name")
	case "test_user_match_id_mismatch":
		credential(h, out, "codecommit.amazonaws.com")
		playCredentialMismatch(h, out, parameter, "u", "id")
	case "test_service_specific_credential_lifecycle":
		id := credential(h, out, parameter)
		own := params{"UserName": "u", "ServiceSpecificCredentialId": id}
		out["list-service-specific-credentials-response-before-update"] = h.IAM("ListServiceSpecificCredentials", params{"UserName": "u", "ServiceName": parameter})
		out["update-service-specific-credential-response"] = h.IAM("UpdateServiceSpecificCredential", params{"UserName": "u", "ServiceSpecificCredentialId": id, "Status": "Inactive"})
		out["list-service-specific-credentials-response-after-update"] = h.IAM("ListServiceSpecificCredentials", params{"UserName": "u", "ServiceName": parameter})
		out["reset-service-specific-credential-response"] = h.IAM("ResetServiceSpecificCredential", own)
		out["delete-service-specific-credentials-response"] = h.IAM("DeleteServiceSpecificCredential", own)
	case "test_role_with_tags":
		out["create-role-response"] = h.IAM("CreateRole", params{"RoleName": "r", "Path": "/role-with-tags/", "AssumeRolePolicyDocument": trustEC2, "Tags.member.1.Key": "test", "Tags.member.1.Value": "value"})
		out["get-role-response"] = h.IAM("GetRole", params{"RoleName": "r"})
		out["list-role-response"] = h.IAM("ListRoles", params{"PathPrefix": "/role-with-tags/"})
	}
	return out
}

func playAttach(h *iamtest.House, out object, operation, member, name string) {
	out["create_policy_response"] = h.IAM("CreatePolicy", params{"PolicyName": "some-policy-name", "PolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`})
	for label, arn := range map[string]string{
		"existing_policy_name_provided": "some-policy-name-and-more", "non_existent_malformed_policy_arn": "longpolicynamebutnoarn",
		"valid_arn_not_existent": "arn:aws:iam::000000000000:policy/some-policy-name123", "valid_policy_arn": "arn:aws:iam::000000000000:policy/some-policy-name",
	} {
		out[label] = h.IAM(operation, params{member: name, "PolicyArn": arn})
	}
}

func playSimulate(h *iamtest.House, kind string) object {
	document := `{"Version": "2012-10-17", "Statement": [{"Sid": "", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}]}`
	h.IAM("CreatePolicy", params{"PolicyName": "p", "PolicyDocument": document})
	title := strings.ToUpper(kind[:1]) + kind[1:]
	create := params{title + "Name": "x"}
	if kind == "role" {
		create["AssumeRolePolicyDocument"] = trustEC2
	}
	h.IAM("Create"+title, create)
	h.IAM("Attach"+title+"Policy", params{title + "Name": "x", "PolicyArn": "arn:aws:iam::000000000000:policy/p"})
	return h.IAM("SimulatePrincipalPolicy", params{"PolicySourceArn": "arn:aws:iam::000000000000:" + kind + "/x",
		"ActionNames.member.1": "s3:PutObject", "ActionNames.member.2": "s3:GetObjectVersion", "ResourceArns.member.1": "arn:aws:s3:::bucket"})
}

// credential makes a user with a credential and returns its id.
func credential(h *iamtest.House, out object, service string) string {
	out["create-user-response"] = h.IAM("CreateUser", params{"UserName": "u"})
	out["create-service-specific-credential-response"] = h.IAM("CreateServiceSpecificCredential", params{"UserName": "u", "ServiceName": service})
	c, _ := out["create-service-specific-credential-response"].(object)["ServiceSpecificCredential"].(object)
	id, _ := c["ServiceSpecificCredentialId"].(string)
	return id
}

func playCredentialMismatch(h *iamtest.House, out object, id, user, label string) {
	for verb, operation := range map[string]string{"delete": "Delete", "reset": "Reset", "update": "Update"} {
		p := params{"UserName": user, "ServiceSpecificCredentialId": id}
		if verb == "update" {
			p["Status"] = "Inactive"
		}
		out[verb+"-wrong-"+label] = h.IAM(operation+"ServiceSpecificCredential", p)
	}
}

// TestRecorded compares with what AWS answered. Every recorded case of IAM is
// played; none is left out.
func TestRecorded(t *testing.T) {
	suite := recorded.Suite{Service: "IAM", File: "testdata/recorded.json", Account: "000000000000", Region: "us-east-1"}
	suite.Run(t, func(t *testing.T, c recorded.Case) map[string]any {
		return play(open(t), c)
	})
}
