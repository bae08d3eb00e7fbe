package eventstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
	"unicode/utf8"
)

// Reader reads messages from a stream.
type Reader struct {
	r   io.Reader
	buf []byte
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next reads a message. It returns io.EOF at the end of the stream and
// io.ErrUnexpectedEOF where the stream ends inside a message. The message is
// valid until the next call.
func (r *Reader) Next() (*Message, error) {
	var prelude [preludeSize]byte
	if _, err := io.ReadFull(r.r, prelude[:]); err != nil {
		return nil, err
	}
	total, _, err := checkPrelude(prelude[:])
	if err != nil {
		return nil, err
	}
	if cap(r.buf) < total {
		r.buf = make([]byte, total)
	}
	frame := r.buf[:total]
	copy(frame, prelude[:])
	if _, err := io.ReadFull(r.r, frame[preludeSize:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	m, _, err := Decode(frame)
	return m, err
}

// Decode reads the message that data begins with, and tells its size. The
// payload aliases data.
func Decode(data []byte) (m *Message, size int, err error) {
	if len(data) < preludeSize {
		return nil, 0, io.ErrUnexpectedEOF
	}
	total, headers, err := checkPrelude(data)
	if err != nil {
		return nil, 0, err
	}
	if len(data) < total {
		return nil, 0, io.ErrUnexpectedEOF
	}
	frame := data[:total]
	body := total - trailerSize
	if crc32.ChecksumIEEE(frame[:body]) != binary.BigEndian.Uint32(frame[body:]) {
		return nil, 0, ErrChecksum
	}
	m = &Message{Payload: frame[preludeSize+headers : body]}
	rest := frame[preludeSize : preludeSize+headers]
	for len(rest) > 0 {
		var h Header
		if h, rest, err = decodeHeader(rest); err != nil {
			return nil, 0, err
		}
		m.Headers = append(m.Headers, h)
	}
	return m, total, nil
}

// checkPrelude reads the lengths. They are bounded before anything is allocated.
func checkPrelude(prelude []byte) (total, headers int, err error) {
	if crc32.ChecksumIEEE(prelude[:8]) != binary.BigEndian.Uint32(prelude[8:]) {
		return 0, 0, ErrChecksum
	}
	t, h := binary.BigEndian.Uint32(prelude), binary.BigEndian.Uint32(prelude[4:])
	if t > messageMax || h > HeadersMax {
		return 0, 0, fmt.Errorf("%w: %d bytes, %d of them headers", ErrTooLarge, t, h)
	}
	if t < preludeSize+trailerSize || h > t-preludeSize-trailerSize {
		return 0, 0, fmt.Errorf("%w: %d bytes, %d of them headers", ErrMalformed, t, h)
	}
	return int(t), int(h), nil
}

func decodeHeader(b []byte) (h Header, rest []byte, err error) {
	n := int(b[0])
	if n == 0 || len(b) < 1+n+1 {
		return h, nil, fmt.Errorf("%w: a header ends early", ErrMalformed)
	}
	h.Name = string(b[1 : 1+n])
	kind := b[1+n]
	b = b[2+n:]
	size, err := valueSize(kind, b)
	if err != nil {
		return h, nil, err
	}
	if len(b) < size {
		return h, nil, fmt.Errorf("%w: the header %q ends early", ErrMalformed, h.Name)
	}
	v := b[:size]
	switch kind {
	case kindTrue, kindFalse:
		h.Value = Bool(kind == kindTrue)
	case kindByte:
		h.Value = Byte(v[0])
	case kindShort:
		h.Value = Short(binary.BigEndian.Uint16(v))
	case kindInt:
		h.Value = Int(binary.BigEndian.Uint32(v))
	case kindLong:
		h.Value = Long(binary.BigEndian.Uint64(v))
	case kindTimestamp:
		h.Value = Timestamp(time.UnixMilli(int64(binary.BigEndian.Uint64(v))).UTC())
	case kindUUID:
		h.Value = UUID(v)
	case kindBytes:
		h.Value = Bytes(v[2:])
	case kindString:
		if !utf8.Valid(v[2:]) {
			return h, nil, fmt.Errorf("%w: the header %q is not UTF-8", ErrMalformed, h.Name)
		}
		h.Value = String(v[2:])
	}
	return h, b[size:], nil
}

// valueSize is the size of a value with its own length in front.
func valueSize(kind byte, b []byte) (int, error) {
	switch kind {
	case kindTrue, kindFalse:
		return 0, nil
	case kindByte:
		return 1, nil
	case kindShort:
		return 2, nil
	case kindInt:
		return 4, nil
	case kindLong, kindTimestamp:
		return 8, nil
	case kindUUID:
		return 16, nil
	case kindBytes, kindString:
		if len(b) < 2 {
			return 0, fmt.Errorf("%w: a header ends early", ErrMalformed)
		}
		n := int(binary.BigEndian.Uint16(b))
		if n > valueMax {
			return 0, fmt.Errorf("%w: a header has %d bytes", ErrTooLarge, n)
		}
		return 2 + n, nil
	}
	return 0, fmt.Errorf("%w: a header has the unknown type %d", ErrMalformed, kind)
}
