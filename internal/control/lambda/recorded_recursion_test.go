package lambda

import "testing"

func TestRecordedRecursion(t *testing.T) {
	playRecorded(t, "Lambda, recursion", "recorded-recursion.json", nil, recursionScenarios)
}

var recursionScenarios = map[string]scenario{
	"TestLambdaRecursion::test_put_function_recursion_config_allow": func(r *recording, _ string) {
		r.make(nil)
		r.match("put_recursion_config_response", r.get("PutFunctionRecursionConfig", object{"RecursiveLoop": "Allow"}))
		r.match("get_recursion_config_response", r.get("GetFunctionRecursionConfig", nil))
	},
	"TestLambdaRecursion::test_put_function_recursion_config_default_terminate": func(r *recording, _ string) {
		r.make(nil)
		r.match("get_recursion_default_terminate_response", r.get("GetFunctionRecursionConfig", nil))
	},
}
