package policy

import "sync"

// cacheMax bounds a Cache; a full one starts anew and compiles again.
const cacheMax = 4096

// Cache compiles each document once and remembers it by its text. It is safe
// for concurrent use.
type Cache struct {
	mu   sync.RWMutex
	docs map[string]*Document
}

// NewCache makes an empty cache.
func NewCache() *Cache { return &Cache{docs: map[string]*Document{}} }

// Parse is Parse, remembered. Malformed documents are not.
func (c *Cache) Parse(text string) (*Document, error) {
	c.mu.RLock()
	d := c.docs[text]
	c.mu.RUnlock()
	if d != nil {
		return d, nil
	}
	d, err := Parse(text)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.docs) >= cacheMax {
		c.docs = map[string]*Document{}
	}
	c.docs[text] = d
	return d, nil
}
