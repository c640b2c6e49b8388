package eventstore

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// A copy takes over every event with its id, stream, revision, data and metadata,
// in the order of the log; positions are the target's own. It needs no notes of
// its own to be resumed: where the last event of the target stands in the source
// is where to go on. Appends are repeated by the same ids at the same revisions,
// which the store takes once, so to go on from too early does no harm.
//
// What is left out: the events of the source's own streams ("$…"), but for
// metadata of streams that are copied, and the source's identity.

// ErrNotACopy says that the target of a copy holds something else.
var ErrNotACopy = errors.New("the target is not a copy of the source: copy into an empty event store")

const (
	copyPage = 1000
	// A copy is given up when it fails so often without getting any further: for
	// reasons that may pass, and for others.
	copyTries       = 12
	copyTriesInVain = 2

	copyCausation  = "copy of "
	systemPrefix   = "$"
	metadataPrefix = "$$"
	typeTombstone  = "$streamDeleted"
	typeMetadata   = "$metadata"
)

// CopyOptions say what a copy reads and writes. From, To and Now are required; the
// codec of both logs must know event.Types.
type CopyOptions struct {
	From, To *Log
	// Now is the time at which the target is opened, if it is new.
	Now time.Time
	// Progress is told after each page, on the copy's goroutine. It may be nil.
	Progress func(Copied)
	// Logger gets interruptions that the copy goes on after; nothing is logged
	// without one.
	Logger *slog.Logger
}

// Copied is how far a copy has come.
type Copied struct {
	// Events were written in this run.
	Events int64
	// Start, Position and End are positions in the source: where this run began,
	// how far it has come, and where the log ended when it was last looked at.
	Start, Position, End event.Position
	// Identity is that of the target.
	Identity uuid.UUID
}

// Copy makes one log the copy of another, or brings a copy up to it: as often as it
// is called, it writes what the source has got meanwhile. The target gets an
// identity of its own, so that cursors and read models of the source are not taken
// for the target's. It goes on after interruptions of either store. Errors are
// ErrNotACopy, those of the stores, and ctx's.
func Copy(ctx context.Context, o CopyOptions) (Copied, error) {
	c := &copier{CopyOptions: o}
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
		if mayPass(err) || errors.As(err, &refused) && refused.code != code.Code_ALREADY_EXISTS && refused.code != code.Code_INVALID_ARGUMENT {
			tries = copyTries
		}
		if failures >= tries {
			if refused != nil && refused.code == code.Code_ALREADY_EXISTS {
				err = fmt.Errorf("%w: the beginning of its stream is missing in the source, or others write to the target", err)
			}
			return c.copied, failed(ctx, "copy", err)
		}
		c.Logger.WarnContext(ctx, "copy was interrupted, going on", "position", uint64(c.copied.Position), "error", err)
		if !pause(ctx, failures) {
			return c.copied, ctx.Err()
		}
	}
}

type copier struct {
	CopyOptions
	copied Copied
	// known is where the target's last event stands in the source: up to it, events
	// are only repeated.
	known event.Position
}

