package isolate

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// Ending is the part of a sandbox.Program that tells how it ended.
type Ending struct {
	done chan struct{}
	once sync.Once
	exit sandbox.Exit
}

// NewEnding is of a program that has not ended.
func NewEnding() *Ending { return &Ending{done: make(chan struct{})} }

// End records the exit; only the first one counts.
func (e *Ending) End(exit sandbox.Exit) {
	e.once.Do(func() {
		e.exit = exit
		close(e.done)
	})
}

// Ended tells whether it has.
func (e *Ending) Ended() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// Done implements sandbox.Program.
func (e *Ending) Done() <-chan struct{} { return e.done }

// Exit implements sandbox.Program.
func (e *Ending) Exit() sandbox.Exit {
	if !e.Ended() {
		return sandbox.Exit{}
	}
	return e.exit
}

// Output reads a pipe that the program writes to, and closes it at its end.
type Output struct{ File *os.File }

func (o *Output) Read(p []byte) (int, error) {
	n, err := o.File.Read(p)
	if errors.Is(err, os.ErrClosed) {
		return n, io.EOF
	}
	if err != nil {
		if closed := o.File.Close(); closed != nil && err == io.EOF {
			err = closed
		}
	}
	return n, err
}

// SyscallConn lets the reader ask the pipe without waiting.
func (o *Output) SyscallConn() (syscall.RawConn, error) { return o.File.SyscallConn() }
