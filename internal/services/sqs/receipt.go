package sqs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/lambdad/lambdad/internal/services/sqs/flow"
)

// receiptKey signs receipt handles. A handle names a queue's id, a message and one
// delivery of it, so that it needs no memory and outlives a restart, and nobody can
// make one who was not given it.
type receiptKey []byte

const (
	receiptMACBytes = 32
	receiptBytes    = 8 + 4 + receiptMACBytes
)

func (k receiptKey) handle(queueID string, r flow.Receipt) string {
	b := make([]byte, 0, receiptBytes)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Sequence))
	b = binary.BigEndian.AppendUint32(b, uint32(r.Receives))
	return base64.StdEncoding.EncodeToString(append(b, k.mac(queueID, b)...))
}

// open reads a handle of the queue; false: it is none.
func (k receiptKey) open(queueID, handle string) (flow.Receipt, bool) {
	b, err := base64.StdEncoding.DecodeString(handle)
	if err != nil || len(b) != receiptBytes || !hmac.Equal(k.mac(queueID, b[:12]), b[12:]) {
		return flow.Receipt{}, false
	}
	return flow.Receipt{Sequence: flow.Sequence(binary.BigEndian.Uint64(b)), Receives: int(binary.BigEndian.Uint32(b[8:]))}, true
}

func (k receiptKey) mac(queueID string, b []byte) []byte {
	h := hmac.New(sha256.New, k)
	h.Write([]byte(queueID + "/"))
	h.Write(b)
	return h.Sum(nil)
}
