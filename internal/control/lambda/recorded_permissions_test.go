package lambda

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

func TestRecordedPermissions(t *testing.T) {
	playRecorded(t, "Lambda, permissions", "recorded-permissions.json", nil, permissionScenarios)
}

// parsed is an answer with the JSON text of one member read, as the recorder kept it.
func parsed(answer object, member string) object {
	text, ok := answer[member].(string)
	if !ok {
		return answer
	}
	answer = maps.Clone(answer)
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	answer[member] = v
	return answer
}

func (r *recording) permit(more object) object {
	return parsed(r.get("AddPermission", merged(object{"Action": "lambda:InvokeFunction"}, more)), "Statement")
}

func (r *recording) policy(more object) object {
	return parsed(r.get("GetPolicy", more), "Policy")
}

// fromS3 permits a bucket.
func fromS3(sid string) object {
	return object{"StatementId": sid, "Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::a-bucket"}
}

var permissionScenarios = map[string]scenario{
	"TestLambdaPermissions::test_add_lambda_permission_aws": func(r *recording, _ string) {
		r.match("create_lambda", r.make(nil))
		r.match("add_permission", r.permit(fromS3("s3")))
		r.match("get_policy", r.policy(nil))
	},
	"TestLambdaPermissions::test_add_lambda_permission_fields": func(r *recording, _ string) {
		r.make(nil)
		user := strings.Replace(testRole, ":role/", ":user/", 1)
		r.match("add_permission_principal_wildcard", r.permit(object{"StatementId": "wilcard", "Principal": "*", "SourceAccount": testAccount}))
		r.match("add_permission_principal_service", r.permit(object{"StatementId": "lambda", "Principal": "lambda.amazonaws.com", "SourceAccount": testAccount}))
		r.match("add_permission_principal_account", r.permit(object{"StatementId": "account-id", "Principal": testAccount}))
		r.match("add_permission_principal_arn", r.permit(object{"StatementId": "user-arn", "Principal": user, "SourceAccount": testAccount}))
		r.match("add_permission_optional_fields", r.permit(merged(fromS3("urlPermission"), object{
			"Action": "lambda:InvokeFunctionUrl", "Principal": "*", "SourceAccount": testAccount, "PrincipalOrgID": "o-1234567890", "FunctionUrlAuthType": "NONE",
		})))
		r.match("add_permission_alexa_skill", r.permit(object{"StatementId": "alexaSkill", "Principal": "*", "EventSourceToken": "amzn1.ask.skill.xxxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"}))
	},
	"TestLambdaPermissions::test_create_multiple_lambda_permissions": func(r *recording, _ string) {
		r.make(nil)
		r.match("add_permission_response_1", r.permit(object{"StatementId": "logs", "Principal": "logs.amazonaws.com"}))
		r.match("add_permission_response_2", r.permit(object{"StatementId": "kinesis", "Principal": "kinesis.amazonaws.com"}))
		r.match("policy_after_2_add", r.policy(nil))
	},
	"TestLambdaPermissions::test_lambda_permission_fn_versioning": func(r *recording, _ string) {
		r.make(nil)
		r.match("add_permission", r.permit(fromS3("s3")))
		first := r.policy(nil)
		r.match("get_policy", first)
		r.match("publish_version_result", r.get("PublishVersion", nil))
		r.match("get_function_result_after_publishing", r.get("GetFunction", nil))
		r.match("get_policy_after_publishing_latest", r.policy(nil))
		r.match("get_policy_after_publishing_new_version", r.policy(object{"Qualifier": "1"}))
		r.permit(merged(fromS3("s3"), object{"Qualifier": "1"}))
		r.match("get_policy_version", r.policy(object{"Qualifier": "1"}))
		alias := r.get("CreateAlias", object{"Name": "permission-alias", "FunctionVersion": "1"})
		r.match("create_alias_response", alias)
		r.match("get_alias", r.get("GetAlias", object{"Name": "permission-alias"}))
		onAlias := merged(fromS3("s3"), object{"Qualifier": "permission-alias"})
		r.match("add_permission_alias_revision_exception", r.permit(merged(onAlias, object{"RevisionId": "wrong"})))
		r.permit(merged(onAlias, object{"RevisionId": alias["RevisionId"]}))
		r.match("get_policy_alias", r.policy(object{"Qualifier": "permission-alias"}))
		r.match("get_policy_after_adding_to_new_version", r.policy(nil))
		r.permit(merged(fromS3("s3_2"), object{"RevisionId": first["RevisionId"]}))
		r.match("get_policy_after_adding_2", r.policy(nil))
	},
	"TestLambdaPermissions::test_permission_exceptions": func(r *recording, _ string) {
		r.make(nil)
		r.match("get_policy_fn_doesnotexist", r.ask("GetPolicy", object{"FunctionName": "doesnotexist"}))
		r.match("get_policy_fn_version_doesnotexist", r.get("GetPolicy", object{"Qualifier": "42"}))
		lambda := object{"StatementId": "s3", "Principal": "s3.amazonaws.com"}
		r.match("add_permission_fn_doesnotexist", r.permit(merged(lambda, object{"FunctionName": "doesnotexist"})))
		r.match("add_permission_invalid_statement_id", r.permit(merged(lambda, object{"StatementId": "example.com"})))
		r.match("add_permission_principal_invalid", r.permit(merged(lambda, object{"Principal": "invalid.nonaws.com"})))
		for label, qualifier := range map[string]string{
			"version_doesnotexist": "42", "alias_doesnotexist": "alias-doesnotexist", "qualifier_latest": "$LATEST",
			"qualifier_invalid": "invalid-qualifier-with-?-char", "qualifier_valid_doesnotexist": "valid-with-$-but-doesnotexist",
		} {
			r.match("add_permission_fn_"+label, r.permit(merged(lambda, object{"Qualifier": qualifier})))
		}
		r.match("add_permission_fn_qualifier_mismatch", r.permit(merged(lambda, object{"FunctionName": arnOf(recordedFunction) + ":alias-not-42", "Qualifier": "42"})))
		none := object{"StatementId": "s3"}
		r.match("remove_permission_policy_doesnotexist", r.get("RemovePermission", none))
		r.permit(lambda)
		r.match("add_permission_conflicting_statement_id", r.permit(lambda))
		r.match("remove_permission_fn_doesnotexist", r.ask("RemovePermission", merged(none, object{"FunctionName": "doesnotexist"})))
		r.match("remove_permission_fn_alias_doesnotexist", r.get("RemovePermission", merged(none, object{"Qualifier": "alias-doesnotexist"})))
	},
	"TestLambdaPermissions::test_remove_multi_permissions": func(r *recording, _ string) {
		r.make(nil)
		r.match("add_permission_1", r.permit(object{"StatementId": "s3", "Principal": "s3.amazonaws.com"}))
		r.match("add_permission_2", r.permit(merged(fromS3("sqs"), object{"Principal": "sqs.amazonaws.com"})))
		r.match("policy_after_2_add", r.policy(nil))
		r.match("remove_permission_exception_nonexisting_sid", r.get("RemovePermission", object{"StatementId": "non-existent"}))
		r.get("RemovePermission", object{"StatementId": "sqs"})
		policy := r.policy(nil)
		r.match("policy_after_removal", policy)
		r.match("policy_after_removal_attempt", r.policy(nil))
		r.get("RemovePermission", object{"StatementId": "s3", "RevisionId": policy["RevisionId"]})
		r.match("get_policy_exception_removed_all", r.policy(nil))
	},
	"TestLambdaRevisions::test_function_revisions_permissions": func(r *recording, _ string) {
		r.make(nil)
		r.match("add_permission_revision_exception", r.permit(merged(fromS3("s3"), object{"RevisionId": "wrong"})))
	},
}
