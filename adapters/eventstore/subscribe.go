package eventstore

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/waypost/waypost/app/event"
)

const (
	defaultMaxBatch = 1000
	// checkpointPause is the least time between two batches without events.
	checkpointPause = time.Second
)

// Subscribe implements event.Log. A dropped subscription resumes after the last
// batch that was handed over, for as long as ctx lasts. Live stays set through
// that, since what stood in the log at the start has been seen. An event that
// cannot be decoded is logged and handed over with Event nil. Closing the Log
// ends the subscription with event.ErrUnavailable.
func (l *Log) Subscribe(
	ctx context.Context, sub event.Subscription, handle func(context.Context, event.Batch) error,
) error {
	filter, err := filterOf(sub.Filter)
	if err != nil {
		return err
	}
	s := &subscription{
		log: l, filter: filter, handle: handle, position: sub.After,
		maxBatch: defaultMaxBatch, sealed: sub.Sealed, gather: sub.Gather, urgent: sub.Urgent,
	}
	if sub.MaxBatch > 0 {
		s.maxBatch = sub.MaxBatch
	}
	if sub.FromEnd {
		// A position to resume from is needed even before the first event.
		if s.position, err = l.endEventually(ctx); err != nil {
			return s.ended(ctx, err)
		}
	}
	for failures := 0; ; {
		err := l.subscriptions.do(ctx, s.run)
		var refused *handlerError
		switch {
		case errors.As(err, &refused):
			return refused.err
		case ctx.Err() != nil, errors.Is(err, errClosed):
			return s.ended(ctx, err)
		}
		if s.received {
			failures, s.received = 0, false
		}
		failures++
		l.logger.LogAttrs(ctx, levelOf(err, failures), "subscription dropped, resuming",
			slog.Uint64("position", uint64(s.position)), slog.Int("failures", failures), slog.Any("error", err))
		if !pause(ctx, failures) {
			return ctx.Err()
		}
	}
}

// endEventually is End for as long as the store is away and ctx lasts.
func (l *Log) endEventually(ctx context.Context) (event.Position, error) {
	for failures := 1; ; failures++ {
		last, err := l.End(ctx)
		if err == nil || !mayPass(err) || !pause(ctx, failures) {
			return last, err
		}
	}
}

// levelOf tells a restart of the store from what an operator must look at.
func levelOf(err error, failures int) slog.Level {
	switch {
	case !mayPass(err):
		return slog.LevelError
	case failures == 1:
		return slog.LevelInfo
	default:
		return slog.LevelWarn
	}
}

// subscription is one call of Subscribe over all its resumptions.
type subscription struct {
	log      *Log
	filter   *esdb.SubscriptionFilter
	handle   func(context.Context, event.Batch) error
	maxBatch int
	sealed   bool // personal data are not wanted
	gather   time.Duration
	urgent   []string

	position event.Position // of the last batch handed over
	live     bool
	received bool // anything at all since the last failure
}

// handlerError carries the handler's error past those of the client.
type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }

func (s *subscription) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return failed(ctx, "subscribe", err)
}

// item is what the reader passes on: an event, as it came and then decoded, or a
// checkpoint, or that the subscription has become live.
type item struct {
	raw      *esdb.ResolvedEvent
	event    *event.Recorded
	position event.Position // of the event or the checkpoint
	caughtUp bool
}

// run subscribes once, until the subscription drops, ctx ends or the handler fails.
func (s *subscription) run(ctx context.Context, c *connection) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opened, err := s.open(ctx, cancel, c)
	if err != nil {
		return err
	}
	received, items := make(chan item, s.maxBatch), make(chan item, s.maxBatch)
	dropped := make(chan error, 1)
	go func() {
		defer close(received)
		dropped <- s.receive(ctx, opened, received)
	}()
	go func() {
		defer close(items)
		s.decode(ctx, received, items)
	}()
	err = s.deliver(ctx, items)
	cancel()
	_ = opened.Close() // it only cancels
	for range items {  // the readers end when nothing more can be sent
		continue
	}
	for range received { // decode may have ended first
		continue
	}
	if err != nil {
		return err
	}
	return <-dropped
}

// open bounds the wait for the store's confirmation, which the client does not.
func (s *subscription) open(ctx context.Context, cancel func(), c *connection) (*esdb.Subscription, error) {
	late := time.AfterFunc(s.log.callTimeout, cancel)
	entered, leave, ok := c.enter(ctx)
	if !ok {
		return nil, errRetired
	}
	defer leave()
	opts := esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: s.filter}
	if s.position > 0 {
		opts.From = esdb.Position{Commit: uint64(s.position), Prepare: uint64(s.position)}
	}
	opened, err := c.client.SubscribeToAll(entered, opts)
	if !late.Stop() {
		// Nothing is heard on this connection: let the next try have another one.
		return nil, errNoAnswer
	}
	return opened, err
}

