package eventstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/waypost/waypost/adapters/eventstored/store"
	"github.com/waypost/waypost/app/event"
)

// embedded is the backend of an embedded store in this process. The store is unavailable
// only after it was closed or has failed, which it does not recover from, so calls are not
// repeated. At most 80 reads and 80 subscriptions run at a time, because each one holds a
// page of the log; further ones wait for their turn.
type embedded struct {
	store   *store.Store
	timeout time.Duration // of a call

	calls         *lifetime
	reads         turns
	subscriptions turns
}

// newEmbedded returns a backend whose calls take at most as long as those of a client, which
// repeats them.
func newEmbedded(s *store.Store, timeout time.Duration) *embedded {
	return &embedded{store: s, timeout: totalTimeouts * timeout, calls: newLifetime(), reads: newTurns(), subscriptions: newTurns()}
}

func (b *embedded) append(
	ctx context.Context, stream string, expected event.Expected, events []proposal,
) (event.Appended, error) {
	revision, err := storeRevision(stream, expected)
	if err != nil {
		return event.Appended{}, err
	}
	appended := make([]store.Event, len(events))
	for i, e := range events {
		appended[i] = store.Event{ID: e.id, Type: e.eventType, JSON: true, Data: e.data, Metadata: e.meta}
	}
	if !b.calls.begin() {
		return event.Appended{}, fmt.Errorf("append to %s: %w", stream, errClosed)
	}
	defer b.calls.running.Done()
	// Most callers have a deadline of their own. There are six appends for each message, and a
	// context of its own would take as many allocations as the rest of an append.
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > b.timeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, b.timeout, errNoAnswer)
		defer cancel()
	}
	done, err := b.store.AppendUntil(ctx, b.calls.ctx.Done(), stream, revision, appended)
	var wrong *store.WrongRevisionError
	switch {
	case err == nil:
		return event.Appended{Revision: event.Revision(done.Revision), Position: event.Position(done.Position)}, nil
	case errors.As(err, &wrong):
		return event.Appended{}, &event.WrongRevisionError{Stream: stream, Expected: expected}
	case errors.Is(err, store.ErrAbandoned):
		return event.Appended{}, fmt.Errorf("append to %s: %w", stream, errClosed)
	}
	return event.Appended{}, fmt.Errorf("append to %s: %w", stream, errorOf(ctx, err))
}

// storeRevision returns what the store must expect of a stream.
func storeRevision(stream string, e event.Expected) (store.Expected, error) {
	r, exact := e.Revision()
	switch {
	case e.IsNoStream():
		return store.NoStream, nil
	case !exact:
		return store.Any, nil
	case r > math.MaxInt64: // no stream is that long
		return 0, &event.WrongRevisionError{Stream: stream, Expected: e}
	}
	return store.Expected(r), nil
}

func (b *embedded) read(ctx context.Context, stream string, from event.Revision, limit int) ([]record, error) {
	return b.readStream(ctx, stream, limit, int64(min(from, math.MaxInt64)), store.StreamView.Read)
}

func (b *embedded) readBackwards(ctx context.Context, stream string, limit int) ([]record, error) {
	return b.readStream(ctx, stream, limit, math.MaxInt64, store.StreamView.ReadBackwards)
}

// readPage is StreamView.Read or StreamView.ReadBackwards.
type readPage func(v store.StreamView, from int64, limit uint64) (page []store.Record, next int64, more bool, err error)

func (b *embedded) readStream(
	ctx context.Context, stream string, limit int, from int64, read readPage,
) (found []record, err error) {
	err = b.reading(ctx, "read "+stream, func(ctx context.Context) error {
		view, err := b.store.Stream(ctx, stream)
		if err != nil || view.State() == store.StreamMissing {
			return err
		}
		if view.State() == store.StreamTombstoned {
			return &store.StreamDeletedError{Stream: stream}
		}
		for more := true; more && len(found) < limit; {
			var page []store.Record
			if page, from, more, err = read(view, from, uint64(limit-len(found))); err != nil {
				return err
			}
			if found, err = appendRecords(found, page); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	})
	return found, err
}

func (b *embedded) readAllBackwards(ctx context.Context, before event.Position, limit int) (found []record, err error) {
	next := uint64(before)
	if before == 0 {
		next = math.MaxUint64
	}
	err = b.reading(ctx, "read $all", func(ctx context.Context) error {
		for len(found) < limit {
			page, err := b.store.ReadAllBackwards(next, uint64(limit-len(found)))
			if err != nil || len(page) == 0 {
				return err
			}
			next = page[len(page)-1].Position
			if found, err = appendRecords(found, page); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	})
	return found, err
}

func (b *embedded) end(ctx context.Context) (last event.Position, err error) {
	err = b.reading(ctx, "read the end of the log", func(context.Context) error {
		page, err := b.store.ReadAllBackwards(math.MaxUint64, 1)
		if len(page) > 0 {
			last = event.Position(page[0].Position)
		}
		return err
	})
	return last, err
}

// ping also fails if the store serves reads but rejects all appends.
func (b *embedded) ping(ctx context.Context) error {
	if _, err := b.end(ctx); err != nil {
		return err
	}
	select {
	case <-b.store.Done():
		return fmt.Errorf("ping event store: %w", errStopped)
	default:
		return nil
	}
}

// reading calls read with a turn and the time limit of a call.
func (b *embedded) reading(ctx context.Context, what string, read func(context.Context) error) error {
	ctx, leave, err := b.enter(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer leave()
	release, err := b.reads.take(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, errorOf(ctx, err))
	}
	defer release()
	if err := read(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, errorOf(ctx, err))
	}
	return nil
}

// enter begins a call. The context that it returns ends with ctx, with the backend, and
// after the time limit of a call. The caller must call leave.
func (b *embedded) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	if !b.calls.begin() {
		return nil, nil, errClosed
	}
	ctx, cancel := b.calls.bind(ctx)
	late := time.AfterFunc(b.timeout, func() { cancel(errNoAnswer) })
	return ctx, func() {
		late.Stop()
		cancel(nil)
		b.calls.running.Done()
	}, nil
}

