package worker

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// bootstrapInCode is the program of a function whose runtime has none: the OS-only
// runtimes. Source: Lambda developer guide, "Building a custom runtime".
const (
	bootstrapInCode  = "/var/task/bootstrap"
	bootstrapInLayer = "/opt/bootstrap"
)

// command is what to start. It reports false when the runtime wants the code's own bootstrap
// and there is none.
func (e *Environment) command() (argv []string, ok bool) {
	if e.fn.Image != nil {
		return e.imageCommand()
	}
	if len(e.runtime.Argv) > 0 {
		return e.runtime.Argv, true
	}
	if hasBootstrap(e.codeDir) {
		return []string{bootstrapInCode}, true
	}
	if slices.ContainsFunc(e.layerDirs, hasBootstrap) {
		return []string{bootstrapInLayer}, true
	}
	return nil, false
}

func hasBootstrap(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "bootstrap"))
	return err == nil && !info.IsDir()
}

// noBootstrap is how AWS's published runtime interface code says it: an INIT that failed
// before anything ran.
func (e *Environment) noBootstrap(argv []string) initOutcome {
	looked := bootstrapInCode + " " + bootstrapInLayer
	if e.fn.Image != nil {
		looked = strings.Join(argv[:min(1, len(argv))], " ")
	}
	return initOutcome{
		status:    StatusFailure,
		errorType: "Runtime.InvalidEntrypoint",
		text:      "Couldn't find valid bootstrap(s): [" + looked + "]",
	}
}

// notExecuted tells of a program that is there but that the kernel would not execute: not
// marked as executable, for another architecture, a script whose interpreter is not there. ok is
// false for other errors. Source: as noBootstrap, and what AWS answers for a bootstrap
// without its mode.
func notExecuted(err error, took time.Duration) (o initOutcome, ok bool) {
	var refused *sandbox.ExecError
	if !errors.As(err, &refused) {
		return initOutcome{}, false
	}
	return initOutcome{took: took, status: StatusFailure, errorType: "Runtime.InvalidEntrypoint", text: refused.Error()}, true
}
