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

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

// Bounds of the feed.
const (
	// ringSize is how many of the newest changes are kept, some seconds at full
	// rate, and ringBytes how much their data may be together.
	ringSize  = 8192
	ringBytes = 16 << 20
	// readAhead is how many changes a subscriber takes at a time.
	readAhead = 256
	// catchUps is how many subscribers read the log at a time. Each needs a
	// subscription of the event store's client, of which the projections and others
	// need some, too.
	catchUps = 16
	// maxSubscribers bounds the subscribers of the process; 10,000 that wait take
	// some 300 MB with their sockets.
	maxSubscribers = 10_000
	// feedPause is how long the feed waits before it subscribes again.
	feedPause = time.Second
)

// change is an event of a message.
type change struct {
	id    uuid.UUID
	event event.Recorded
}

func changeOf(e event.Recorded) (change, bool) {
	id, ok := event.MessageOf(e.Stream)
	e.Event = nil // its data says it all, and the ring holds thousands
	return change{id: id, event: e}, ok
}

func (c change) position() event.Position { return c.event.Position }

// feed follows the changes of all messages for every subscriber of the process,
// by one subscription, as long as there are any, and keeps the newest in a ring. A
// subscriber that wants, or has fallen back to, what is older reads the log by
// itself, a piece at a time, until it meets the ring.
type feed struct {
	ctx    context.Context //nolint:containedctx // it lives as long as the API, not as a request
	log    event.Log
	logger *slog.Logger
	slots  chan struct{} // of catchUps

	mu      sync.Mutex
	count   int
	all     interested // who wants more than some messages or one sender
	bySend  map[string]interested
	byID    map[uuid.UUID]interested
	stop    context.CancelFunc // nil while nobody subscribes
	run     int                // counts the runs: what comes late from an older one is not taken
	running sync.WaitGroup

	following bool
	ring      []change       // by position
	size      int            // of the data in it
	floor     event.Position // the ring has all behind it
	end       event.Position // up to where the log was considered
}

type interested map[*subscriber]struct{}

// subscriber is one of them. Its fields are guarded by feed.mu.
type subscriber struct {
	want want
	wake chan struct{}
	// at is how far it has been given everything. While it has joined the feed,
	// first is the first change that it wants and has not been given; 0: none.
	at     event.Position
	joined bool
	first  event.Position
}

func newFeed(ctx context.Context, log event.Log, logger *slog.Logger) *feed {
	return &feed{
		ctx: ctx, log: log, logger: logger, slots: make(chan struct{}, catchUps),
		all: make(interested), bySend: make(map[string]interested), byID: make(map[uuid.UUID]interested),
	}
}

// join adds a subscriber of what comes behind a position. The first one sets the
// feed going.
func (f *feed) join(w want, behind event.Position) (*subscriber, error) {
	s := &subscriber{want: w, wake: make(chan struct{}, 1), at: behind}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count >= maxSubscribers {
		return nil, domain.Unavailable("%d subscriptions are open, which is all that one process takes; try another", f.count)
	}
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

// leave removes a subscriber. With the last one the feed ends.
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

// interest changes where a subscriber is looked for.
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

// close waits for the feed's end, after its context ended.
func (f *feed) close() { f.running.Wait() }

// follow follows the log until ctx ends. Without a store it tries again.
func (f *feed) follow(ctx context.Context, run int) {
	for ctx.Err() == nil {
		end, err := f.log.End(ctx)
		if err == nil {
			f.restart(run, end)
			err = f.log.Subscribe(ctx, event.Subscription{
				After: end, Filter: event.Filter{StreamPrefixes: []string{event.MessageStreams, event.ErasureStreams}},
			}, func(_ context.Context, b event.Batch) error {
				f.add(run, b)
				return nil
			})
		}
		if err != nil && ctx.Err() == nil {
			f.logger.WarnContext(ctx, "live updates wait for the event store", "error", err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(feedPause):
		}
	}
}

// restart empties the ring: it has what comes behind end.
func (f *feed) restart(run int, end event.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if run == f.run && f.stop != nil {
		f.empty(max(end, f.end))
		f.following = true
	}
}

// empty makes a ring without changes behind end. Everybody goes on from where he
// is, and reads in the log what the ring had.
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

// reached is up to where there is nothing that a joined subscriber was not given.
func (f *feed) reached(s *subscriber) event.Position {
	if s.first == 0 {
		return max(s.at, f.end)
	}
	return max(s.at, s.first-1)
}

func (s *subscriber) awake() {
	select {
	case s.wake <- struct{}{}:
	default: // it is to look already
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
			// What the ring has may be of somebody who is to be forgotten.
			f.end = max(f.end, e.Position)
			f.empty(f.end)
			continue
		}
		c, ok := changeOf(e)
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
		f.ring[0] = change{} // the slice still holds it
		f.ring = f.ring[1:]
	}
	f.end = max(f.end, b.Position)
}

// next answers the next changes that a subscriber wants, some at a time. With none
// it waits to be woken. It answers false if the ring does not reach back that far.
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

// errEnough ends a subscription to the log that has read a piece of it.
var errEnough = errors.New("read enough")

// each hands every change that a subscriber wants to take, in order, each once,
// until ctx ends or take fails. A slow take holds back only itself: what the ring
// loses meanwhile is read from the log.
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

// catchUp reads the next piece of the log for a subscriber. The piece is handed
// over after the reading has ended: nobody keeps the event store waiting.
func (f *feed) catchUp(ctx context.Context, s *subscriber) (found []change, err error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	at, floor := s.at, f.floor
	f.mu.Unlock()
	err = f.log.Subscribe(ctx, event.Subscription{
		After: at, Filter: event.Filter{StreamPrefixes: s.want.streams()}, MaxBatch: readAhead,
	}, func(_ context.Context, b event.Batch) error {
		for _, e := range b.Events {
			if c, ok := changeOf(e); ok && c.position() > at && s.want.change(c) {
				found = append(found, c)
			}
		}
		at = max(at, b.Position)
		if b.Live { // all that stood in the log when it began has been seen
			at = max(at, floor)
		}
		if len(found) >= readAhead || at >= floor {
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
