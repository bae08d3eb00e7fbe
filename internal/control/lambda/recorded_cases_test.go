package lambda

import (
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/test/recorded"
)

const recordedFunction = "recorded-fn"

// recordedExceptions are answers that do not match.
var recordedExceptions = []recorded.Exception{
	{Case: "test_create_lambda_exceptions", Label: "empty_architectures", Reason: "the recorder's client refused it; nothing was sent"},
	{Case: "lambda_exceptions", Label: "runtime_exc", Reason: "the list of runtimes in the text has ruby4.0, which the pinned model knows and the recording does not"},
	{Case: "test_lambda_code_location_s3_errors", Label: "wrong-key", Reason: "there is no S3 yet, so no bucket can exist that a key is missing from"},
	{Case: "test_invalid_vpc_config_security_group", Label: "non-existent", Reason: "the recorded subnet exists; here no subnet does, and is named first"},
	{Case: "test_vpc_config", Reason: "there is no VPC yet: subnets are refused"},
	{Case: "test_lambda_with_context", Label: "creation", Reason: "recorded before LoggingConfig, SnapStart and RuntimeVersionConfig were answered"},
	{Case: "test_invocation_type_event_error", Label: "creation_response", Reason: "recorded before LoggingConfig was answered"},
	{Case: "provisioned_concurrency_moves_with_alias", Reason: "recorded before LoggingConfig was answered; its other answers are in recorded-provisioned.json"},
	{Case: "total_code_size", Label: "publish_layer", Reason: "layers are not built"},
}

// scenarioOf finds what to do for a case: its own scenario, else, for a case
// of which only the creation is ours, that creation.
func scenarioOf(c recorded.Case, scenarios map[string]scenario) func(*recording) {
	if s := scenarios[c.Test()]; s != nil {
		return func(r *recording) { s(r, c.Parameter()) }
	}
	if len(c.Labels) == 1 {
		return func(r *recording) { r.createAsAnswered(c.Labels[0]) }
	}
	return nil
}

func arnOf(function string) string {
	return "arn:aws:lambda:" + testRegion + ":" + testAccount + ":function:" + function
}

// params are those of a function made directly; change adds to them.
func (r *recording) params(change object) object {
	p := object{
		"FunctionName": recordedFunction, "Runtime": "python3.12", "Handler": "index.handler", "Role": testRole,
		"Code": object{"ZipFile": zipOf(r.T, map[string]string{"index.py": "def handler(e, c): return 1"})},
	}
	maps.Copy(p, change)
	return p
}

// make creates a function in the way of the recorder's fixture, which waits until it is active.
func (r *recording) make(change object) object {
	p := object{"Handler": "handler.handler", "Timeout": 30, "Environment": object{"Variables": object{}}}
	maps.Copy(p, change)
	answer := r.ask("CreateFunction", r.params(p))
	r.settleAll()
	return object{"CreateEventSourceMappingResponse": nil, "CreateFunctionResponse": answer}
}

func (r *recording) get(operation string, change object) object {
	p := object{"FunctionName": recordedFunction}
	maps.Copy(p, change)
	return r.ask(operation, p)
}

// createAsAnswered asks for what a recorded creation was answered with, and compares the rest.
func (r *recording) createAsAnswered(label string) {
	want := r.Answers[label].(object)
	wrapped, isWrapped := want["CreateFunctionResponse"].(object)
	if isWrapped {
		want = wrapped
	}
	change := object{}
	for _, member := range []string{"Runtime", "Handler", "MemorySize", "Timeout", "Environment", "Description"} {
		if v, ok := want[member]; ok {
			change[member] = v
		}
	}
	answer := r.ask("CreateFunction", r.params(change))
	if isWrapped {
		answer = object{"CreateEventSourceMappingResponse": nil, "CreateFunctionResponse": answer}
	}
	r.match(label, answer)
	r.settleAll()
}

