package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// macKey is a key of HMAC-SHA256 that lasts as long as the process. It keeps hashes for reuse, because setting one
// up takes longer than hashing a short value with it.
type macKey struct{ hashes sync.Pool }

func newMACKey(secret []byte) *macKey {
	return &macKey{hashes: sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}}
}

// get returns a hash that has read nothing yet. The caller must pass it to put.
func (k *macKey) get() hash.Hash {
	return k.hashes.Get().(hash.Hash) //nolint:forcetypeassert // only New and put fill the pool
}

func (k *macKey) put(h hash.Hash) {
	h.Reset()
	k.hashes.Put(h)
}