// receive passes on what the store sends, and says why that ended.
func (s *subscription) receive(ctx context.Context, from *esdb.Subscription, to chan<- item) error {
	for {
		e := from.Recv()
		var next item
		switch {
		case e.EventAppeared != nil:
			next = item{raw: e.EventAppeared, position: positionOf(e.EventAppeared)}
		case e.CheckPointReached != nil:
			next = item{position: event.Position(e.CheckPointReached.Commit)}
		case e.CaughtUp != nil:
			next = item{caughtUp: true}
		case e.SubscriptionDropped != nil:
			return e.SubscriptionDropped.Error
		default:
			continue
		}
		select {
		case to <- next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// decodeBatch is how many events' data keys are asked for at once.
const decodeBatch = 256

// decode decodes what comes, until nothing more does. It works ahead of deliver,
// and takes what waits at once so that data keys are read in batches.
func (s *subscription) decode(ctx context.Context, from <-chan item, to chan<- item) {
	for first := range from {
		batch := append(make([]item, 0, min(1+len(from), decodeBatch)), first)
		for len(batch) < decodeBatch {
			next, ok := poll(from)
			if !ok {
				break
			}
			batch = append(batch, next)
		}
		if !s.decodeAll(ctx, batch) {
			return
		}
		for _, next := range batch {
			select {
			case to <- next:
			case <-ctx.Done():
				return
			}
		}
	}
}

// decodeAll decodes the events of a batch. While their data keys cannot be had it
// waits, unless they are not wanted; false if ctx ended meanwhile.
func (s *subscription) decodeAll(ctx context.Context, batch []item) bool {
	decode := s.log.decode
	if s.sealed {
		decode = s.log.decodeSealed
	} else if !s.awaitKeys(ctx, batch) {
		return false
	}
	for i := range batch {
		if batch[i].raw == nil {
			continue
		}
		r, err := decode(ctx, batch[i].raw)
		if err != nil {
			s.log.logger.LogAttrs(ctx, slog.LevelError, "event cannot be decoded",
				slog.String("stream", r.Stream), slog.Uint64("revision", uint64(r.Revision)),
				slog.String("type", r.Type), slog.Any("error", err))
			r.Event = nil
		}
		batch[i].event, batch[i].raw = &r, nil
	}
	return true
}

// awaitKeys makes the batch's data keys ready; false if ctx ended before they were.
func (s *subscription) awaitKeys(ctx context.Context, batch []item) bool {
	var events []*esdb.ResolvedEvent
	for _, i := range batch {
		if i.raw != nil {
			events = append(events, i.raw)
		}
	}
	for failures := 1; ; failures++ {
		err := s.log.fetchKeys(ctx, events)
		if err == nil {
			return true
		}
		if failures == 1 {
			s.log.logger.WarnContext(ctx, "subscription waits for data keys", "error", err)
		}
		if !pause(ctx, failures) {
			return false
		}
	}
}

// deliver makes batches of what comes until nothing more does. A batch is handed
// over as soon as nothing more waits, and the gathering is over. Checkpoints without
// events wait up to checkpointPause, unless the subscription has just become live.
func (s *subscription) deliver(ctx context.Context, items <-chan item) error {
	var due time.Time // when what is at hand is handed over; zero if nothing waits
	timer := time.NewTimer(checkpointPause)
	defer timer.Stop()
	var begun time.Time // when the last batch of events was handed over
	size := 0           // of that batch
	batch := event.Batch{Position: s.position}
	caughtUp := false // seen on this connection
	for {
		var urgent bool
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			urgent = !due.IsZero()
		case first, ok := <-items:
			if !ok {
				return nil
			}
			if batch.Events == nil && first.event != nil {
				batch.Events = make([]event.Recorded, 0, min(max(1+len(items), size), s.maxBatch)) // events are large: no growing
			}
			urgent = s.add(&batch, first, &caughtUp)
			for len(batch.Events) < s.maxBatch {
				next, ok := poll(items)
				if !ok {
					break
				}
				urgent = s.add(&batch, next, &caughtUp) || urgent
			}
		}
		now := time.Now()
		wait := checkpointPause
		if len(batch.Events) > 0 {
			wait = s.gather - now.Sub(begun)
		}
		switch {
		case urgent, len(batch.Events) == s.maxBatch, wait <= 0:
			due = time.Time{}
			if len(batch.Events) > 0 {
				begun, size = now, len(batch.Events)
			}
			if err := s.hand(ctx, &batch); err != nil {
				return err
			}
		case batch.Position == s.position: // nothing waits
		case due.IsZero() || now.Add(wait).Before(due):
			due = now.Add(wait)
			timer.Reset(wait)
		}
	}
}

// poll takes what waits, if anything does.
func poll(items <-chan item) (item, bool) {
	select {
	case next, ok := <-items:
		return next, ok
	default:
		return item{}, false
	}
}

// add puts an item into the batch; true if it must be handed over at once.
func (s *subscription) add(batch *event.Batch, next item, caughtUp *bool) (urgent bool) {
	s.received = true
	if next.event != nil {
		batch.Events = append(batch.Events, *next.event)
		urgent = slices.Contains(s.urgent, next.event.Type)
	}
	batch.Position = max(batch.Position, next.position)
	if next.caughtUp {
		urgent = urgent || !*caughtUp
		*caughtUp, s.live = true, true
	}
	return urgent
}

func (s *subscription) hand(ctx context.Context, batch *event.Batch) error {
	batch.Live = s.live
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := s.handle(ctx, *batch); err != nil {
		return &handlerError{err}
	}
	s.position = batch.Position
	*batch = event.Batch{Position: s.position}
	return nil
}

// filterOf makes the store leave out what is not wanted.
func filterOf(f event.Filter) (*esdb.SubscriptionFilter, error) {
	switch {
	case len(f.StreamPrefixes) > 0 && len(f.Types) > 0:
		return nil, errors.New("subscribe: the filter gives stream prefixes and event types, which exclude each other")
	case len(f.StreamPrefixes) > 0:
		return &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: f.StreamPrefixes}, nil
	case len(f.Types) > 0:
		types := make([]string, 0, len(f.Types))
		for _, t := range f.Types {
			types = append(types, regexp.QuoteMeta(t))
		}
		return &esdb.SubscriptionFilter{Type: esdb.EventFilterType, Regex: "^(" + strings.Join(types, "|") + ")$"}, nil
	default:
		return esdb.ExcludeSystemEventsFilter(), nil
	}
}