// scenarios are those of functions and their versions.
var scenarios = map[string]scenario{
	"TestLambdaAccountSettings::test_account_settings": func(r *recording, _ string) {
		out := r.ask("GetAccountSettings", object{})
		for _, key := range []string{"AccountLimit", "AccountUsage"} {
			var names []any
			for _, name := range slices.Sorted(maps.Keys(out[key].(object))) {
				names = append(names, name)
			}
			out[key] = names
		}
		r.match("acc_settings_modded", out)
	},
	"TestLambdaAccountSettings::test_account_settings_total_code_size": func(r *recording, _ string) {
		used := func() float64 {
			return r.ask("GetAccountSettings", object{})["AccountUsage"].(object)["TotalCodeSize"].(float64)
		}
		zip := sizedZip(r, 276) // of the recorder's package
		before := used()
		r.make(object{"Code": object{"ZipFile": zip}})
		created := used()
		r.match("total_code_size_diff_create_function", created-before)
		r.get("UpdateFunctionCode", object{"ZipFile": zip, "Publish": true})
		r.match("total_code_size_diff_update_function", used()-created)
	},
	"TestLambdaFunction::test_create_lambda_exceptions": func(r *recording, _ string) {
		for label, change := range map[string]object{
			"invalid_role_arn_exc":   {"Role": "r1"},
			"invalid_runtime_exc":    {"Runtime": "non-existent-runtime"},
			"uppercase_runtime_exc":  {"Runtime": "PYTHON3.9"},
			"multiple_architectures": {"Architectures": []string{"x86_64", "arm64"}},
			"uppercase_architecture": {"Architectures": []string{"X86_64"}},
			"invalid_zip_exc":        {"Code": object{"ZipFile": []byte("this is not a zip file, just a random string")}},
		} {
			r.match(label, r.ask("CreateFunction", r.params(change)))
		}
	},
	"TestLambdaFunction::test_update_lambda_exceptions": func(r *recording, _ string) {
		r.make(nil)
		for label, change := range map[string]object{
			"invalid_role_arn_exc":  {"Role": "r1"},
			"invalid_runtime_exc":   {"Runtime": "non-existent-runtime"},
			"uppercase_runtime_exc": {"Runtime": "PYTHON3.9"},
		} {
			r.match(label, r.get("UpdateFunctionConfiguration", change))
		}
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
	"TestLambdaFunction::test_ops_with_arn_qualifier_mismatch": func(r *recording, parameter string) {
		name := arnOf("some-function") + ":$LATEST"
		r.match("not_match_exception", r.ask(operationOf(parameter), object{"FunctionName": name, "Qualifier": "1"}))
		r.match("match_exception", r.ask(operationOf(parameter), object{"FunctionName": name, "Qualifier": "$LATEST"}))
	},
	"TestLambdaFunction::test_lambda_concurrent_code_updates": func(r *recording, _ string) {
		r.match("create-function-response", r.ask("CreateFunction", r.params(object{"Handler": "handler.handler"})))
		r.settleAll()
		zip := zipOf(r.T, map[string]string{"handler.py": "x = 2"})
		r.get("UpdateFunctionCode", object{"ZipFile": zip})
		r.match("update-during-in-progress-update-exc", r.get("UpdateFunctionCode", object{"ZipFile": zip}))
	},
	"TestLambdaFunction::test_lambda_concurrent_config_updates": func(r *recording, _ string) {
		r.match("create-function-response", r.make(nil))
		r.get("UpdateFunctionConfiguration", object{"Description": "1"})
		r.match("update-during-in-progress-update-exc", r.get("UpdateFunctionConfiguration", object{"Description": "2"}))
	},
	"TestLambdaFunction::test_lambda_code_location_s3_errors": func(r *recording, _ string) {
		s3 := object{"S3Bucket": "missing-bucket", "S3Key": "code.zip"}
		r.match("create-error-wrong-bucket", r.ask("CreateFunction", r.params(object{"Code": s3})))
		r.make(nil)
		r.match("update-error-wrong-bucket", r.get("UpdateFunctionCode", s3))
	},
	"TestLambdaFunction::test_invalid_vpc_config_subnet": func(r *recording, _ string) {
		vpc := func(subnet string) object {
			return r.params(object{"VpcConfig": object{"SubnetIds": []string{subnet}, "SecurityGroupIds": []string{"sg-0123"}}})
		}
		r.match("create-response-non-existent-subnet-id", r.ask("CreateFunction", vpc("subnet-0123")))
		r.match("create-response-invalid-format-subnet-id", r.ask("CreateFunction", vpc("bad-format")))
	},
	"TestLambdaFunction::test_invalid_vpc_config_security_group": func(r *recording, _ string) {
		vpc := func(group string) object {
			return r.params(object{"VpcConfig": object{"SubnetIds": []string{"subnet-0123"}, "SecurityGroupIds": []string{group}}})
		}
		r.match("create-response-non-existent-security-group", r.ask("CreateFunction", vpc("sg-0123")))
		r.match("create-response-invalid-format-security-group", r.ask("CreateFunction", vpc("bad-format")))
	},
	"TestLambdaLayer::test_layer_function_quota_exception": func(r *recording, _ string) {
		var layers []string
		for i := range 6 {
			layers = append(layers, fmt.Sprintf("arn:aws:lambda:%s:%s:layer:l%d:1", testRegion, testAccount, i))
		}
		r.match("create_function_with_six_layers", r.ask("CreateFunction", r.params(object{"Layers": layers})))
	},
	"TestLambdaConcurrency::test_provisioned_concurrency": func(r *recording, _ string) {
		r.make(nil)
		r.get("PublishVersion", nil)
		version := object{"Qualifier": "1"}
		r.match("put_provisioned_5", r.get("PutProvisionedConcurrencyConfig", merged(version, object{"ProvisionedConcurrentExecutions": 5})))
		r.match("get_provisioned_prewait", r.get("GetProvisionedConcurrencyConfig", version))
		id := record.FunctionID{Account: testAccount, Region: testRegion, Name: recordedFunction}
		stored, err := r.table.GetProvisioned(r.Context(), id, "1")
		if err != nil {
			r.Fatal(err)
		}
		if err := r.table.ReportProvisioned(r.Context(), id, "1", stored.Serial, record.ProvisionedStatus{State: record.ProvisionedReady, Available: 5}); err != nil {
			r.Fatal(err)
		}
		r.match("get_provisioned_postwait", r.get("GetProvisionedConcurrencyConfig", version))
	},
	"TestLambdaConcurrency::test_lambda_concurrency_crud": func(r *recording, _ string) {
		r.make(nil)
		r.match("get_function_concurrency_default", r.get("GetFunctionConcurrency", nil))
		r.match("put_function_concurrency", r.get("PutFunctionConcurrency", object{"ReservedConcurrentExecutions": 0}))
		r.match("get_function_concurrency_updated", r.get("GetFunctionConcurrency", nil))
		r.get("DeleteFunctionConcurrency", nil)
		r.match("get_function_concurrency_deleted", r.get("GetFunctionConcurrency", nil))
	},
	"TestLambdaReservedConcurrency::test_function_concurrency": func(r *recording, _ string) {
		r.make(nil)
		r.match("put_function_concurrency_with_reserved_0", r.get("PutFunctionConcurrency", object{"ReservedConcurrentExecutions": 0}))
		r.match("put_function_concurrency_with_reserved_1", r.get("PutFunctionConcurrency", object{"ReservedConcurrentExecutions": 1}))
		r.match("get_function_concurrency", r.get("GetFunctionConcurrency", nil))
		r.match("delete_response", r.get("DeleteFunctionConcurrency", nil))
		r.match("get_function_concurrency_after_delete", r.get("GetFunctionConcurrency", nil))
	},
	"TestLambdaReservedConcurrency::test_function_concurrency_limits": func(r *recording, _ string) {
		r.make(nil)
		r.match("put_function_concurrency_account_limit_exceeded", r.get("PutFunctionConcurrency", object{"ReservedConcurrentExecutions": 1001}))
		r.match("put_function_concurrency_below_unreserved_min_value", r.get("PutFunctionConcurrency", object{"ReservedConcurrentExecutions": 901}))
	},
	"TestLambdaProvisionedConcurrency::test_provisioned_concurrency_exceptions": func(r *recording, _ string) {
		r.ask("CreateFunction", r.params(object{"Handler": "handler.handler", "Runtime": "python3.12", "Timeout": 30, "Environment": object{"Variables": object{}}}))
		r.settleAll()
		r.match("publish_version_result", r.get("PublishVersion", nil))
		one := object{"ProvisionedConcurrentExecutions": 1}
		of := func(qualifier string) object { return object{"Qualifier": qualifier} }
		missing := func(operation, qualifier string, more object) any {
			return r.ask(operation, merged(merged(object{"FunctionName": "doesnotexist"}, of(qualifier)), more))
		}
		const put, get, drop = "PutProvisionedConcurrencyConfig", "GetProvisionedConcurrencyConfig", "DeleteProvisionedConcurrencyConfig"
		r.match("put_provisioned_invalid_param_0", r.get(put, merged(of("1"), object{"ProvisionedConcurrentExecutions": 0})))
		r.match("put_provisioned_latest", r.get(put, merged(of("$LATEST"), one)))
		r.match("put_provisioned_functionname_doesnotexist_alias", missing(put, "noalias", one))
		r.match("put_provisioned_functionname_doesnotexist_version", missing(put, "1", one))
		r.match("put_provisioned_qualifier_doesnotexist", r.get(put, merged(of("doesnotexist"), one)))
		r.match("put_provisioned_version_doesnotexist", r.get(put, merged(of("10"), one)))
		r.match("get_provisioned_latest", r.get(get, of("$LATEST")))
		r.match("get_provisioned_functionname_doesnotexist", missing(get, "noalias", nil))
		r.match("get_provisioned_qualifier_doesnotexist", r.get(get, of("noalias")))
		r.match("get_provisioned_version_doesnotexist", r.get(get, of("10")))
		r.match("get_provisioned_config_doesnotexist", r.get(get, of("1")))
		r.match("delete_provisioned_latest", r.get(drop, of("$LATEST")))
		r.match("delete_provisioned_functionname_doesnotexist", missing(drop, "1", nil))
		r.match("delete_provisioned_qualifier_doesnotexist", r.get(drop, of("noalias")))
		r.match("delete_provisioned_version_doesnotexist", r.get(drop, of("10")))
		r.match("delete_provisioned_config_doesnotexist", r.get(drop, of("1")))
		r.match("list_provisioned_functionname_doesnotexist", r.ask("ListProvisionedConcurrencyConfigs", object{"FunctionName": "doesnotexist"}))
		r.match("list_provisioned_noconfigs", r.get("ListProvisionedConcurrencyConfigs", nil))
	},
	"TestLambdaSizeLimits::test_oversized_request_create_lambda": func(r *recording, _ string) {
		r.match("invalid_param_exc", r.ask("CreateFunction", r.params(object{"Code": object{"ZipFile": make([]byte, 53_000_000)}})))
	},
	"TestLambdaSizeLimits::test_oversized_zipped_create_lambda": func(r *recording, _ string) {
		r.match("invalid_param_exc", r.ask("CreateFunction", r.params(object{"Code": object{"ZipFile": noiseZip(r, artifact.ZipBytesMax+1)}})))
	},
	"TestLambdaSnapStart::test_snapstart_lifecycle": func(r *recording, runtime string) {
		r.match("create_function_response", r.ask("CreateFunction", r.params(object{"Runtime": runtime, "Handler": "handler.handler", "MemorySize": 1024, "Timeout": 5})))
		r.settleAll()
		r.match("get_function_response_latest", r.get("GetFunction", nil))
		r.get("PublishVersion", object{"Description": "version1"})
		r.match("get_function_response_version_1", r.get("GetFunction", object{"Qualifier": "1"}))
	},
	"TestLambdaTag::test_create_tag_on_fn_create": func(r *recording, _ string) {
		r.make(object{"Tags": object{"testtag": "custom-tag-value"}})
		r.match("get_function_result", r.get("GetFunction", nil))
		r.match("list_tags_result", r.ask("ListTags", object{"Resource": arnOf(recordedFunction)}))
	},
	"TestLambdaTag::test_tag_lifecycle": func(r *recording, _ string) {
		r.make(nil)
		tag := func(label string, tags object) {
			r.match(label, r.ask("TagResource", object{"Resource": arnOf(recordedFunction), "Tags": tags}))
			r.match(label+"_listtags", r.ask("ListTags", object{"Resource": arnOf(recordedFunction)}))
		}
		untag := func(label string, keys ...string) {
			r.match(label, r.ask("UntagResource", object{"Resource": arnOf(recordedFunction), "TagKeys": keys}))
			r.match(label+"_listtags", r.ask("ListTags", object{"Resource": arnOf(recordedFunction)}))
		}
		tag("tag_single_response", object{"A": "tag-a"})
		tag("tag_multiple_response", object{"B": "tag-b", "C": "tag-c"})
		tag("tag_overlap_response", object{"C": "tag-c-newsuffix", "D": "tag-d"})
		untag("untag_single_response", "A")
		untag("untag_multiple_response", "B", "C")
		untag("untag_nonexisting_response", "F")
		untag("untag_existing_and_nonexisting_response", "D", "F")
	},
	"TestLambdaTag::test_tag_nonexisting_resource": func(r *recording, _ string) {
		r.make(nil)
		r.match("pre_delete_get_function", r.get("GetFunction", nil))
		r.get("DeleteFunction", nil)
		resource := object{"Resource": arnOf(recordedFunction)}
		r.match("not_found_exception_tag", r.ask("TagResource", merged(resource, object{"Tags": object{"A": "B"}})))
		r.match("not_found_exception_untag", r.ask("UntagResource", merged(resource, object{"TagKeys": []string{"A"}})))
		r.match("not_found_exception_list", r.ask("ListTags", resource))
	},
	"TestLambdaTags::test_tag_lifecycle": func(r *recording, _ string) {
		resource := object{"Resource": arnOf(recordedFunction)}
		show := func(suffix string) {
			r.match("list_tags_response_"+suffix, r.ask("ListTags", resource))
			r.match("get_fn_response_"+suffix, r.get("GetFunction", nil))
		}
		r.make(object{"Tags": object{"key_a": "value_a"}})
		show("postfncreate")
		r.match("tag_resource_response", r.ask("TagResource", merged(resource, object{"Tags": object{"key_b": "value_b", "key_c": "value_c", "key_d": "value_d", "key_e": "value_e"}})))
		show("postaddtags")
		r.match("tag_resource_overwrite", r.ask("TagResource", merged(resource, object{"Tags": object{"key_b": "value_b", "key_c": "value_x"}})))
		show("overwrite")
		r.ask("UntagResource", merged(resource, object{"TagKeys": []string{"key_c", "key_d"}}))
		show("postuntag")
		r.ask("UntagResource", merged(resource, object{"TagKeys": []string{"key_a", "key_b", "key_c", "key_d", "key_e"}}))
		show("postuntagall")
		r.get("DeleteFunction", nil)
		r.match("list_tags_postdelete", r.ask("ListTags", resource))
	},
	"TestLambdaTags::test_tag_limits": func(r *recording, _ string) {
		many := func(n int) object {
			tags := object{}
			for i := range n {
				tags[fmt.Sprintf("%d_key", i)] = fmt.Sprintf("%d_value", i)
			}
			return tags
		}
		resource := object{"Resource": arnOf(recordedFunction)}
		r.make(nil)
		r.match("tag_lambda_too_many_tags", r.ask("TagResource", merged(resource, object{"Tags": many(51)})))
		r.match("tag_response", r.ask("TagResource", merged(resource, object{"Tags": many(50)})))
		r.match("list_tags_response", r.ask("ListTags", resource))
		r.match("get_fn_response", r.get("GetFunction", nil))
		r.match("tag_lambda_too_many_tags_additional", r.ask("TagResource", merged(resource, object{"Tags": object{"a_key": "a_value"}})))
		r.match("create_function_invalid_tags", r.ask("CreateFunction", r.params(object{"FunctionName": "other", "Tags": many(51)})))
	},
	"TestLambdaVersions::test_publish_version_on_create": func(r *recording, _ string) {
		r.match("create_response", r.ask("CreateFunction", r.params(object{"Publish": true})))
		r.settleAll()
		r.match("get_function_result", r.get("GetFunction", nil))
		r.match("get_function_version_result", r.get("GetFunction", object{"Qualifier": "1"}))
		r.match("get_function_latest_result", r.get("GetFunction", object{"Qualifier": "$LATEST"}))
		r.match("list_versions_result", r.get("ListVersionsByFunction", nil))
		r.match("repeated_publish_response", r.get("PublishVersion", object{"Description": "Repeated version description :)"}))
		r.match("list_versions_result_after_publish", r.get("ListVersionsByFunction", nil))
	},
	"TestLambdaVersions::test_publish_with_update": func(r *recording, _ string) {
		r.match("create_response", r.ask("CreateFunction", r.params(nil)))
		r.settleAll()
		r.match("get_function_result", r.get("GetFunction", nil))
		r.match("update_function_code_result", r.get("UpdateFunctionCode", object{"ZipFile": zipOf(r.T, map[string]string{"index.py": "x = 2"}), "Publish": true}))
		r.match("get_function_version_result", r.get("GetFunction", object{"Qualifier": "1"}))
		r.match("get_function_latest_result", r.get("GetFunction", object{"Qualifier": "$LATEST"}))
	},
	"TestLambdaVersions::test_publish_with_wrong_sha256": func(r *recording, _ string) {
		created := r.ask("CreateFunction", r.params(nil))
		r.match("create_response", created)
		r.settleAll()
		r.match("get_fn_response", r.get("GetFunction", nil))
		r.match("publish_wrong_sha256_exc", r.get("PublishVersion", object{"CodeSha256": "somenonexistentsha256"}))
		r.match("publish_result", r.get("PublishVersion", object{"CodeSha256": created["CodeSha256"]}))
	},
	"TestLambdaVersions::test_lambda_versions_with_code_changes": func(r *recording, _ string) {
		code := func(n int) object {
			return object{"ZipFile": zipOf(r.T, map[string]string{"handler.py": fmt.Sprintf("version = %d", n)})}
		}
		r.match("create_response", r.ask("CreateFunction", r.params(object{"Handler": "handler.handler", "Description": "No version :(", "Code": code(1)})))
		r.settleAll()
		r.match("first_publish_response", r.get("PublishVersion", object{"Description": "First version description :)"}))
		r.match("update_lambda_response", r.get("UpdateFunctionCode", code(2)))
		r.settleAll()
		r.match("second_publish_response", r.get("PublishVersion", object{"Description": "Second version description :)"}))
		r.match("update_lambda_response_with_publish", r.get("UpdateFunctionCode", merged(code(3), object{"Publish": true})))
	},
	"TestLambdaVersions::test_lambda_handler_update": func(r *recording, _ string) {
		r.make(nil)
		r.match("update_function_configuration_result", r.get("UpdateFunctionConfiguration", object{"Handler": "handler.handler_two"}))
		r.settleAll()
		r.match("get_function_result", r.get("GetFunction", nil))
	},
	"TestLambdaAliases::test_lambda_alias_moving": func(r *recording, _ string) {
		r.match("create_response", r.ask("CreateFunction", r.params(object{"Handler": "handler.handler", "Description": "No version :("})))
		r.settleAll()
		r.get("PublishVersion", object{"Description": "First version description :)"})
		r.match("update_lambda_response", r.get("UpdateFunctionCode", object{"ZipFile": zipOf(r.T, map[string]string{"handler.py": "x = 2"})}))
		r.settleAll()
		r.match("second_publish_response", r.get("PublishVersion", object{"Description": "Second version description :)"}))
	},
	"TestLambdaConcurrency::test_reserved_concurrency":             (*recording).latestConfiguration,
	"TestLambdaConcurrency::test_reserved_concurrency_async_queue": (*recording).latestConfiguration,
	"TestLoggingConfig::test_function_advanced_logging_configuration": func(r *recording, _ string) {
		r.logging(object{"LoggingConfig": object{"LogFormat": "JSON"}}, object{"LogGroup": "cool_lambda"})
	},
	"TestLoggingConfig::test_function_partial_advanced_logging_configuration_update": func(r *recording, parameter string) {
		r.logging(nil, map[string]object{
			"partial_config0": {"LogFormat": "JSON"},
			"partial_config1": {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"},
			"partial_config2": {"LogFormat": "JSON", "SystemLogLevel": "DEBUG"},
			"partial_config3": {"LogGroup": "cool_lambda"},
		}[parameter])
	},
	"TestRuntimeValidation::test_create_deprecated_function_runtime_with_validation_enabled": func(r *recording, runtime string) {
		r.match("deprecation_error", r.ask("CreateFunction", r.params(object{"Runtime": runtime})))
	},
}

func (r *recording) latestConfiguration(string) {
	want := r.Answers["fn"].(object)
	r.make(object{"Handler": want["Handler"], "Runtime": want["Runtime"], "Timeout": want["Timeout"]})
	r.match("fn", r.get("GetFunctionConfiguration", object{"Qualifier": "$LATEST"}))
}

func (r *recording) logging(create, update object) {
	r.match("create_response", r.make(merged(object{"MemorySize": 256, "Timeout": 5}, create)))
	r.match("get_function_response", r.get("GetFunction", nil))
	r.match("function_config", r.get("GetFunctionConfiguration", nil))
	r.match("updated_config", r.get("UpdateFunctionConfiguration", object{"LoggingConfig": update}))
	r.settleAll()
	r.match("received_config", r.get("GetFunctionConfiguration", nil))
}

// operationOf is get_function -> GetFunction.
func operationOf(parameter string) string {
	out := ""
	for word := range strings.SplitSeq(parameter, "_") {
		out += strings.ToUpper(word[:1]) + word[1:]
	}
	return out
}

func merged(a, b object) object {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// sizedZip is an archive of exactly n bytes.
func sizedZip(r *recording, n int) []byte {
	of := func(content int) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		f, err := w.CreateHeader(&zip.FileHeader{Name: "index.py", Method: zip.Store})
		if err != nil {
			r.T.Fatal(err)
		}
		if _, err := f.Write(bytes.Repeat([]byte("#"), content)); err != nil {
			r.T.Fatal(err)
		}
		if err := w.Close(); err != nil {
			r.T.Fatal(err)
		}
		return b.Bytes()
	}
	return of(n - len(of(0)))
}

// noiseZip is an archive of more than n bytes that cannot be compressed.
func noiseZip(r *recording, n int) []byte {
	noise := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(noise)
	return zipOf(r.T, map[string]string{"noise": string(noise)})
}
