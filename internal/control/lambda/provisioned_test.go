package lambda

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

func (h *house) publish(name string) {
	h.t.Helper()
	if _, err := h.h.PublishVersion(h.t.Context(), call(), &api.PublishVersionRequest{FunctionName: &name}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) provision(name, qualifier string, n int32) (*api.PutProvisionedConcurrencyConfigResponse, error) {
	return h.h.PutProvisionedConcurrencyConfig(h.t.Context(), call(), &api.PutProvisionedConcurrencyConfigRequest{
		FunctionName: &name, Qualifier: &qualifier, ProvisionedConcurrentExecutions: &n,
	})
}

func TestLifeOfProvisionedConcurrency(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	h.publish("f")
	put, err := h.provision("f", "1", 5)
	if err != nil {
		t.Fatal(err)
	}
	if *put.Status != "IN_PROGRESS" || *put.RequestedProvisionedConcurrentExecutions != 5 || *put.AvailableProvisionedConcurrentExecutions != 0 {
		t.Errorf("put answers %+v", put)
	}
	id := record.FunctionID{Account: testAccount, Region: testRegion, Name: "f"}
	stored, err := h.table.GetProvisioned(t.Context(), id, "1")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.table.ReportProvisioned(t.Context(), id, "1", stored.Serial, record.ProvisionedStatus{State: record.ProvisionedReady, Available: 5}); err != nil {
		t.Fatal(err)
	}
	get := func() (*api.GetProvisionedConcurrencyConfigResponse, error) {
		return h.h.GetProvisionedConcurrencyConfig(t.Context(), call(), &api.GetProvisionedConcurrencyConfigRequest{FunctionName: wire.Ptr("f"), Qualifier: wire.Ptr("1")})
	}
	if got, err := get(); err != nil || *got.Status != "READY" || *got.AllocatedProvisionedConcurrentExecutions != 5 || got.StatusReason != nil {
		t.Errorf("%+v, %v", got, err)
	}
	settings, err := h.h.GetAccountSettings(t.Context(), call(), &api.GetAccountSettingsRequest{})
	if err != nil || *settings.AccountLimit.UnreservedConcurrentExecutions != 995 {
		t.Errorf("%+v, %v", settings, err)
	}
	if err := h.h.DeleteProvisionedConcurrencyConfig(t.Context(), call(), &api.DeleteProvisionedConcurrencyConfigRequest{FunctionName: wire.Ptr("f"), Qualifier: wire.Ptr("1")}); err != nil {
		t.Error(err)
	}
	_, err = get()
	wantFault(t, err, "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found for this function")
}

func TestProvisionedConcurrencyRefuses(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.MemoryMiB = 1024 })
	h.create("f")
	h.publish("f")
	_, err := h.provision("f", "1", 901)
	wantFault(t, err, "InvalidParameterValueException", "below its minimum value of [100]")
	_, err = h.provision("f", "1", 9)
	wantFault(t, err, "InvalidParameterValueException", "--memory")
	if _, err = h.provision("f", "1", 8); err != nil {
		t.Error(err)
	}
	if _, err = h.provision("f", "1", 7); err != nil { // in place of the 8
		t.Error(err)
	}

	create := createRequest(t, "snapped")
	create.SnapStart = &api.SnapStart{ApplyOn: wire.Ptr("PublishedVersions")}
	if _, err := h.h.CreateFunction(t.Context(), call(), create); err != nil {
		t.Fatal(err)
	}
	h.settleAll()
	h.publish("snapped")
	_, err = h.provision("snapped", "1", 1)
	wantFault(t, err, "ResourceConflictException", "Pending")
	if err := h.table.EndSnapshot(t.Context(), record.FunctionID{Account: testAccount, Region: testRegion, Name: "snapped"}, "1", record.SnapshotOutcome{}); err != nil {
		t.Fatal(err)
	}
	_, err = h.provision("snapped", "1", 1)
	wantFault(t, err, "InvalidParameterValueException", "not supported for SnapStart enabled functions")
}

