package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"
)

// decide answers one request and adds what it writes to the group's batch.
func (c *committer) decide(r *request) (Written, error) {
	h, err := c.head(r.stream)
	if err != nil {
		return Written{}, err
	}
	original, isMeta := originalStream(r.stream)
	if deleted, err := c.isTombstoned(h, original, isMeta); err != nil {
		return Written{}, err
	} else if deleted {
		return Written{}, &StreamDeletedError{Stream: r.stream}
	}
	before, repeated, err := c.check(r, h)
	if err != nil || repeated {
		return before, err
	}
	switch r.kind {
	case softDelete:
		return c.decideDelete(r, h)
	case tombstone:
		return c.decideTombstone(r, h)
	default:
		return c.decideAppend(r, h, original, isMeta)
	}
}

// isTombstoned: a stream's metadata goes with the stream.
func (c *committer) isTombstoned(h *head, original string, isMeta bool) (bool, error) {
	if h.tombstoned || !isMeta {
		return h.tombstoned, nil
	}
	oh, err := c.head(original)
	if err != nil {
		return false, err
	}
	return oh.tombstoned, nil
}

func (c *committer) decideAppend(r *request, h *head, original string, isMeta bool) (Written, error) {
	if len(r.events) == 0 {
		return Written{Revision: h.last}, nil
	}
	revived := h.softDeleted()
	if revived {
		// Read what is needed before anything is written: an append that fails must leave nothing in the batch.
		if _, err := c.head(MetadataStream(r.stream)); err != nil {
			return Written{}, err
		}
	}
	first := h.last + 1
	var position uint64
	var err error
	for i := range r.events {
		if position, err = c.write(r.stream, first+int64(i), &r.events[i]); err != nil {
			return Written{}, err
		}
	}
	h.last += int64(len(r.events))
	if err := c.writeHead(r.stream, h, position); err != nil {
		return Written{}, err
	}
	written := Written{Revision: h.last, Position: position}
	if revived {
		if err := c.revive(r.stream, h.rawMeta, first); err != nil {
			return Written{}, err
		}
	}
	if isMeta {
		if err := c.metadataWritten(original, r.events[len(r.events)-1], position); err != nil {
			return Written{}, err
		}
	}
	return written, nil
}

// metadataWritten applies an append to $$S to S. Metadata of a soft-deleted stream makes it live again, after its old
// revisions.
func (c *committer) metadataWritten(stream string, last Event, position uint64) error {
	if last.Type != typeMetadata {
		return nil
	}
	h, err := c.head(stream)
	if err != nil {
		return err
	}
	wasDeleted := h.softDeleted()
	if err := c.applyMetadata(stream, last.Data, position); err != nil {
		return err
	}
	if wasDeleted {
		return c.revive(stream, last.Data, h.last+1)
	}
	return nil
}

// revive makes a soft-deleted stream readable from the given revision on.
func (c *committer) revive(stream string, rawMeta []byte, from int64) error {
	data, err := withTruncateBefore(rawMeta, from)
	if err != nil {
		return err
	}
	_, err = c.writeMetadata(stream, data)
	return err
}

func (c *committer) decideDelete(r *request, h *head) (Written, error) {
	mh, err := c.head(MetadataStream(r.stream))
	if err != nil {
		return Written{}, err
	}
	if h.last < 0 && mh.last < 0 { // never written, not even its metadata
		return Written{}, &WrongRevisionError{Stream: r.stream, Expected: r.expected, Current: h.last}
	}
	data, err := withTruncateBefore(nil, softDeleted)
	if err != nil {
		return Written{}, err
	}
	return c.writeMetadata(r.stream, data)
}

func (c *committer) decideTombstone(r *request, h *head) (Written, error) {
	e := Event{ID: uuid.New(), Type: typeTombstone}
	position, err := c.write(r.stream, tombstoneRevision, &e)
	if err != nil {
		return Written{}, err
	}
	h.tombstoned = true
	if err := c.writeHead(r.stream, h, position); err != nil {
		return Written{}, err
	}
	return Written{Revision: tombstoneRevision, Position: position}, nil
}

// check holds the stream against what the writer expects. repeated means that the very same events stand there already:
// then before is where they ended, and nothing is to be written.
func (c *committer) check(r *request, h *head) (before Written, repeated bool, err error) {
	wrong := &WrongRevisionError{Stream: r.stream, Expected: r.expected, Current: h.last}
	if r.expected == StreamExists {
		if ok, err := c.exists(r.stream, h); err != nil {
			return Written{}, false, err
		} else if !ok {
			return Written{}, false, wrong
		}
	}
	if r.expected == Any || r.expected == StreamExists {
		for i := range r.events {
			seen, ok := c.recent.find(r.events[i].ID, r.stream)
			switch {
			case !ok && i == 0:
				return Written{}, false, nil
			case !ok: // begins with known events and goes on with new ones
				return Written{}, false, wrong
			}
			before = Written{Revision: seen.revision, Position: seen.position}
		}
		return before, len(r.events) > 0, nil
	}
	expected := int64(r.expected) // NoStream is -1, the revision before the first
	switch {
	case expected == h.last:
		return Written{}, false, nil
	case expected > h.last:
		return Written{}, false, wrong
	}
	for i := range r.events {
		position, ok, err := c.stands(r.stream, expected+1+int64(i), r.events[i].ID)
		switch {
		case err != nil:
			return Written{}, false, err
		case ok:
			before = Written{Revision: expected + 1 + int64(i), Position: position}
		case i == 0 && r.expected == NoStream && h.softDeleted():
			return Written{}, false, nil
		default:
			return Written{}, false, wrong
		}
	}
	if len(r.events) == 0 {
		if r.kind != appendEvents && r.expected == NoStream && h.softDeleted() {
			return Written{}, false, nil
		}
		return Written{}, false, wrong
	}
	return before, true, nil
}

// exists tells whether the stream can be expected to exist: it has events that are not soft-deleted, or metadata.
func (c *committer) exists(stream string, h *head) (bool, error) {
	if h.softDeleted() {
		return false, nil
	}
	if h.last >= 0 {
		return true, nil
	}
	mh, err := c.head(MetadataStream(stream))
	if err != nil {
		return false, err
	}
	return mh.last >= 0, nil
}

// stands tells whether an event with this id is the stream's event at a revision.
func (c *committer) stands(stream string, revision int64, id uuid.UUID) (position uint64, ok bool, err error) {
	if seen, ok := c.recent.find(id, stream); ok && seen.revision == revision {
		return seen.position, true, nil
	}
	c.key = appendStreamKey(c.key[:0], stream, revision)
	value, closer, err := c.db.Get(c.key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, false, nil // beyond the stream's end, or written in this group with another id
	}
	if err != nil {
		return 0, false, c.readError(fmt.Sprintf("stream %q", stream), err)
	}
	position, err = parseUint64(value)
	if err = errors.Join(err, closer.Close()); err != nil {
		return 0, false, c.readError(fmt.Sprintf("stream %q", stream), err)
	}
	record, ok, err := c.lookUp(position)
	if err != nil || !ok { // scavenged this very moment
		return 0, false, err
	}
	view, err := record.View()
	if err != nil {
		return 0, false, c.readError(fmt.Sprintf("stream %q", stream), err)
	}
	return position, view.ID == id, nil
}
