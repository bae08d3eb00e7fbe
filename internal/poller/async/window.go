package async

// Bounds of how many events of one shard run at once.
const (
	windowFirst = 8
	windowMax   = 500 // Source: none; half of an account's default concurrency
)

// window is how many events of a shard may run at once: one more after each that ran, half as
// many after a throttle, so that a shard takes what there is and gives way where there is none.
type window struct {
	size    int
	running int
}

func newWindow() window { return window{size: windowFirst} }

// free is how many more may begin.
func (w *window) free() int { return max(0, w.size-w.running) }

func (w *window) began() { w.running++ }

// ended counts one that is over; throttled says that there was no place for it.
func (w *window) ended(throttled bool) {
	w.running--
	switch {
	case throttled:
		w.size = max(1, w.size/2)
	case w.size < windowMax:
		w.size++
	}
}
