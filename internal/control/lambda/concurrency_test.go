package lambda

import (
	"strings"
	"sync"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/wire"
)

func (h *house) reserve(name string, n int32) error {
	_, err := h.h.PutFunctionConcurrency(h.t.Context(), call(), &api.PutFunctionConcurrencyRequest{FunctionName: &name, ReservedConcurrentExecutions: &n})
	return err
}

func (h *house) unreserved() int32 {
	h.t.Helper()
	out, err := h.h.GetAccountSettings(h.t.Context(), call(), &api.GetAccountSettingsRequest{})
	if err != nil {
		h.t.Fatal(err)
	}
	return *out.AccountLimit.UnreservedConcurrentExecutions
}

// TestReservedAndProvisioned: what is provisioned of a function with a reservation is part of it.
func TestReservedAndProvisioned(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"f", "g"} {
		h.create(name)
		h.publish(name)
	}
	if err := h.reserve("f", 500); err != nil {
		t.Fatal(err)
	}
	if _, err := h.provision("f", "1", 501); err == nil || !strings.Contains(err.Error(), "should not be greater than the reservedConcurrentExecution") {
		t.Errorf("provisioning more than is reserved: %v", err)
	}
	if _, err := h.provision("f", "1", 400); err != nil {
		t.Error(err)
	}
	if n := h.unreserved(); n != 500 {
		t.Errorf("%d are unreserved beside a reservation of 500", n)
	}
	if err := h.reserve("f", 399); err == nil || !strings.Contains(err.Error(), "total provisioned concurrency [400]") {
		t.Errorf("reserving less than is provisioned: %v", err)
	}
	if _, err := h.provision("g", "1", 401); err == nil {
		t.Error("401 were provisioned beside a reservation of 500 that leaves 400")
	}
	if _, err := h.provision("g", "1", 400); err != nil {
		t.Error(err)
	}
	if err := h.reserve("f", 500); err != nil {
		t.Errorf("reserving the same again: %v", err)
	}
	if _, err := h.h.DeleteFunction(t.Context(), call(), &api.DeleteFunctionRequest{FunctionName: wire.Ptr("f")}); err != nil {
		t.Fatal(err)
	}
	if n := h.unreserved(); n != 600 {
		t.Errorf("%d are unreserved after the function has gone", n)
	}
}

// TestReservationsAtOnce never promise more than the account has.
func TestReservationsAtOnce(t *testing.T) {
	h := newHouse(t)
	names := []string{"a", "b", "c", "d", "e", "f"}
	for _, name := range names {
		h.create(name)
	}
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			if err := h.reserve(name, 300); err != nil && !strings.Contains(err.Error(), "below its minimum value of [100]") {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := h.unreserved(); n != 100 {
		t.Errorf("%d are unreserved after six asked for 300 of 1,000", n)
	}
}

func TestConcurrencyIsOfFunctions(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	h.publish("f")
	for name, want := range map[string]string{"f:1": "permitted on Lambda functions only", "f:$LATEST": "permitted on Lambda functions only", "nobody": "Function not found"} {
		if err := h.reserve(name, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("reserving for %s: %v", name, err)
		}
	}
}
