package client

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// RuntimeDir is where the client is mounted in a sandbox.
const RuntimeDir = "/var/runtime"

// utf8Locale is built into every C library.
const utf8Locale = "C.UTF-8"

// ErrNoClient means that the runtime brings its own client (provided.*) or that
// there is none for its language.
var ErrNoClient = errors.New("client: no runtime client for this runtime")

// Request says for which function a program is wanted.
type Request struct {
	// Runtime is the AWS identifier, e.g. "python3.13".
	Runtime string
	// Interpreter is the interpreter's path inside the sandbox, e.g. /usr/bin/python3.11.
	Interpreter string
	// MemoryMiB is the function's memory: Node.js and Java must be told how much of
	// it their heap may take. 0 leaves it to them.
	MemoryMiB int
	// ExecWrapper is the value of AWS_LAMBDA_EXEC_WRAPPER, "" for none: a program
	// that is started in the interpreter's place, with its command line.
	ExecWrapper string
	// ClassData is what ArchiveClasses returned for this interpreter.
	ClassData ClassData
	// MountedAt replaces RuntimeDir where the client is mounted elsewhere.
	MountedAt string
	// TaskRoot replaces /var/task.
	TaskRoot string
}

// Program is what to mount and to start.
type Program struct {
	// Dir on the host is mounted read-only at RuntimeDir.
	Dir  string
	Argv []string
	// Env is what AWS adds to the environment for this runtime, NAME=value; a
	// function's own variables may replace them.
	Env []string
	// Waits says that the program can be started before its function is known, with
	// WaitVariable in its environment: it waits in runtimeapi.GateStart.
	Waits bool
	// Copies says that after INIT it can wait in runtimeapi.GateRestore, to be copied there.
	Copies bool
	// Threads says that the language has threads of its own, so that a copy must have
	// them, too.
	Threads bool
}

// wrapped starts the wrapper that is its first argument with the rest of them. AWS's runtimes
// begin in a shell, too: it tells in the log what is wrong with a wrapper and ends with the codes that
// shells have for it, and a script without a first line that names its interpreter is run by it.
const wrapped = `if [ ! -f "$1" ]; then echo "$1: does not exist"; exit 127; fi
if [ ! -x "$1" ]; then echo "$1: is not an executable"; exit 126; fi
exec "$@"`

// WaitVariable makes a program wait for its function.
const WaitVariable = "_LAMBDAD_WAIT=1"

// For returns the program of a runtime, or ErrNoClient.
func (s Set) For(r Request) (Program, error) {
	language, version := splitRuntime(r.Runtime)
	if r.MountedAt == "" {
		r.MountedAt = RuntimeDir
	}
	if r.TaskRoot == "" {
		r.TaskRoot = "/var/task"
	}
	p := Program{Dir: filepath.Join(s.Dir, language)}
	switch language {
	case "python":
		p.Argv = []string{r.Interpreter, r.MountedAt + "/bootstrap.py"}
		p.Env = []string{"PYTHONPATH=" + r.MountedAt, "LC_CTYPE=" + utf8Locale}
	case "nodejs":
		p.Argv = append([]string{r.Interpreter}, nodeFlags(r.MemoryMiB)...)
		p.Argv = append(p.Argv, r.MountedAt+"/index.js")
		major, _, _ := strings.Cut(version, ".")
		p.Env = []string{"NODE_PATH=/opt/nodejs/node" + major + "/node_modules:/opt/nodejs/node_modules:" +
			r.MountedAt + "/node_modules:" + r.MountedAt + ":" + r.TaskRoot}
	case "java":
		p.Argv = append([]string{r.Interpreter}, javaFlags(version, r.MemoryMiB)...)
		p.Argv = append(p.Argv, r.ClassData.flags(r.MountedAt)...)
		p.Argv = append(p.Argv, "-cp", strings.Join([]string{
			r.MountedAt + "/lambdad-runtime.jar", r.TaskRoot, r.TaskRoot + "/lib/*", "/opt/java/lib/*",
		}, ":"), "lambdad.runtime.Main")
		// Java 21 reads the environment by the locale, whatever its flags say, and takes a
		// locale only if all of it is installed.
		p.Env = []string{"LC_ALL=" + utf8Locale}
	case "ruby":
		p.Argv = []string{r.Interpreter, r.MountedAt + "/bootstrap.rb"}
		abi := version + ".0"
		p.Env = []string{
			"GEM_HOME=" + r.MountedAt,
			"GEM_PATH=" + r.TaskRoot + "/vendor/bundle/ruby/" + abi + ":/opt/ruby/gems/" + abi + ":" + r.MountedAt + ":" + r.MountedAt + "/ruby/" + abi,
			"RUBYLIB=" + r.TaskRoot + ":" + r.MountedAt + "/lib:/opt/ruby/lib",
			// AWS's en_US.UTF-8 may not be installed, and without a locale Ruby takes all
			// text for ASCII. The client takes this away again before the function looks.
			"LC_CTYPE=" + utf8Locale,
		}
	default:
		return Program{}, fmt.Errorf("%q: %w", r.Runtime, ErrNoClient)
	}
	p.Copies = (language != "java" || javaCopies(version)) && r.ExecWrapper == ""
	p.Threads = language != "python" // Ruby has a thread for its timers from 3.3 on
	p.Waits = language != "java" && r.ExecWrapper == ""
	p.Env = append(p.Env, "AWS_EXECUTION_ENV=AWS_Lambda_"+r.Runtime)
	if language != "java" { // AWS starts these through a shell
		p.Env = append(p.Env, "SHLVL=0", "PWD="+r.TaskRoot)
	}
	if r.ExecWrapper != "" {
		p.Argv = append([]string{"/bin/sh", "-c", wrapped, "bootstrap", r.ExecWrapper}, p.Argv...)
	}
	return p, nil
}

// splitRuntime splits "nodejs22.x" into "nodejs" and "22.x".
func splitRuntime(runtime string) (language, version string) {
	i := strings.IndexAny(runtime, "0123456789.")
	if i < 0 {
		return runtime, ""
	}
	return runtime[:i], runtime[i:]
}

// nodeFlags keeps V8's heap below the sandbox's memory, so that it collects
// before the kernel kills.
func nodeFlags(memoryMiB int) []string {
	if memoryMiB == 0 {
		return nil
	}
	return []string{"--max-old-space-size=" + strconv.Itoa(memoryMiB*9/10)}
}

// javaFlags are those that suit short-lived, small machines: one collector
// thread, and the first compiler only.
func javaFlags(version string, memoryMiB int) []string {
	flags := []string{
		"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-XX:-UsePerfData", // a file in /tmp, which is shared with whoever looks at it
		// As in AWS's locale, which may not be installed here.
		"-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US",
	}
	if javaCopies(version) {
		// What a copy must renew of Java's own: variables, and generators of random numbers.
		for _, open := range []string{"lang", "util", "util.concurrent"} {
			flags = append(flags, "--add-opens=java.base/java."+open+"=ALL-UNNAMED")
		}
		flags = append(flags, "-Dorg.crac.Core.Compat=com.amazonaws.services.lambda.crac") // as on Lambda
	}
	if memoryMiB > 0 {
		flags = append(flags, "-Xmx"+strconv.Itoa(max(memoryMiB*3/4, 32))+"m")
	}
	return flags
}

// javaCopies: Java 8 has no modules to open, and no SnapStart on Lambda.
func javaCopies(version string) bool { return !strings.HasPrefix(version, "8") }
