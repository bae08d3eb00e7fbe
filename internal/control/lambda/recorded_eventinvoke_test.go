package lambda

import (
	"strings"
	"testing"
)

func TestRecordedEventInvoke(t *testing.T) {
	playRecorded(t, "Lambda, asynchronous invokes", "recorded-eventinvoke.json", nil, eventInvokeScenarios)
}

var eventInvokeScenarios = map[string]scenario{
	"TestLambdaEventInvokeConfig::test_lambda_eventinvokeconfig_lifecycle": func(r *recording, _ string) {
		r.make(nil)
		const put, update, get, list, drop = "PutFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig", "GetFunctionEventInvokeConfig", "ListFunctionEventInvokeConfigs", "DeleteFunctionEventInvokeConfig"
		r.match("put_invokeconfig_retries_0", r.get(put, object{"MaximumRetryAttempts": 0}))
		r.match("put_invokeconfig_eventage_60", r.get(put, object{"MaximumEventAgeInSeconds": 60}))
		r.match("update_invokeconfig_eventage_nochange", r.get(update, object{"MaximumEventAgeInSeconds": 60}))
		r.match("update_invokeconfig_retries", r.get(update, object{"MaximumRetryAttempts": 1}))
		r.match("get_invokeconfig", r.get(get, nil))
		r.match("get_invokeconfig_latest", r.get(get, object{"Qualifier": "$LATEST"}))
		r.match("list_single_invokeconfig", r.get(list, nil))
		r.match("publish_version_result", r.get("PublishVersion", nil))
		r.match("get_invokeconfig_postpublish", r.get(get, object{"Qualifier": "1"}))
		r.match("put_published_invokeconfig", r.get(put, object{"Qualifier": "1", "MaximumEventAgeInSeconds": 120}))
		r.match("get_published_invokeconfig", r.get(get, object{"Qualifier": "1"}))
		r.get(drop, nil)
		r.match("list_paging_nolimit_postdelete", r.get(list, nil))
	},
	"TestLambdaFunction::test_get_function_wrong_region": func(r *recording, parameter string) {
		arn := strings.Replace(arnOf(recordedFunction), testRegion, "eu-central-1", 1)
		r.match("wrong_region_exception", r.ask(operationOf(parameter), object{"FunctionName": arn}))
	},
	"TestLambdaFunction::test_ops_on_nonexisting_fn": func(r *recording, parameter string) {
		r.match("not_found_exception", r.ask(operationOf(parameter), object{"FunctionName": "i-dont-exist"}))
	},
	"TestLambdaFunction::test_ops_on_nonexisting_version": func(r *recording, parameter string) {
		r.make(nil)
		r.match("version_not_found_exception", r.get(operationOf(parameter), object{"Qualifier": "1221"}))
	},
}
