package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/code"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

// A copy contains every event with its ID, stream, revision, data, and metadata, in the order of the log. Positions are the
// target's own. A copy resumes without any record of its progress: it continues at the position in the source of the
// target's last event. Appends are repeated with the same IDs at the same revisions, which the store accepts once, so it
// does no harm to resume too early.
//
// Not copied are the events of the source's own streams ("$…"), except the metadata of copied streams, and the source's
// identity.

// ErrNotACopy reports that the target of a copy contains something else.
var ErrNotACopy = errors.New("the target is not a copy of the source: copy into an empty event store")

const (
	copyPage = 1000
	// A copy fails after this many failures without progress: for errors that may be
	// temporary, and for others.
	copyTries       = 12
	copyTriesInVain = 2

	copyCausation  = "copy of "
	metadataPrefix = "$$"
	typeTombstone  = "$streamDeleted"
	typeMetadata   = "$metadata"
)

// CopyOptions configure a copy. From, To, and Now are required. Both logs must be opened
// with a URL, and their codec must know event.Types.
type CopyOptions struct {
	From, To *Log
	// Now is the time at which a new target is opened.
	Now time.Time
	// Progress, if not nil, is called after each page, on the copy's goroutine.
	Progress func(Copied)
	// Logger receives interruptions that the copy recovers from. If nil, nothing is
	// logged.
	Logger *slog.Logger
}

// Copied reports the progress of a copy.
type Copied struct {
	// Events is the number of events written in this run.
	Events int64
	// Start, Position, and End are positions in the source: where this run began, how
	// much it has copied, and where the log ended when it was last checked.
	Start, Position, End event.Position
	// Identity is the target's identity.
	Identity uuid.UUID
}

// Copy makes one log a copy of another, or brings a copy up to date. Each call writes
// the events that were added to the source since the last one. The target gets its own
// identity, so that cursors and read models of the source are not mistaken for the
// target's. Copy recovers from interruptions of either store. Its errors are
// ErrNotACopy, errors of the stores, and ctx's error.
func Copy(ctx context.Context, o CopyOptions) (Copied, error) {
	from, isFrom := o.From.backend.backend.(*client)
	to, isTo := o.To.backend.backend.(*client)
	if !isFrom || !isTo {
		return Copied{}, errors.New("copy: both logs must be opened with a URL")
	}
	c := &copier{CopyOptions: o, from: from, to: to}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := c.prepare(ctx); err != nil {
		return c.copied, err
	}
	for failures := 0; ; {
		before := c.copied.Position
		err := c.run(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrNotACopy) {
			return c.copied, err
		}
		if c.copied.Position > before {
			failures = 0
		}
		failures++
		tries := copyTriesInVain
		var refused *batchError
		if isRetryable(err) || errors.As(err, &refused) && refused.code != code.Code_ALREADY_EXISTS && refused.code != code.Code_INVALID_ARGUMENT {
			tries = copyTries
		}
		if failures >= tries {
			if refused != nil && refused.code == code.Code_ALREADY_EXISTS {
				err = fmt.Errorf("%w: the beginning of its stream is missing in the source, or others write to the target", err)
			}
			return c.copied, wrapError(ctx, "copy", err)
		}
		c.Logger.WarnContext(ctx, "copy was interrupted, resuming", "position", uint64(c.copied.Position), "error", err)
		if !pause(ctx, failures) {
			return c.copied, ctx.Err()
		}
	}
}

type copier struct {
	CopyOptions
	from, to *client // of From and To
	copied   Copied
	// known is the position in the source of the target's last event. Events up to it
	// are only repeated.
	known event.Position
}

