package container_test

import (
	"os"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// TestSuite needs root; without it the driver is tested by TestRootless, from root too.
func TestSuite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	init := sandboxtest.Build(t, sandboxtest.InitPackage)
	sandboxtest.Run(t, func(t testing.TB, stateDir string) sandbox.Driver {
		d, err := container.New(container.Options{StateDir: stateDir, Init: init})
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}
