package worker

import (
	"os"
	"path/filepath"
)

// bootstrapInCode is the program of a function whose runtime has none: the OS-only
// runtimes. Source: Lambda developer guide, "Building a custom runtime".
const bootstrapInCode = "/var/task/bootstrap"

// command is what to start. It reports false when the runtime wants the code's own bootstrap
// and there is no executable one.
func (e *Environment) command() (argv []string, ok bool) {
	if len(e.runtime.Argv) > 0 {
		return e.runtime.Argv, true
	}
	info, err := os.Stat(filepath.Join(e.codeDir, "bootstrap"))
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return nil, false
	}
	return []string{bootstrapInCode}, true
}

// noBootstrap is how AWS's published runtime interface code says it: an INIT that failed
// before anything ran.
func noBootstrap() initOutcome {
	return initOutcome{
		status:    StatusFailure,
		errorType: "Runtime.InvalidEntrypoint",
		text:      "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
	}
}
