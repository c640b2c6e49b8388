package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"
)

// decide applies one request and adds its writes to the group's batch.
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

// isTombstoned reports whether a stream is tombstoned. A tombstoned stream's metadata is tombstoned with it.
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
		// EventStoreDB writes an empty record and returns its position. The position of the log's last byte works just
		// as well: it is after everything written before and before everything written later.
		return Written{Revision: h.last, Position: c.next - 1}, nil
	}
	revived := h.softDeleted()
	if revived {
		// Read everything needed before writing: a failing append must leave nothing in the batch.
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

// metadataWritten applies an append to $$S to stream S: the data of the last event, of any type, is the metadata if it
// was declared to be JSON. Metadata of a soft-deleted stream makes the stream live again, after its old revisions.
func (c *committer) metadataWritten(stream string, last Event, position uint64) error {
	data := metadataOf(&last)
	h, err := c.head(stream)
	if err != nil {
		return err
	}
	wasDeleted := h.softDeleted()
	if err := c.applyMetadata(stream, data, position); err != nil {
		return err
	}
	if wasDeleted {
		return c.revive(stream, data, h.last+1)
	}
	return nil
}

// metadataOf returns the metadata that an event in $$S sets for S, or nil if it sets none.
func metadataOf(e *Event) []byte {
	if !e.JSON {
		return nil
	}
	return e.Data
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

// check compares the stream with the writer's expectation. repeated reports whether the same events are already in the
// stream. In that case, before is where they end, and nothing must be written.
func (c *committer) check(r *request, h *head) (before Written, repeated bool, err error) {
	wrong := &WrongRevisionError{Stream: r.stream, Expected: r.expected, Current: h.last}
	if r.expected == StreamExists {
		if h.softDeleted() {
			return Written{}, false, &StreamDeletedError{Stream: r.stream}
		}
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
			case !ok: // begins with known events and continues with new ones
				return Written{}, false, wrong
			}
			before = Written{Revision: seen.revision, Position: seen.position}
		}
		before, err = c.ifReadable(r.stream, h, before)
		return before, len(r.events) > 0, err
	}
	expected := int64(r.expected) // NoStream is -1, the revision before the first
	switch {
	case expected == h.last:
		return Written{}, false, nil
	case expected > h.last:
		return Written{}, false, wrong
	}
	for i := range r.events {
		position, ok, err := c.hasEvent(r.stream, expected+1+int64(i), r.events[i].ID)
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
	before, err = c.ifReadable(r.stream, h, before)
	return before, true, err
}

// ifReadable removes the position from the result of a repeated append if its last event can no longer be read through
// its stream.
func (c *committer) ifReadable(stream string, h *head, before Written) (Written, error) {
	if before.Revision < h.firstReadable(stream) {
		before.Position = 0
		return before, nil
	}
	oldest := h.oldestReadable(c.opts.Now())
	if oldest == 0 {
		return before, nil
	}
	record, ok, err := c.lookUp(before.Position)
	if err != nil || !ok { // without a record, it is part of this group of requests, so it is new
		return before, err
	}
	view, err := record.View()
	if err != nil {
		return before, c.readError(fmt.Sprintf("stream %q", stream), err)
	}
	if view.Created < oldest {
		before.Position = 0
	}
	return before, nil
}

// exists reports whether the stream exists as StreamExists requires: it has events or metadata.
func (c *committer) exists(stream string, h *head) (bool, error) {
	if h.last >= 0 {
		return true, nil
	}
	mh, err := c.head(MetadataStream(stream))
	if err != nil {
		return false, err
	}
	return mh.last >= 0, nil
}

// hasEvent reports whether the event with this ID is in the stream at the revision, and returns its position.
func (c *committer) hasEvent(stream string, revision int64, id uuid.UUID) (position uint64, ok bool, err error) {
	if position, ok := c.recent.at(id, stream, revision); ok {
		return position, true, nil
	}
	c.key = appendStreamKey(c.key[:0], stream, revision)
	value, closer, err := c.db.Get(c.key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, false, nil // beyond the stream's end, or written in this group with another ID
	}
	if err != nil {
		return 0, false, c.readError(fmt.Sprintf("stream %q", stream), err)
	}
	position, err = parseUint64(value)
	if err = errors.Join(err, closer.Close()); err != nil {
		return 0, false, c.readError(fmt.Sprintf("stream %q", stream), err)
	}
	record, ok, err := c.lookUp(position)
	if err != nil || !ok { // just scavenged
		return 0, false, err
	}
	view, err := record.View()
	if err != nil {
		return 0, false, c.readError(fmt.Sprintf("stream %q", stream), err)
	}
	return position, view.ID == id, nil
}
