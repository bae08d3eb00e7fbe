package worker

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/telemetry"
)

// FuzzFamilyLine: what a sandbox tells of its processes is a stranger's.
func FuzzFamilyLine(f *testing.F) {
	for _, seed := range []string{"S0\nS1\nX1 256\n", "E1 2\n", "O3\nabcP\n", "O65536\n", "X9 0\n", "X-1 0\n", "S\n", "\n", "O-1\n", "X1 99999999999\n", "Q1\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs := net.Pipe()
		session := &mute{line: ours}
		log := newEnvLog(unlogged{}, slog.New(slog.DiscardHandler), telemetry.LogStreamID{}, &record.Function{})
		box := &member{done: make(chan struct{})}
		fam := newFamily(box, func() (sandbox.Usage, error) { return sandbox.Usage{}, nil }, session, log, []string{"probe"}, "/bootstrap")
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		heard := make(chan struct{})
		go func() {
			fam.listen(ours)
			close(heard)
		}()
		_ = theirs.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, _ = theirs.Write(said) // it is closed at the first nonsense
		theirs.Close()
		<-heard
		box.end(sandbox.Exit{})
		<-fam.runtime.Done()
	})
}

// mute is a session that nobody speaks to.
type mute struct {
	Session
	line net.Conn
}

func (m *mute) Processes(context.Context) (net.Conn, error)   { return m.line, nil }
func (m *mute) ExtensionFailed(name, fault, errorType string) {}
func (m *mute) Interrupt()                                    {}
func (m *mute) Extensions() []runtimeapi.ExtensionInfo        { return nil }
