package eventstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/waypost/waypost/app/event"
)

const (
	defaultCallTimeout    = 10 * time.Second
	defaultMaxAppendBytes = 1 << 20

	// A call is tried at most maxTries times, and for at most totalTimeouts times
	// the timeout of one try. The pauses add up to about 1.5 s: a restart of the
	// store on this machine takes less.
	maxTries      = 6
	totalTimeouts = 3
	firstPause    = 50 * time.Millisecond
	longestPause  = 2 * time.Second
)

// Options configure a Log. URL and Codec are required.
type Options struct {
	// URL is a connection string as EventStoreDB defines it, for instance
	// esdb://127.0.0.1:2113?tls=false.
	URL string
	// Codec knows the types of all events that are written or to be understood.
	Codec *event.Codec
	// Logger gets dropped subscriptions and events that cannot be decoded;
	// nothing is logged without one.
	Logger *slog.Logger
	// CallTimeout bounds one try of a call, 10 s if zero. A call is repeated while
	// the store is away, within three times that.
	CallTimeout time.Duration
	// MaxAppendBytes is the largest append, data and metadata of its events
	// together: 1 MiB if zero, EventStoreDB's own default.
	MaxAppendBytes int
}

// Log is the event store behind a URL. It may be used by any number of
// goroutines; appends beyond 200 at a time, and other calls beyond 80, wait for their
// turn.
type Log struct {
	codec          *event.Codec
	logger         *slog.Logger
	callTimeout    time.Duration
	maxAppendBytes int

	pipeline      *pipeline // appends, first of all
	commands      *pool     // reads, and appends that it does not answer
	subscriptions *pool

	// noRoom is when an append was last refused for want of room, in nanoseconds; 0
	// since one was taken again.
	noRoom atomic.Int64
}

var _ event.Log = (*Log)(nil)

// Open connects to the store and waits until it answers, at most until ctx ends
// or for as long as any call would; then it fails with event.ErrUnavailable. The
// Log must be closed.
func Open(ctx context.Context, opts Options) (*Log, error) {
	if opts.Codec == nil {
		return nil, errors.New("open event store: a codec is required")
	}
	config, err := esdb.ParseConnectionString(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("open event store: %w", withoutURL(err))
	}
	l := &Log{
		codec:          opts.Codec,
		logger:         cmp.Or(opts.Logger, slog.New(slog.DiscardHandler)),
		callTimeout:    cmp.Or(opts.CallTimeout, defaultCallTimeout),
		maxAppendBytes: cmp.Or(opts.MaxAppendBytes, defaultMaxAppendBytes),
	}
	config.DefaultDeadline = &l.callTimeout
	l.pipeline = newPipeline(*config, l.callTimeout)
	l.commands, l.subscriptions = newPool(*config), newPool(*config)

	err = l.call(ctx, "open event store", maxTries, func(ctx context.Context, c *connection) error {
		_, err := end(ctx, c)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, l.abandon())
	}
	return l, nil
}

// Close ends the subscriptions, refuses new calls and waits for those under way.
// When ctx ends first, they are given up and Close fails with its error. Whoever
// is given up or refused gets event.ErrUnavailable.
func (l *Log) Close(ctx context.Context) error {
	l.subscriptions.end(errClosed)
	l.pipeline.close(ctx)
	return errors.Join(l.subscriptions.close(ctx), l.commands.close(ctx))
}

// abandon closes a Log that could not be opened. What may still run is a probe,
// which ends by itself, so that there is nothing to wait for.
func (l *Log) abandon() error {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // it is cancelled from the start
	cancel()
	if err := l.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// End is the position of the last event of the log, 0 if it has none.
func (l *Log) End(ctx context.Context) (event.Position, error) {
	var last event.Position
	err := l.call(ctx, "read the end of the log", maxTries, func(ctx context.Context, c *connection) (err error) {
		last, err = end(ctx, c)
		return err
	})
	return last, err
}

// noRoomFor is how long a refusal for want of room counts: with nobody who appends,
// nobody would find out that there is room again.
const noRoomFor = 5 * time.Second

// Room is event.ErrNoRoom if the store refused the last append for want of room, a
// moment ago.
func (l *Log) Room() error {
	if at := l.noRoom.Load(); at != 0 && time.Since(time.Unix(0, at)) < noRoomFor {
		return event.ErrNoRoom
	}
	return nil
}

// Ping reports whether the store answers a read at the first try.
func (l *Log) Ping(ctx context.Context) error {
	return l.call(ctx, "ping event store", 1, func(ctx context.Context, c *connection) error {
		_, err := end(ctx, c)
		return err
	})
}

func end(ctx context.Context, c *connection) (event.Position, error) {
	ctx, leave, ok := c.enter(ctx)
	if !ok {
		return 0, errRetired
	}
	defer leave()
	stream, err := c.client.ReadAll(ctx, esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	last, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return positionOf(last), nil
}

// call runs a call on the commands' connection and repeats it while the store is
// away: at most tries times, each bounded by the call timeout.
func (l *Log) call(ctx context.Context, what string, tries int, call func(context.Context, *connection) error) error {
	ctx, cancel := context.WithTimeout(ctx, totalTimeouts*l.callTimeout)
	defer cancel()
	for try := 1; ; try++ {
		err := l.try(ctx, call)
		if err == nil {
			return nil
		}
		if try == tries || !mayPass(err) || !pause(ctx, try) {
			return failed(ctx, what, err)
		}
	}
}

func (l *Log) try(ctx context.Context, call func(context.Context, *connection) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, l.callTimeout, errNoAnswer)
	defer cancel()
	return l.commands.do(ctx, call)
}

// withoutURL keeps a connection string out of the logs: it may hold a password.
func withoutURL(err error) error {
	var malformed *url.Error
	if errors.As(err, &malformed) {
		return errors.New("the connection string is malformed: use esdb://host:port?tls=false or EventStoreDB's other forms")
	}
	return fmt.Errorf("connection string: %w", err)
}

// pause waits before the next try: longer with every failure in a row, and with
// some chance in it so that callers do not return all at once.
func pause(ctx context.Context, failures int) bool {
	d := min(firstPause<<min(failures-1, 10), longestPause)
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func positionOf(e *esdb.ResolvedEvent) event.Position {
	return event.Position(e.OriginalEvent().Position.Commit)
}
