package lambda

import (
	"fmt"
	"strings"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/wire"
)

func TestListFunctionsInPages(t *testing.T) {
	h := newHouse(t)
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("f%d", i)
		h.create(name)
		want = append(want, name)
	}
	var got []string
	var marker *string
	for pages := 0; ; pages++ {
		out, err := h.h.ListFunctions(t.Context(), call(), &api.ListFunctionsRequest{MaxItems: wire.Ptr(int32(3)), Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range out.Functions {
			got = append(got, *f.FunctionName)
			if f.State != nil || f.LastUpdateStatus != nil || f.RuntimeVersionConfig != nil || strings.HasSuffix(*f.FunctionArn, "$LATEST") {
				t.Errorf("listed as %+v", f)
			}
		}
		if marker = out.NextMarker; marker == nil {
			break
		}
		if pages > 7 {
			t.Fatal("the pages do not end")
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %v", got)
	}
	other := call()
	other.Account = "222222222222"
	if out, err := h.h.ListFunctions(t.Context(), other, &api.ListFunctionsRequest{}); err != nil || len(out.Functions) != 0 || out.Functions == nil {
		t.Errorf("another account sees %v, %v", out, err)
	}
	for _, bad := range []string{"?", "YQpiCmM", "Lg"} {
		_, err := h.h.ListFunctions(t.Context(), call(), &api.ListFunctionsRequest{Marker: &bad})
		wantFault(t, err, "InvalidParameterValueException", "marker")
	}
}

func TestListEveryVersion(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"a", "b", "c"} {
		h.create(name)
	}
	for i := range 3 {
		if _, err := h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: wire.Ptr("b")}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("b"), Timeout: wire.Ptr(int32(10 + i))}); err != nil {
			t.Fatal(err)
		}
		h.settleAll()
	}
	const want = "a:$LATEST b:$LATEST b:1 b:2 b:3 c:$LATEST"
	for size := range int32(7) {
		var got []string
		var marker *string
		for {
			out, err := h.h.ListFunctions(t.Context(), call(), &api.ListFunctionsRequest{FunctionVersion: wire.Ptr("ALL"), MaxItems: wire.Ptr(size + 1), Marker: marker})
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Functions) > int(size+1) {
				t.Fatalf("%d in a page of %d", len(out.Functions), size+1)
			}
			for _, f := range out.Functions {
				got = append(got, (*f.FunctionArn)[strings.LastIndex(*f.FunctionArn, "function:")+len("function:"):])
			}
			if marker = out.NextMarker; marker == nil {
				break
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("pages of %d: %v", size+1, got)
		}

		got = nil
		for {
			out, err := h.h.ListVersionsByFunction(t.Context(), call(), &api.ListVersionsByFunctionRequest{FunctionName: wire.Ptr("b"), MaxItems: wire.Ptr(size + 1), Marker: marker})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range out.Versions {
				got = append(got, *f.Version)
			}
			if marker = out.NextMarker; marker == nil {
				break
			}
		}
		if strings.Join(got, " ") != "$LATEST 1 2 3" {
			t.Errorf("versions in pages of %d: %v", size+1, got)
		}
	}
}

func TestAccountSettingsCount(t *testing.T) {
	h := newHouse(t)
	settings := func() *api.GetAccountSettingsResponse {
		out, err := h.h.GetAccountSettings(t.Context(), call(), &api.GetAccountSettingsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := settings(); *out.AccountUsage.FunctionCount != 0 || *out.AccountUsage.TotalCodeSize != 0 || *out.AccountLimit.ConcurrentExecutions != 1000 {
		t.Errorf("empty account: %+v", out)
	}
	size := *h.create("f").CodeSize
	if _, err := h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: wire.Ptr("f")}); err != nil {
		t.Fatal(err)
	}
	if out := settings(); *out.AccountUsage.FunctionCount != 1 || *out.AccountUsage.TotalCodeSize != 2*size {
		t.Errorf("one function with a version: %+v", out.AccountUsage)
	}
}
