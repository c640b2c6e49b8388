package eventstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/adapters/eventstored/store"
	"github.com/waypost/waypost/app/event"
)

const (
	defaultCallTimeout    = 10 * time.Second
	defaultMaxAppendBytes = 1 << 20
)

// Options configure a Log. Codec is required, and URL or Store.
type Options struct {
	// URL is a connection string as EventStoreDB defines it, for example
	// esdb://127.0.0.1:2113?tls=false, or esdb+unix:///path for the Unix socket of an
	// embedded store on this machine.
	URL string
	// Store is an embedded store in this process. If it is set, URL is ignored: the Log uses
	// the store directly. It does not close it.
	Store *store.Store
	// Codec must know the types of all events that are written or need to be decoded.
	Codec *event.Codec
	// Logger receives dropped subscriptions and events that cannot be decoded. If nil,
	// nothing is logged.
	Logger *slog.Logger
	// CallTimeout limits one try of a call. If zero, it is 10 s. While the store is
	// unavailable, a call is repeated within three times that.
	CallTimeout time.Duration
	// MaxAppendBytes is the size of the largest append, data and metadata of its events
	// together. If zero, it is 1 MiB, EventStoreDB's own default.
	MaxAppendBytes int
	// Now returns the time of events that the Log itself records. If nil, time.Now is
	// used.
	Now func() time.Time
}

// Log is an event log in an event store. Any number of goroutines can use it.
type Log struct {
	codec          *event.Codec
	logger         *slog.Logger
	callTimeout    time.Duration
	maxAppendBytes int

	backend       metered
	subscriptions *lifetime // and the feed's
	feed          *feed

	now        func() time.Time
	shortening shortening

	// noRoom is when the store last rejected an append because of a full disk, in
	// nanoseconds. It is 0 if the store has accepted an append since.
	noRoom atomic.Int64
}

var _ event.Log = (*Log)(nil)

// Open returns the log of a store. It waits until the store responds, at most until ctx
// ends or for as long as any call would. Then it fails with event.ErrUnavailable. The
// caller must close the Log.
func Open(ctx context.Context, opts Options) (*Log, error) {
	if opts.Codec == nil {
		return nil, errors.New("open event store: a codec is required")
	}
	l := &Log{
		codec:          opts.Codec,
		logger:         cmp.Or(opts.Logger, slog.New(slog.DiscardHandler)),
		callTimeout:    cmp.Or(opts.CallTimeout, defaultCallTimeout),
		maxAppendBytes: cmp.Or(opts.MaxAppendBytes, defaultMaxAppendBytes),
		subscriptions:  newLifetime(),
	}
	if l.now = opts.Now; l.now == nil {
		l.now = time.Now
	}
	l.feed = newFeed(l)
	if opts.Store != nil {
		l.backend = newMetered(newEmbedded(opts.Store, l.callTimeout))
	} else {
		c, err := newClient(opts.URL, l.callTimeout)
		if err != nil {
			return nil, fmt.Errorf("open event store: %w", err)
		}
		l.backend = newMetered(c)
	}
	if _, err := l.backend.end(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open event store: %w", err), abandon(l.backend))
	}
	return l, nil
}

// abandon closes a backend whose store did not respond. Only a probe can still be
// running, which ends on its own, so there is nothing to wait for.
func abandon(b backend) error {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // it is cancelled from the start
	cancel()
	if err := b.close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Close ends the subscriptions, rejects new calls, and waits for those in progress. If
// ctx ends first, it cancels them and returns ctx's error. Cancelled and rejected calls
// return event.ErrUnavailable.
func (l *Log) Close(ctx context.Context) error {
	l.subscriptions.end(errClosed)
	return errors.Join(l.subscriptions.close(ctx), l.backend.close(ctx))
}

// End returns the position of the last event of the log, or 0 if the log is empty.
func (l *Log) End(ctx context.Context) (event.Position, error) { return l.backend.end(ctx) }

// Ping returns nil if the store responds to a read on the first try.
func (l *Log) Ping(ctx context.Context) error { return l.backend.ping(ctx) }

// noRoomFor is how long a rejection because of a full disk is remembered. If no process
// appends, none would notice that there is space again.
const noRoomFor = 5 * time.Second

// CheckDiskSpace returns event.ErrDiskFull if the store recently rejected the last
// append because of a full disk.
func (l *Log) CheckDiskSpace() error {
	if at := l.noRoom.Load(); at != 0 && time.Since(time.Unix(0, at)) < noRoomFor {
		return event.ErrDiskFull
	}
	return nil
}
