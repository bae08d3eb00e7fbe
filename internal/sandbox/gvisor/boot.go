package gvisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

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
func (b *box) runDir() string { return filepath.Join(b.driver.runDir(), string(b.ID())) }

// boot starts runsc, whose sentry takes over the pipes, and stays when runsc has
// ended.
func (b *box) boot(ctx context.Context, command ...string) error {
	if err := os.MkdirAll(b.runDir(), 0o700); err != nil {
		return err
	}
	p, err := b.connect()
	if err != nil {
		return err
	}
	defer p.close()
	if err := b.runsc(ctx, p, append(command, containerName)...); err != nil {
		return err
	}
	if b.orphans, err = b.group.Processes(); err != nil {
		return err
	}
	b.listening = true
	go b.listen()
	return nil
}

// pipes are the sandbox's ends: its standard input, output and error.
type pipes struct{ requests, replies, output *os.File }

func (p pipes) close() {
	for _, f := range []*os.File{p.requests, p.replies, p.output} {
		if f != nil {
			f.Close()
		}
	}
}

// connect makes the pipes.
func (b *box) connect() (p pipes, err error) {
	if p.requests, b.requests, err = os.Pipe(); err == nil {
		if b.answers, p.replies, err = os.Pipe(); err == nil {
			b.output, p.output, err = os.Pipe()
		}
	}
	if err != nil {
		p.close()
	}
	return p, err
}

// runsc runs one command to its end, in the sandbox's group and in the workshop.
func (b *box) runsc(ctx context.Context, p pipes, command ...string) error {
	gate, opener, err := os.Pipe()
	if err != nil {
		return err
	}
	defer opener.Close()
	// process 1's command, on the host, waits until it is in its groups.
	argv := append([]string{b.driver.init, inside.Enter, b.driver.runsc}, b.flags()...)
	c := &exec.Cmd{
		Path: b.driver.init, Args: append(argv, command...), Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, Dir: "/",
		Stdin: p.requests, Stdout: p.replies, Stderr: p.output, ExtraFiles: []*os.File{gate},
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
		if err != nil {
			return fmt.Errorf("runsc %s: %w: %s", command[0], err, b.complaint())
		}
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), b.group.Kill(context.WithoutCancel(ctx)), <-ended)
	}
}

// complaint is what runsc says of a failure, in its log.
func (b *box) complaint() string {
	content, err := os.ReadFile(filepath.Join(b.runDir(), "log"))
	if err != nil {
		return "no log"
	}
	text := strings.TrimSpace(string(content))
	return text[max(len(text)-complaintMax, 0):]
}

// reap takes the sentry and its gofer off the list of processes where nobody else
// does: runsc has left them to process 1, which in a container is lambdad itself.
func (b *box) reap() {
	if os.Getpid() != 1 {
		return
	}
	for _, pid := range b.orphans {
		// Those that are no child of ours end with one that is.
		for {
			_, err := syscall.Wait4(pid, nil, 0, nil)
			if err != syscall.EINTR {
				break
			}
		}
	}
}
