package lambda

import (
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

func wantSnapStart(t *testing.T, c *api.FunctionConfiguration, applyOn, status string) {
	t.Helper()
	if *c.SnapStart.ApplyOn != applyOn || *c.SnapStart.OptimizationStatus != status {
		t.Errorf("version %s: SnapStart %s %s, want %s %s", *c.Version, *c.SnapStart.ApplyOn, *c.SnapStart.OptimizationStatus, applyOn, status)
	}
}

func TestSnapStartVersionWaitsForItsSnapshot(t *testing.T) {
	h := newHouse(t)
	create := createRequest(t, "f")
	create.SnapStart = &api.SnapStart{ApplyOn: wire.Ptr("PublishedVersions")}
	out, err := h.h.CreateFunction(t.Context(), call(), create)
	if err != nil {
		t.Fatal(err)
	}
	wantSnapStart(t, out, "PublishedVersions", "Off")
	h.settleAll()
	if c := h.configuration("f"); *c.State != "Active" {
		t.Errorf("$LATEST is %s: it needs no snapshot", *c.State)
	}
	publish := func() *api.FunctionConfiguration {
		t.Helper()
		v, err := h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: wire.Ptr("f")})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	v := publish()
	wantSnapStart(t, v, "PublishedVersions", "Off")
	if *v.State != "Pending" || *v.StateReasonCode != "Creating" {
		t.Errorf("published as %s %s", *v.State, *v.StateReasonCode)
	}
	h.settleAll()
	if c := h.configuration("f:1"); *c.State != "Pending" {
		t.Errorf("settled as %s before its snapshot was made", *c.State)
	}
	id := record.FunctionID{Account: testAccount, Region: testRegion, Name: "f"}
	if err := h.table.EndSnapshot(t.Context(), id, "1", record.SnapshotOutcome{}); err != nil {
		t.Fatal(err)
	}
	active := h.configuration("f:1")
	if *active.State != "Active" || *active.LastUpdateStatus != "Successful" {
		t.Errorf("became %s", *active.State)
	}
	wantSnapStart(t, active, "PublishedVersions", "On")
	if again := publish(); *again.Version != "1" || *again.State != "Active" {
		t.Errorf("published again without a change: version %s, %s", *again.Version, *again.State)
	}

	// Without SnapStart the next version differs, and is Active at once.
	if _, err := h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), SnapStart: &api.SnapStart{ApplyOn: wire.Ptr("None")}}); err != nil {
		t.Fatal(err)
	}
	h.settleAll()
	second := publish()
	if *second.Version != "2" || *second.State != "Active" {
		t.Errorf("version %s is %s", *second.Version, *second.State)
	}
	wantSnapStart(t, second, "None", "Off")
}

func TestSnapStartRefuses(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		runtime string
		tmp     int32
		text    string
	}{
		{"nodejs22.x", 512, "nodejs22.x is not supported for SnapStart enabled functions."},
		{"python3.11", 512, "python3.11 is not supported"},
		{"java8.al2", 512, "java8.al2 is not supported"},
		{"provided.al2023", 512, "provided.al2023 is not supported"},
		{"python3.12", 513, "Ephemeral storage of 513 MB"},
	} {
		create := createRequest(t, "f")
		create.Runtime, create.EphemeralStorage = &c.runtime, &api.EphemeralStorage{Size: &c.tmp}
		create.SnapStart = &api.SnapStart{ApplyOn: wire.Ptr("PublishedVersions")}
		_, err := h.h.CreateFunction(t.Context(), call(), create)
		wantFault(t, err, "InvalidParameterValueException", c.text)
	}
	// What an update makes of a function that has it counts too.
	create := createRequest(t, "f")
	create.SnapStart = &api.SnapStart{ApplyOn: wire.Ptr("PublishedVersions")}
	if _, err := h.h.CreateFunction(t.Context(), call(), create); err != nil {
		t.Fatal(err)
	}
	h.settleAll()
	_, err := h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), EphemeralStorage: &api.EphemeralStorage{Size: wire.Ptr(int32(1024))}})
	wantFault(t, err, "InvalidParameterValueException", "Ephemeral storage of 1024 MB")
}
