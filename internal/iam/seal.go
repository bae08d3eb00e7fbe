package iam

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/lambdad/lambdad/internal/store"
)

// ErrSeal means that sealed bytes were not sealed by this store's master key
// for this purpose.
var ErrSeal = errors.New("iam: seal broken")

const saltBytes = 24

// Master is the root of all secrets of a store. It never leaves this package.
type Master struct{ key [32]byte }

// String keeps the key out of every log.
func (*Master) String() string { return "master key" }

// GoString keeps the key out of %#v.
func (*Master) GoString() string { return "master key" }

// loadMaster reads the master key, or makes it on the first start. Two nodes
// that start at once agree, since only one of the writes meets its condition.
func loadMaster(ctx context.Context, records store.Records) (*Master, error) {
	for range commitAttempts {
		r, err := records.Get(ctx, masterKey)
		if err == nil {
			m := &Master{}
			if copy(m.key[:], r.Value) != len(m.key) || len(r.Value) != len(m.key) {
				return nil, fmt.Errorf("record %s: %w", masterKey, ErrSeal)
			}
			return m, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("load master key: %w", err)
		}
		var fresh [32]byte
		rand.Read(fresh[:])
		_, err = records.Commit(ctx, store.Write{Kind: store.WritePut, Key: masterKey, Value: fresh[:], If: store.IfAbsent()})
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return nil, fmt.Errorf("make master key: %w", err)
		}
	}
	return nil, fmt.Errorf("load master key: %w", store.ErrConflict)
}

// derive makes a key for one purpose.
func (m *Master) derive(purpose string, salt []byte) [32]byte {
	h := hmac.New(sha256.New, m.key[:])
	h.Write([]byte(purpose))
	h.Write([]byte{0})
	h.Write(salt)
	var out [32]byte
	h.Sum(out[:0])
	return out
}

// seal encrypts and authenticates data for a purpose. Each seal has a key of
// its own, so the nonce may stay zero.
func (m *Master) seal(purpose, bound string, data []byte) []byte {
	out := make([]byte, saltBytes, saltBytes+len(data)+16)
	rand.Read(out)
	return m.aead(purpose, out).Seal(out, make([]byte, 12), data, []byte(bound))
}

// unseal is the inverse of seal; bound must be the same.
func (m *Master) unseal(purpose, bound string, sealed []byte) ([]byte, error) {
	if len(sealed) < saltBytes {
		return nil, ErrSeal
	}
	data, err := m.aead(purpose, sealed[:saltBytes]).Open(nil, make([]byte, 12), sealed[saltBytes:], []byte(bound))
	if err != nil {
		return nil, ErrSeal
	}
	return data, nil
}

func (m *Master) aead(purpose string, salt []byte) cipher.AEAD {
	key := m.derive(purpose, salt)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("aes refuses a key of 32 bytes: " + err.Error())
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic("aes-gcm refuses an aes block: " + err.Error())
	}
	return gcm
}
