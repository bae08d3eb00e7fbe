package container

import (
	"os"
	"os/signal"
	"syscall"
)

// unignoreSignals lets sandboxes start with the default action for every signal.
// What a process ignores, its children ignore too, and Go keeps SIGHUP and SIGINT
// ignored when it was started so (nohup, a shell's background job): a program in
// a sandbox could then not be ended by them. A signal that is caught and
// dropped does as much for this process, and children get the default back.
func unignoreSignals() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}