// prepare gives a new target its identity, and checks that any other target is a copy.
func (c *copier) prepare(ctx context.Context) error {
	source, found, err := c.From.identity(ctx)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if !found {
		return fmt.Errorf("source: it contains no event log of Waypost (no stream %s)", event.LogStream)
	}
	opened, err := c.To.ReadBackwards(ctx, event.LogStream, 1)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if len(opened) > 0 {
		identity, ok := opened[0].Event.(event.LogOpened)
		switch {
		case ok && identity.ID == source:
			return errors.New("source and target are the same log: use another URL")
		case !ok || opened[0].Meta.CausationID != copyCausation+source.String():
			return ErrNotACopy
		}
		c.copied.Identity = identity.ID
		return nil
	}
	newest, err := c.newest(ctx, 1)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if len(newest) > 0 {
		return fmt.Errorf("%w; it has events in stream %s", ErrNotACopy, newest[0].StreamID)
	}
	c.copied.Identity, err = c.To.open(ctx, event.NoStream(), c.Now, copyCausation+source.String())
	return err
}

// run copies up to the end of the source.
func (c *copier) run(ctx context.Context) (err error) {
	after, err := c.resumeAfter(ctx)
	if err != nil {
		return err
	}
	if c.copied.Position == 0 {
		c.copied.Start, c.copied.Position = after, after
	}
	w, err := newBatchWriter(ctx, c.to.commands.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	for {
		if c.copied.End, err = c.From.End(ctx); err != nil {
			return err
		}
		page, more, err := c.from.page(ctx, after)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := c.write(ctx, w, e); err != nil {
				return err
			}
		}
		// Appends without a response count as copied only when the run succeeds.
		// resumeAfter finds them on its own.
		if len(page) > 0 {
			after = event.Position(page[len(page)-1].Position.Commit)
			c.copied.Position = max(c.copied.Position, after)
		}
		if c.Progress != nil {
			c.Progress(c.copied)
		}
		if !more { // others may still write to the source: the next copy copies their last events
			return w.flush()
		}
	}
}

func (c *copier) write(ctx context.Context, w *batchWriter, e *esdb.RecordedEvent) error {
	switch {
	case e.StreamID == event.LogStream, !taken(e):
		return nil
	case e.EventType == typeTombstone && e.EventNumber == math.MaxInt64:
		// It uses a separate call, which must not overtake the others.
		if err := w.flush(); err != nil {
			return err
		}
		return c.to.tombstone(ctx, e.StreamID)
	}
	if event.Position(e.Position.Commit) > c.known {
		c.copied.Events++
	}
	return w.write(e, strings.HasPrefix(e.StreamID, metadataPrefix))
}

// taken reports whether an event belongs to the source's users rather than to the store
// itself.
func taken(e *esdb.RecordedEvent) bool {
	original, isMeta := strings.CutPrefix(e.StreamID, metadataPrefix)
	if isMeta {
		return e.EventType == typeMetadata && !isSystem(original)
	}
	return !isSystem(e.StreamID)
}

// resumeAfter returns the position in the source after which events may be missing in
// the target. The last events may have been rejected while later ones were accepted: at
// most as many as are in flight at a time.
func (c *copier) resumeAfter(ctx context.Context) (event.Position, error) {
	newest, err := c.newest(ctx, window+1)
	if err != nil {
		return 0, fmt.Errorf("target: %w", err)
	}
	for i, e := range newest {
		if i > 0 && i < window {
			continue
		}
		original, err := c.from.recorded(ctx, e.StreamID, e.EventNumber)
		if hasCode(err, esdb.ErrorCodeStreamDeleted) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("source: %w", err)
		}
		if original == nil || original.EventID != e.EventID {
			return 0, fmt.Errorf("%w; event %d of its stream %s is not in the source, so it was written to after it was copied",
				ErrNotACopy, e.EventNumber, e.StreamID)
		}
		if i == 0 {
			c.known = max(c.known, event.Position(original.Position.Commit))
		}
		if i >= window {
			return event.Position(original.Position.Commit), nil
		}
	}
	return 0, nil
}

