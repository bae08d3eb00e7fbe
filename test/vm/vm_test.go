// Package vm boots a virtual machine with a distribution's kernel and version 2
// of control groups alone, as people have it, and runs there what this machine
// cannot. It must never import a room: the guest's tests do.
package vm

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

const (
	bootMax = 10 * time.Minute // two minutes, if a machine is not busy
	module  = "github.com/lambdad/lambdad/"
	// kernelPackage is Debian's kernel for virtual machines, a package that names the real one.
	kernelPackage = "linux-image-cloud-amd64"
)

// results are what the guest must report, each with code 0.
var results = []string{"root", "root-escapes", "service", "delegated", "delegated-place", "session", "session-place",
	"container", "container-place", "rootless", "nothing-left"}

// TestVersion2 needs LAMBDAD_TEST_VM=1, or =kvm where /dev/kvm is one that works;
// LAMBDAD_TEST_VM_KERNEL names a folder with an unpacked kernel package, else apt's is fetched.
func TestVersion2(t *testing.T) {
	acceleration := map[string][]string{"1": {"-accel", "tcg,thread=multi", "-cpu", "max"}, "kvm": {"-accel", "kvm", "-cpu", "host"}}[os.Getenv("LAMBDAD_TEST_VM")]
	if acceleration == nil {
		t.Skip("needs LAMBDAD_TEST_VM=1")
	}
	for _, program := range []string{"qemu-system-x86_64", "busybox", "cpio", "mke2fs", "depmod", "xz", "ldd", "setpriv", "unshare", "dash"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs qemu-system-x86, busybox-static, cpio, e2fsprogs, kmod, xz-utils, dash and util-linux")
		}
	}
	dir := t.TempDir()
	kernel := unpackedKernel(t, dir)
	initrd := makeInitrd(t, dir, kernel)
	disk := makeDisk(t, dir)
	image, err := filepath.Glob(filepath.Join(kernel, "boot", "vmlinuz-*"))
	if err != nil || len(image) != 1 {
		t.Fatalf("kernels: %q, %v", image, err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), bootMax)
	defer cancel()
	args := append(acceleration, "-smp", "2", "-m", "2048", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-serial", "stdio",
		"-kernel", image[0], "-initrd", initrd, "-drive", "file="+disk+",format=raw,if=none,id=disk,cache=unsafe", "-device", "virtio-blk-pci,drive=disk",
		// A busy machine without KVM makes the guest doubt its clock.
		"-append", "console=ttyS0 quiet panic=-1 reboot=t tsc_early_khz=2300000")
	machine := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	machine.Stderr = os.Stderr
	console, err := machine.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := machine.Start(); err != nil {
		t.Fatal(err)
	}
	result := regexp.MustCompile(`RESULT (\S+) (\d+)`)
	seen := map[string]string{}
	logs := map[string][]string{}
	for lines := bufio.NewScanner(console); lines.Scan(); {
		line := strings.TrimRight(lines.Text(), "\r")
		if m := result.FindStringSubmatch(line); m != nil {
			seen[m[1]] = m[2]
			t.Logf("%s: %s", m[1], m[2])
			continue
		}
		name, text, _ := strings.Cut(line, "| ")
		if !slices.Contains(results, name) {
			name, text = "", line
		}
		logs[name] = append(logs[name], text)
	}
	if err := machine.Wait(); err != nil {
		t.Errorf("the virtual machine: %v", err)
	}
	for _, name := range results {
		if seen[name] != "0" {
			t.Errorf("%s ended with %q:\n%s", name, seen[name], strings.Join(logs[name], "\n"))
		}
	}
	if t.Failed() {
		t.Logf("the console:\n%s", strings.Join(logs[""], "\n"))
	}
}

// unpackedKernel is a folder with boot/vmlinuz-* and lib/modules/*.
func unpackedKernel(t *testing.T, dir string) string {
	if given := os.Getenv("LAMBDAD_TEST_VM_KERNEL"); given != "" {
		return given
	}
	out := command(t, dir, "apt-cache", "depends", "--important", kernelPackage)
	_, name, ok := strings.Cut(out, "Depends: ")
	if !ok {
		t.Skipf("apt knows no %s", kernelPackage)
	}
	command(t, dir, "apt-get", "download", "-q", strings.Fields(name)[0])
	packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("packages: %q, %v", packages, err)
	}
	kernel := filepath.Join(dir, "kernel")
	command(t, dir, "dpkg", "-x", packages[0], kernel)
	return kernel
}

// modules that the guest needs, with those that they need.
var modules = []string{"virtio_pci", "virtio_blk", "loop", "overlay", "veth", "nf_tables", "erofs"}

