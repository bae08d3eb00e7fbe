// Package eventstream owns the framing of application/vnd.amazon.eventstream:
// messages with typed headers, a payload and two checksums. It must never import
// a protocol or a service: what the events mean is told by their headers.
package eventstream

import (
	"errors"
	"time"
)

// ContentType is the media type of a stream of messages.
const ContentType = "application/vnd.amazon.eventstream"

// The bounds of the format (AWS event stream encoding).
const (
	HeadersMax = 128 << 10 // bytes of all headers
	PayloadMax = 24 << 20  // bytes of a payload
	nameMax    = 255
	valueMax   = 32767
)

const (
	preludeSize = 12 // total length, headers' length, checksum
	trailerSize = 4
	messageMax  = preludeSize + HeadersMax + PayloadMax + trailerSize
)

var (
	// ErrChecksum tells that a message was damaged on its way.
	ErrChecksum = errors.New("eventstream: wrong checksum")
	// ErrMalformed tells that bytes are no message.
	ErrMalformed = errors.New("eventstream: malformed message")
	// ErrTooLarge tells that a message is beyond the bounds of the format.
	ErrTooLarge = errors.New("eventstream: message too large")
)

// Message is one frame of a stream.
type Message struct {
	Headers []Header
	Payload []byte
}

// Header is a named, typed value.
type Header struct {
	Name  string
	Value Value
}

// Get finds a header by name.
func (m *Message) Get(name string) (Value, bool) {
	for _, h := range m.Headers {
		if h.Name == name {
			return h.Value, true
		}
	}
	return nil, false
}

// Value is one of the types that a header can have: Bool, Byte, Short, Int, Long,
// Bytes, String, Timestamp, UUID.
type Value interface{ kind() byte }

type (
	Bool      bool
	Byte      int8
	Short     int16
	Int       int32
	Long      int64
	Bytes     []byte
	String    string
	Timestamp time.Time // to the millisecond
	UUID      [16]byte
)

// The numbers of the types on the wire.
const (
	kindTrue = iota
	kindFalse
	kindByte
	kindShort
	kindInt
	kindLong
	kindBytes
	kindString
	kindTimestamp
	kindUUID
)

func (v Bool) kind() byte {
	if v {
		return kindTrue
	}
	return kindFalse
}
func (Byte) kind() byte      { return kindByte }
func (Short) kind() byte     { return kindShort }
func (Int) kind() byte       { return kindInt }
func (Long) kind() byte      { return kindLong }
func (Bytes) kind() byte     { return kindBytes }
func (String) kind() byte    { return kindString }
func (Timestamp) kind() byte { return kindTimestamp }
func (UUID) kind() byte      { return kindUUID }

// Event makes a message of the kind that services send: a payload of a type.
func Event(eventType, contentType string, payload []byte) Message {
	m := Message{Payload: payload, Headers: []Header{
		{":message-type", String("event")},
		{":event-type", String(eventType)},
	}}
	if contentType != "" {
		m.Headers = append(m.Headers, Header{":content-type", String(contentType)})
	}
	return m
}

// Exception makes a message that ends a stream with a modelled error.
func Exception(exceptionType, contentType string, payload []byte) Message {
	return Message{Payload: payload, Headers: []Header{
		{":message-type", String("exception")},
		{":exception-type", String(exceptionType)},
		{":content-type", String(contentType)},
	}}
}
