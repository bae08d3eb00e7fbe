package aws

import (
	"crypto/rand"
	"encoding/hex"
)

// RequestID is the unguessable id of one request: a version 4 UUID.
type RequestID string

// NewRequestID makes a random version 4 UUID (RFC 9562 section 5.4).
func NewRequestID() RequestID {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand aborts the process instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	s[8] = '-'
	hex.Encode(s[9:13], b[4:6])
	s[13] = '-'
	hex.Encode(s[14:18], b[6:8])
	s[18] = '-'
	hex.Encode(s[19:23], b[8:10])
	s[23] = '-'
	hex.Encode(s[24:36], b[10:16])
	return RequestID(s[:])
}
