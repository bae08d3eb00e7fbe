package runtimeapi

import (
	"bytes"
	"encoding/base64"
	"io"
	"time"
)

// Bounds of the chunked coding.
const (
	chunkLineBytesMax = 4 << 10
	trailerBytesMax   = headBytesMax
	bodyBufferMin     = 16 << 10 // of a body whose length is not told
)

// body is a request's body, whole.
type body struct {
	data      []byte
	errorType []byte // from the trailer
	errorBody []byte // from the trailer, base64
}

// readBody reads the body that c.head announces, up to limit bytes; a longer one
// gives errBodyTooLarge with the rest unread. It allocates the body's own buffer,
// exactly where the length is told.
func (c *conn) readBody(limit int, atMost time.Duration) (body, error) {
	h := &c.head
	switch {
	case h.chunked:
		return c.readChunked(limit, atMost)
	case h.length > int64(limit):
		return body{}, errBodyTooLarge
	case h.length == 0:
		return body{}, nil
	}
	data := make([]byte, h.length)
	n := copy(data, c.buf[c.r:c.w])
	c.r += n
	if n < len(data) {
		if err := c.beforeBody(atMost); err != nil {
			return body{}, err
		}
		if _, err := io.ReadFull(c.nc, data[n:]); err != nil {
			return body{}, err
		}
	}
	return body{data: data}, c.untime()
}

// beforeBody is called when the body is not buffered whole.
func (c *conn) beforeBody(atMost time.Duration) error {
	if err := c.time(atMost); err != nil {
		return err
	}
	if c.head.expect && c.head.minor == 1 {
		c.head.expect = false
		_, err := c.nc.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
		return err
	}
	return nil
}

func (c *conn) readChunked(limit int, atMost time.Duration) (b body, err error) {
	if err := c.beforeBody(atMost); err != nil {
		return body{}, err
	}
	for {
		n, err := c.readChunkSize()
		if err != nil {
			return body{}, err
		}
		if n == 0 {
			break
		}
		if n > int64(limit-len(b.data)) {
			c.chunkRest = n
			return body{}, errBodyTooLarge
		}
		if b.data, err = c.appendBytes(b.data, int(n)); err != nil {
			return body{}, err
		}
		if err := c.readChunkEnd(); err != nil {
			return body{}, err
		}
	}
	if err := c.readTrailer(&b); err != nil {
		return body{}, err
	}
	return b, c.untime()
}

// readChunkSize reads the line before a chunk.
func (c *conn) readChunkSize() (int64, error) {
	line, err := c.readLine(chunkLineBytesMax)
	if err != nil {
		return 0, err
	}
	if i := bytes.IndexByte(line, ';'); i >= 0 {
		line = line[:i] // extensions mean nothing here
	}
	line = bytes.TrimRight(line, " \t")
	if len(line) == 0 || len(line) > 15 {
		return 0, errMalformed
	}
	var n int64
	for _, d := range line {
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'f':
			d -= 'a' - 10
		case 'A' <= d && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, errMalformed
		}
		n = n<<4 | int64(d)
	}
	return n, nil
}

func (c *conn) readChunkEnd() error {
	line, err := c.readLine(2)
	if err != nil {
		return err
	}
	if len(line) != 0 {
		return errMalformed
	}
	return nil
}

func (c *conn) readTrailer(b *body) error {
	for total, fields := 0, 0; ; fields++ {
		line, err := c.readLine(trailerBytesMax - total)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		if total += len(line); fields == headFieldsMax {
			return errTrailerTooLarge
		}
		name, value, err := cutField(line)
		if err != nil {
			return err
		}
		switch {
		case equalFold(name, fieldErrorType):
			b.errorType = bytes.Clone(value)
		case equalFold(name, fieldErrorBody):
			b.errorBody = bytes.Clone(value)
		}
	}
}

// readLine returns the next line without its end. It is valid until the next read.
func (c *conn) readLine(limit int) ([]byte, error) {
	for scanned := 0; ; {
		unread := c.buf[c.r:c.w]
		if i := bytes.IndexByte(unread[scanned:], '\n'); i >= 0 {
			i += scanned
			if i > limit {
				return nil, errTrailerTooLarge
			}
			c.r += i + 1
			line, _ := cutLine(unread[:i+1])
			return line, nil
		}
		scanned = len(unread)
		if scanned > limit {
			return nil, errTrailerTooLarge
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// appendBytes appends the next n bytes to dst. It grows dst only as they come,
// so that an announcement alone costs no memory.
func (c *conn) appendBytes(dst []byte, n int) ([]byte, error) {
	for n > 0 {
		if c.r == c.w {
			if cap(dst)-len(dst) < n {
				grown := make([]byte, len(dst), max(bodyBufferMin, min(len(dst)+n, 2*cap(dst)+bodyBufferMin)))
				copy(grown, dst)
				dst = grown
			}
			k := min(n, cap(dst)-len(dst))
			if k >= readBufferMin { // straight into its place
				m, err := c.nc.Read(dst[len(dst) : len(dst)+k])
				dst = dst[:len(dst)+m]
				if n -= m; m == 0 {
					if err == nil {
						err = io.ErrNoProgress
					}
					return dst, err
				}
				continue
			}
			if err := c.fill(); err != nil {
				return dst, err
			}
		}
		k := min(n, c.w-c.r)
		dst = append(dst, c.buf[c.r:c.r+k]...)
		c.r += k
		n -= k
	}
	return dst, nil
}

// discardBody reads a body that is not wanted, so that a peer that sends before
// it listens can read the answer. It reports whether the connection can go on.
func (c *conn) discardBody(atMost time.Duration) bool {
	h := &c.head
	if !h.chunked && h.length == 0 {
		return true
	}
	if h.expect {
		return false // the peer waits for leave to send; it gets the refusal instead
	}
	c.timed = false // a shorter time than that of a body that is wanted
	if h.chunked {
		return c.discardChunked(atMost)
	}
	rest := h.length
	if rest > discardMax {
		return false
	}
	return c.discard(rest, atMost) == nil && c.untime() == nil
}

func (c *conn) discardChunked(atMost time.Duration) bool {
	if c.time(atMost) != nil {
		return false
	}
	for total := int64(0); ; {
		n := c.chunkRest
		if c.chunkRest = 0; n == 0 {
			var err error
			if n, err = c.readChunkSize(); err != nil {
				return false
			}
		}
		if n == 0 {
			break
		}
		if total += n; total > discardMax || c.discard(n, atMost) != nil || c.readChunkEnd() != nil {
			return false
		}
	}
	return c.readTrailer(&body{}) == nil && c.untime() == nil
}

func (c *conn) discard(n int64, atMost time.Duration) error {
	for n > 0 {
		if c.r == c.w {
			if err := c.time(atMost); err != nil {
				return err
			}
			if err := c.fill(); err != nil {
				return err
			}
		}
		k := min(n, int64(c.w-c.r))
		c.r += int(k)
		n -= k
	}
	return nil
}

// decodeErrorBody is the trailer's base64; what does not decode is taken as it is.
func decodeErrorBody(b []byte) []byte {
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Decode(decoded, b)
	if err != nil {
		return b
	}
	return decoded[:n]
}
