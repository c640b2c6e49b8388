package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keySize is the length of a secret key in bytes.
const keySize = 32

// The labels under which keys are derived. They are part of what is stored: another
// label results in another key.
const (
	labelToken       = "waypost token v1"
	labelWrap        = "waypost data key v1"
	labelFingerprint = "waypost fingerprint v1"
	labelCookie      = "waypost cookie v1"
)

// Keys are the installation's secret keys.
type Keys struct{ keys []derived }

type derived struct {
	id          string // the first bytes of a hash of the key, to identify it
	token       cipher.AEAD
	wrap        cipher.AEAD
	cookie      cipher.AEAD
	fingerprint *macKey
}

// ParseKeys parses secret keys: base64 of 32 bytes each, separated by commas.
func ParseKeys(text string) (*Keys, error) {
	var k Keys
	for i, part := range strings.Split(strings.TrimSpace(text), ",") {
		secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(part))
		if err != nil || len(secret) != keySize {
			return nil, fmt.Errorf("secret key %d is not base64 of %d bytes; create one with: openssl rand -base64 %d", i+1, keySize, keySize)
		}
		d, err := derive(secret)
		if err != nil {
			return nil, err
		}
		k.keys = append(k.keys, d)
	}
	return &k, nil
}

// LoadOrMakeKeys reads the secret keys from a file. If the file does not exist, it
// creates it with a new key and mode 0600.
func LoadOrMakeKeys(path string) (*Keys, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeKeyFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	k, err := ParseKeys(string(text))
	if err != nil { // another key would lock what this one has sealed
		return nil, fmt.Errorf("%s is damaged: it is not base64 of %d bytes; restore it from a backup", path, keySize)
	}
	return k, nil
}

func makeKeyFile(path string) ([]byte, error) {
	secret := make([]byte, keySize)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	text := []byte(base64.StdEncoding.EncodeToString(secret) + "\n")
	return text, WriteSecret(path, text)
}

// WriteSecret writes a file with mode 0600 that is either completely on disk or does
// not exist.
func WriteSecret(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // already renamed if all went well
	if _, err := f.Write(text); err != nil {
		_ = f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func derive(secret []byte) (derived, error) {
	id := sha256.Sum256(append([]byte("waypost key id v1"), secret...))
	token, err := aeadOf(secret, labelToken)
	if err != nil {
		return derived{}, err
	}
	wrap, err := aeadOf(secret, labelWrap)
	if err != nil {
		return derived{}, err
	}
	cookie, err := aeadOf(secret, labelCookie)
	if err != nil {
		return derived{}, err
	}
	fingerprint, err := hkdf.Key(sha256.New, secret, nil, labelFingerprint, keySize)
	if err != nil {
		return derived{}, err
	}
	return derived{id: hex.EncodeToString(id[:4]), token: token, wrap: wrap, cookie: cookie, fingerprint: newMACKey(fingerprint)}, nil
}

func aeadOf(secret []byte, label string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, label, keySize)
	if err != nil {
		return nil, err
	}
	return newGCM(key)
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Fingerprint returns the keyed hash of parts: the ID of the key, and HMAC-SHA256 over
// each part with its length.
func (k *Keys) Fingerprint(parts ...[]byte) string { return k.keys[0].mac(parts) }

// Matches reports whether fingerprint is the fingerprint of parts under any of the
// keys.
func (k *Keys) Matches(fingerprint string, parts ...[]byte) bool {
	for _, d := range k.keys {
		if strings.HasPrefix(fingerprint, d.id+":") {
			return hmac.Equal([]byte(fingerprint), []byte(d.mac(parts)))
		}
	}
	return false
}

func (d derived) mac(parts [][]byte) string {
	h := d.fingerprint.get()
	defer d.fingerprint.put(h)
	var size [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		_, _ = h.Write(size[:]) // a hash's Write never fails
		_, _ = h.Write(p)
	}
	return d.id + ":" + hex.EncodeToString(h.Sum(nil))
}

// seal encrypts a token under the first key. about binds it to its place, so that it
// cannot be opened anywhere else.
func (k *Keys) seal(token, about string) ([]byte, error) {
	return sealWith(k.keys[0].id, k.keys[0].token, []byte(token), about)
}

// wrap encrypts a data key under the first key.
func (k *Keys) wrap(secret []byte, about string) ([]byte, error) {
	return sealWith(k.keys[0].id, k.keys[0].wrap, secret, about)
}

// sealWith returns key ID, nonce, and ciphertext.
func sealWith(id string, aead cipher.AEAD, plain []byte, about string) ([]byte, error) {
	nonce := make([]byte, aead.NonceSize())
	if _, err := io.ReadFull(rand.Reader, nonce); err != nil {
		return nil, err
	}
	sealed := append([]byte(id), nonce...)
	return aead.Seal(sealed, nonce, plain, []byte(about)), nil
}

var (
	errSealed = errors.New("was encrypted under a secret key that is not configured, or was modified; add the key to WAYPOST_SECRET_KEY or set the token again with updateSender")
	errWrap   = errors.New("is encrypted under a secret key that is not configured, or was modified; add its key to WAYPOST_SECRET_KEY, after a comma")
)

func (k *Keys) open(sealed []byte, about string) (string, error) {
	plain, ok := k.openWith(func(d derived) cipher.AEAD { return d.token }, sealed, about)
	if !ok {
		return "", errSealed
	}
	return string(plain), nil
}

// unwrap decrypts a data key.
func (k *Keys) unwrap(sealed []byte, about string) ([]byte, error) {
	plain, ok := k.openWith(func(d derived) cipher.AEAD { return d.wrap }, sealed, about)
	if !ok {
		return nil, errWrap
	}
	return plain, nil
}

// SealCookie encrypts what a browser keeps, under the first key, as text for a cookie. about binds
// it to its purpose.
func (k *Keys) SealCookie(plain []byte, about string) (string, error) {
	sealed, err := sealWith(k.keys[0].id, k.keys[0].cookie, plain, about)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// OpenCookie returns what SealCookie encrypted under any of the keys, or false if the text is
// something else.
func (k *Keys) OpenCookie(text, about string) ([]byte, bool) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, false
	}
	return k.openWith(func(d derived) cipher.AEAD { return d.cookie }, sealed, about)
}

func (k *Keys) openWith(use func(derived) cipher.AEAD, sealed []byte, about string) ([]byte, bool) {
	for _, d := range k.keys {
		aead := use(d)
		head := len(d.id) + aead.NonceSize()
		if len(sealed) < head || string(sealed[:len(d.id)]) != d.id {
			continue
		}
		plain, err := aead.Open(nil, sealed[len(d.id):head], sealed[head:], []byte(about))
		return plain, err == nil
	}
	return nil, false
}

// current returns the ID that begins everything that the first key encrypts.
func (k *Keys) current() string { return k.keys[0].id }
