package sqs

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// The first byte of a content tells how it rests.
const (
	contentPlain   = 'p'
	contentManaged = 's' // SqsManagedSseEnabled
	contentKMS     = 'k' // KmsMasterKeyId: then name and number of the data key
)

// vault makes the keys that contents are encrypted with, of the store's own secret: there
// is no KMS, but what a queue asks for is done.
type vault []byte

// sealing is how a queue's contents are to rest.
type sealing struct {
	managed bool
	keyID   string // KmsMasterKeyId
	period  uint64 // number of the data key, which is used for KmsDataKeyReusePeriodSeconds
}

func (s *settings) sealing(now time.Time) sealing {
	if s.keyID == "" {
		return sealing{managed: s.sealed}
	}
	return sealing{keyID: s.keyID, period: uint64(now.Unix()) / uint64(s.keyReuse/time.Second)}
}

func (v vault) aead(name string) (cipher.AEAD, error) {
	h := hmac.New(sha256.New, v)
	h.Write([]byte(name))
	block, err := aes.NewCipher(h.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("content key: %w", err)
	}
	return cipher.NewGCM(block)
}

func keyName(keyID string, period uint64) string { return fmt.Sprintf("kms/%d/%s", period, keyID) }

const managedKey = "managed"

// close encrypts a content, bound to its queue, where the queue asks for it.
func (v vault) close(plain []byte, how sealing, queueID string) ([]byte, error) {
	var head []byte
	name := managedKey
	switch {
	case how.keyID != "":
		head = append(binary.AppendUvarint([]byte{contentKMS}, uint64(len(how.keyID))), how.keyID...)
		head = binary.AppendUvarint(head, how.period)
		name = keyName(how.keyID, how.period)
	case how.managed:
		head = []byte{contentManaged}
	default:
		return append([]byte{contentPlain}, plain...), nil
	}
	seal, err := v.aead(name)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, seal.NonceSize())
	rand.Read(nonce) // never fails: crypto/rand aborts the process instead
	all := make([]byte, 0, len(head)+len(nonce)+len(plain)+seal.Overhead())
	return seal.Seal(append(append(all, head...), nonce...), nonce, plain, []byte(queueID)), nil
}

// open undoes close.
func (v vault) open(all []byte, queueID string) ([]byte, error) {
	if len(all) == 0 {
		return nil, errCorrupt
	}
	rest, name := all[1:], managedKey
	switch all[0] {
	case contentPlain:
		return rest, nil
	case contentManaged:
	case contentKMS:
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			return nil, errCorrupt
		}
		keyID := string(rest[size : size+int(n)])
		rest = rest[size+int(n):]
		period, size := binary.Uvarint(rest)
		if size <= 0 {
			return nil, errCorrupt
		}
		rest, name = rest[size:], keyName(keyID, period)
	default:
		return nil, errCorrupt
	}
	seal, err := v.aead(name)
	if err != nil {
		return nil, err
	}
	if len(rest) < seal.NonceSize() {
		return nil, errCorrupt
	}
	plain, err := seal.Open(nil, rest[:seal.NonceSize()], rest[seal.NonceSize():], []byte(queueID))
	if err != nil {
		return nil, fmt.Errorf("message does not decrypt: %w", err)
	}
	return plain, nil
}
