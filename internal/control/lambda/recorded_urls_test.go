package lambda

import (
	"strings"
	"testing"

	"github.com/lambdad/lambdad/test/recorded"
)

func TestRecordedURLs(t *testing.T) {
	playRecorded(t, "Lambda, function URLs", "recorded-urls.json", []recorded.Exception{
		{Case: "test_url_config_exceptions", Label: "delete_function_url_config_qualifier_alias_doesnotmatch_arn", Reason: "AWS failed internally"},
	}, urlScenarios)
}

const createURL, getURL, updateURL, deleteURL = "CreateFunctionUrlConfig", "GetFunctionUrlConfig", "UpdateFunctionUrlConfig", "DeleteFunctionUrlConfig"

var noAuth = object{"AuthType": "NONE"}

var urlScenarios = map[string]scenario{
	"TestLambdaURL::test_lambda_update_function_url_config": func(r *recording, _ string) {
		r.make(nil)
		r.match("create_lambda_url_config", r.get(createURL, merged(noAuth, object{"InvokeMode": "BUFFERED"})))
		r.match("get_url_config", r.get(getURL, nil))
		r.match("modify_lambda_url_config", r.get(updateURL, merged(noAuth, object{"InvokeMode": "RESPONSE_STREAM"})))
		r.match("get_url_config_2", r.get(getURL, nil))
		r.match("modify_lambda_url_config_none", r.get(updateURL, noAuth))
		r.match("get_url_config_3", r.get(getURL, nil))
	},
	"TestLambdaURL::test_lambda_url_invalid_invoke_mode": func(r *recording, _ string) {
		r.make(nil)
		r.match("invoke_function_invalid_invoke_type", r.get(createURL, merged(noAuth, object{"InvokeMode": "UNKNOWN"})))
	},
	"TestLambdaURL::test_lambda_url_invocation_exception": func(r *recording, _ string) {
		r.make(nil)
		r.match("get_fn_result", r.get("GetFunction", nil))
		r.match("create_lambda_url_config", r.get(createURL, noAuth))
		r.match("add_permission", r.permit(object{"Action": "lambda:InvokeFunctionUrl", "StatementId": "urlPermission", "Principal": "*", "FunctionUrlAuthType": "NONE"}))
	},
	"TestLambdaFunction::test_get_function_wrong_region": func(r *recording, parameter string) {
		arn := strings.Replace(arnOf(recordedFunction), testRegion, "eu-central-1", 1)
		r.match("wrong_region_exception", r.ask(operationOf(parameter), object{"FunctionName": arn}))
	},
	"TestLambdaFunction::test_ops_on_nonexisting_fn": func(r *recording, parameter string) {
		r.match("not_found_exception", r.ask(operationOf(parameter), object{"FunctionName": "i-dont-exist"}))
	},
	"TestLambdaUrl::test_url_config_exceptions": func(r *recording, _ string) {
		r.ask("CreateFunction", r.params(object{"Runtime": "nodejs20.x", "Handler": "lambda_handler.handler", "Timeout": 30, "Environment": object{"Variables": object{}}}))
		r.settleAll()
		r.match("fn_version_result", r.get("PublishVersion", nil))
		r.match("create_alias_result", r.get("CreateAlias", object{"Name": "urlalias", "FunctionVersion": "1"}))
		for operation, label := range map[string]string{createURL: "create", getURL: "get", updateURL: "update", deleteURL: "delete"} {
			ask := func(suffix string, params object) {
				if operation == createURL || operation == updateURL {
					params = merged(params, noAuth)
				}
				r.match(label+"_function_url_config_"+suffix, r.ask(operation, params))
			}
			of := func(qualifier string) object {
				return object{"FunctionName": recordedFunction, "Qualifier": qualifier}
			}
			ask("name_doesnotexist", object{"FunctionName": "doesnotexist"})
			ask("name_doesnotexist_qualifier", object{"FunctionName": "doesnotexist", "Qualifier": "1"})
			ask("arn_doesnotexist", object{"FunctionName": arnOf("doesnotexist")})
			ask("qualifier_version", of("1"))
			ask("qualifier_version_doesnotexist", of("2"))
			ask("qualifier_alias_doesnotexist", of("doesnotexist"))
			ask("qualifier_latest", of("$LATEST"))
			if operation != deleteURL {
				ask("qualifier_alias_doesnotmatch_arn", object{"FunctionName": arnOf(recordedFunction) + ":1", "Qualifier": "urlalias"})
			}
			if operation != createURL {
				ask("config_doesnotexist", object{"FunctionName": recordedFunction})
			}
		}
	},
	"TestLambdaUrl::test_url_config_lifecycle": func(r *recording, _ string) {
		r.make(nil)
		r.match("url_creation", r.get(createURL, noAuth))
		r.match("failed_duplication", r.get(createURL, noAuth))
		r.match("get_url_config", r.get(getURL, nil))
		r.match("updated_url_config", r.get(updateURL, object{"AuthType": "AWS_IAM"}))
		r.get(deleteURL, nil)
		r.match("failed_getter", r.get(getURL, nil))
	},
}
