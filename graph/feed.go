package graph

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/fair"
	"github.com/waypost/waypost/app/retry"
)

// Limits of the feed.
const (
	// ringSize is the number of newest changes that are kept, several seconds at full
	// rate, and ringBytes the maximum total size of their data.
	ringSize  = 8192
	ringBytes = 16 << 20
	// readAhead is the number of changes that a subscriber takes at a time.
	readAhead = 256
	// catchUps is the number of subscribers that read the event log at a time, of all
	// feeds together. Each needs a subscription of the event store's client. One key
	// has catchUpsPerKey of them, and the next subscriber gets its turn after
	// catchUpTurn.
	catchUps, catchUpsPerKey = 16, 4
	catchUpTurn              = 2 * time.Second
	// feedPause is the time before the feed subscribes again.
	feedPause = time.Second
)

// change is an event of a message, or of another subject of a feed.
type change struct {
	id    uuid.UUID
	event event.Recorded
}

// topic is the subject of a feed.
type topic struct {
	// live is the filter of the feed's subscription: the changes, and the events that
	// make it forget them.
	live event.Filter
	// past is the filter for a subscriber's reads of the event log.
	past func(want) event.Filter
	// of returns the ID of the subject that a stream belongs to, or false if its events
	// are not changes.
	of func(stream string) (uuid.UUID, bool)
}

var (
	messageTopic = topic{ //nolint:gochecknoglobals // a constant
		live: event.Filter{StreamPrefixes: []string{event.MessageStreams, event.ErasureStreams}},
		past: func(w want) event.Filter { return event.Filter{StreamPrefixes: w.streams()} },
		of:   event.ParseMessageStream,
	}
	alertTopic = topic{ //nolint:gochecknoglobals // a constant
		live: event.Filter{Types: alerts.Types()},
		past: func(want) event.Filter { return event.Filter{Types: alerts.Types()} },
		of:   event.ParseAlertStream,
	}
)

func (t topic) changeOf(e event.Recorded) (change, bool) {
	id, ok := t.of(e.Stream)
	e.Event = nil // its data is sufficient, and the ring holds thousands
	return change{id: id, event: e}, ok
}

func (c change) position() event.Position { return c.event.Position }

// feed follows the changes of a topic for every subscriber of the process. It uses one
// subscription while there are subscribers, and keeps the newest changes in a ring
// buffer. A subscriber that needs older changes reads the event log itself, a piece at
// a time, until it reaches the ring.
type feed struct {
	ctx    context.Context //nolint:containedctx // it lives as long as the API, not as a request
	log    event.Log
	logger *slog.Logger
	topic  topic
	turns  *fair.Places // of catchUps

	mu      sync.Mutex
	count   int
	all     interested // subscribers that are not limited to some messages or one sender
	bySend  map[string]interested
	byID    map[uuid.UUID]interested
	stop    context.CancelFunc // nil while there are no subscribers
	run     int                // counts the runs; late events from an older run are ignored
	running sync.WaitGroup

	following bool
	ring      []change       // by position
	size      int            // of the data in it
	floor     event.Position // the ring contains everything after it
	end       event.Position // the position up to which the event log was considered
}

type interested map[*subscriber]struct{}

// subscriber is a subscriber of a feed. feed.mu guards its fields.
type subscriber struct {
	want want
	wake chan struct{}
	// at is the position up to which it has received everything. While it has joined
	// the feed, first is the position of the first change that it wants and has not
	// received, or 0 if there is none.
	at     event.Position
	joined bool
	first  event.Position
}

func newCatchUps() *fair.Places {
	return fair.NewPlaces(fair.Limits{Total: catchUps, PerKey: catchUpsPerKey, Waiting: maxSubscriptions})
}

func newFeed(ctx context.Context, log event.Log, logger *slog.Logger, t topic, turns *fair.Places) *feed {
	return &feed{
		ctx: ctx, log: log, logger: logger, topic: t, turns: turns,
		all: make(interested), bySend: make(map[string]interested), byID: make(map[uuid.UUID]interested),
	}
}

// join adds a subscriber for changes after a position. The first subscriber starts the
// feed.
func (f *feed) join(w want, behind event.Position) (*subscriber, error) {
	s := &subscriber{want: w, wake: make(chan struct{}, 1), at: behind}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		return nil, errStopping
	}
	f.count++
	f.interest(s, func(in interested) { in[s] = struct{}{} })
	if f.stop == nil {
		ctx, stop := context.WithCancel(f.ctx)
		f.stop = stop
		f.run++
		run := f.run
		f.running.Go(func() { f.follow(ctx, run) })
	}
	return s, nil
}

// leave removes a subscriber. With the last one, the feed ends.
func (f *feed) leave(s *subscriber) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count--
	f.interest(s, func(in interested) { delete(in, s) })
	if f.count == 0 {
		f.stop()
		f.stop, f.following, f.ring, f.size = nil, false, nil, 0
	}
}

// interest updates the index in which a subscriber is found.
func (f *feed) interest(s *subscriber, change func(interested)) {
	switch {
	case s.want.ids != nil:
		for id := range s.want.ids {
			changeIn(f.byID, id, change)
		}
	case s.want.senderID != nil:
		changeIn(f.bySend, *s.want.senderID, change)
	default:
		change(f.all)
	}
}

func changeIn[K comparable](m map[K]interested, key K, change func(interested)) {
	if m[key] == nil {
		m[key] = make(interested)
	}
	change(m[key])
	if len(m[key]) == 0 {
		delete(m, key)
	}
}

// close waits for the end of the feed, after its context has ended.
func (f *feed) close() {
	f.mu.Lock()   // a join that began before the context ended adds to running first
	f.mu.Unlock() //nolint:staticcheck // later joins see that the context has ended
	f.running.Wait()
}

