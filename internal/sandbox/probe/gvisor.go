package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/gvisor"
)

// runscRemedy says how to get gVisor.
const runscRemedy = "`make runsc` builds it; put runsc into DATA/tools, beside lambdad or into PATH, for --isolation=gvisor. lambdad works without."

// gvisorSandbox parks one in gVisor, if runsc is there.
func gvisorSandbox(ctx context.Context, options Options) []Finding {
	f := Finding{Name: "gvisor"}
	runsc, err := options.Runsc, error(nil)
	if runsc == "" {
		runsc, err = gvisor.FindRunsc(options.ToolsDir)
	}
	if err != nil {
		f.Status, f.Detail, f.Remedy = Degraded, "no runsc", runscRemedy
		return []Finding{f}
	}
	out, err := exec.CommandContext(ctx, runsc, "--version").CombinedOutput()
	version, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil {
		f.Status, f.Detail, f.Remedy = Degraded, fmt.Sprintf("%s --version: %v: %s", runsc, err, version), runscRemedy
		return []Finding{f}
	}
	if strings.Contains(version, "VERSION_MISSING") { // as every build from the module says
		version = "runs"
	}
	took, unenforced, err := parkGvisor(ctx, runsc)
	f.Detail = fmt.Sprintf("%s: %s: one was parked in %d ms", runsc, version, took.Milliseconds())
	switch {
	case errors.Is(err, sandbox.ErrUnsupported):
		f.Status, f.Detail, f.Remedy = Degraded, fmt.Sprintf("%s: %v", runsc, err), "Run as root, with control groups."
	case err != nil:
		f.Status, f.Detail, f.Remedy = Degraded, fmt.Sprintf("%s: %v", runsc, err), "A container around lambdad may forbid what runsc needs: give it --privileged."
	case len(unenforced) > 0:
		f.Status, f.Detail = Degraded, f.Detail+"; NOT enforced: "+strings.Join(unenforced, ", ")
		f.Remedy = "See control groups and /tmp on disk, above."
	}
	return []Finding{f}
}

func parkGvisor(ctx context.Context, runsc string) (took time.Duration, unenforced []string, err error) {
	dir, err := os.MkdirTemp("", "lambdad-probe-")
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	driver, err := gvisor.New(gvisor.Options{StateDir: dir, Runsc: runsc})
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	began := time.Now()
	s, err := driver.Park(ctx, sandbox.ParkSpec{ID: "probe"})
	if err != nil {
		return 0, nil, err
	}
	took = time.Since(began)
	return took, driver.Unenforced(), s.Destroy(ctx)
}
