package lambda

import (
	"slices"
	"strings"
	"testing"
)

func TestRecordedCodeSigning(t *testing.T) {
	playRecorded(t, "Lambda, code signing", "recorded-codesigning.json", nil, codeSigningScenarios)
}

// makeSigning makes the config of the recorded cases, and returns its ARN.
func (r *recording) makeSigning() string {
	r.T.Helper()
	made := r.ask("CreateCodeSigningConfig", object{
		"Description": "Testing CodeSigning Config", "CodeSigningPolicies": object{"UntrustedArtifactOnDeployment": "Enforce"},
		"AllowedPublishers": object{"SigningProfileVersionArns": []string{"arn:aws:signer:" + testRegion + ":111111111111:/signing-profiles/test"}},
	})
	r.match("create_code_signing_config", made)
	return made["CodeSigningConfig"].(object)["CodeSigningConfigArn"].(string)
}

var codeSigningScenarios = map[string]scenario{
	"TestCodeSigningConfig::test_function_code_signing_config": func(r *recording, _ string) {
		r.make(nil)
		arn := r.makeSigning()
		on := object{"CodeSigningConfigArn": arn}
		r.match("update_code_signing_config", r.ask("UpdateCodeSigningConfig", merged(on, object{"CodeSigningPolicies": object{"UntrustedArtifactOnDeployment": "Warn"}})))
		r.match("get_code_signing_config", r.ask("GetCodeSigningConfig", on))
		r.match("put_function_code_signing_config", r.get("PutFunctionCodeSigningConfig", on))
		r.match("get_function_code_signing_config", r.get("GetFunctionCodeSigningConfig", nil))
		all := r.ask("ListCodeSigningConfigs", object{})["CodeSigningConfigs"].([]any)
		at := slices.IndexFunc(all, func(c any) bool { return c.(object)["CodeSigningConfigArn"] == arn })
		r.match("list_code_signing_configs", all[at].(object))
		r.match("list_functions_by_code_signing_config", r.ask("ListFunctionsByCodeSigningConfig", on))
		r.match("delete_function_code_signing_config", r.get("DeleteFunctionCodeSigningConfig", nil))
		r.match("delete_code_signing_config", r.ask("DeleteCodeSigningConfig", on))
	},
	"TestCodeSigningConfig::test_code_signing_not_found_excs": func(r *recording, _ string) {
		r.make(nil)
		arn := r.makeSigning()
		on := object{"CodeSigningConfigArn": arn}
		none := object{"CodeSigningConfigArn": arn[:strings.LastIndex(arn, ":csc-")] + ":csc-11111111111111111"}
		noFunction := object{"FunctionName": "csc-test-doesnotexist"}
		r.match("delete_csc_notfound", r.ask("DeleteCodeSigningConfig", none))
		r.match("nothing_to_delete_response", r.get("DeleteFunctionCodeSigningConfig", nil))
		r.match("delete_function_csc_fnnotfound", r.ask("DeleteFunctionCodeSigningConfig", noFunction))
		r.match("put_function_csc_invalid_csc_arn", r.get("PutFunctionCodeSigningConfig", none))
		r.match("put_function_csc_invalid_fnname", r.ask("PutFunctionCodeSigningConfig", merged(on, noFunction)))
		r.match("put_function_csc_invalid_both", r.ask("PutFunctionCodeSigningConfig", merged(none, noFunction)))
		r.match("update_csc_invalid_csc_arn", r.ask("UpdateCodeSigningConfig", merged(none, object{"Description": "new-description"})))
		r.match("update_csc_noupdates", r.ask("UpdateCodeSigningConfig", none))
		r.match("update_csc_noupdate_response", r.ask("UpdateCodeSigningConfig", on))
		r.match("get_csc_invalid", r.ask("GetCodeSigningConfig", none))
		r.match("get_function_csc_fnwithoutcsc", r.get("GetFunctionCodeSigningConfig", nil))
		r.match("get_function_csc_nonexistingfn", r.ask("GetFunctionCodeSigningConfig", noFunction))
		r.match("list_functions_by_csc_fnwithoutcsc", r.ask("ListFunctionsByCodeSigningConfig", on))
		r.match("list_functions_by_csc_invalid_cscarn", r.ask("ListFunctionsByCodeSigningConfig", none))
	},
}
