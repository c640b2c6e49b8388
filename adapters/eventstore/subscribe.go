package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/waypost/waypost/app/event"
)

const (
	defaultMaxBatch = 1000
	// checkpointPause is the minimum time between two batches without events.
	checkpointPause = time.Second
)

// Subscribe implements event.Log. A dropped subscription resumes after the last event
// that it received, until ctx ends. Events that were received but not delivered yet are
// kept. A subscription that has caught up shares the Log's feed and needs no
// subscription of its own in the store. Live stays set throughout, because the events
// that were in the log at the start have been delivered. The store is never asked for
// events after a position beyond the end of its log: EventStoreDB would send live
// events then, and omit those in between. An event that cannot be decoded is logged and
// delivered with a nil Event. Closing the Log ends the subscription with
// event.ErrUnavailable.
func (l *Log) Subscribe(
	ctx context.Context, sub event.Subscription, handle func(context.Context, event.Batch) error,
) error {
	if len(sub.Filter.StreamPrefixes) > 0 && len(sub.Filter.Types) > 0 {
		return errors.New("subscribe: the filter contains stream prefixes and event types, which exclude each other")
	}
	s := &subscription{
		log: l, sub: sub, wants: wantsOf(sub.Filter), handle: handle, position: sub.After,
		maxBatch: defaultMaxBatch, sealed: sub.Sealed, gather: sub.BatchInterval, gatherMany: max(sub.BatchInterval, sub.BusyInterval), urgent: sub.Urgent,
	}
	if sub.MaxBatch > 0 {
		s.maxBatch = sub.MaxBatch
	}
	if sub.FromEnd {
		// A position to resume from is needed even before the first event.
		_, s.since = l.feed.await(ctx)
		end, err := l.endEventually(ctx)
		if err != nil {
			return s.ended(ctx, err)
		}
		s.position = end
	}
	return s.run(ctx)
}

// endEventually is like End, but retries while the store is unavailable, until ctx
// ends.
func (l *Log) endEventually(ctx context.Context) (event.Position, error) {
	for failures := 1; ; failures++ {
		last, err := l.End(ctx)
		if err == nil || !isRetryable(err) || !pause(ctx, failures) {
			return last, err
		}
	}
}

// levelOf returns a lower level for a restart of the store than for errors that an
// operator must check.
func levelOf(err error, failures int) slog.Level {
	switch {
	case !isRetryable(err):
		return slog.LevelError
	case failures == 1:
		return slog.LevelInfo
	default:
		return slog.LevelWarn
	}
}

// subscription is one call of Subscribe over all its resumptions. One goroutine
// receives, one decodes, and one batches the items.
type subscription struct {
	log      *Log
	sub      event.Subscription
	wants    func(stream, eventType string) bool // events that sub.Filter matches
	handle   func(context.Context, event.Batch) error
	maxBatch int
	sealed   bool // personal data is not wanted
	gather   time.Duration
	// gatherMany is gather for batches of event.BusyBatch or more.
	gatherMany time.Duration
	urgent     []string

	position event.Position // of the last batch delivered
	since    era            // in which position was the end of the log, for FromEnd
	live     bool
}

// handlerError distinguishes the handler's error from the client's.
type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }

func (s *subscription) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("subscribe: %w", err)
}

// item is passed on by the reader: an event, first encoded and then decoded, or a
// checkpoint, or the notice that the subscription has become live.
type item struct {
	raw      *record
	event    *event.Recorded
	position event.Position // of the event or the checkpoint
	caughtUp bool
	restart  bool // the log became shorter, and the subscription starts again at position
}