// makeInitrd packs the modules in the order in which they load, and an init
// that goes on to the disk.
func makeInitrd(t *testing.T, dir, kernel string) string {
	root := filepath.Join(dir, "initrd")
	for _, sub := range []string{"bin", "dev", "proc", "root", "modules"} {
		check(t, os.MkdirAll(filepath.Join(root, sub), 0o755))
	}
	copyFile(t, "busybox", filepath.Join(root, "bin", "busybox"))
	trees, err := filepath.Glob(filepath.Join(kernel, "lib", "modules", "*"))
	if err != nil || len(trees) != 1 {
		t.Fatalf("modules: %q, %v", trees, err)
	}
	dep := command(t, dir, "depmod", "-n", "-b", kernel, filepath.Base(trees[0]))
	needs := map[string][]string{} // name -> path and the paths that it needs, the deepest last
	for line := range strings.Lines(dep) {
		if file, list, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && strings.Contains(file, ".ko") {
			name, _, _ := strings.Cut(filepath.Base(file), ".")
			needs[strings.ReplaceAll(name, "-", "_")] = append([]string{file}, strings.Fields(list)...)
		}
	}
	var order []string
	for _, name := range modules {
		files := slices.Clone(needs[name]) // none: built in
		slices.Reverse(files)
		for _, file := range files {
			target := filepath.Base(file)
			if slices.Contains(order, strings.TrimSuffix(target, ".xz")) {
				continue
			}
			copyFile(t, filepath.Join(trees[0], file), filepath.Join(root, "modules", target))
			if strings.HasSuffix(target, ".xz") {
				command(t, root, "xz", "-d", filepath.Join("modules", target))
			}
			order = append(order, strings.TrimSuffix(target, ".xz"))
		}
	}
	script := "#!/bin/busybox sh\nB=/bin/busybox\n$B mount -t devtmpfs dev /dev\n"
	for _, file := range order {
		script += "$B insmod /modules/" + file + "\n"
	}
	script += "for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/vda ] || $B sleep 0.2; done\n" +
		"$B mount -t ext4 /dev/vda /root && $B mount --move /dev /root/dev && exec $B switch_root /root /init\n$B poweroff -f\n"
	check(t, os.WriteFile(filepath.Join(root, "init"), []byte(script), 0o755))
	path := filepath.Join(dir, "initrd.gz")
	command(t, root, "sh", "-c", "find . | cpio -o -H newc --quiet | gzip -1 >"+path)
	return path
}

// makeDisk builds the guest's programs into an ext4 image.
func makeDisk(t *testing.T, dir string) string {
	root := filepath.Join(dir, "disk")
	for _, sub := range []string{"bin", "dev", "proc", "sys", "run", "tmp", "etc", "t", "var/tmp"} {
		check(t, os.MkdirAll(filepath.Join(root, sub), 0o755))
	}
	for _, sub := range []string{"tmp", "var/tmp"} {
		check(t, os.Chmod(filepath.Join(root, sub), 0o777|os.ModeSticky))
	}
	for name, content := range map[string]string{"passwd": "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n", "hosts": "127.0.0.1 localhost\n"} {
		check(t, os.WriteFile(filepath.Join(root, "etc", name), []byte(content), 0o644))
	}
	copyFile(t, "busybox", filepath.Join(root, "bin", "busybox"))
	library := regexp.MustCompile(`(/\S+) \(0x`)
	for _, program := range []string{"mke2fs", "setpriv", "unshare", "dash"} { // busybox has less of them, and its shell prefers its own
		path, err := exec.LookPath(program)
		check(t, err)
		copyFile(t, path, filepath.Join(root, "bin", program))
		for _, m := range library.FindAllStringSubmatch(command(t, dir, "ldd", path), -1) {
			copyFile(t, m[1], filepath.Join(root, m[1]))
		}
	}
	programs := filepath.Join(root, "t") + "/"
	command(t, "", "go", "build", "-o", programs, module+"cmd/lambdad", module+"internal/sandbox/sandboxtest/program", module+"test/vm/function")
	check(t, sandboxtest.BuildInit(programs+"lambdad-init"))
	for _, pkg := range []string{"internal/sandbox/container", "internal/sandbox/container/cgroup", "test/isolation", "test/vm/guest"} {
		command(t, "", "go", "test", "-c", "-o", programs, module+pkg)
	}
	copyFile(t, filepath.Join("guest", "init.sh"), filepath.Join(root, "init"))
	path := filepath.Join(dir, "disk.img")
	command(t, dir, "mke2fs", "-q", "-t", "ext4", "-d", root, path, "1200m")
	return path
}

func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Logf("%s", exit.Stderr)
		}
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return string(out)
}

// copyFile copies a program or file, which may be one of PATH.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if !strings.Contains(from, "/") {
		path, err := exec.LookPath(from)
		check(t, err)
		from = path
	}
	content, err := os.ReadFile(from)
	check(t, err)
	check(t, os.MkdirAll(filepath.Dir(to), 0o755))
	check(t, os.WriteFile(to, content, 0o755))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
