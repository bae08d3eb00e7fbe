package runtimeapi

import (
	"errors"
	"io"
	"time"
)

// Bandwidth of a streamed answer. Source: Lambda developer guide, "Bandwidth limits for
// response streaming": the first 6 MB are not capped, then 2 MB a second.
const (
	StreamBurstBytes     = 6 << 20
	StreamBytesPerSecond = 2 << 20
)

const (
	streamReadBytes = 32 << 10 // handed on at once
	// truncatedGrace is how long a connection that ended in the midst of an answer may have
	// been its program's end.
	truncatedGrace = 250 * time.Millisecond
)

// Stream takes an answer while the runtime writes it. Both are called by the goroutine that
// called Invoke, and only while Invoke runs. A Stream that is slow slows the function.
type Stream interface {
	// Begin comes once, when the answer begins, and not at all for an answer that comes whole.
	Begin(contentType string)
	// Send gives the next bytes, which are the caller's again when it returns.
	Send(p []byte)
}

// streaming carries an answer from the connection that reads it to Invoke.
type streaming struct {
	parts chan part
	taken chan struct{}
}

// part is a piece of an answer; the first has the content type, and maybe no bytes.
type part struct {
	contentType string
	data        []byte
}

func newStreaming() *streaming {
	return &streaming{parts: make(chan part), taken: make(chan struct{}, 1)}
}

// outcome hands on what comes until the answer is whole.
func (st *streaming) outcome(s *Session, to Stream, gone <-chan struct{}) *Outcome {
	for {
		select {
		case p := <-st.parts:
			if p.contentType != "" {
				to.Begin(p.contentType)
			} else {
				to.Send(p.data)
			}
			st.taken <- struct{}{}
		case o := <-s.done:
			return o
		case <-gone:
			return nil
		case <-s.closed:
			select {
			case o := <-s.done: // it was answered and then ended
				return o
			default:
				return nil
			}
		}
	}
}

// give hands a part on and waits until it was used. It reports whether somebody took it.
func (st *streaming) give(s *Session, p part) bool {
	select {
	case st.parts <- p:
	case <-s.closed:
		return false
	}
	select {
	case <-st.taken:
		return true
	case <-s.closed:
		return false
	}
}

// streamTo is where the answer in hand goes while it is written, nil if it goes as a whole.
func (s *Session) streamTo() *streaming {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.call == nil {
		return nil
	}
	return s.call.streaming
}

var errStreamGone = errors.New("runtimeapi: nobody takes the answer any more")

// answerStream reads a streamed answer and hands it on as it comes. It reports whether the
// connection can be used on.
func (c *conn) answerStream(st *streaming, o *Outcome) bool {
	if !st.give(c.s, part{contentType: o.ContentType}) {
		return false
	}
	r := streamReader{c: c, st: st, pace: pace{burst: c.s.opts.streamBurst, perSecond: c.s.opts.streamPerSecond}, max: int64(c.s.opts.StreamBytesMax)}
	trailer, err := r.read()
	o.Streamed = r.sent
	switch {
	case errors.Is(err, errBodyTooLarge):
		o.tooLarge(c.s.opts.StreamBytesMax)
		c.s.finishAnswer(o)
		return c.refuse(entityTooLarge)
	case errors.Is(err, errStreamGone):
		return false
	case err != nil:
		// What was sent cannot be taken back, so there is no second try. A program that
		// died is told of by the worker, which knows how.
		select {
		case <-c.s.closed:
			return false
		case <-time.After(truncatedGrace):
		}
		o.fail("Runtime.TruncatedResponse", "The response ended before it was complete.")
		c.s.finishAnswer(o)
		if isProtocolError(err) {
			c.write(badRequest)
		}
		return false
	}
	o.trailed(&trailer)
	o.Done = time.Now()
	c.s.finishAnswer(o)
	return c.write(statusAccepted)
}

// streamReader reads one body and hands it on.
type streamReader struct {
	c    *conn
	st   *streaming
	pace pace
	max  int64
	sent int64
	buf  []byte
}

// read returns what the trailer told.
func (r *streamReader) read() (trailer body, err error) {
	c := r.c
	if err := c.beforeBody(bodyTimeMax); err != nil {
		return trailer, err
	}
	if !c.head.chunked {
		if err := r.hand(c.head.length); err != nil {
			return trailer, err
		}
		return trailer, c.untime()
	}
	for {
		n, err := c.readChunkSize()
		if err != nil {
			return trailer, err
		}
		if n == 0 {
			break
		}
		if n > r.max-r.sent {
			c.chunkRest = n
			return trailer, errBodyTooLarge
		}
		if err := r.hand(n); err != nil {
			return trailer, err
		}
		if err := c.readChunkEnd(); err != nil {
			return trailer, err
		}
	}
	if err := c.readTrailer(&trailer); err != nil {
		return trailer, err
	}
	return trailer, c.untime()
}

// hand hands the next n bytes on, each as soon as it is there.
func (r *streamReader) hand(n int64) error {
	if n > r.max-r.sent {
		return errBodyTooLarge
	}
	c := r.c
	for n > 0 {
		var data []byte
		if c.r < c.w {
			data = c.buf[c.r:min(c.w, c.r+int(min(n, streamReadBytes)))]
			c.r += len(data)
		} else {
			if r.buf == nil {
				r.buf = make([]byte, streamReadBytes)
			}
			m, err := c.nc.Read(r.buf[:min(n, streamReadBytes)])
			if data = r.buf[:m]; m == 0 {
				if err == nil {
					err = io.ErrNoProgress
				}
				return err
			}
		}
		n -= int64(len(data))
		r.sent += int64(len(data))
		if !r.pace.wait(c.s, len(data)) || !r.st.give(c.s, part{data: data}) {
			return errStreamGone
		}
	}
	return nil
}

// pace is a bucket of bytes that fills again at a rate.
type pace struct {
	burst, perSecond int
	left             float64
	at               time.Time // of left
}

// wait returns when n more bytes may go, and false if the session ended before.
func (p *pace) wait(s *Session, n int) bool {
	d := p.take(time.Now(), n)
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.closed:
		return false
	}
}

// take takes n bytes out and tells how long they must wait.
func (p *pace) take(now time.Time, n int) time.Duration {
	if p.at.IsZero() {
		p.left = float64(p.burst)
	} else {
		p.left = min(float64(p.burst), p.left+now.Sub(p.at).Seconds()*float64(p.perSecond))
	}
	p.at = now
	p.left -= float64(n)
	if p.left >= 0 {
		return 0
	}
	return time.Duration(-p.left / float64(p.perSecond) * float64(time.Second))
}
