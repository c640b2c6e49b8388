package vault

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

const (
	seedIDSize = 8
	keyIDSize  = 12 // the ID of a seed and the key's number among those derived from it
	ownerSize  = 16

	// cachedKeys limits the data keys, and the people, kept in memory: about 40 MB together, and the recipients of a
	// minute at full rate.
	cachedKeys = 100_000
	// maxPending limits the keys that wait to be stored while Postgres is unavailable: about 100 MB, or five minutes of
	// accepting at full rate if every message has a different recipient.
	maxPending = 500_000
	// storeBatch is the number of keys that one statement stores.
	storeBatch = 5_000

	// longestGeneration is how long data is sealed under a key after its creation if data is kept forever. Erasing then
	// reaches back to whole months.
	longestGeneration = 30 * 24 * time.Hour
	// generationsKept is the number of key generations that the retention spans. Older data is erased at most one
	// generation late.
	generationsKept = 8
	// longestKept limits a generation if data is not kept forever.
	longestKept = 24 * time.Hour
)

// keyID is the ID of a data key as it is stored.
type keyID [keyIDSize]byte

func (k keyID) name() event.KeyID { return event.KeyID(base64.RawURLEncoding.EncodeToString(k[:])) }

func (k keyID) seed() seedID { return seedID(k[:seedIDSize]) }

func parseKeyID(id event.KeyID) (k keyID, ok bool) {
	n, err := base64.RawURLEncoding.Decode(k[:], []byte(id))
	return k, err == nil && n == keyIDSize && len(id) == base64.RawURLEncoding.EncodedLen(keyIDSize)
}

type seedID [seedIDSize]byte

// owner identifies a person, or something else that data keys belong to, by a keyed hash.
type owner [ownerSize]byte

// dataKey is an unwrapped key. A destroyed key has a time and no secret.
type dataKey struct {
	secret   [keySize]byte
	erasedAt time.Time
}

func (k dataKey) erased() bool { return !k.erasedAt.IsZero() }

// ownKey is the key that a person's data is currently sealed under.
type ownKey struct {
	id     keyID
	madeAt time.Time
}

// ownerKind is how a key belongs to an owner, as in data_key_owner.
type ownerKind int16

const (
	ownerSole ownerKind = iota
	ownerShared
	ownerAlias
	// ownerLinked is one of several names of a person, of a key that seals the link.
	ownerLinked
	// ownerKept is a name of a person, or the installation, of a key that outlives the retention
	// period.
	ownerKept
)

// pendingKey is a derived key that is not stored yet.
type pendingKey struct {
	id     keyID
	secret [keySize]byte
	madeAt time.Time
	owners []owner
	// kind is that of the owners, or zero for the usual one: sole or shared.
	kind ownerKind
	// like names a key whose owners are not known here. This key has the same owners.
	like *keyID
}

type pendingAlias struct {
	owner owner
	key   keyID
}

// DataKeys manages the keys that personal data is sealed under. It implements event.Vault. It is safe for concurrent
// use. Run must be running.
type DataKeys struct {
	keys   *Keys
	clock  func() time.Time
	logger *slog.Logger
	// generation is how long a key is used for new data.
	generation time.Duration

	// pool, log, and index are set by Start and do not change after that.
	pool  *pgxpool.Pool
	log   event.Log
	index *macKey
	left  [][]byte // seeds that existed at the start and belong to no running process

	// waiting has a value after the first key or alias began to wait, full after as many keys wait as are stored at once.
	waiting, full chan struct{}

	asking chan struct{} // a slot: one query to Postgres at a time
	asks   sync.WaitGroup
	// storing serializes changes of the tables: storing, rotating, destroying.
	storing sync.Mutex

	mu      sync.Mutex
	seed    *seed
	open    recent[keyID, dataKey]
	own     recent[owner, ownKey]
	aliases recent[pendingAlias, struct{}] // known to be stored
	pending []pendingKey
	links   []pendingAlias
	retired [][]byte // seeds that are deleted once their keys are stored
	ask     *question
	awayTil time.Time
}

// Options configure DataKeys.
type Options struct {
	Keys *Keys
	// Retention is the maximum time that personal data is kept. Zero means forever.
	Retention time.Duration
	Clock     func() time.Time
	Logger    *slog.Logger
}

// NewDataKeys returns DataKeys that cannot be used before Start.
func NewDataKeys(o Options) *DataKeys {
	return &DataKeys{
		keys: o.Keys, clock: o.Clock, logger: o.Logger, generation: generationOf(o.Retention),
		waiting: make(chan struct{}, 1), full: make(chan struct{}, 1), asking: make(chan struct{}, 1),
		open: newRecent[keyID, dataKey](cachedKeys), own: newRecent[owner, ownKey](cachedKeys),
		aliases: newRecent[pendingAlias, struct{}](cachedKeys),
	}
}

