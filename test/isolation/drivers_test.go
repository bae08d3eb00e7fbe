package isolation

import (
	"os"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// driver is one kind of isolation, and how it answers where it does not answer
// as the host's kernel does behind a filter.
type driver struct {
	name string
	open func(t *testing.T) sandbox.Driver // skips where the host cannot
	// answers, by the attempt's name, is what it must be told in place of the usual.
	answers map[string]string
	// contained, by the attempt's name, succeeds and harms nobody, for the reason given.
	contained map[string]string
	// together is how many attempts are made in one sandbox, by a child each, where a sandbox for every attempt
	// takes too long; 0 is one.
	together int
}

func drivers() []driver {
	return []driver{
		{name: "container", open: openContainer},
		{name: "gvisor", open: openGvisor, answers: gvisorAnswers, contained: gvisorContained},
		{name: "microvm", open: openMicroVM, answers: microvmAnswers, contained: microvmContained, together: 20},
	}
}

// eachDriver runs a test in sandboxes of each kind.
func eachDriver(t *testing.T, test func(*testing.T, *sandboxtest.Harness, driver)) {
	for _, d := range drivers() {
		t.Run(d.name, func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			opened := d.open(t)
			t.Cleanup(func() {
				if err := opened.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, sandboxtest.NewHarness(t, opened), d)
		})
	}
}

// attempts are everybody's, with the answers of this driver.
func (d driver) attempts(list []attempt) []attempt {
	for i := range list {
		if want, ok := d.answers[list[i].name]; ok {
			list[i].want = want
		}
		list[i].contained = d.contained[list[i].name]
	}
	return list
}

func openContainer(t *testing.T) sandbox.Driver {
	opened, err := container.New(container.Options{StateDir: t.TempDir(), Init: sandboxtest.Build(t, sandboxtest.InitPackage)})
	if err != nil {
		t.Fatal(err)
	}
	return opened
}
