package lambda

import "testing"

func TestRecordedAliases(t *testing.T) {
	playRecorded(t, "Lambda, aliases", "recorded-aliases.json", nil, aliasScenarios)
}

// twoVersions publishes one version with each of two environments.
func twoVersions(r *recording, create object) {
	r.match("create_response", r.ask("CreateFunction", r.params(merged(create, object{"Environment": object{"Variables": object{"testenv": "staging"}}}))))
	r.settleAll()
	r.match("publish_v1", r.get("PublishVersion", nil))
	r.get("UpdateFunctionConfiguration", object{"Environment": object{"Variables": object{"testenv": "prod"}}})
	r.settleAll()
	r.match("publish_v2", r.get("PublishVersion", nil))
}

func weights(of object) object {
	return object{"RoutingConfig": object{"AdditionalVersionWeights": of}}
}

var aliasScenarios = map[string]scenario{
	"TestLambdaAliases::test_alias_routingconfig": func(r *recording, _ string) {
		r.make(nil)
		r.get("PublishVersion", nil)
		r.get("UpdateFunctionCode", object{"ZipFile": zipOf(r.T, map[string]string{"handler.py": "x = 2"})})
		r.settleAll()
		r.get("PublishVersion", nil)
		r.match("create_alias_response", r.get("CreateAlias", merged(weights(object{"2": 0.5}), object{"Name": "alias1", "FunctionVersion": "1"})))
	},
	"TestLambdaAlias::test_alias_lifecycle": func(r *recording, _ string) {
		twoVersions(r, object{})
		create := func(label, name, version string, more object) {
			r.match("create_"+label, r.get("CreateAlias", merged(object{"Name": name, "FunctionVersion": version}, more)))
			r.match("get_"+label, r.get("GetAlias", object{"Name": name}))
		}
		custom := object{"Description": "custom-alias"}
		create("alias_1_1", "aliasname1_1", "1", merged(weights(object{"2": 0.2}), custom))
		create("alias_1_2", "aliasname1_2", "1", custom)
		create("alias_1_3", "aliasname1_3", "1", nil)
		create("alias_2", "aliasname2", "2", custom)
		list := r.get("ListAliases", nil)
		delete(list, "ResponseMetadata") // the recorder paged
		r.match("list_aliases_for_fnname", list)
		r.match("update_alias_1_1", r.get("UpdateAlias", merged(weights(object{}), object{"Name": "aliasname1_1"})))
		r.match("get_alias_1_1_after_update", r.get("GetAlias", object{"Name": "aliasname1_1"}))
		r.match("list_aliases_for_fnname_after_update", r.get("ListAliases", nil))
		r.match("update_alias_1_2", r.get("UpdateAlias", object{"Name": "aliasname1_2"}))
		r.match("get_alias_1_2_after_update", r.get("GetAlias", object{"Name": "aliasname1_2"}))
		r.match("list_aliases_for_fnname_after_update_2", r.get("ListAliases", nil))
		r.match("list_aliases_for_version", r.get("ListAliases", object{"FunctionVersion": "1"}))
		r.match("get_function_alias_1_1", r.get("GetFunction", object{"Qualifier": "aliasname1_1"}))
		r.match("get_function_byarn_alias_1_1", r.ask("GetFunction", object{"FunctionName": arnOf(recordedFunction) + ":aliasname1_1"}))
		r.match("get_function_alias_notfound_exc", r.get("GetFunction", object{"Qualifier": "aliasdoesnotexist"}))
		r.match("get_function_alias_byarn_notfound_exc", r.ask("GetFunction", object{"FunctionName": arnOf(recordedFunction) + ":aliasdoesnotexist"}))
		r.match("delete_alias_response", r.get("DeleteAlias", object{"Name": "aliasname1_1"}))
		r.match("list_aliases_for_fnname_afterdelete", r.get("ListAliases", nil))
	},
	"TestLambdaAlias::test_alias_naming": func(r *recording, _ string) {
		r.match("create_response", r.ask("CreateFunction", r.params(object{"Environment": object{"Variables": object{"testenv": "staging"}}})))
		r.settleAll()
		r.match("publish_v1", r.get("PublishVersion", nil))
		alias := func(name string) object {
			return object{"Name": name, "FunctionVersion": "1", "Description": "custom-alias"}
		}
		r.match("create_alias_date", r.get("CreateAlias", alias("2024-01-02")))
		r.match("get_alias_date", r.get("GetAlias", object{"Name": "2024-01-02"}))
		r.match("create_alias_number_exception", r.get("CreateAlias", alias("2024")))
	},
	"TestLambdaAlias::test_non_existent_alias_deletion": func(r *recording, _ string) {
		r.match("create_response", r.ask("CreateFunction", r.params(object{"Environment": object{"Variables": object{"testenv": "staging"}}})))
		r.match("delete_alias_response", r.get("DeleteAlias", object{"Name": "non-existent"}))
	},
	"TestLambdaAlias::test_non_existent_alias_update": func(r *recording, _ string) {
		r.match("create_response", r.ask("CreateFunction", r.params(object{"Environment": object{"Variables": object{"testenv": "staging"}}})))
		r.match("update_alias_response", r.get("UpdateAlias", object{"Name": "non-existent", "Description": "updated"}))
	},
	"TestLambdaAlias::test_notfound_and_invalid_routingconfigs": func(r *recording, _ string) {
		twoVersions(r, object{"Publish": true})
		create := func(label, version string, more object) {
			r.match(label, r.get("CreateAlias", merged(object{"Name": "custom", "FunctionVersion": version}, more)))
		}
		create("routing_config_exc_toomany", "1", weights(object{"1": 0.1, "2": 0.1}))
		create("routing_config_exc_toohigh", "1", weights(object{"2": 2.0}))
		create("routing_config_exc_subzero", "1", weights(object{"2": -1.0}))
		create("routing_config_exc_sameversion", "1", weights(object{"1": 0.5}))
		create("target_version_doesnotexist", "10", weights(object{"2": 0.5}))
		create("routing_config_exc_version_doesnotexist", "1", weights(object{"10": 0.5}))
		create("target_version_exc_version_latest", "$LATEST", weights(object{"2": 0.5}))
		create("routing_config_exc_version_latest", "1", weights(object{"$LATEST": 0.5}))
		r.match("create-alias-latest", r.get("CreateAlias", object{"Name": "custom-latest", "FunctionVersion": "$LATEST"}))
		r.match("routing_config_exc_fn_doesnotexist", r.ask("CreateAlias", merged(weights(object{"2": 0.5}), object{"FunctionName": recordedFunction + "-unknown", "Name": "custom", "FunctionVersion": "1"})))
		r.match("create_alias_empty_routingconfig", r.get("CreateAlias", merged(weights(object{}), object{"Name": "custom-empty-routingconfig", "FunctionVersion": "1"})))
		create("create_alias_response", "1", weights(object{"2": 0.5}))
		create("routing_config_exc_already_exist", "1", weights(object{"2": 0.5}))
		r.match("alias_does_not_exist_esc", r.get("GetAlias", object{"Name": "non-existent"}))
	},
}
