package gvisor

import (
	"os"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// runscVariable names a runsc for tests; without it they look where the driver would.
const runscVariable = "LAMBDAD_RUNSC"

func needs(t testing.TB) (runsc string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if runsc = os.Getenv(runscVariable); runsc != "" {
		return runsc
	}
	runsc, err := FindRunsc("")
	if err != nil {
		t.Skip(err)
	}
	return runsc
}

func openDriver(t testing.TB, stateDir string) *Driver {
	t.Helper()
	d, err := New(Options{StateDir: stateDir, Runsc: needs(t), Init: sandboxtest.Build(t, sandboxtest.GvisorInitPackage)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSuite(t *testing.T) {
	needs(t)
	sandboxtest.Run(t, func(t testing.TB, stateDir string) sandbox.Driver { return openDriver(t, stateDir) }, sandboxtest.OwnKernel)
}
