package runtimes

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// inRootEnv makes this test binary a program that mounts, changes its root and executes.
const inRootEnv = "RUNTIMES_TEST_IN_ROOT"

func TestMain(m *testing.M) {
	if root := os.Getenv(inRootEnv); root != "" {
		enterRoot(root, os.Args[1:])
	}
	os.Exit(m.Run())
}

// enterRoot takes "source=target" arguments, then "--", then a program. It never returns.
func enterRoot(root string, args []string) {
	die := func(what string, err error) {
		os.Stderr.WriteString(what + ": " + err.Error() + "\n")
		os.Exit(99)
	}
	end := slices.Index(args, "--")
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		die("private", err)
	}
	for _, m := range args[:end] {
		source, target, _ := strings.Cut(m, "=")
		at := filepath.Join(root, target)
		info, err := os.Stat(source)
		if err != nil {
			die(source, err)
		}
		if _, err := os.Lstat(at); err != nil {
			os.MkdirAll(filepath.Dir(at), 0o755)
			if info.IsDir() {
				err = os.Mkdir(at, 0o755)
			} else {
				err = os.WriteFile(at, nil, 0o644)
			}
			if err != nil {
				die(at, err)
			}
		}
		if err := syscall.Mount(source, at, "", syscall.MS_BIND, ""); err != nil {
			die("bind "+at, err)
		}
	}
	if err := syscall.Chroot(root); err != nil {
		die("chroot", err)
	}
	if err := syscall.Chdir("/"); err != nil {
		die("chdir", err)
	}
	program := args[end+1:]
	// As nobody: what only root could read does not count.
	syscall.Setgroups(nil)
	syscall.Setresgid(65534, 65534, 65534)
	syscall.Setresuid(65534, 65534, 65534)
	die("exec", syscall.Exec(program[0], program, []string{"PATH=/usr/bin:/bin", "HOME=/tmp", "LC_ALL=C.UTF-8"}))
}

func runIn(t *testing.T, mounts []Mount, program ...string) (string, error) {
	t.Helper()
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"dev", "proc", "tmp", "etc"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"/dev=/dev", "/proc=/proc"}
	for _, m := range mounts {
		args = append(args, m.Source+"="+m.Target)
	}
	cmd := exec.CommandContext(t.Context(), self, append(append(args, "--"), program...)...)
	cmd.Env = []string{inRootEnv + "=" + root}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestHostInterpretersRunInTheirMounts starts every interpreter of this machine in a root
// that has nothing but its mounts.
func TestHostInterpretersRunInTheirMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	program := map[Language][]string{
		Python: {"-c", "import ssl, sqlite3, ctypes, json, hashlib, zlib, lzma, subprocess, sys; ssl.create_default_context(); subprocess.check_call(['/bin/sh', '-c', 'echo from a shell']); print('version', sys.version.split()[0])"},
		NodeJS: {"-e", "require('https'); require('crypto').createHash('sha256'); console.log('version', process.versions.node)"},
		Ruby:   {"-e", "require 'json'; require 'openssl'; puts 'version ' + RUBY_VERSION"},
		Java:   {"-XshowSettings:security:all", "-version"},
	}
	c, err := Open(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	found, err := c.interpreters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skip("no interpreter on this machine")
	}
	for _, in := range found {
		t.Run(string(in.language)+in.version, func(t *testing.T) {
			mounts, missing := mountsOf(in)
			if len(missing) > 0 {
				t.Errorf("missing %q", missing)
			}
			args := program[in.language]
			if in.language == Python && compareVersions(in.version, "3.8") < 0 {
				t.Skip("no runtime of AWS")
			}
			out, err := runIn(t, mounts, append([]string{in.executable}, args...)...)
			if err != nil {
				t.Fatalf("%v: %s\n%v", err, out, mounts)
			}
			if in.language != Java && !strings.Contains(out, "version "+in.version) {
				t.Errorf("it says %q", out)
			}
		})
	}
}

// TestProvidedRunsScriptsAndDynamicPrograms runs what a bootstrap can be.
func TestProvidedRunsScriptsAndDynamicPrograms(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	c := only(t, Options{})
	rt, err := c.Resolve(t.Context(), "provided.al2023", HostArchitecture())
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nset -e\necho \"$(ls /usr/bin/env)\" | grep env\nexec /usr/bin/env true\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := runIn(t, append(rt.Rootfs.Mounts, Mount{script, "/var/task/bootstrap"}), "/var/task/bootstrap")
	if err != nil || !strings.Contains(out, "/usr/bin/env") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestMountsShowNothingPrivate holds the promise of what is never mounted.
func TestMountsShowNothingPrivate(t *testing.T) {
	c, err := Open(Options{Dir: t.TempDir(), Nearest: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	home, _ := os.UserHomeDir()
	for _, spec := range Specs() {
		rt, err := c.Resolve(t.Context(), spec.Identifier, HostArchitecture())
		if err != nil {
			continue
		}
		for _, private := range []string{"/etc/shadow", "/etc/passwd", "/etc/ssl/private/x", "/etc/pki/tls/private/x", "/root/.aws/credentials", home + "/.ssh/id_rsa", "/var/lib/x", "/usr/local/etc/x", "/home/someone/x", "/run/x"} {
			for _, m := range rt.Rootfs.Mounts {
				if within(m.Source, private) || within(m.Target, private) {
					t.Errorf("%s: %v shows %s", spec.Identifier, m, private)
				}
			}
		}
		if !slices.IsSortedFunc(rt.Rootfs.Mounts, func(a, b Mount) int { return strings.Compare(a.Target, b.Target) }) {
			t.Errorf("%s: mounts out of order", spec.Identifier)
		}
	}
}

func TestOwnPrefix(t *testing.T) {
	tests := []struct {
		name    string
		entries []string // a trailing slash makes a directory
		want    bool
	}{
		{"python", []string{"bin/", "lib/", "include/", "share/"}, true},
		{"jdk", []string{"bin/", "conf/", "jmods/", "legal/", "lib/", "release", "NOTICE", "README.md"}, true},
		{"home", []string{"bin/", "lib/", ".ssh/"}, false},
		{"projects", []string{"bin/", "lib/", "customers/"}, false},
		{"notes", []string{"bin/", "passwords.txt"}, false},
		{"empty", nil, false},
	}
	for _, tt := range tests {
		dir := filepath.Join(t.TempDir(), tt.name)
		os.Mkdir(dir, 0o755)
		for _, e := range tt.entries {
			if d, ok := strings.CutSuffix(e, "/"); ok {
				os.Mkdir(filepath.Join(dir, d), 0o755)
			} else {
				os.WriteFile(filepath.Join(dir, e), nil, 0o644)
			}
		}
		if got := ownPrefix(dir); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
	for _, dir := range []string{"/", "/usr", "/usr/local", "/etc", "/root", "/opt"} {
		if ownPrefix(dir) {
			t.Errorf("%s is shown as a whole", dir)
		}
	}
}
