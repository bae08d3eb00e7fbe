package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Key is a signing key, derived from a secret for one scope.
type Key [32]byte

// DeriveKey computes the signing key of a scope.
func DeriveKey(secret string, scope Scope) Key {
	k := mac([]byte("AWS4"+secret), []byte(scope.Date))
	k = mac(k[:], []byte(scope.Region))
	k = mac(k[:], []byte(scope.Service))
	return mac(k[:], []byte(ScopeTerminator))
}

func mac(key, data []byte) (sum Key) {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	h.Sum(sum[:0])
	return sum
}

const (
	keyCacheShards   = 64
	keyCacheShardMax = 64 // full: the shard starts anew, its keys are derived again
)

// KeyCache remembers signing keys. Reading takes no lock. Only keys that
// verified a signature belong in it, so that nobody can fill it with claims.
type KeyCache struct {
	seed   maphash.Seed
	shards [keyCacheShards]keyShard
}

type keyShard struct {
	mu   sync.Mutex // held by writers
	keys atomic.Pointer[map[keyID]Key]
}

type keyID struct {
	secret string
	scope  Scope
}

// NewKeyCache makes an empty cache.
func NewKeyCache() *KeyCache { return &KeyCache{seed: maphash.MakeSeed()} }

// Get returns the key for a scope and whether it came out of the cache.
func (c *KeyCache) Get(secret string, scope Scope) (key Key, cached bool) {
	if m := c.shard(secret).keys.Load(); m != nil {
		if k, ok := (*m)[keyID{secret, scope}]; ok {
			return k, true
		}
	}
	return DeriveKey(secret, scope), false
}

// Put remembers a key that has proven itself.
func (c *KeyCache) Put(secret string, scope Scope, key Key) {
	s := c.shard(secret)
	s.mu.Lock()
	defer s.mu.Unlock()
	next := make(map[keyID]Key)
	if old := s.keys.Load(); old != nil && len(*old) < keyCacheShardMax {
		for id, k := range *old {
			next[id] = k
		}
	}
	next[keyID{secret, scope}] = key
	s.keys.Store(&next)
}

func (c *KeyCache) shard(secret string) *keyShard {
	return &c.shards[maphash.String(c.seed, secret)%keyCacheShards]
}