// prepare gives a new target its identity, and holds another to being a copy.
func (c *copier) prepare(ctx context.Context) error {
	source, found, err := c.From.identity(ctx)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if !found {
		return fmt.Errorf("source: there is no log of Waypost in it (no stream %s)", event.LogStream)
	}
	opened, err := c.To.ReadBackwards(ctx, event.LogStream, 1)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if len(opened) > 0 {
		identity, ok := opened[0].Event.(event.LogOpened)
		switch {
		case ok && identity.ID == source:
			return errors.New("source and target are the same log: give another URL")
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
	w, err := newBatchWriter(ctx, c.To.commands.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	for {
		if c.copied.End, err = c.From.End(ctx); err != nil {
			return err
		}
		page, more, err := c.From.page(ctx, after)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := c.write(ctx, w, e); err != nil {
				return err
			}
		}
		// What is not answered is counted as copied only when the run ends well;
		// resumeAfter finds out by itself.
		if len(page) > 0 {
			after = event.Position(page[len(page)-1].Position.Commit)
			c.copied.Position = max(c.copied.Position, after)
		}
		if c.Progress != nil {
			c.Progress(c.copied)
		}
		if !more { // others may still write to the source: their last events are for the next copy
			return w.flush()
		}
	}
}

func (c *copier) write(ctx context.Context, w *batchWriter, e *esdb.RecordedEvent) error {
	switch {
	case e.StreamID == event.LogStream, !taken(e):
		return nil
	case e.EventType == typeTombstone && e.EventNumber == math.MaxInt64:
		// It has a call of its own, which must not overtake the others.
		if err := w.flush(); err != nil {
			return err
		}
		return c.To.tombstone(ctx, e.StreamID)
	}
	if event.Position(e.Position.Commit) > c.known {
		c.copied.Events++
	}
	return w.write(e, strings.HasPrefix(e.StreamID, metadataPrefix))
}

// taken tells what belongs to the source's users from what is the store's own.
func taken(e *esdb.RecordedEvent) bool {
	original, isMeta := strings.CutPrefix(e.StreamID, metadataPrefix)
	if isMeta {
		return e.EventType == typeMetadata && !strings.HasPrefix(original, systemPrefix)
	}
	return !strings.HasPrefix(e.StreamID, systemPrefix)
}

// resumeAfter is the position in the source behind which the target may lack events.
// The last ones may have been refused while others behind them were taken: at most
// as many as are under way at a time.
func (c *copier) resumeAfter(ctx context.Context) (event.Position, error) {
	newest, err := c.newest(ctx, window+1)
	if err != nil {
		return 0, fmt.Errorf("target: %w", err)
	}
	for i, e := range newest {
		if i > 0 && i < window {
			continue
		}
		original, err := c.From.recorded(ctx, e.StreamID, e.EventNumber)
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

// newest are the target's last copied events, newest first, without metadata and
// tombstones, whose revisions say nothing.
func (c *copier) newest(ctx context.Context, n int) ([]*esdb.RecordedEvent, error) {
	var found []*esdb.RecordedEvent
	err := c.To.backwards(ctx, func(e *esdb.RecordedEvent) bool {
		if taken(e) && e.StreamID != event.LogStream && e.EventType != typeTombstone && !strings.HasPrefix(e.StreamID, systemPrefix) {
			found = append(found, e)
		}
		return len(found) < n
	})
	return found, err
}

// page are the log's next events as they are recorded; more is false at its end.
func (l *Log) page(ctx context.Context, after event.Position) (events []*esdb.RecordedEvent, more bool, err error) {
	opts := esdb.ReadAllOptions{Direction: esdb.Forwards, From: esdb.Start{}}
	if after > 0 {
		opts.From = esdb.Position{Commit: uint64(after), Prepare: uint64(after)}
	}
	err = l.call(ctx, "read the log", maxTries, func(ctx context.Context, c *connection) (err error) {
		events, err = readAllOnce(ctx, c, opts)
		return err
	})
	more = len(events) == copyPage
	if len(events) > 0 && event.Position(events[0].Position.Commit) <= after {
		events = events[1:] // the position is inclusive
	}
	return events, more, err
}

// backwards visits the log's events from the last one on, until visit is false.
func (l *Log) backwards(ctx context.Context, visit func(*esdb.RecordedEvent) bool) error {
	opts := esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}
	for {
		var page []*esdb.RecordedEvent
		err := l.call(ctx, "read the log", maxTries, func(ctx context.Context, c *connection) (err error) {
			page, err = readAllOnce(ctx, c, opts)
			return err
		})
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

func readAllOnce(ctx context.Context, c *connection, opts esdb.ReadAllOptions) ([]*esdb.RecordedEvent, error) {
	ctx, leave, ok := c.enter(ctx)
	if !ok {
		return nil, errRetired
	}
	defer leave()
	reader, err := c.client.ReadAll(ctx, opts, copyPage)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	return drain(reader)
}

func drain(reader *esdb.ReadStream) (events []*esdb.RecordedEvent, _ error) {
	for {
		e, err := reader.Recv()
		if errors.Is(err, io.EOF) || hasCode(err, esdb.ErrorCodeResourceNotFound) {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		events = append(events, e.OriginalEvent())
	}
}

// recorded is one event of a stream, nil if there is none.
func (l *Log) recorded(ctx context.Context, stream string, revision uint64) (*esdb.RecordedEvent, error) {
	var events []*esdb.RecordedEvent
	err := l.call(ctx, "read "+stream, maxTries, func(ctx context.Context, c *connection) error {
		ctx, leave, ok := c.enter(ctx)
		if !ok {
			return errRetired
		}
		defer leave()
		reader, err := c.client.ReadStream(ctx, stream, esdb.ReadStreamOptions{From: esdb.Revision(revision)}, 1)
		if err != nil {
			return err
		}
		defer reader.Close()
		events, err = drain(reader)
		return err
	})
	if err != nil || len(events) == 0 || events[0].EventNumber != revision {
		return nil, err
	}
	return events[0], nil
}

// tombstone deletes a stream for good; one that is deleted already is no error.
func (l *Log) tombstone(ctx context.Context, stream string) error {
	err := l.call(ctx, "tombstone "+stream, maxTries, func(ctx context.Context, c *connection) error {
		ctx, leave, ok := c.enter(ctx)
		if !ok {
			return errRetired
		}
		defer leave()
		_, err := c.client.TombstoneStream(ctx, stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}})
		return err
	})
	if hasCode(err, esdb.ErrorCodeStreamDeleted) {
		return nil
	}
	return err
}

// Reopen gives the log another identity: for one that was restored, whose positions
// will name other events than those of the log it was taken from. The codec must
// know event.Types.
func (l *Log) Reopen(ctx context.Context, now time.Time) (uuid.UUID, error) {
	return l.open(ctx, event.Any(), now, "")
}

// open appends a new identity.
func (l *Log) open(ctx context.Context, expected event.Expected, now time.Time, cause string) (uuid.UUID, error) {
	fresh, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("make the log's identity: %w", err)
	}
	eventID, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("make the log's identity: %w", err)
	}
	_, err = l.Append(ctx, event.LogStream, expected, event.New{
		ID:    eventID,
		Event: event.LogOpened{ID: fresh},
		Meta:  event.Meta{RecordedAt: now, By: domain.Platform("log"), CausationID: cause},
	})
	if err != nil {
		return uuid.Nil, err
	}
	return fresh, nil
}
