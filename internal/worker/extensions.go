package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/sandbox"
)

// extensionsDir is where a layer or an image has external extensions. Source: Lambda
// developer guide, "Lambda extensions API".
const extensionsDir = "extensions"

// extenderPath is where sandboxes have the program that starts extensions.
const extenderPath = "/var/lambdad/extender"

// withheldVariables are those that extensions do not get. Source: Lambda developer guide, "Lambda extensions
// API", Environment variables: what is specific to the runtime process.
var withheldVariables = []string{
	"AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_XRAY_CONTEXT_MISSING",
	"AWS_XRAY_DAEMON_ADDRESS", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_PORT", "_HANDLER",
}

// ErrExtensions means that a function has external extensions that cannot be started here: without
// them it would not be what its owner made.
var ErrExtensions = errors.New("worker: these external extensions are not run here")

// extensionSession is the part of a Session that extensions use.
type extensionSession interface {
	// SetFunction says whose it is, where that was not known when it began.
	SetFunction(runtimeapi.Function)
	// Processes is the connection of what starts the processes; Registered waits for them.
	Processes(ctx context.Context) (net.Conn, error)
	Registered(ctx context.Context) error
	// Extensions tells of those there are; ExtensionFault is what the first of them that failed did.
	Extensions() []runtimeapi.ExtensionInfo
	ExtensionFault() string
	ExtensionFailed(name, fault, errorType string)
	// Interrupt ends the invocation in hand; Shutdown tells extensions that the environment ends.
	Interrupt()
	Shutdown(reason string, deadline time.Time) []string
}

// externalExtensions are the names of the programs that are started beside the runtime: the files in
// /opt/extensions as the sandbox will see it.
func (e *Environment) externalExtensions() ([]string, error) {
	var names []string
	for _, dir := range e.layerDirs { // a later layer lies over an earlier one
		in, folders, err := extensionsIn(dir)
		if err != nil {
			return nil, err
		}
		names = slices.DeleteFunc(append(names, in...), func(name string) bool { return slices.Contains(folders, name) })
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > 0 && e.worker.opts.Extender == "" {
		return nil, fmt.Errorf("%w: lambdad-init was not found, which starts them", ErrExtensions)
	}
	return names, nil
}

// extensionsIn returns the extensions of a layer, and what else is there. It follows no symbolic link: the
// layer is a stranger's, and the link would lead through the host.
func extensionsIn(layer string) (names, folders []string, err error) {
	for _, dir := range []string{layer, filepath.Join(layer, extensionsDir)} {
		info, err := os.Lstat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil, nil
		case err != nil:
			return nil, nil, fmt.Errorf("look for extensions: %w", err)
		case info.Mode()&fs.ModeSymlink != 0 && dir != layer:
			return nil, nil, fmt.Errorf("%w: /opt/%s is a symbolic link", ErrExtensions, extensionsDir)
		case !info.IsDir():
			return nil, nil, nil
		}
	}
	entries, err := os.ReadDir(filepath.Join(layer, extensionsDir))
	if err != nil {
		return nil, nil, fmt.Errorf("look for extensions: %w", err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			folders = append(folders, entry.Name())
		} else {
			names = append(names, entry.Name())
		}
	}
	return names, folders, nil
}

// extensionPath is where a sandbox has an extension.
func extensionPath(name string) string { return sandboxLayerDir + "/" + extensionsDir + "/" + name }

// extend has the extensions started, and the runtime by what starts them.
func (e *Environment) extend(spec *sandbox.StartSpec) {
	argv := []string{extenderPath, strconv.Itoa(len(e.extensions))}
	for _, name := range e.extensions {
		argv = append(argv, extensionPath(name))
	}
	argv = append(append(argv, strconv.Itoa(len(withheldVariables))), withheldVariables...)
	dir := spec.Dir
	if dir == "" {
		dir = sandboxCodeDir
	}
	spec.Argv, spec.Dir = append(append(argv, dir), spec.Argv...), "/"
	spec.Mounts = append(slices.Clone(spec.Mounts), sandbox.Mount{Source: e.worker.opts.Extender, Target: extenderPath})
}

// newFamilyProcess is newProcess for what extend prepared: the program that is watched over is the runtime.
func (e *Environment) newFamilyProcess(box sandbox.Sandbox, program sandbox.Program, session Session, runtime string) *process {
	usage := func() (sandbox.Usage, error) { return box.Usage(context.Background()) }
	f := newFamily(program, usage, session, e.log, e.extensions, runtime)
	p := e.newProcess(box, f.runtime, session)
	p.family = f
	return p
}

// begin starts what newFamilyProcess watches over.
func (p *process) begin(ctx context.Context) error {
	if p.family == nil {
		return nil
	}
	return p.family.begin(ctx)
}

// unlaunched tells of a process that could not be executed. Source: what AWS answers for an extension of
// another architecture, and for a script whose interpreter is not there.
func (p *process) unlaunched(err *launchError) (text, errorType string) {
	if err.member.index == 0 {
		return err.ExecError.Error(), "Runtime.InvalidEntrypoint"
	}
	own := "UnknownError"
	if errors.Is(err, fs.ErrPermission) {
		own = "PermissionDenied"
	}
	p.family.fail(err.ExecError.Error(), runtimeapi.ExtensionLaunchError, err.member.name, own)
	return err.ExecError.Error(), p.session.ExtensionFault()
}

// tooManyExtensions is the INIT of a function that has more extensions than Lambda allows. Source: AWS's
// published runtime interface code.
func (e *Environment) tooManyExtensions() initOutcome {
	e.log.extensions([]runtimeapi.ExtensionInfo{{Name: e.extensions[runtimeapi.ExtensionsMax], State: "LaunchError", ErrorType: "TooManyExtensions"}})
	return initOutcome{status: StatusFailure, errorType: runtimeapi.ExtensionLaunchError, text: "ErrTooManyExtensions"}
}
