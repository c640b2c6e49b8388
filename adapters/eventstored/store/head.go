package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// head is what is known of a stream without reading it.
type head struct {
	// last is the revision of the newest event, -1 without any; the tombstone does not count.
	last       int64
	tombstoned bool
	// changed is the position of the event that made the head what it is.
	changed uint64
	// rawMeta is the data of the newest $metadata event.
	rawMeta []byte
	meta    streamMeta
}

// streamMeta are the settings in a stream's metadata that reads obey.
type streamMeta struct {
	// truncateBefore is the first readable revision; softDeleted hides the stream.
	truncateBefore int64
	// maxCount of newest events that are readable; 0 = all.
	maxCount int64
	// maxAge of readable events, in seconds; 0 = any.
	maxAge int64
}

const (
	keyTruncateBefore = "$tb"
	keyMaxCount       = "$maxCount"
	keyMaxAge         = "$maxAge"
)

// parseStreamMeta reads settings; what is not readable counts as not given, as in EventStoreDB.
func parseStreamMeta(raw []byte) streamMeta {
	var fields map[string]json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &fields) != nil {
		return streamMeta{}
	}
	number := func(key string) int64 {
		var n int64
		if json.Unmarshal(fields[key], &n) != nil || n < 0 {
			return 0
		}
		return n
	}
	return streamMeta{
		truncateBefore: number(keyTruncateBefore),
		maxCount:       number(keyMaxCount),
		maxAge:         number(keyMaxAge),
	}
}

// withTruncateBefore returns metadata with another $tb and everything else as it was.
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

// firstReadable is the first revision that metadata leaves readable.
func (h *head) firstReadable(stream string) int64 {
	maxCount := h.meta.maxCount
	if _, ok := originalStream(stream); ok {
		maxCount = 1 // of a stream's metadata only the newest counts
	}
	first := h.meta.truncateBefore
	if maxCount > 0 && h.last-maxCount+1 > first {
		first = h.last - maxCount + 1
	}
	return max(first, 0)
}

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

// loadHead reads a stream's head from disk. It may be ahead of what is synced; see Store.committedHead.
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

// headCache holds the heads that the committer used last: two generations, of which the elder is dropped when the
// younger is full. What was touched in one group of requests is never dropped within it, since a group touches far
// fewer heads than a generation holds; so the cache may be ahead of the disk and still be right.
type headCache struct{ young, old map[string]*head }

// headGeneration heads of about 150 bytes each: some 5 MiB in two generations.
const headGeneration = 1 << 14

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
	if len(c.young) >= headGeneration {
		c.old, c.young = c.young, make(map[string]*head, headGeneration)
	}
	c.young[stream] = h
}
