package main

import (
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// timerSlack is how much later than asked the kernel may wake a sleeping thread of lambdad's.
// While anything runs, Go's monitor thread sleeps for 20 microseconds at a time, in each of
// which it takes a core away from the functions, and a thread that looks for work sleeps for
// 3. With Linux's own slack of 50 microseconds that is a fifth of what a warm invoke costs
// lambdad; with this one it is a twentieth. No timer of lambdad's is finer than a millisecond.
const timerSlack = 300 * time.Microsecond

// setTimerSlack sets it for the threads that there are; those to come inherit it, and so do programs:
// a function written in Go has such a monitor, too, and pays for it from its own share of a core. The
// sleeps of functions get as much less exact, on a platform that stops them for milliseconds when their share is
// used up. Where the kernel refuses (without CAP_SYS_NICE a thread may set only its own), everything
// works as it does without. Source: proc_pid_timerslack_ns(5).
func setTimerSlack() {
	slack := []byte(strconv.FormatInt(timerSlack.Nanoseconds(), 10))
	set := map[string]bool{}
	for range 3 { // a thread that has not got it yet may just have made another
		threads, err := filepath.Glob("/proc/self/task/*")
		if err != nil {
			return
		}
		before := len(set)
		for _, t := range threads {
			id := filepath.Base(t)
			if !set[id] {
				// Only /proc/TID has the file; /proc/self/task/TID has not.
				_ = os.WriteFile(filepath.Join("/proc", id, "timerslack_ns"), slack, 0)
				set[id] = true
			}
		}
		if len(set) == before {
			return
		}
	}
}
