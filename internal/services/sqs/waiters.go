package sqs

// waiters are the receives that wait for messages of one queue, in the order in
// which they came. The queue's lock guards them.
type waiters struct{ list []chan struct{} }

// join adds a receive; the channel is closed when it is its turn to look.
func (w *waiters) join() chan struct{} {
	c := make(chan struct{})
	w.list = append(w.list, c)
	return c
}

// leave takes a receive out. It reports whether its turn had come already: then
// it has to look, or let another one.
func (w *waiters) leave(c chan struct{}) bool {
	for i, have := range w.list {
		if have == c {
			w.list = append(w.list[:i], w.list[i+1:]...)
			return false
		}
	}
	return true
}

// wake lets n receives look.
func (w *waiters) wake(n int) {
	for ; n > 0 && len(w.list) > 0; n-- {
		close(w.list[0])
		w.list = w.list[1:]
	}
}

func (w *waiters) wakeAll() { w.wake(len(w.list)) }
