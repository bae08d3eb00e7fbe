package gvisor

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// onOwnThread runs f on a thread that ends with it, so that f may move into
// other namespaces. It is never the process's first thread: that one cannot end,
// and is what /proc/self tells of.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return // still locked: the thread ends
		}
		started := make(chan struct{})
		onOwnThread(func() {
			close(started)
			f()
		})
		<-started // while this goroutine waits the first thread is taken
		runtime.UnlockOSThread()
	}()
}