func generationOf(retention time.Duration) time.Duration {
	if retention <= 0 {
		return longestGeneration
	}
	return min(retention/generationsKept, longestKept)
}

var _ event.Vault = (*DataKeys)(nil)

// errNotOpen reports that Start has not been called, or that Close has: a programming error.
var errNotOpen = errors.New("the vault of data keys is not open")

// Seal implements event.Vault.
func (d *DataKeys) Seal(ctx context.Context, s event.Subject, about string, plain []byte) ([]byte, event.KeyID, error) {
	if s.Key == "" {
		id, key, owners, err := d.keyFor(ctx, s)
		if err != nil {
			return nil, "", err
		}
		return d.seal(id, key, ownersHeader(owners), about, plain)
	}
	id, ok := parseKeyID(s.Key)
	if !ok {
		return nil, "", fmt.Errorf("%q is not a data key ID", s.Key)
	}
	key, err := d.find(ctx, id)
	switch {
	case errors.Is(err, event.ErrLocked):
		// The log continues without Postgres: derive a new key with the owners of the one that is not cached. They are
		// looked up when the key is stored.
		fresh, key, err := d.derive(nil, &id)
		if err != nil {
			return nil, "", err
		}
		return d.seal(fresh, key, likeHeader(id), about, plain)
	case err != nil:
		return nil, "", err
	case key.erased():
		return nil, "", nil
	}
	d.alias(id, s.People)
	return d.seal(id, key, ownersHeader(nil), about, plain)
}

// Open implements event.Vault.
func (d *DataKeys) Open(ctx context.Context, name event.KeyID, about string, sealed []byte) ([]byte, error) {
	key, err := d.lookUp(ctx, name)
	if err != nil {
		return nil, err
	}
	text, err := key.decrypt(about, sealed)
	if err != nil {
		return nil, err
	}
	_, _, plain, err := parseHeader(text)
	return plain, err
}

// Fetch implements event.Vault.
func (d *DataKeys) Fetch(ctx context.Context, names []event.KeyID) error {
	var missing []keyID
	d.mu.Lock()
	for _, name := range names {
		if id, ok := parseKeyID(name); ok {
			if _, known := d.knownLocked(id); !known {
				missing = append(missing, id)
			}
		}
	}
	d.mu.Unlock()
	if len(missing) == 0 {
		return nil
	}
	_, err := d.query(ctx, missing, nil)
	return err
}

// SealValue encrypts a value of a read model under a key of the log. The same value in the same place results in the
// same bytes, so that a rebuilt read model equals the previous one. It returns nothing if the key is destroyed.
func (d *DataKeys) SealValue(ctx context.Context, name event.KeyID, about string, plain []byte) ([]byte, error) {
	key, err := d.lookUp(ctx, name)
	var erased *event.ErasedError
	if errors.As(err, &erased) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// The nonce is a hash of the value's purpose, under the key itself. It repeats only for the same value in the same
	// place.
	mac := hmac.New(sha256.New, key.secret[:])
	_, _ = mac.Write([]byte("value nonce v1\n" + about + "\n")) // a hash's Write never fails
	_, _ = mac.Write(plain)
	return key.encrypt(mac.Sum(nil)[:nonceSize], about, plain)
}

// OpenValue decrypts the result of SealValue. Its errors are those of Open.
func (d *DataKeys) OpenValue(ctx context.Context, name event.KeyID, about string, sealed []byte) ([]byte, error) {
	key, err := d.lookUp(ctx, name)
	if err != nil {
		return nil, err
	}
	return key.decrypt(about, sealed)
}

// BlindIndex returns the keyed hash by which a value is looked up where the value itself must not be stored. kind
// separates hashes for different purposes.
func (d *DataKeys) BlindIndex(kind, value string) []byte {
	mac := d.index.get()
	defer d.index.put(mac)
	_, _ = mac.Write([]byte(kind + "\n" + value)) // a hash's Write never fails
	return mac.Sum(nil)[:ownerSize]
}

// lookUp returns the key with this name, or a *event.ErasedError if it is destroyed.
func (d *DataKeys) lookUp(ctx context.Context, name event.KeyID) (dataKey, error) {
	id, ok := parseKeyID(name)
	if !ok {
		return dataKey{}, fmt.Errorf("%q is not a data key ID", name)
	}
	key, err := d.find(ctx, id)
	if err == nil && key.erased() {
		return dataKey{}, &event.ErasedError{At: key.erasedAt}
	}
	return key, err
}

