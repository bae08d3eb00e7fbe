package microvm

import (
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// program is what runs in a machine.
type program struct {
	box    *box
	output *output
	done   chan struct{}
	once   sync.Once
	exit   sandbox.Exit
}

func newProgram(b *box) *program {
	return &program{box: b, output: newOutput(), done: make(chan struct{})}
}

// end records the exit; only the first one counts.
func (p *program) end(exit sandbox.Exit) {
	p.once.Do(func() {
		p.exit = exit
		close(p.done)
	})
}

// Output implements sandbox.Program.
func (p *program) Output() io.Reader { return p.output }

// Done implements sandbox.Program.
func (p *program) Done() <-chan struct{} { return p.done }

// Exit implements sandbox.Program.
func (p *program) Exit() sandbox.Exit {
	select {
	case <-p.done:
		return p.exit
	default:
		return sandbox.Exit{}
	}
}

// Signal implements sandbox.Program.
func (p *program) Signal(s syscall.Signal) error {
	select {
	case <-p.done:
		return os.ErrProcessDone
	default:
		return p.box.signal(s)
	}
}

// output is the stream that the guest opens for what the program writes.
type output struct {
	arrived chan struct{}
	ended   chan struct{}
	first   sync.Once
	last    sync.Once
	stream  *line.Stream
}

func newOutput() *output {
	return &output{arrived: make(chan struct{}), ended: make(chan struct{})}
}

func (o *output) connect(s *line.Stream) {
	taken := false
	o.first.Do(func() {
		o.stream, taken = s, true
		close(o.arrived)
	})
	if !taken {
		s.Close()
	}
}

func (o *output) end() { o.last.Do(func() { close(o.ended) }) }

// Read ends when nobody holds the output any more, or with the machine.
func (o *output) Read(p []byte) (int, error) {
	select {
	case <-o.arrived:
	default:
		select {
		case <-o.arrived:
		case <-o.ended:
			return 0, io.EOF
		}
	}
	n, err := o.stream.Read(p)
	if err != nil {
		err = io.EOF // a machine that is gone writes no more
	}
	return n, err
}
