package lambda

import (
	"slices"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	snapStartNone = api.SnapStartApplyOnNone
	// snapStartTmpMiBMax is the largest /tmp that a snapshot covers. Source: Lambda developer
	// guide, "Improving startup performance with Lambda SnapStart", limitations.
	snapStartTmpMiBMax = 512
)

// snapStartRuntimes are those that AWS makes snapshots of: Java 11, Python 3.12, .NET 8 and all
// later ones. Source: as above, "Supported features and limitations".
func snapStartRuntimes() []string {
	return []string{"java11", "java17", "java21", "java25", "python3.12", "python3.13", "python3.14", "dotnet8", "dotnet10"}
}

// checkSnapStart refuses what a function with SnapStart may not have.
func checkSnapStart(f *record.Function) error {
	if f.SnapStart.ApplyOn == "" {
		return nil
	}
	if f.Tenancy != "" {
		return notForTenants("SnapStart is")
	}
	if f.Image != nil {
		return invalid("SnapStart is not supported for functions with packageType Image.")
	}
	if !slices.Contains(snapStartRuntimes(), f.Runtime) {
		return invalid("%s is not supported for SnapStart enabled functions.", f.Runtime)
	}
	if f.TmpMiB > snapStartTmpMiBMax {
		return invalid("Ephemeral storage of %d MB is not supported for SnapStart enabled functions: the most is %d MB.", f.TmpMiB, snapStartTmpMiBMax)
	}
	return nil
}

// snapStartOf shows what was asked for, and whether the snapshot of a version is there.
func snapStartOf(f *record.Function) *api.SnapStartResponse {
	out := &api.SnapStartResponse{ApplyOn: wire.Ptr(snapStartNone), OptimizationStatus: wire.Ptr(api.SnapStartOptimizationStatusOff)}
	if f.SnapStart.ApplyOn != "" {
		out.ApplyOn = wire.Ptr(f.SnapStart.ApplyOn)
	}
	if f.Snapshotted() && f.SnapStart.Optimized {
		out.OptimizationStatus = wire.Ptr(api.SnapStartOptimizationStatusOn)
	}
	return out
}