func (b *embedded) subscribe(
	ctx context.Context, after event.Position, filter event.Filter, receive func(notice) error,
) error {
	if !b.calls.begin() {
		return fmt.Errorf("follow the log: %w", errClosed)
	}
	defer b.calls.running.Done()
	ctx, cancel := b.calls.bind(ctx)
	defer cancel(nil)
	release, err := b.subscriptions.take(ctx)
	if err != nil {
		return fmt.Errorf("follow the log: %w", errorOf(ctx, err))
	}
	defer release()
	s := embeddedSubscription{store: b.store, wants: wantsOf(filter), receive: receive}
	if err := s.run(ctx, after, filter.StreamPrefixes); s.refused == nil {
		return fmt.Errorf("follow the log: %w", errorOf(ctx, err))
	}
	return s.refused
}

// embeddedSubscription is one loop over the log for existing and for new events, so there is
// neither a gap nor a queue between them. A slow receiver only makes the loop read from
// disk.
type embeddedSubscription struct {
	store   *store.Store
	wants   func(stream, eventType string) bool
	receive func(notice) error
	refused error // by receive
}

func (s *embeddedSubscription) run(ctx context.Context, after event.Position, prefixes []string) error {
	news, unwatch := s.store.WatchAll()
	defer unwatch()
	next := uint64(after)
	if next > 0 {
		next = min(next+1, s.store.End())
	}
	next, err := s.visitFew(ctx, prefixes, next)
	if err != nil {
		return err
	}
	for live := false; ; {
		page, _, err := s.store.ReadAll(next, math.MaxUint64)
		if err != nil {
			return err
		}
		if len(page) > 0 {
			if err := s.pass(ctx, page); err != nil {
				return err
			}
			next = page[len(page)-1].Position + 1
			continue
		}
		if !live {
			live = true
			if err := s.caughtUp(next); err != nil {
				return err
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.store.Done():
			return errStopped
		}
	}
}

// visitFew passes the events of a few streams in a long log, without reading the log.
func (s *embeddedSubscription) visitFew(ctx context.Context, prefixes []string, next uint64) (uint64, error) {
	if len(prefixes) == 0 {
		return next, nil
	}
	names := make([][]byte, len(prefixes))
	for i, p := range prefixes {
		names[i] = []byte(p)
	}
	return s.store.VisitFew(names, next, func(r store.Record) error { return s.pass(ctx, []store.Record{r}) })
}

// pass passes a page's events that match the filter, and the position of its last event.
func (s *embeddedSubscription) pass(ctx context.Context, page []store.Record) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	records, err := appendRecords(make([]record, 0, len(page)), page)
	if err != nil {
		return err
	}
	passed := false
	for i := range records {
		if passed = s.wants(records[i].stream, records[i].eventType); !passed {
			continue
		}
		if s.refused = s.receive(notice{event: &records[i], position: records[i].position}); s.refused != nil {
			return s.refused
		}
	}
	if !passed {
		s.refused = s.receive(notice{position: records[len(records)-1].position})
	}
	return s.refused
}

// caughtUp reports that everything before a position has been passed.
func (s *embeddedSubscription) caughtUp(next uint64) error {
	if next > 0 {
		if s.refused = s.receive(notice{position: event.Position(next - 1)}); s.refused != nil {
			return s.refused
		}
	}
	s.refused = s.receive(notice{caughtUp: true})
	return s.refused
}

func (b *embedded) close(ctx context.Context) error { return b.calls.close(ctx) }

// errStopped reports that the store was closed or has failed.
var errStopped = fmt.Errorf("%w: it has stopped", event.ErrUnavailable)

// errorOf turns an error of the store, or of waiting for it, into an error of event.Log.
// ctx is the call's.
func errorOf(ctx context.Context, err error) error {
	var large *store.TooLargeError
	switch {
	case ctx.Err() != nil:
		// The outcome of an append is unknown.
		if cause := context.Cause(ctx); !errors.Is(cause, event.ErrUnavailable) {
			return fmt.Errorf("%w: %w", event.ErrUnavailable, cause)
		}
		return context.Cause(ctx)
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrFailed):
		return fmt.Errorf("%w: %w", event.ErrUnavailable, err)
	case errors.Is(err, store.ErrDiskFull):
		return fmt.Errorf("%w: %w: %w", event.ErrUnavailable, event.ErrDiskFull, err)
	case errors.As(err, &large):
		return fmt.Errorf("%w: %w", event.ErrTooLarge, err)
	}
	return err
}

// appendRecords decodes a page of the store's records. The data is copied, because it outlives
// the page in events that are kept, and a page shares its memory.
func appendRecords(to []record, page []store.Record) ([]record, error) {
	for _, r := range page {
		v, err := r.View()
		if err != nil {
			return nil, err
		}
		to = append(to, record{
			id: v.ID, stream: string(v.Stream), eventType: string(v.Type),
			revision: event.Revision(v.Revision), position: event.Position(v.Position), created: v.CreatedAt(),
			data: bytes.Clone(v.Data), meta: v.Metadata,
		})
	}
	return to, nil
}