func (d *DataKeys) find(ctx context.Context, id keyID) (dataKey, error) {
	d.mu.Lock()
	key, known := d.knownLocked(id)
	d.mu.Unlock()
	if known {
		return key, nil
	}
	answer, err := d.query(ctx, []keyID{id}, nil)
	if err != nil {
		return dataKey{}, err
	}
	key, ok := answer.keys[id]
	if !ok {
		// Neither stored nor derivable: the vault does not belong to this log. It may still be restored, so this proves
		// nothing.
		return dataKey{}, event.ErrLocked
	}
	return key, nil
}

// knownLocked returns a key that is cached or can be derived here. The caller must hold the lock.
func (d *DataKeys) knownLocked(id keyID) (key dataKey, known bool) {
	if key, ok := d.open.get(id); ok {
		return key, true
	}
	if d.seed == nil || d.seed.id != id.seed() {
		return dataKey{}, false
	}
	key = dataKey{secret: deriveKey(d.seed.secret, id)}
	d.open.put(id, key)
	return key, true
}

// keyFor returns the key that data about these people is currently sealed under, and the people's owner hashes. For
// several people together, and for what is kept, it is always a new key.
func (d *DataKeys) keyFor(ctx context.Context, s event.Subject) (keyID, dataKey, []owner, error) {
	owners := d.ownersOf(s.People)
	if len(owners) > 1 || s.Kept {
		id, key, err := d.deriveNew(owners, kindOf(s))
		return id, key, owners, err
	}
	if id, key, ok := d.current(owners[0]); ok {
		return id, key, owners, nil
	}
	// Postgres may know one. If it is unavailable, the person gets an additional key. That does no harm, because all
	// keys of a person are destroyed together.
	if _, err := d.query(ctx, nil, owners); err != nil && ctx.Err() != nil {
		return keyID{}, dataKey{}, nil, context.Cause(ctx)
	}
	if id, key, ok := d.current(owners[0]); ok {
		return id, key, owners, nil
	}
	id, key, err := d.deriveOnce(owners[0])
	return id, key, owners, err
}

// current returns the key that a person's data is currently sealed under, if it is cached.
func (d *DataKeys) current(o owner) (keyID, dataKey, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.currentLocked(o)
}

func (d *DataKeys) currentLocked(o owner) (keyID, dataKey, bool) {
	have, ok := d.own.get(o)
	if !ok || d.clock().Sub(have.madeAt) >= d.generation {
		return keyID{}, dataKey{}, false
	}
	key, known := d.knownLocked(have.id)
	if !known || key.erased() {
		return keyID{}, dataKey{}, false
	}
	return have.id, key, true
}

// deriveOnce derives a key for a person, unless another caller just did.
func (d *DataKeys) deriveOnce(o owner) (keyID, dataKey, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id, key, ok := d.currentLocked(o); ok {
		return id, key, nil
	}
	return d.deriveLocked([]owner{o}, nil)
}

// kindOf returns the kind of the owners of a new key, or zero for the usual one.
func kindOf(s event.Subject) ownerKind {
	switch {
	case s.Kept:
		return ownerKept
	case s.Same:
		return ownerLinked
	}
	return 0
}

// deriveNew derives a new key for one use. Other data of the owners is never sealed under it.
func (d *DataKeys) deriveNew(owners []owner, kind ownerKind) (keyID, dataKey, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, key, err := d.deriveLocked(nil, nil)
	if err == nil {
		k := &d.pending[len(d.pending)-1]
		k.owners, k.kind = owners, kind
	}
	return id, key, err
}

func (d *DataKeys) derive(owners []owner, like *keyID) (keyID, dataKey, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.deriveLocked(owners, like)
}

// deriveLocked derives a new key from the seed. Until it is stored, it can be derived again from the seed, so it can be
// used immediately. The caller must hold the lock.
func (d *DataKeys) deriveLocked(owners []owner, like *keyID) (keyID, dataKey, error) {
	if d.seed == nil {
		return keyID{}, dataKey{}, errNotOpen
	}
	if len(d.pending) >= maxPending {
		return keyID{}, dataKey{}, domain.Unavailable("Postgres is unavailable and %d data keys wait to be stored; try again when it is back", maxPending)
	}
	id := keyID(binary.BigEndian.AppendUint32(d.seed.id[:], d.seed.next))
	d.seed.next++
	key := dataKey{secret: deriveKey(d.seed.secret, id)}
	now := d.clock()
	d.open.put(id, key)
	if len(owners) == 1 {
		d.own.put(owners[0], ownKey{id: id, madeAt: now})
	}
	d.pending = append(d.pending, pendingKey{id: id, secret: key.secret, madeAt: now, owners: owners, like: like})
	switch len(d.pending) {
	case 1:
		signal(d.waiting)
	case storeBatch:
		signal(d.full)
	}
	return id, key, nil
}