// follow follows the event log until ctx ends. It retries while the store is
// unavailable.
func (f *feed) follow(ctx context.Context, run int) {
	for ctx.Err() == nil {
		end, err := f.log.End(ctx)
		if err == nil {
			f.restart(run, end)
			err = f.log.Subscribe(ctx, event.Subscription{
				After: end, Filter: f.topic.live,
			}, func(_ context.Context, b event.Batch) error {
				f.add(run, b)
				return nil
			})
		}
		if err != nil && ctx.Err() == nil {
			f.logger.WarnContext(ctx, "live updates wait for the event store", "error", err.Error())
		}
		_ = retry.Sleep(ctx, feedPause)
	}
}

// restart empties the ring, which then contains everything after end.
func (f *feed) restart(run int, end event.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if run == f.run && f.stop != nil {
		f.empty(max(end, f.end))
		f.following = true
	}
}

// empty creates a ring without changes after end. All subscribers continue from their
// positions, and read from the event log what the ring contained.
func (f *feed) empty(end event.Position) {
	for s := range f.everybody() {
		if s.joined {
			s.at, s.joined = f.reached(s), false
		}
		s.awake()
	}
	f.ring, f.size, f.floor, f.end = nil, 0, end, end
}

func (f *feed) everybody() interested {
	everybody := make(interested, f.count)
	for s := range f.all {
		everybody[s] = struct{}{}
	}
	for _, in := range f.bySend {
		for s := range in {
			everybody[s] = struct{}{}
		}
	}
	for _, in := range f.byID {
		for s := range in {
			everybody[s] = struct{}{}
		}
	}
	return everybody
}

// reached returns the position up to which a joined subscriber has received everything.
func (f *feed) reached(s *subscriber) event.Position {
	if s.first == 0 {
		return max(s.at, f.end)
	}
	return max(s.at, s.first-1)
}

func (s *subscriber) awake() {
	select {
	case s.wake <- struct{}{}:
	default: // it has already been woken
	}
}

func (f *feed) add(run int, b event.Batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if run != f.run || f.stop == nil {
		return
	}
	for _, e := range b.Events {
		if strings.HasPrefix(e.Stream, event.ErasureStreams) {
			// The ring may contain data about a person who is being erased.
			f.end = max(f.end, e.Position)
			f.empty(f.end)
			continue
		}
		c, ok := f.topic.changeOf(e)
		if !ok {
			continue
		}
		f.ring = append(f.ring, c)
		f.size += len(c.event.Data)
		for _, in := range []interested{f.all, f.bySend[e.Meta.Sender], f.byID[c.id]} {
			for s := range in {
				if s.joined && s.first == 0 && s.want.change(c) {
					s.first = c.position()
					s.awake()
				}
			}
		}
	}
	for len(f.ring) > ringSize || f.size > ringBytes {
		f.floor = f.ring[0].position()
		f.size -= len(f.ring[0].event.Data)
		f.ring[0] = change{} // otherwise the slice still holds it
		f.ring = f.ring[1:]
	}
	f.end = max(f.end, b.Position)
}

// next returns the next changes that a subscriber wants, a few at a time. If there are
// none, the subscriber waits to be woken. It returns false if the ring does not reach
// back that far.
func (f *feed) next(s *subscriber) (found []change, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.following {
		return nil, true // it is woken once there is a ring
	}
	if s.joined {
		s.at = f.reached(s)
	}
	if s.at < f.floor {
		s.joined = false
		return nil, false
	}
	i, _ := slices.BinarySearchFunc(f.ring, s.at+1, func(c change, p event.Position) int {
		switch {
		case c.position() < p:
			return -1
		case c.position() > p:
			return 1
		}
		return 0
	})
	s.joined, s.first = true, 0
	for _, c := range f.ring[i:] {
		if !s.want.change(c) {
			continue
		}
		if len(found) == readAhead {
			s.first = c.position()
			break
		}
		found = append(found, c)
	}
	s.at = f.reached(s)
	return found, true
}

// errEnough ends a subscription to the event log that has read a piece of it.
var errEnough = errors.New("read enough")

// each calls take with every change that a subscriber wants, in order and each once,
// until ctx ends or take fails. A slow take delays only itself: changes that the ring
// drops in the meantime are read from the event log.
func (f *feed) each(ctx context.Context, s *subscriber, take func(change) error) error {
	for {
		found, ok := f.next(s)
		if !ok {
			var err error
			if found, err = f.catchUp(ctx, s); err != nil {
				return err
			}
		}
		for _, c := range found {
			if err := take(c); err != nil {
				return err
			}
		}
		if !ok || len(found) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		}
	}
}

// catchUp reads the next piece of the event log for a subscriber. The piece is passed
// on after the read has ended, so that the event store never waits.
func (f *feed) catchUp(ctx context.Context, s *subscriber) (found []change, err error) {
	release, err := f.turns.Take(ctx, s.want.caller.account())
	if err != nil {
		return nil, err
	}
	defer release()
	begun := time.Now()
	f.mu.Lock()
	at, floor := s.at, f.floor
	f.mu.Unlock()
	err = f.log.Subscribe(ctx, event.Subscription{
		After: at, Filter: f.topic.past(s.want), MaxBatch: readAhead,
	}, func(_ context.Context, b event.Batch) error {
		for _, e := range b.Events {
			if c, ok := f.topic.changeOf(e); ok && c.position() > at && s.want.change(c) {
				found = append(found, c)
			}
		}
		at = max(at, b.Position)
		if b.Live { // everything in the event log at the start has been seen
			at = max(at, floor)
		}
		if len(found) >= readAhead || at >= floor || time.Since(begun) > catchUpTurn {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.at = at
	return found, nil
}