// run receives, decodes, and delivers until ctx ends, the Log is closed, or the handler
// fails.
func (s *subscription) run(parent context.Context) error {
	if !s.log.subscriptions.begin() {
		return s.ended(parent, errClosed)
	}
	defer s.log.subscriptions.running.Done()
	ctx, cancel := s.log.subscriptions.bind(parent)
	defer cancel(nil)
	received, items := make(chan item, s.maxBatch), make(chan item, s.maxBatch)
	ended := make(chan error, 1)
	go func() {
		defer close(received)
		r := receiver{subscription: s, start: s.position, position: s.position, seen: s.position, to: received}
		ended <- r.run(ctx)
	}()
	go func() {
		defer close(items)
		s.decode(ctx, received, items)
	}()
	err := s.deliver(ctx, items)
	cancel(nil)
	for range items { // the readers end when nothing can be sent
		continue
	}
	for range received { // decode may have ended first
		continue
	}
	receiveErr := <-ended
	var refused *handlerError
	var shorter *event.ShorterError
	switch {
	case errors.As(err, &refused):
		return refused.err
	case errors.As(receiveErr, &shorter):
		return shorter
	}
	return s.ended(parent, receiveErr)
}

// receiver receives a subscription's events: from the store until it has caught up, and
// then from the feed.
type receiver struct {
	*subscription

	to       chan<- item
	start    event.Position // where it began
	position event.Position // of the last item sent: an event or a checkpoint
	seen     event.Position // of the last event up to which everything was sent
	caughtUp bool
}

// run receives until ctx ends, the Log is closed, or the log is found to be shorter
// than it was.
func (r *receiver) run(ctx context.Context) error {
	if r.sub.FromEnd { // there is nothing to catch up with
		if err := r.sendCaughtUp(ctx); err != nil {
			return err
		}
		if err := r.follow(ctx, r.log.feed.join(r.since, r.seen, r.wants)); !errors.Is(err, errBehind) {
			return err
		}
	}
	for failures := 0; ; {
		before := r.position
		var joined *follower
		fed, since := r.log.feed.await(ctx)
		err := r.checkPosition(ctx)
		if err == nil {
			joined, err = r.catchUp(ctx, fed, since)
		}
		if err == nil {
			failures = 0
			err = r.follow(ctx, joined)
		}
		var shorter *event.ShorterError
		switch {
		case ctx.Err() != nil, errors.Is(err, errClosed), errors.As(err, &shorter):
			return err
		case errors.Is(err, errBehind):
			continue
		case r.position > before:
			failures = 0
		}
		failures++
		r.log.logger.LogAttrs(ctx, levelOf(err, failures), "subscription dropped, resuming",
			slog.Uint64("position", uint64(r.position)), slog.Int("failures", failures), slog.Any("error", err))
		if failures > 1 && !pause(ctx, failures-1) {
			return context.Cause(ctx)
		}
	}
}

var (
	// errJoined ends catching up because the feed keeps the next event.
	errJoined = errors.New("the feed keeps the next event")
	// errMissed ends catching up because the feed has already dropped the next event. The
	// next time, there are fewer events to catch up with.
	errMissed = errors.New("the feed has dropped the next event")
)

// catchUp receives from the store until the feed keeps the next event. fed is the last event that the feed had received,
// in the era since, before the position was compared with the log.
func (r *receiver) catchUp(ctx context.Context, fed event.Position, since era) (joined *follower, err error) {
	// The events that the feed received before the subscription is opened are in the
	// log, so they have been considered once the subscription has caught up.
	live := false
	err = r.log.backend.subscribe(ctx, r.position, r.sub.Filter, func(n notice) error {
		if n.caughtUp {
			if r.log.feed.isOver(since) {
				return errMissed
			}
			live = true
			r.seen = max(r.seen, fed)
			if err := r.sendCaughtUp(ctx); err != nil {
				return err
			}
			n.position = fed
		}
		if n.event != nil || n.position > r.position {
			if err := r.send(ctx, item{raw: n.event, position: n.position}); err != nil {
				return err
			}
		}
		if live {
			joined = r.log.feed.join(since, r.seen, r.wants)
		}
		switch {
		case joined != nil:
			return errJoined
		case n.caughtUp && fed > 0, live && r.log.feed.isOver(since):
			return errMissed
		}
		return nil
	})
	if errors.Is(err, errJoined) || errors.Is(err, errMissed) {
		return joined, nil
	}
	return nil, err
}

