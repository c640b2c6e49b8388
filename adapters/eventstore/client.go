package eventstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
)

const (
	// A call is tried at most maxTries times, and for at most totalTimeouts times the
	// timeout of one try. The pauses add up to about 1.5 s, which is longer than a
	// restart of the store on this machine.
	maxTries      = 6
	totalTimeouts = 3
	firstPause    = 50 * time.Millisecond
	longestPause  = 2 * time.Second
)

// client is the backend of a store that a URL names. It uses the official client through
// pools of connections, and appends over a call of its own. While the store is
// unavailable, it repeats calls. At most 200 appends, 80 other calls, and 80 subscriptions
// run at a time; further ones wait for their turn.
type client struct {
	timeout time.Duration // of one try

	pipeline      *pipeline // the first choice for appends
	commands      *pool     // reads, and appends that the pipeline returns no result for
	subscriptions *pool
}

// newClient returns a client that has not connected yet.
func newClient(url string, timeout time.Duration) (*client, error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	config.DefaultDeadline = &timeout
	return &client{
		timeout: timeout, pipeline: newPipeline(*config, timeout), commands: newPool(*config), subscriptions: newPool(*config),
	}, nil
}

func (c *client) append(
	ctx context.Context, stream string, expected event.Expected, events []proposal,
) (event.Appended, error) {
	if done, answered, err := c.pipeline.append(ctx, stream, expected, events); answered {
		return done, err
	}
	opts := esdb.AppendToStreamOptions{ExpectedRevision: expectedRevision(expected)}
	data := eventData(events)
	var result *esdb.WriteResult
	err := c.call(ctx, "append to "+stream, maxTries, func(ctx context.Context, conn *connection) (err error) {
		ctx, leave, ok := conn.enter(ctx)
		if !ok {
			return errRetired
		}
		defer leave()
		result, err = conn.client.AppendToStream(ctx, stream, opts, data...)
		return err
	})
	switch {
	case err == nil:
		return event.Appended{
			Revision: event.Revision(result.NextExpectedVersion), Position: event.Position(result.CommitPosition),
		}, nil
	case hasCode(err, esdb.ErrorCodeWrongExpectedVersion):
		return event.Appended{}, &event.WrongRevisionError{Stream: stream, Expected: expected}
	case refusedAsTooLarge(err):
		return event.Appended{}, fmt.Errorf("%w: %w", event.ErrTooLarge, err)
	}
	return event.Appended{}, err
}

func eventData(events []proposal) []esdb.EventData {
	data := make([]esdb.EventData, len(events))
	for i, e := range events {
		data[i] = esdb.EventData{
			EventID: e.id, EventType: e.eventType, ContentType: esdb.ContentTypeJson, Data: e.data, Metadata: e.meta,
		}
	}
	return data
}

func expectedRevision(e event.Expected) esdb.ExpectedRevision {
	if r, exact := e.Revision(); exact {
		return esdb.Revision(uint64(r))
	}
	if e.IsNoStream() {
		return esdb.NoStream{}
	}
	return esdb.Any{}
}

func (c *client) read(ctx context.Context, stream string, from event.Revision, limit int) ([]record, error) {
	return c.readStream(ctx, stream, esdb.ReadStreamOptions{Direction: esdb.Forwards, From: esdb.Revision(uint64(from))}, limit)
}

func (c *client) readBackwards(ctx context.Context, stream string, limit int) ([]record, error) {
	return c.readStream(ctx, stream, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, limit)
}

func (c *client) readStream(ctx context.Context, stream string, opts esdb.ReadStreamOptions, limit int) ([]record, error) {
	return c.readRecords(ctx, "read "+stream, func(ctx context.Context, client *esdb.Client) (*esdb.ReadStream, error) {
		return client.ReadStream(ctx, stream, opts, uint64(limit))
	})
}

func (c *client) readAllBackwards(ctx context.Context, before event.Position, limit int) ([]record, error) {
	opts := esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}
	if before > 0 {
		opts.From = positionIn(before)
	}
	return c.readRecords(ctx, "read $all", func(ctx context.Context, client *esdb.Client) (*esdb.ReadStream, error) {
		return client.ReadAll(ctx, opts, uint64(limit))
	})
}

// readRecords calls open and reads to the end. It closes what open returns.
func (c *client) readRecords(
	ctx context.Context, what string, open func(context.Context, *esdb.Client) (*esdb.ReadStream, error),
) (found []record, err error) {
	events, err := c.readEvents(ctx, what, open)
	for _, e := range events {
		found = append(found, recordOf(e))
	}
	return found, err
}

// readEvents is like readRecords and returns the client's own events.
func (c *client) readEvents(
	ctx context.Context, what string, open func(context.Context, *esdb.Client) (*esdb.ReadStream, error),
) (events []*esdb.RecordedEvent, err error) {
	err = c.call(ctx, what, maxTries, func(ctx context.Context, conn *connection) (err error) {
		events, err = readOnce(ctx, conn, open)
		return err
	})
	return events, err
}