func TestListProvisionedConcurrencyPages(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	for i := range 3 {
		if i > 0 {
			if _, err := h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), Timeout: wire.Ptr(int32(10 + i))}); err != nil {
				t.Fatal(err)
			}
			h.settleAll()
		}
		h.publish("f")
	}
	for _, v := range []string{"1", "2", "3"} {
		if _, err := h.provision("f", v, 1); err != nil {
			t.Fatal(err)
		}
	}
	list := func(marker *string) *api.ListProvisionedConcurrencyConfigsResponse {
		t.Helper()
		out, err := h.h.ListProvisionedConcurrencyConfigs(t.Context(), call(), &api.ListProvisionedConcurrencyConfigsRequest{FunctionName: wire.Ptr("f"), MaxItems: wire.Ptr(int32(2)), Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := list(nil)
	if len(first.ProvisionedConcurrencyConfigs) != 2 || first.NextMarker == nil {
		t.Fatalf("first page %+v", first)
	}
	second := list(first.NextMarker)
	if len(second.ProvisionedConcurrencyConfigs) != 1 || second.NextMarker != nil || *second.ProvisionedConcurrencyConfigs[0].FunctionArn != "arn:aws:lambda:us-east-1:111111111111:function:f:3" {
		t.Errorf("second page %+v", second)
	}
	// What is deleted takes its configuration along.
	if _, err := h.h.DeleteFunction(t.Context(), call(), &api.DeleteFunctionRequest{FunctionName: wire.Ptr("f")}); err != nil {
		t.Fatal(err)
	}
	if err := h.table.EachProvisioned(t.Context(), func(p *record.Provisioned) { t.Errorf("%+v is left", p) }); err != nil {
		t.Error(err)
	}
}

// TestProvisionedConcurrencyOfAliases: a version has one configuration, of itself or of an alias.
func TestProvisionedConcurrencyOfAliases(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	h.publish("f")
	if _, err := h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), Timeout: wire.Ptr(int32(9))}); err != nil {
		t.Fatal(err)
	}
	h.settleAll()
	h.publish("f")
	alias := func(name, version string, weights map[string]float64) {
		t.Helper()
		in := &api.CreateAliasRequest{FunctionName: wire.Ptr("f"), Name: &name, FunctionVersion: &version}
		if weights != nil {
			in.RoutingConfig = &api.AliasRoutingConfiguration{AdditionalVersionWeights: weights}
		}
		if _, err := h.h.CreateAlias(t.Context(), call(), in); err != nil {
			t.Fatal(err)
		}
	}
	move := func(name, version string) error {
		_, err := h.h.UpdateAlias(t.Context(), call(), &api.UpdateAliasRequest{FunctionName: wire.Ptr("f"), Name: &name, FunctionVersion: &version})
		return err
	}
	requested := func(qualifier string) int32 {
		t.Helper()
		got, err := h.h.GetProvisionedConcurrencyConfig(t.Context(), call(), &api.GetProvisionedConcurrencyConfigRequest{FunctionName: wire.Ptr("f"), Qualifier: &qualifier})
		if err != nil {
			return 0
		}
		return *got.RequestedProvisionedConcurrentExecutions
	}
	want := func(of map[string]int32) {
		t.Helper()
		for _, q := range []string{"1", "2", "live", "other"} {
			if got := requested(q); got != of[q] {
				t.Errorf("%s has %d provisioned, want %d", q, got, of[q])
			}
		}
	}
	put := func(qualifier string, n int32) error { _, err := h.provision("f", qualifier, n); return err }
	drop := func(qualifier string) {
		t.Helper()
		if err := h.h.DeleteProvisionedConcurrencyConfig(t.Context(), call(), &api.DeleteProvisionedConcurrencyConfigRequest{FunctionName: wire.Ptr("f"), Qualifier: &qualifier}); err != nil {
			t.Fatal(err)
		}
	}
	alias("live", "1", nil)
	alias("other", "1", nil)
	alias("divided", "1", map[string]float64{"2": 0.5})
	alias("unpublished", "$LATEST", nil)

	wantFault(t, put("divided", 1), "InvalidParameterValueException", "Alias with weights")
	wantFault(t, put("unpublished", 1), "InvalidParameterValueException", "unpublished function versions")
	if err := put("live", 600); err != nil {
		t.Fatal(err)
	}
	want(map[string]int32{"live": 600})
	wantFault(t, put("1", 1), "ResourceConflictException", "Version is pointed by a Provisioned Concurrency alias")
	wantFault(t, put("other", 1), "ResourceConflictException", "on an already Provisioned version")
	drop("1") // content, and not that of the alias
	want(map[string]int32{"live": 600})

	// It moves with the alias, within the same limits: 600 twice would be too much.
	if err := move("live", "2"); err != nil {
		t.Fatal(err)
	}
	want(map[string]int32{"live": 600})
	if err := put("1", 5); err != nil {
		t.Fatal(err)
	}
	wantFault(t, move("live", "1"), "ResourceConflictException", "on an already Provisioned version")
	wantFault(t, move("live", "$LATEST"), "InvalidParameterValueException", "unpublished function versions")
	want(map[string]int32{"live": 600, "1": 5})
	list, err := h.h.ListProvisionedConcurrencyConfigs(t.Context(), call(), &api.ListProvisionedConcurrencyConfigsRequest{FunctionName: wire.Ptr("f")})
	if err != nil || len(list.ProvisionedConcurrencyConfigs) != 2 || !strings.HasSuffix(*list.ProvisionedConcurrencyConfigs[1].FunctionArn, ":f:live") {
		t.Errorf("listed %+v, %v", list, err)
	}
	drop("1")
	if err := h.h.DeleteAlias(t.Context(), call(), &api.DeleteAliasRequest{FunctionName: wire.Ptr("f"), Name: wire.Ptr("live")}); err != nil {
		t.Fatal(err)
	}
	want(nil)
	if settings, err := h.h.GetAccountSettings(t.Context(), call(), &api.GetAccountSettingsRequest{}); err != nil || *settings.AccountLimit.UnreservedConcurrentExecutions != 1000 {
		t.Errorf("an alias leaves what was provisioned of it: %+v, %v", settings, err)
	}
}

// TestProvisionedConcurrencyAtOnce: of requests that come together no more succeed than fit.
func TestProvisionedConcurrencyAtOnce(t *testing.T) {
	h := newHouse(t)
	var all sync.WaitGroup
	var fit atomic.Int32
	for i := range 4 {
		name := fmt.Sprintf("f%d", i)
		h.create(name)
		h.publish(name)
	}
	for i := range 4 {
		all.Go(func() {
			switch _, err := h.provision(fmt.Sprintf("f%d", i), "1", 450); {
			case err == nil:
				fit.Add(1)
			case !strings.Contains(err.Error(), "below its minimum value"):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if fit.Load() != 2 {
		t.Errorf("450 of 900 were provisioned %d times", fit.Load())
	}
}