// follow receives from the feed until it no longer keeps the next event, and then
// returns errBehind. A nil follower is behind from the start.
func (r *receiver) follow(ctx context.Context, joined *follower) error {
	if joined == nil {
		return errBehind
	}
	defer r.log.feed.leave(joined)
	var items []item
	for {
		var position event.Position
		var err error
		if items, position, err = r.log.feed.take(joined, items[:0], r.maxBatch); err != nil {
			return err
		}
		for _, next := range items {
			if err := r.send(ctx, next); err != nil {
				return err
			}
		}
		if position > r.position {
			if err := r.send(ctx, item{position: position}); err != nil {
				return err
			}
		}
		if len(items) > 0 {
			continue
		}
		select {
		case <-joined.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *receiver) sendCaughtUp(ctx context.Context) error {
	if r.caughtUp {
		return nil
	}
	r.caughtUp = true
	return r.send(ctx, item{caughtUp: true})
}

func (r *receiver) send(ctx context.Context, next item) error {
	r.position = max(r.position, next.position)
	if next.raw != nil {
		r.seen = max(r.seen, next.position)
	}
	select {
	case r.to <- next:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// decodeBatch is the number of events whose data keys are requested at once.
const decodeBatch = 256

// decode decodes received items until from is closed. It works ahead of deliver and
// takes all waiting items at once, so that data keys are read in batches.
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

// decodeAll decodes the events of a batch. While their data keys are unavailable, it
// waits, unless personal data is not wanted. It returns false if ctx ended in the
// meantime.
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
		r := s.log.decodeOrLog(ctx, batch[i].raw, decode)
		batch[i].event, batch[i].raw = &r, nil
	}
	return true
}

// awaitKeys fetches the batch's data keys. It returns false if ctx ended first.
func (s *subscription) awaitKeys(ctx context.Context, batch []item) bool {
	var data [][]byte
	for _, i := range batch {
		if i.raw != nil {
			data = append(data, i.raw.data)
		}
	}
	for failures := 1; ; failures++ {
		err := s.log.codec.PrefetchKeys(ctx, data...)
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

// deliver batches decoded items until items is closed. It delivers a batch as soon as
// no item waits and the batch interval is over. Checkpoints without events wait up to
// checkpointPause, unless the subscription has just become live.
func (s *subscription) deliver(ctx context.Context, items <-chan item) error {
	var due time.Time // when the current batch is delivered; zero if it is empty
	timer := time.NewTimer(checkpointPause)
	defer timer.Stop()
	var begun time.Time // when the last batch of events was delivered
	size := 0           // of that batch
	batch := event.Batch{Position: s.position}
	caughtUp := false // seen on this connection
	for {
		var urgent bool
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			// Since the timer was set, the batch may have become one that waits longer.
			urgent, due = !due.IsZero() && len(batch.Events) < event.BusyBatch, time.Time{}
		case first, ok := <-items:
			if !ok {
				return nil
			}
			if batch.Events == nil && first.event != nil {
				batch.Events = make([]event.Recorded, 0, min(max(1+len(items), size), s.maxBatch)) // events are large, so avoid growing
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
		switch n := len(batch.Events); {
		case n >= event.BusyBatch:
			wait = s.gatherMany - now.Sub(begun)
		case n > 0:
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

// poll returns a waiting item, if there is one.
func poll(items <-chan item) (item, bool) {
	select {
	case next, ok := <-items:
		return next, ok
	default:
		return item{}, false
	}
}

// add adds an item to the batch. It returns true if the batch must be delivered
// immediately.
func (s *subscription) add(batch *event.Batch, next item, caughtUp *bool) (urgent bool) {
	if next.restart {
		*batch, s.position = event.Batch{Position: next.position}, next.position
		*caughtUp, s.live = false, false
		return false
	}
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