// alias records further names of the key's owner.
func (d *DataKeys) alias(id keyID, people []string) {
	if len(people) == 0 {
		return
	}
	owners := d.ownersOf(people)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range owners {
		link := pendingAlias{o, id}
		if _, known := d.aliases.get(link); !known && len(d.links) < maxPending {
			d.aliases.put(link, struct{}{})
			d.links = append(d.links, link)
			if len(d.links) == 1 {
				signal(d.waiting)
			}
		}
	}
}

// deriveKey returns the key with this ID: HMAC-SHA256 of the ID under its seed.
func deriveKey(secret [keySize]byte, id keyID) [keySize]byte {
	mac := hmac.New(sha256.New, secret[:])
	_, _ = mac.Write([]byte("waypost data key v1\n")) // a hash's Write never fails
	_, _ = mac.Write(id[:])
	return [keySize]byte(mac.Sum(nil))
}

// installation is the owner of data that is about no individual person.
const installation = "installation"

// ownersOf returns the owner hash of each person once, or of the installation if there are no people.
func (d *DataKeys) ownersOf(people []string) []owner {
	owners := make([]owner, 0, max(1, len(people)))
	for _, p := range people {
		if p = canonical(p); p == "" {
			continue
		}
		o := owner(d.BlindIndex("person", p))
		known := false
		for _, have := range owners {
			known = known || have == o
		}
		if !known && len(owners) < maxOwners {
			owners = append(owners, o)
		}
	}
	if len(owners) == 0 {
		owners = append(owners, owner(d.BlindIndex("scope", installation)))
	}
	return owners
}

// canonical returns a uniform notation of a person: a number's digits, whether it was written with a plus or, as
// WhatsApp does, without one.
func canonical(person string) string {
	return strings.TrimPrefix(strings.TrimSpace(person), "+")
}

const (
	nonceSize = 12
	// maxOwners is the maximum number of people that the data of one event can be about. The header stores the number
	// in one byte.
	maxOwners  = 250
	headerLike = 255
)

// ownersHeader returns the beginning of text sealed under a key that may not be stored yet. After a crash, it
// identifies the key's owners to the process that finds the text in the log.
func ownersHeader(owners []owner) []byte {
	header := []byte{byte(len(owners))}
	for _, o := range owners {
		header = append(header, o[:]...)
	}
	return header
}

func likeHeader(id keyID) []byte { return append([]byte{headerLike}, id[:]...) }

var errHeader = errors.New("the sealed data is truncated")

func parseHeader(text []byte) (owners []owner, like *keyID, plain []byte, err error) {
	if len(text) == 0 {
		return nil, nil, nil, errHeader
	}
	n, rest := int(text[0]), text[1:]
	if n == headerLike {
		if len(rest) < keyIDSize {
			return nil, nil, nil, errHeader
		}
		id := keyID(rest[:keyIDSize])
		return nil, &id, rest[keyIDSize:], nil
	}
	if len(rest) < n*ownerSize {
		return nil, nil, nil, errHeader
	}
	for range n {
		owners, rest = append(owners, owner(rest[:ownerSize])), rest[ownerSize:]
	}
	return owners, nil, rest, nil
}

func (d *DataKeys) seal(id keyID, key dataKey, header []byte, about string, plain []byte) ([]byte, event.KeyID, error) {
	var nonce [nonceSize]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, "", err
	}
	sealed, err := key.encrypt(nonce[:], about, append(header, plain...))
	return sealed, id.name(), err
}

// encrypt returns nonce and ciphertext.
func (k dataKey) encrypt(nonce []byte, about string, plain []byte) ([]byte, error) {
	aead, err := newGCM(k.secret[:])
	if err != nil {
		return nil, err
	}
	out := make([]byte, nonceSize, nonceSize+len(plain)+aead.Overhead())
	copy(out, nonce)
	return aead.Seal(out, out[:nonceSize], plain, []byte(about)), nil
}

var errChanged = errors.New("the sealed data was modified or moved from the place it was sealed for")

func (k dataKey) decrypt(about string, sealed []byte) ([]byte, error) {
	aead, err := newGCM(k.secret[:])
	if err != nil {
		return nil, err
	}
	if len(sealed) < nonceSize {
		return nil, errChanged
	}
	plain, err := aead.Open(nil, sealed[:nonceSize], sealed[nonceSize:], []byte(about))
	if err != nil {
		return nil, errChanged
	}
	return plain, nil
}

// signal wakes Run. It doesn't block.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
