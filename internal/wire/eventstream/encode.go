package eventstream

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
)

// Append writes a message after dst.
func Append(dst []byte, m *Message) ([]byte, error) {
	start := len(dst)
	dst = append(dst, make([]byte, preludeSize)...)
	for _, h := range m.Headers {
		var err error
		if dst, err = appendHeader(dst, h); err != nil {
			return nil, err
		}
	}
	headers := len(dst) - start - preludeSize
	if headers > HeadersMax || len(m.Payload) > PayloadMax {
		return nil, fmt.Errorf("%w: %d bytes of headers, %d of payload", ErrTooLarge, headers, len(m.Payload))
	}
	dst = append(dst, m.Payload...)
	frame := dst[start:]
	binary.BigEndian.PutUint32(frame, uint32(len(frame)+trailerSize))
	binary.BigEndian.PutUint32(frame[4:], uint32(headers))
	binary.BigEndian.PutUint32(frame[8:], crc32.ChecksumIEEE(frame[:8]))
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(frame)), nil
}

func appendHeader(dst []byte, h Header) ([]byte, error) {
	if h.Name == "" || len(h.Name) > nameMax {
		return nil, fmt.Errorf("%w: a header's name has %d bytes", ErrMalformed, len(h.Name))
	}
	if h.Value == nil {
		return nil, fmt.Errorf("%w: the header %s has no value", ErrMalformed, h.Name)
	}
	dst = append(dst, byte(len(h.Name)))
	dst = append(dst, h.Name...)
	dst = append(dst, h.Value.kind())
	switch v := h.Value.(type) {
	case Bool:
	case Byte:
		dst = append(dst, byte(v))
	case Short:
		dst = binary.BigEndian.AppendUint16(dst, uint16(v))
	case Int:
		dst = binary.BigEndian.AppendUint32(dst, uint32(v))
	case Long:
		dst = binary.BigEndian.AppendUint64(dst, uint64(v))
	case Timestamp:
		dst = binary.BigEndian.AppendUint64(dst, uint64(time.Time(v).UnixMilli()))
	case UUID:
		dst = append(dst, v[:]...)
	case Bytes:
		return appendSized(dst, h.Name, string(v))
	case String:
		return appendSized(dst, h.Name, string(v))
	}
	return dst, nil
}

func appendSized(dst []byte, name, v string) ([]byte, error) {
	if len(v) > valueMax {
		return nil, fmt.Errorf("%w: the header %s has %d bytes", ErrTooLarge, name, len(v))
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(v)))
	return append(dst, v...), nil
}
