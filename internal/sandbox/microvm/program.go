package microvm

import (
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/lambdad/lambdad/internal/sandbox/isolate"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// program is what runs in a machine.
type program struct {
	*isolate.Ending
	box    *box
	output *output
}

func newProgram(b *box) *program {
	return &program{Ending: isolate.NewEnding(), box: b, output: newOutput()}
}

// Output implements sandbox.Program.
func (p *program) Output() io.Reader { return p.output }

// Signal implements sandbox.Program.
func (p *program) Signal(s syscall.Signal) error {
	if p.Ended() {
		return os.ErrProcessDone
	}
	return p.box.signal(s)
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
