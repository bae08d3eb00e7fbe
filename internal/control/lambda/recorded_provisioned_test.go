package lambda

import (
	"testing"

	"github.com/lambdad/lambdad/internal/record"
)

func TestRecordedProvisioned(t *testing.T) {
	playRecorded(t, "Lambda, provisioned concurrency of aliases", "recorded-provisioned.json", nil, map[string]scenario{
		"TestLambdaConcurrency::test_lambda_provisioned_concurrency_moves_with_alias": func(r *recording, _ string) {
			r.make(nil)
			r.get("PublishVersion", nil)
			const alias = "test_alias_5"
			r.match("create_alias", r.get("CreateAlias", object{"Name": alias, "FunctionVersion": "1"}))
			r.get("PutProvisionedConcurrencyConfig", object{"Qualifier": alias, "ProvisionedConcurrentExecutions": 1})
			id := record.FunctionID{Account: testAccount, Region: testRegion, Name: recordedFunction}
			stored, err := r.table.GetProvisioned(r.Context(), id, "1")
			if err != nil {
				r.Fatal(err)
			}
			if err := r.table.ReportProvisioned(r.Context(), id, "1", stored.Serial, record.ProvisionedStatus{State: record.ProvisionedReady, Available: 1}); err != nil {
				r.Fatal(err)
			}
			r.get("UpdateFunctionConfiguration", object{"Timeout": 10})
			r.settleAll()
			r.get("PublishVersion", nil)
			r.match("update_alias", r.get("UpdateAlias", object{"Name": alias, "FunctionVersion": "2"}))
			r.match("get_provisioned_config_after_alias_move", r.get("GetProvisionedConcurrencyConfig", object{"Qualifier": alias}))
			r.match("provisioned_concurrency_notfound", r.get("GetProvisionedConcurrencyConfig", object{"Qualifier": "2"}))
		},
		"TestLambdaProvisionedConcurrency::test_lambda_provisioned_lifecycle": func(r *recording, _ string) {
			r.make(nil)
			r.match("publish_version_result", r.get("PublishVersion", nil))
			const alias = "live"
			r.match("create_alias_result", r.get("CreateAlias", object{"Name": alias, "FunctionVersion": "1"}))
			version, aliased := object{"Qualifier": "1"}, object{"Qualifier": alias}
			one := func(of object) object {
				return object{"Qualifier": of["Qualifier"], "ProvisionedConcurrentExecutions": 1}
			}
			r.match("put_provisioned_on_version", r.get("PutProvisionedConcurrencyConfig", one(version)))
			r.match("put_provisioned_on_alias_versionconflict", r.get("PutProvisionedConcurrencyConfig", one(aliased)))
			r.match("delete_provisioned_version", r.get("DeleteProvisionedConcurrencyConfig", version))
			r.match("get_provisioned_version_postdelete", r.get("GetProvisionedConcurrencyConfig", version))
			r.match("put_provisioned_on_alias", r.get("PutProvisionedConcurrencyConfig", one(aliased)))
			r.match("put_provisioned_on_version_conflict", r.get("PutProvisionedConcurrencyConfig", one(version)))
			r.match("delete_alias_result", r.get("DeleteAlias", object{"Name": alias}))
			r.match("get_provisioned_alias_postaliasdelete", r.get("GetProvisionedConcurrencyConfig", aliased))
			r.match("list_response_postdeletes", r.get("ListProvisionedConcurrencyConfigs", nil))
		},
	})
}
