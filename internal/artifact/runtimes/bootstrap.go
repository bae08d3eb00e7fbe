package runtimes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Bootstrap makes a root filesystem of a Debian release with the machine's own mmdebstrap or
// debootstrap, which verify the archive's signatures.
type Bootstrap struct {
	Suite  string // "" is the release that has the runtime's version
	Mirror string // "" is the tool's own default
}

// bootstrapLinesMax is how much of a failed tool's output an error repeats.
const bootstrapLinesMax = 12

// release is where Debian has a runtime. Source: the packages of the Debian releases.
type release struct {
	suite    string
	packages []string
}

// releaseOf is empty for runtimes that no Debian release has.
func releaseOf(spec Spec) (release, bool) {
	releases := map[string]release{
		"python3.9":       {"bullseye", []string{"python3"}},
		"python3.11":      {"bookworm", []string{"python3"}},
		"python3.13":      {"trixie", []string{"python3"}},
		"nodejs18.x":      {"bookworm", []string{"nodejs"}},
		"nodejs20.x":      {"trixie", []string{"nodejs"}},
		"java11":          {"bullseye", []string{"openjdk-11-jre-headless"}},
		"java17":          {"bookworm", []string{"openjdk-17-jre-headless"}},
		"java21":          {"trixie", []string{"openjdk-21-jre-headless"}},
		"java25":          {"trixie", []string{"openjdk-25-jre-headless"}},
		"ruby2.7":         {"bullseye", []string{"ruby"}},
		"ruby3.3":         {"trixie", []string{"ruby"}},
		"provided.al2":    {"bookworm", nil},
		"provided.al2023": {"bookworm", nil},
	}
	r, ok := releases[spec.Identifier]
	return r, ok
}

// Bootstrappable lists the identifiers that Add can make from Debian packages.
func Bootstrappable() []string {
	var all []string
	for _, s := range Specs() {
		if _, ok := releaseOf(s); ok {
			all = append(all, s.Identifier)
		}
	}
	return all
}

// run fills rootfs and tells from what.
func (b *Bootstrap) run(ctx context.Context, spec Spec, rootfs string, progress Progress) (source string, err error) {
	r, ok := releaseOf(spec)
	if !ok {
		return "", fmt.Errorf("%w: no Debian release has %s: add it from an image, `lambdad runtime add %s --image REFERENCE` (Debian has %s)",
			ErrNoRuntime, spec.Identifier, spec.Identifier, strings.Join(Bootstrappable(), ", "))
	}
	if os.Geteuid() != 0 {
		return "", errors.New("runtimes: a Debian bootstrap needs root; an image does not: `lambdad runtime add NAME --image REFERENCE`")
	}
	suite := firstOf(b.Suite, r.suite)
	for _, word := range []string{suite, b.Mirror} {
		if strings.HasPrefix(word, "-") || strings.ContainsFunc(word, func(c rune) bool { return c <= ' ' }) {
			return "", fmt.Errorf("runtimes: %q is no Debian suite or mirror", short(word))
		}
	}
	args, err := b.command(suite, append(slices.Clone(r.packages), "ca-certificates"), rootfs)
	if err != nil {
		return "", err
	}
	if err := runTool(ctx, args, progress); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return "", fmt.Errorf("runtimes: bootstrap: %w", err)
	}
	defer root.Close()
	for _, dir := range []string{"var/cache/apt", "var/lib/apt/lists", "var/cache/debconf", "usr/share/doc", "usr/share/man"} {
		if err := root.RemoveAll(dir); err != nil {
			return "", fmt.Errorf("runtimes: bootstrap: %w", err)
		}
	}
	return "Debian " + suite + " by " + filepath.Base(args[0]), nil
}

func (b *Bootstrap) command(suite string, packages []string, rootfs string) ([]string, error) {
	include := "--include=" + strings.Join(packages, ",")
	if tool, err := exec.LookPath("mmdebstrap"); err == nil {
		args := []string{tool, "--mode=root", "--variant=minbase", "--format=directory", include, suite, rootfs}
		return withMirror(args, b.Mirror), nil
	}
	if tool, err := exec.LookPath("debootstrap"); err == nil {
		return withMirror([]string{tool, "--variant=minbase", include, suite, rootfs}, b.Mirror), nil
	}
	return nil, errors.New("runtimes: a Debian bootstrap needs mmdebstrap or debootstrap: run `apt-get install mmdebstrap`")
}

func withMirror(args []string, mirror string) []string {
	if mirror == "" {
		return args
	}
	return append(args, mirror)
}

// runTool passes each line that the tool prints to progress.
func runTool(ctx context.Context, args []string, progress Progress) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	// The tools mount /proc, /sys and devices into the tree. In a mount namespace of their own these end
	// with them, however they end, so that deleting the tree can never reach into the host's.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Unshareflags: syscall.CLONE_NEWNS}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	tail := make(chan []string, 1)
	go func() {
		var last []string
		lines := bufio.NewReaderSize(out, 64<<10)
		for {
			line, err := lines.ReadSlice('\n')
			if text := strings.TrimSpace(string(line)); text != "" {
				progress(text, 0, 0)
				last = append(last, text)
				last = last[max(0, len(last)-bootstrapLinesMax):]
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				break
			}
		}
		tail <- last
	}()
	err := cmd.Run()
	in.Close()
	last := <-tail
	if err != nil {
		return fmt.Errorf("runtimes: %s: %w:\n%s", filepath.Base(args[0]), err, strings.Join(last, "\n"))
	}
	return nil
}