// newest returns the target's last copied events, newest first, without metadata and
// tombstones, whose revisions are not meaningful.
func (c *copier) newest(ctx context.Context, n int) ([]*esdb.RecordedEvent, error) {
	var found []*esdb.RecordedEvent
	err := c.to.backwards(ctx, func(e *esdb.RecordedEvent) bool {
		if taken(e) && e.StreamID != event.LogStream && e.EventType != typeTombstone && !isSystem(e.StreamID) {
			found = append(found, e)
		}
		return len(found) < n
	})
	return found, err
}

// page returns the log's next events as recorded. more is false at its end.
func (c *client) page(ctx context.Context, after event.Position) (events []*esdb.RecordedEvent, more bool, err error) {
	opts := esdb.ReadAllOptions{Direction: esdb.Forwards, From: esdb.Start{}}
	if after > 0 {
		opts.From = positionIn(after)
	}
	events, err = c.readPage(ctx, opts)
	more = len(events) == copyPage
	if len(events) > 0 && event.Position(events[0].Position.Commit) <= after {
		events = events[1:] // the position is inclusive
	}
	return events, more, err
}

// backwards calls visit with the log's events, starting with the last one, until visit
// returns false.
func (c *client) backwards(ctx context.Context, visit func(*esdb.RecordedEvent) bool) error {
	opts := esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}
	for {
		page, err := c.readPage(ctx, opts)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, e := range page {
			if !visit(e) {
				return nil
			}
		}
		opts.From = page[len(page)-1].Position
	}
}

func (c *client) readPage(ctx context.Context, opts esdb.ReadAllOptions) ([]*esdb.RecordedEvent, error) {
	return c.readEvents(ctx, "read the log", func(ctx context.Context, client *esdb.Client) (*esdb.ReadStream, error) {
		return client.ReadAll(ctx, opts, copyPage)
	})
}

// recorded returns one event of a stream, or nil if it does not exist.
func (c *client) recorded(ctx context.Context, stream string, revision uint64) (*esdb.RecordedEvent, error) {
	events, err := c.readEvents(ctx, "read "+stream, func(ctx context.Context, client *esdb.Client) (*esdb.ReadStream, error) {
		return client.ReadStream(ctx, stream, esdb.ReadStreamOptions{From: esdb.Revision(revision)}, 1)
	})
	if err != nil || len(events) == 0 || events[0].EventNumber != revision {
		return nil, err
	}
	return events[0], nil
}

// tombstone permanently deletes a stream. It is not an error if the stream has already
// been deleted.
func (c *client) tombstone(ctx context.Context, stream string) error {
	err := c.call(ctx, "tombstone "+stream, maxTries, func(ctx context.Context, conn *connection) error {
		ctx, leave, ok := conn.enter(ctx)
		if !ok {
			return errRetired
		}
		defer leave()
		_, err := conn.client.TombstoneStream(ctx, stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}})
		return err
	})
	if hasCode(err, esdb.ErrorCodeStreamDeleted) {
		return nil
	}
	return err
}

// Reopen gives the log another identity. It is for a restored log, whose positions will
// name other events than those of the log that it was taken from. The codec must know
// event.Types. It returns an *event.NewerLogError if a newer version of Waypost wrote
// the log.
func (l *Log) Reopen(ctx context.Context, now time.Time) (uuid.UUID, error) {
	if _, _, err := l.identity(ctx); err != nil {
		return uuid.Nil, err
	}
	return l.open(ctx, event.Any(), now, "")
}

// open appends a new identity.
func (l *Log) open(ctx context.Context, expected event.Expected, now time.Time, cause string) (uuid.UUID, error) {
	fresh, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("create the log's identity: %w", err)
	}
	eventID, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("create the log's identity: %w", err)
	}
	_, err = l.Append(ctx, event.LogStream, expected, event.Proposed{
		ID:    eventID,
		Event: event.LogOpened{ID: fresh, Format: event.LogFormat},
		Meta:  event.Meta{RecordedAt: now, By: domain.Platform("log"), CausationID: cause},
	})
	if err != nil {
		return uuid.Nil, err
	}
	return fresh, nil
}
