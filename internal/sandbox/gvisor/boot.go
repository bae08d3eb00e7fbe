package gvisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/gvisor/inside"
)

const (
	// containerName is the same everywhere: each sandbox has a runsc of its own.
	containerName = "sandbox"
	// hostProcessesMax bounds what the sentry and its stubs take of the host, a
	// task for each of the program's and some of their own.
	hostProcessesMax = 4 * sandbox.ProcessesMax
	// complaintMax bounds what is told of runsc's own words.
	complaintMax = 2 << 10
)

// flags of every runsc. Source: runsc flags, runsc/config/flags.go of the pinned version.
func (b *box) flags() []string {
	return []string{
		"--root=" + b.runDir(),
		"--platform=" + b.driver.platform,
		// Its namespace has a loopback and lambdad's listeners, and no more.
		"--network=host",
		"--gofer-network-namespace=new",
		"--ignore-cgroups", // it is in its group already
		"--host-settings=ignore",
		"--overlay2=none",
		// What is mounted never changes under the program.
		"--file-access=exclusive",
		"--file-access-mounts=exclusive",
		"--host-uds=none",
		"--log=" + filepath.Join(b.runDir(), "log"),
	}
}

// runDir is runsc's for this sandbox.
func (b *box) runDir() string { return filepath.Join(b.driver.runDir(), string(b.id)) }

// boot starts runsc, whose sentry takes over the control socket and the output,
// and stays when runsc has ended.
func (b *box) boot(ctx context.Context, command ...string) error {
	if err := os.MkdirAll(b.runDir(), 0o700); err != nil {
		return err
	}
	control, err := b.connect()
	if err != nil {
		return err
	}
	defer control.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer writer.Close()
	b.output = reader
	if err := b.runsc(ctx, control, writer, command...); err != nil {
		// What it complained of lies where the output would.
		writer.Close()
		words, _ := io.ReadAll(io.LimitReader(reader, complaintMax))
		return fmt.Errorf("runsc: %w: %s", err, strings.TrimSpace(string(words)))
	}
	return nil
}

// connect makes the control socket, and returns the sandbox's end.
func (b *box) connect() (*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "control"), os.NewFile(uintptr(pair[1]), "control")
	defer ours.Close()
	if b.control, err = net.FileConn(ours); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), theirs.Close())
	}
	b.replies = make(chan reply, 2)
	go b.listen()
	return theirs, nil
}

// runsc runs one command to its end, in the sandbox's group and in the workshop.
func (b *box) runsc(ctx context.Context, stdin, output *os.File, command ...string) error {
	gate, opener, err := os.Pipe()
	if err != nil {
		return err
	}
	defer opener.Close()
	// process 1's command, on the host, waits until it is in its groups.
	argv := append([]string{b.driver.init, inside.Enter, b.driver.runsc}, b.flags()...)
	c := &exec.Cmd{
		Path: b.driver.init, Args: append(argv, command...), Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, Dir: "/",
		Stdin: stdin, Stdout: output, Stderr: output, ExtraFiles: []*os.File{gate},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	directory, err := b.group.Directory()
	if err != nil {
		return errors.Join(err, gate.Close())
	}
	if directory != nil {
		defer directory.Close()
		c.SysProcAttr.UseCgroupFD, c.SysProcAttr.CgroupFD = true, int(directory.Fd())
	}
	err = b.driver.workshop.do(c.Start)
	if err = errors.Join(err, gate.Close()); err != nil {
		return err
	}
	if err := b.group.Attach(c.Process.Pid, directory != nil); err != nil {
		return errors.Join(err, c.Process.Kill(), c.Wait())
	}
	if _, err := opener.Write([]byte{1}); err != nil {
		return errors.Join(err, c.Process.Kill(), c.Wait())
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return errors.Join(ctx.Err(), b.group.Kill(context.WithoutCancel(ctx)), <-ended)
	}
}
