package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// head is what the store knows about a stream without reading it.
type head struct {
	// last is the revision of the newest event, not counting the tombstone, or -1 if there is none.
	last       int64
	tombstoned bool
	// changed is the position of the event that last changed the head.
	changed uint64
	// rawMeta is the data of the newest event of the metadata stream, if it was declared to be JSON.
	rawMeta []byte
	meta    streamMeta
}

// streamMeta contains the settings in a stream's metadata that affect reads.
type streamMeta struct {
	// truncateBefore is the first readable revision. softDeleted hides the stream.
	truncateBefore int64
	// maxCount is the number of newest events that are readable. Zero means all.
	maxCount int64
	// maxAge is the maximum age of readable events, in seconds. Zero means any.
	maxAge int64
}

const (
	keyTruncateBefore = "$tb"
	keyMaxCount       = "$maxCount"
	keyMaxAge         = "$maxAge"
	keyCacheControl   = "$cacheControl"
	keyACL            = "$acl"
)

// parseStreamMeta parses the settings. As in EventStoreDB, metadata with a malformed value of any setting has no effect
// at all.
func parseStreamMeta(raw []byte) streamMeta {
	var fields map[string]json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &fields) != nil {
		return streamMeta{}
	}
	var m streamMeta
	for key, value := range fields {
		ok := true
		switch key {
		case keyTruncateBefore:
			m.truncateBefore, ok = metaNumber(value)
		case keyMaxCount:
			m.maxCount, ok = metaNumber(value)
		case keyMaxAge:
			m.maxAge, ok = metaNumber(value)
		case keyCacheControl:
			_, ok = metaNumber(value)
		case keyACL:
			ok = isACL(value)
		}
		if !ok {
			return streamMeta{}
		}
	}
	return m
}

// metaNumber parses an integer. A negative one is valid and sets nothing.
func metaNumber(value json.RawMessage) (int64, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return max(n, 0), err == nil
}

// isACL reports whether value is an access control list: a role or a list of roles for each kind of access.
func isACL(value json.RawMessage) bool {
	var lists map[string]json.RawMessage
	if json.Unmarshal(value, &lists) != nil || lists == nil {
		return false
	}
	for access, roles := range lists {
		if !slices.Contains([]string{"$r", "$w", "$d", "$mr", "$mw"}, access) {
			return false
		}
		var one *string
		var several []*string
		switch {
		case json.Unmarshal(roles, &one) == nil && one != nil:
		case json.Unmarshal(roles, &several) == nil && several != nil && !slices.Contains(several, nil):
		default:
			return false
		}
	}
	return true
}

// withTruncateBefore returns metadata with another $tb and everything else unchanged.
func withTruncateBefore(raw []byte, revision int64) ([]byte, error) {
	fields := map[string]json.RawMessage{}
	if len(raw) > 0 && json.Unmarshal(raw, &fields) != nil {
		fields = map[string]json.RawMessage{}
	}
	if fields == nil { // raw was JSON's null
		fields = map[string]json.RawMessage{}
	}
	tb, err := json.Marshal(revision)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	fields[keyTruncateBefore] = tb
	out, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	return out, nil
}

func (h *head) softDeleted() bool { return h.meta.truncateBefore == softDeleted }

func (h *head) setMeta(raw []byte) {
	h.rawMeta = append([]byte(nil), raw...)
	h.meta = parseStreamMeta(raw)
}

// firstReadable returns the first revision that the metadata leaves readable.
func (h *head) firstReadable(stream string) int64 {
	maxCount := h.meta.maxCount
	if _, ok := originalStream(stream); ok {
		maxCount = 1 // only the newest metadata of a stream is in effect
	}
	first := h.meta.truncateBefore
	if maxCount > 0 && h.last-maxCount+1 > first {
		first = h.last - maxCount + 1
	}
	return max(first, 0)
}

// oldestReadable returns the time, in ticks, before which $maxAge hides events, or 0 if it hides none.
func (h *head) oldestReadable(now time.Time) int64 {
	if h.meta.maxAge == 0 {
		return 0
	}
	return ticks(now.Add(-time.Duration(min(h.meta.maxAge, maxAgeSeconds)) * time.Second))
}

// maxAgeSeconds limits $maxAge to what a time.Duration can hold: 100 years.
const maxAgeSeconds = 100 * 365 * 24 * 3600

const headTombstoned = 1

func (h *head) encode(dst []byte) []byte {
	var flags byte
	if h.tombstoned {
		flags |= headTombstoned
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(h.last+1))
	dst = binary.AppendUvarint(dst, h.changed)
	return append(dst, h.rawMeta...)
}

func decodeHead(b []byte) (*head, error) {
	if len(b) < 1 {
		return nil, ErrCorrupted
	}
	flags, b := b[0], b[1:]
	next, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, ErrCorrupted
	}
	b = b[n:]
	changed, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, ErrCorrupted
	}
	h := &head{last: int64(next) - 1, tombstoned: flags&headTombstoned != 0, changed: changed}
	if rest := b[n:]; len(rest) > 0 {
		h.setMeta(rest)
	}
	return h, nil
}

// loadHead reads a stream's head from disk. It can be ahead of the synced events (see Store.committedHead).
func (s *Store) loadHead(stream string) (*head, error) {
	value, closer, err := s.db.Get(appendHeadKey(make([]byte, 0, 1+len(stream)), stream))
	if errors.Is(err, pebble.ErrNotFound) {
		return &head{last: -1}, nil
	}
	if err != nil {
		return nil, s.readError(fmt.Sprintf("head of stream %q", stream), err)
	}
	h, err := decodeHead(value)
	if closeErr := closer.Close(); err == nil && closeErr != nil {
		err = closeErr
	}
	if err != nil {
		return nil, s.readError(fmt.Sprintf("head of stream %q", stream), err)
	}
	return h, nil
}

// headCache holds the heads that the committer used last, in two generations. When the younger one is full, the older
// one is dropped. A head touched in one group of requests is never dropped within that group, because a group touches
// far fewer heads than a generation holds. So the cache can be ahead of the disk and still be correct.
type headCache struct {
	young, old map[string]*head
	names      int // bytes of the names in young
}

const (
	// headGeneration is the number of heads in a generation, about 150 bytes each: some 5 MiB in two generations.
	headGeneration = 1 << 14
	// headGenerationNames limits the bytes of their names. A group touches at most three heads for each of its
	// requests, whose names are part of maxGroupBytes.
	headGenerationNames = 4 * (maxGroupBytes + maxStreamName)
)

func newHeadCache() *headCache { return &headCache{young: make(map[string]*head)} }

func (c *headCache) get(stream string) (*head, bool) {
	if h, ok := c.young[stream]; ok {
		return h, true
	}
	h, ok := c.old[stream]
	if ok {
		c.put(stream, h)
	}
	return h, ok
}

func (c *headCache) put(stream string, h *head) {
	if len(c.young) >= headGeneration || c.names >= headGenerationNames {
		c.old, c.young, c.names = c.young, make(map[string]*head, headGeneration), 0
	}
	c.young[stream] = h
	c.names += len(stream)
}
