package lambda

import (
	"errors"
	"strings"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// publishAnother changes a function and publishes it, and gives the version's number.
func (h *house) publishAnother(name, description string) string {
	h.t.Helper()
	if _, err := h.h.UpdateFunctionConfiguration(h.t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: &name, Description: &description}); err != nil {
		h.t.Fatal(err)
	}
	h.settleAll()
	out, err := h.h.PublishVersion(h.t.Context(), call(), &api.PublishVersionRequest{FunctionName: &name})
	if err != nil {
		h.t.Fatal(err)
	}
	return *out.Version
}

func TestAliasHoldsItsVersions(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	one, two := h.publishAnother("f", "first"), h.publishAnother("f", "second")
	name := wire.Ptr("f")
	if _, err := h.h.CreateAlias(t.Context(), call(), &api.CreateAliasRequest{
		FunctionName: name, Name: wire.Ptr("live"), FunctionVersion: &one, RoutingConfig: &api.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{two: 0.1}},
	}); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{one, two} {
		_, err := h.h.DeleteFunction(t.Context(), call(), &api.DeleteFunctionRequest{FunctionName: name, Qualifier: &version})
		var conflict *api.ResourceConflictException
		if !errors.As(err, &conflict) || conflict.FaultMessage() != "Unable to delete version because the following aliases reference it: [live]" {
			t.Errorf("deleting version %s: %v", version, err)
		}
	}
	// What is no longer routed to can go, and what an update leaves out stays.
	updated, err := h.h.UpdateAlias(t.Context(), call(), &api.UpdateAliasRequest{FunctionName: name, Name: wire.Ptr("live"), RoutingConfig: &api.AliasRoutingConfiguration{}})
	if err != nil || *updated.FunctionVersion != one || updated.RoutingConfig != nil {
		t.Fatalf("%+v, %v", updated, err)
	}
	if _, err := h.h.DeleteFunction(t.Context(), call(), &api.DeleteFunctionRequest{FunctionName: name, Qualifier: &two}); err != nil {
		t.Errorf("deleting a free version: %v", err)
	}
}

func TestAliasRevision(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	name, alias := wire.Ptr("f"), wire.Ptr("live")
	made, err := h.h.CreateAlias(t.Context(), call(), &api.CreateAliasRequest{FunctionName: name, Name: alias, FunctionVersion: wire.Ptr(record.Latest)})
	if err != nil {
		t.Fatal(err)
	}
	changed, err := h.h.UpdateAlias(t.Context(), call(), &api.UpdateAliasRequest{FunctionName: name, Name: alias, Description: wire.Ptr("x"), RevisionId: made.RevisionId})
	if err != nil || *changed.RevisionId == *made.RevisionId {
		t.Fatalf("%+v, %v", changed, err)
	}
	_, err = h.h.UpdateAlias(t.Context(), call(), &api.UpdateAliasRequest{FunctionName: name, Name: alias, RevisionId: made.RevisionId})
	var stale *api.PreconditionFailedException
	if !errors.As(err, &stale) {
		t.Errorf("an old revision: %v", err)
	}
}

func TestAliasesEndWithTheFunction(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	h.create("f2") // its name begins with the other's
	for _, of := range []string{"f", "f2"} {
		if _, err := h.h.CreateAlias(t.Context(), call(), &api.CreateAliasRequest{FunctionName: &of, Name: wire.Ptr("live"), FunctionVersion: wire.Ptr(record.Latest)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.h.DeleteFunction(t.Context(), call(), &api.DeleteFunctionRequest{FunctionName: wire.Ptr("f")}); err != nil {
		t.Fatal(err)
	}
	h.create("f")
	list, err := h.h.ListAliases(t.Context(), call(), &api.ListAliasesRequest{FunctionName: wire.Ptr("f")})
	if err != nil || len(list.Aliases) != 0 {
		t.Errorf("a new function has %v, %v", list, err)
	}
	if _, err := h.h.GetAlias(t.Context(), call(), &api.GetAliasRequest{FunctionName: wire.Ptr("f2"), Name: wire.Ptr("live")}); err != nil {
		t.Errorf("another function's alias: %v", err)
	}
}

func TestListAliasesInPages(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	one := h.publishAnother("f", "first")
	for i, alias := range strings.Split("a b c d e", " ") {
		version := record.Latest
		if i%2 == 1 {
			version = one
		}
		if _, err := h.h.CreateAlias(t.Context(), call(), &api.CreateAliasRequest{FunctionName: wire.Ptr("f"), Name: &alias, FunctionVersion: &version}); err != nil {
			t.Fatal(err)
		}
	}
	for filter, want := range map[string]string{"": "a b|c d|e", one: "b d", record.Latest: "a c|e"} {
		var pages []string
		for in := (&api.ListAliasesRequest{FunctionName: wire.Ptr("f"), MaxItems: wire.Ptr(int32(2))}); ; {
			if filter != "" {
				in.FunctionVersion = &filter
			}
			out, err := h.h.ListAliases(t.Context(), call(), in)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, a := range out.Aliases {
				names = append(names, *a.Name)
			}
			if len(names) > 0 {
				pages = append(pages, strings.Join(names, " "))
			}
			if out.NextMarker == nil {
				break
			}
			in.Marker = out.NextMarker
		}
		if got := strings.Join(pages, "|"); got != want {
			t.Errorf("aliases of %q in pages: %s, want %s", filter, got, want)
		}
	}
}