func readOnce(
	ctx context.Context, conn *connection, open func(context.Context, *esdb.Client) (*esdb.ReadStream, error),
) (events []*esdb.RecordedEvent, _ error) {
	ctx, leave, ok := conn.enter(ctx)
	if !ok {
		return nil, errRetired
	}
	defer leave()
	reader, err := open(ctx, conn.client)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
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

func (c *client) end(ctx context.Context) (event.Position, error) {
	return c.readEnd(ctx, "read the end of the log", maxTries)
}

// ping tries once.
func (c *client) ping(ctx context.Context) error {
	_, err := c.readEnd(ctx, "ping event store", 1)
	return err
}

func (c *client) readEnd(ctx context.Context, what string, tries int) (last event.Position, err error) {
	err = c.call(ctx, what, tries, func(ctx context.Context, conn *connection) (err error) {
		last, err = end(ctx, conn)
		return err
	})
	return last, err
}

func end(ctx context.Context, conn *connection) (event.Position, error) {
	last, err := readOnce(ctx, conn, func(ctx context.Context, client *esdb.Client) (*esdb.ReadStream, error) {
		return client.ReadAll(ctx, esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
	})
	if err != nil || len(last) == 0 {
		return 0, err
	}
	return event.Position(last[0].Position.Commit), nil
}

func (c *client) subscribe(
	ctx context.Context, after event.Position, filter event.Filter, receive func(notice) error,
) error {
	var refused error // by receive
	err := c.subscriptions.do(ctx, func(ctx context.Context, conn *connection) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		from, err := c.openSubscription(ctx, cancel, conn, after, filterOf(filter))
		if err != nil {
			return err
		}
		defer from.Close() // it only cancels
		for {
			e := from.Recv()
			switch {
			case e.EventAppeared != nil:
				r := recordOf(e.EventAppeared.OriginalEvent())
				refused = receive(notice{event: &r, position: r.position})
			case e.CheckPointReached != nil:
				refused = receive(notice{position: event.Position(e.CheckPointReached.Commit)})
			case e.CaughtUp != nil:
				refused = receive(notice{caughtUp: true})
			case e.SubscriptionDropped != nil:
				return e.SubscriptionDropped.Error
			}
			if refused != nil {
				return refused
			}
		}
	})
	if refused != nil {
		return refused
	}
	return wrapError(ctx, "follow the log", err)
}

// openSubscription limits the wait for the store's confirmation, which the client does
// not. cancel ends ctx.
func (c *client) openSubscription(
	ctx context.Context, cancel func(), conn *connection, after event.Position, filter *esdb.SubscriptionFilter,
) (*esdb.Subscription, error) {
	late := time.AfterFunc(c.timeout, cancel)
	entered, leave, ok := conn.enter(ctx)
	if !ok {
		return nil, errRetired
	}
	defer leave()
	opts := esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: filter}
	if after > 0 {
		opts.From = positionIn(after)
	}
	opened, err := conn.client.SubscribeToAll(entered, opts)
	if !late.Stop() {
		// There was no response on this connection: let the next try have another one.
		return nil, errNoAnswer
	}
	return opened, err
}

// filterOf returns the filter that makes the store omit unwanted events.
func filterOf(f event.Filter) *esdb.SubscriptionFilter {
	switch {
	case len(f.StreamPrefixes) > 0:
		return &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: f.StreamPrefixes}
	case len(f.Types) > 0:
		types := make([]string, 0, len(f.Types))
		for _, t := range f.Types {
			types = append(types, regexp.QuoteMeta(t))
		}
		return &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Regex: "^(" + strings.Join(types, "|") + ")$"}
	default:
		return esdb.ExcludeSystemEventsFilter()
	}
}

func positionIn(p event.Position) esdb.Position {
	return esdb.Position{Commit: uint64(p), Prepare: uint64(p)}
}

func recordOf(e *esdb.RecordedEvent) record {
	return record{
		id: e.EventID, stream: e.StreamID, eventType: e.EventType,
		revision: event.Revision(e.EventNumber), position: event.Position(e.Position.Commit), created: e.CreatedDate,
		data: e.Data, meta: e.UserMetadata,
	}
}

func (c *client) close(ctx context.Context) error {
	c.subscriptions.end(errClosed)
	c.pipeline.close(ctx)
	return errors.Join(c.subscriptions.close(ctx), c.commands.close(ctx))
}

// call runs a call on a connection of the commands pool and repeats it while the store
// is unavailable: at most tries times, each limited by the call timeout.
func (c *client) call(ctx context.Context, what string, tries int, call func(context.Context, *connection) error) error {
	ctx, cancel := context.WithTimeout(ctx, totalTimeouts*c.timeout)
	defer cancel()
	for try := 1; ; try++ {
		err := c.try(ctx, call)
		if err == nil {
			return nil
		}
		if try == tries || !isRetryable(err) || !pause(ctx, try) {
			return wrapError(ctx, what, err)
		}
	}
}

func (c *client) try(ctx context.Context, call func(context.Context, *connection) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errNoAnswer)
	defer cancel()
	return c.commands.do(ctx, call)
}

// pause waits before the next try: longer with every consecutive failure, and with some
// randomness, so that callers do not all return at once.
func pause(ctx context.Context, failures int) bool {
	d := min(firstPause<<min(failures-1, 10), longestPause)
	return retry.Sleep(ctx, d/2+rand.N(d/2)) == nil
}
