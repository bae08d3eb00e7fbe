package runtimes

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Bounds of a probe: an interpreter that is broken must not hold up the start.
const (
	probeTimeout     = 10 * time.Second
	probeOutputMax   = 64 << 10
	probeParallelMax = 4
)

// interpreter is one that ran and told about itself.
type interpreter struct {
	language   Language
	version    string
	executable string   // without symbolic links
	prefix     string   // where it was installed
	libraries  []string // directories of its standard library
	sdk        bool     // Python: boto3 is there, as AWS's runtimes have it
	stamp      string   // of the executable: changes when it is replaced
}

// program tells how to ask an interpreter, and how to read its answer.
type program struct {
	args  []string
	parse func(stdout, stderr []byte) (interpreter, error)
}

func programFor(language Language) (program, bool) {
	switch language {
	case Python:
		return program{[]string{"-I", "-S", "-B", "-c", pythonQuestion}, parseJSON}, true
	case NodeJS:
		return program{[]string{"-e", nodeQuestion}, parseJSON}, true
	case Ruby:
		return program{[]string{"--disable=gems", "-rrbconfig", "-e", rubyQuestion}, parseJSON}, true
	case Java:
		return program{[]string{"-XshowSettings:properties", "-version"}, parseJava}, true
	}
	return program{}, false
}

// Other implementations, previews and free-threaded builds answer with no version.
const pythonQuestion = `
import os, site, sys, json, sysconfig
usual = sys.implementation.name == "cpython" and sys.version_info[3] == "final" and not sysconfig.get_config_var("Py_GIL_DISABLED")
print(json.dumps({
  "version": "%d.%d.%d" % sys.version_info[:3] if usual else "",
  "executable": getattr(sys, "_base_executable", None) or sys.executable,
  "prefix": sys.base_prefix,
  "sdk": any(os.path.isdir(d + "/boto3") for d in site.getsitepackages() if d.startswith((sysconfig.get_path("stdlib"), "/usr/lib/"))),
  "libraries": [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sysconfig.get_config_var("DESTSHARED") or ""],
}))`

const nodeQuestion = `
const v = process.versions;
console.log(JSON.stringify({
  version: v.bun || v.deno ? "" : v.node,
  executable: process.execPath,
  prefix: require("path").dirname(require("path").dirname(process.execPath)),
  libraries: [],
}))`

const rubyQuestion = `
c = RbConfig::CONFIG
usual = RUBY_ENGINE == "ruby" && RUBY_PATCHLEVEL >= 0
list = [c["rubylibprefix"], c["rubylibdir"], c["rubyarchdir"]].compact
puts '{"version":"%s","executable":"%s","prefix":"%s","libraries":[%s]}' % [usual ? RUBY_VERSION : "", RbConfig.ruby, c["prefix"], list.map { |d| '"%s"' % d }.join(",")]`

// probe runs one candidate.
func probe(ctx context.Context, language Language, candidate string) (interpreter, error) {
	p, ok := programFor(language)
	if !ok {
		return interpreter{}, fmt.Errorf("no way to ask %s", language)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, candidate, p.args...)
	stdout, stderr := &boundedBuffer{}, &boundedBuffer{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Dir = "/"
	// The environment can change what an interpreter says of itself (PYTHONHOME,
	// NODE_OPTIONS, RUBYOPT, JAVA_TOOL_OPTIONS); functions will not have it either.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return interpreter{}, fmt.Errorf("run %s: %w", candidate, err)
	}
	in, err := p.parse(stdout.b.Bytes(), stderr.b.Bytes())
	if err != nil {
		return interpreter{}, fmt.Errorf("ask %s: %w", candidate, err)
	}
	in.language = language
	return in, in.check(candidate)
}

var versionForm = regexp.MustCompile(`^\d{1,3}(\.\d{1,5}){1,3}$`)

// check believes an answer only as far as it can be seen to be true.
func (in *interpreter) check(candidate string) error {
	if !versionForm.MatchString(in.version) {
		return fmt.Errorf("%s is not a usual release", candidate)
	}
	real, err := filepath.EvalSymlinks(in.executable)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(real) || !filepath.IsAbs(in.prefix) {
		return errors.New("it names no absolute paths")
	}
	if in.prefix, err = filepath.EvalSymlinks(in.prefix); err != nil {
		return err
	}
	machine, err := elfMachine(real)
	if err != nil {
		return fmt.Errorf("%s is not a program: %w", real, err)
	}
	if arch := architectureOf(machine); arch != HostArchitecture() {
		return fmt.Errorf("%s is for another processor (%s)", real, machine)
	}
	in.executable = real
	var dirs []string
	for _, d := range in.libraries {
		if real, err := filepath.EvalSymlinks(d); err == nil && filepath.IsAbs(real) {
			dirs = append(dirs, real)
		}
	}
	in.libraries = dirs
	in.stamp, err = stampOf(in.executable)
	return err
}

// current is false once the executable was replaced or removed.
func (in *interpreter) current() bool {
	stamp, err := stampOf(in.executable)
	return err == nil && stamp == in.stamp
}

func stampOf(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d.%d", info.Size(), info.ModTime().UnixNano()), nil
}

func parseJSON(stdout, _ []byte) (interpreter, error) {
	var a struct {
		Version, Executable, Prefix string
		Libraries                   []string
		SDK                         bool
	}
	if err := json.Unmarshal(stdout, &a); err != nil {
		return interpreter{}, err
	}
	return interpreter{version: a.Version, executable: a.Executable, prefix: a.Prefix, libraries: a.Libraries, sdk: a.SDK}, nil
}

// parseJava reads the "name = value" lines of -XshowSettings:properties.
func parseJava(_, stderr []byte) (interpreter, error) {
	values := map[string]string{}
	for line := range strings.Lines(string(stderr)) {
		if name, value, ok := strings.Cut(line, " = "); ok {
			values[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	home := values["java.home"]
	if home == "" {
		return interpreter{}, errors.New("it names no java.home")
	}
	version := javaVersion(values["java.version"])
	return interpreter{version: version, executable: filepath.Join(home, "bin", "java"), prefix: home, libraries: []string{home}}, nil
}

// javaVersion brings a Java version to the form of the others.
func javaVersion(version string) string {
	if old, ok := strings.CutPrefix(version, "1."); ok { // 1.8.0_402 is Java 8, update 402
		version = strings.ReplaceAll(old, "_", ".")
	}
	if version != "" && !strings.Contains(version, ".") { // 25 is 25.0.0
		version += ".0.0"
	}
	return version
}

// HostArchitecture is this machine's, as AWS names it, or GOARCH if AWS has no name for it.
func HostArchitecture() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "arm64"
	}
	return runtime.GOARCH
}

func architectureOf(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "x86_64"
	case elf.EM_AARCH64:
		return "arm64"
	}
	return m.String()
}

func elfMachine(name string) (elf.Machine, error) {
	f, err := elf.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Machine, nil
}

// boundedBuffer keeps the beginning and drops the rest.
type boundedBuffer struct{ b bytes.Buffer }

func (w *boundedBuffer) Write(p []byte) (int, error) {
	if room := probeOutputMax - w.b.Len(); room > 0 {
		w.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
