package client

import "testing"

// BenchmarkStart is from the process's start to its first GET next: interpreter,
// client and a handler that imports nothing of its own.
func BenchmarkStart(b *testing.B) {
	for _, l := range languages(b) {
		b.Run(l.String(), func(b *testing.B) {
			l.task(b)
			installed(b)
			for b.Loop() {
				p := start(b, l, l.handler("echo"))
				if err := p.session.Ready(p.ctx()); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				p.cmd.Process.Kill()
				<-p.ended
				b.StartTimer()
			}
		})
	}
}

// BenchmarkInvoke is a warm invocation over loopback, no sandbox.
func BenchmarkInvoke(b *testing.B) {
	for _, l := range languages(b) {
		b.Run(l.String(), func(b *testing.B) {
			p := start(b, l, l.handler("echo"))
			p.value(`{"a":1}`)
			ctx, inv := p.ctx(), invocation(`{"a":1}`)
			for b.Loop() {
				if _, err := p.session.Invoke(ctx, inv); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
