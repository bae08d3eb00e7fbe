package isolation

import (
	"os"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/gvisor"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

func openGvisor(t *testing.T) sandbox.Driver {
	runsc := os.Getenv("LAMBDAD_RUNSC")
	if runsc == "" {
		var err error
		if runsc, err = gvisor.FindRunsc(""); err != nil {
			t.Skip(err)
		}
	}
	opened, err := gvisor.New(gvisor.Options{StateDir: t.TempDir(), Runsc: runsc, Init: sandboxtest.Build(t, sandboxtest.GvisorInitPackage)})
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// gvisorAnswers: gVisor's kernel looks at a file's owner before it looks at the mount.
var gvisorAnswers = map[string]string{
	"write to the code":   denied,
	"write to the layers": denied,
	"write to the root":   denied,
	"write to the users":  denied,
}

// gvisorContained: what succeeds, succeeds in a kernel that is the sandbox's own.
var gvisorContained = map[string]string{
	"never be killed for memory": "the number is gVisor's; the host never hears of it",
	"look at /sys":               "gVisor must have the directory; it is empty",
}
