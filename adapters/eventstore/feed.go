package eventstore

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/app/event"
)

const (
	// feedEvents and feedBytes limit what a feed keeps: several seconds of a busy log.
	feedEvents = 1 << 13
	feedBytes  = 16 << 20
	// quietWake is the maximum time that a follower is not notified of the log's
	// position while no event matches its filter.
	quietWake = time.Second
)

// A feed receives what is appended to the log, with one subscription for all of a Log's
// subscriptions that have caught up. An EventStoreDB server drops a subscription as
// soon as a few dozen events wait for it, so the feed does nothing but receive: it
// keeps the newest events, and followers take them at their own pace. A follower that
// needs an event that is no longer kept catches up from the store again.
type feed struct {
	log       *Log
	maxEvents int // feedEvents, except in tests
	begin     sync.Once
	ready     chan struct{} // closed when floor, last and head are set
	done      chan struct{} // closed when the feed has ended

	mu        sync.Mutex
	floor     event.Position // position of the last event that is no longer kept
	last      event.Position // position of the last event received
	head      event.Position // position of an event or a checkpoint up to which the log has been received
	kept      []feedEvent    // in the order of their positions
	first     uint64         // the number of kept[0]; numbers have no gaps
	bytes     int
	live      bool // the subscription has caught up and was not dropped since
	era       era
	followers map[*follower]struct{}
	waking    bool // wakeUnaware will be called
}

// An era of a feed is the time in which it knows the log not to have become shorter. It is 0 until the feed receives. A
// position is only comparable with the feed's if it was found in the log in the same era: otherwise, a follower beyond
// the end of a shorter log would wait until the log has grown past its position, and miss everything before.
type era uint64

// feedEvent is a received event and its part of the bytes kept.
type feedEvent struct {
	raw      *record
	position event.Position
	bytes    int
}

// follower takes events from a feed. The feed's mu guards all fields except wake.
type follower struct {
	wake  chan struct{} // of capacity 1
	wants func(stream, eventType string) bool
	after event.Position // position of the last event that it had when it joined; the feed may receive that event later
	next  uint64         // the number of the next event to check
	woken time.Time
	// unaware reports whether head has moved since the follower was last woken.
	unaware bool
}

// signal wakes the follower, or keeps it awake.
func (to *follower) signal(now time.Time) {
	to.woken, to.unaware = now, false
	select {
	case to.wake <- struct{}{}:
	default: // it is awake, or will be
	}
}

// errBehind reports that a feed no longer keeps the event that a follower needs next.
var errBehind = errors.New("the feed no longer keeps the next event")

func newFeed(l *Log) *feed {
	return &feed{log: l, maxEvents: feedEvents, ready: make(chan struct{}), done: make(chan struct{}), followers: make(map[*follower]struct{})}
}

// await starts the feed on the first call, and waits until it receives, at most for the
// call timeout. It returns the position of the last event received and the era, both 0
// if the feed does not receive yet.
func (f *feed) await(ctx context.Context) (event.Position, era) {
	f.begin.Do(func() {
		if !f.log.subscriptions.begin() {
			close(f.done)
			return
		}
		go f.run(f.log.subscriptions.ctx)
	})
	ctx, cancel := context.WithTimeout(ctx, f.log.callTimeout)
	defer cancel()
	select {
	case <-f.ready:
	case <-f.done:
		return 0, 0
	case <-ctx.Done():
		return 0, 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last, f.era
}

// run receives until ctx ends. A subscription that the store drops is resumed
// immediately, after the last event that it delivered.
func (f *feed) run(ctx context.Context) {
	defer f.log.subscriptions.running.Done()
	defer close(f.done)
	for failures := 0; ctx.Err() == nil; {
		received, err := f.receive(ctx)
		f.setLive(false)
		if received {
			failures = 0
		}
		failures++
		if ctx.Err() != nil || errors.Is(err, errClosed) {
			return
		}
		f.log.logger.LogAttrs(ctx, levelOf(err, failures), "feed dropped, resuming",
			slog.Int("failures", failures), slog.Any("error", err))
		if failures > 1 && !pause(ctx, failures-1) {
			return
		}
	}
}

// receive subscribes once and keeps what the subscription delivers until it is dropped.
// It reports whether anything was delivered.
func (f *feed) receive(ctx context.Context) (received bool, err error) {
	end, err := f.log.backend.end(ctx)
	if err != nil {
		return false, err
	}
	err = f.log.backend.subscribe(ctx, f.startAt(end), event.Filter{}, func(n notice) error {
		switch {
		case n.caughtUp:
			if err := f.confirm(ctx); err != nil {
				return err
			}
			f.setLive(true)
			return nil
		case n.event != nil:
			f.keep(n.event, time.Now())
		case !f.pass(n.position):
			return nil // the store repeats where the log ends, also if it is about to drop the subscription
		}
		received = true
		return nil
	})
	return received, err
}

// errShorter ends a subscription after a position that the log does not reach.
var errShorter = errors.New("the log became shorter while the feed subscribed")

// confirm fails if the log does not reach the last event received. Between reading its end and subscribing, the log can
// become shorter, and the store would then say nothing until it has grown past that event.
func (f *feed) confirm(ctx context.Context) error {
	end, err := f.log.backend.end(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if end < f.last {
		return errShorter
	}
	return nil
}

func (f *feed) setLive(live bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live = live
}

// startAt returns the position after which to subscribe to a log with this end: after
// what was received, or at the end.
func (f *feed) startAt(end event.Position) event.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.started():
		f.floor, f.last, f.head, f.era = end, end, end, 1
		close(f.ready)
	case end < f.last:
		f.restart(end)
	}
	return f.head
}

// shorten starts again at the end of a log that someone else found to be shorter than it was, unless the feed knows.
func (f *feed) shorten(end event.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.started() && end < f.last {
		f.restart(end)
	}
}

// restart starts again at the end of a log that has become shorter. Each follower is
// behind then and handles that on its own.
func (f *feed) restart(end event.Position) {
	f.first += uint64(len(f.kept)) + 1 // so that no follower has a number that is kept
	f.floor, f.last, f.head = end, end, end
	f.era++
	f.kept, f.bytes = nil, 0
	now := time.Now()
	for behind := range f.followers {
		behind.signal(now)
	}
}

// keep adds an event and wakes the followers that want it. The other followers are
// notified of the new position within quietWake.
func (f *feed) keep(e *record, now time.Time) {
	added := feedEvent{raw: e, position: e.position, bytes: len(e.data) + len(e.meta)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if added.position <= f.last {
		return // it was delivered before the subscription was resumed
	}
	f.last, f.head = added.position, max(f.head, added.position)
	f.kept = append(f.kept, added)
	f.bytes += added.bytes
	drop := 0
	for len(f.kept)-drop > f.maxEvents || f.bytes > feedBytes {
		f.floor = f.kept[drop].position
		f.bytes -= f.kept[drop].bytes
		f.kept[drop] = feedEvent{}
		drop++
	}
	f.kept, f.first = f.kept[drop:], f.first+uint64(drop)
	for to := range f.followers {
		if now.Sub(to.woken) >= quietWake || to.wants(e.stream, e.eventType) {
			to.signal(now)
		} else {
			f.wakeLater(to)
		}
	}
}

// wakeLater wakes a follower within quietWake, even if nothing else is received.
func (f *feed) wakeLater(to *follower) {
	to.unaware = true
	if !f.waking {
		f.waking = true
		time.AfterFunc(quietWake, f.wakeUnaware)
	}
}

func (f *feed) wakeUnaware() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waking = false
	now := time.Now()
	for to := range f.followers {
		if to.unaware {
			to.signal(now)
		}
	}
}

// pass records that the log contains no event up to a position except those that are
// kept. It reports whether that was not known.
func (f *feed) pass(p event.Position) (moved bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p <= f.head {
		return false
	}
	f.head = p
	for to := range f.followers {
		f.wakeLater(to)
	}
	return true
}

// join adds a follower that has everything up to an event, whose position was found in the log in this era. It returns
// nil if the era is over, or events after that position are no longer kept, or not yet.
func (f *feed) join(in era, after event.Position, wants func(stream, eventType string) bool) *follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	if after < f.floor || !f.started() || in != f.era {
		return nil
	}
	joined := &follower{wake: make(chan struct{}, 1), wants: wants, after: after, next: f.first + uint64(f.search(after))}
	f.followers[joined] = struct{}{}
	return joined
}

// search returns the index of the first kept event after a position.
func (f *feed) search(after event.Position) int {
	i, _ := slices.BinarySearchFunc(f.kept, after+1, func(e feedEvent, p event.Position) int { return cmp.Compare(e.position, p) })
	return i
}

func (f *feed) started() bool {
	select {
	case <-f.ready:
		return true
	default:
		return false
	}
}

// isOver reports whether an era has ended.
func (f *feed) isOver(e era) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return e != f.era
}

func (f *feed) leave(left *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followers, left)
}

// take appends the follower's next events to items, at most room of them, and returns
// the position up to which there is nothing else for it. It fails with errBehind if
// events that the follower has not checked are no longer kept.
func (f *feed) take(by *follower, items []item, room int) ([]item, event.Position, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if by.next < f.first {
		return nil, 0, errBehind
	}
	for ; by.next < f.first+uint64(len(f.kept)); by.next++ {
		e := &f.kept[by.next-f.first]
		if e.position <= by.after || !by.wants(e.raw.stream, e.raw.eventType) {
			continue
		}
		if room == 0 {
			return items, items[len(items)-1].position, nil
		}
		items = append(items, item{raw: e.raw, position: e.position})
		room--
	}
	return items, f.head, nil
}

// oldestAfter returns the oldest event after a position that passes a filter, or nil if
// there is none. known is false if the feed doesn't keep all events after that
// position, or may not have received all of them.
func (f *feed) oldestAfter(after event.Position, wants func(stream, eventType string) bool) (oldest *record, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.live || after < f.floor {
		return nil, false
	}
	for i := f.search(after); i < len(f.kept); i++ {
		if e := f.kept[i].raw; wants(e.stream, e.eventType) {
			return e, true
		}
	}
	return nil, true
}

// OldestAfter returns when the oldest event of these types after a position was
// recorded. found is false if there is none. It doesn't ask the store: known is false
// if this Log has no subscription that has caught up, or keeps only events after a
// later position.
func (l *Log) OldestAfter(after event.Position, types []string) (at time.Time, found, known bool) {
	oldest, known := l.feed.oldestAfter(after, wantsOf(event.Filter{Types: types}))
	if oldest == nil {
		return time.Time{}, false, known
	}
	meta, err := l.codec.DecodeMeta(oldest.meta)
	if err != nil { // not written by Waypost
		return oldest.created, true, true
	}
	return meta.RecordedAt, true, true
}

// wantsOf returns a function that reports whether an event passes the filter. An empty
// filter omits the store's own events.
func wantsOf(f event.Filter) func(stream, eventType string) bool {
	switch {
	case len(f.StreamPrefixes) > 0:
		return func(stream, _ string) bool {
			return slices.ContainsFunc(f.StreamPrefixes, func(prefix string) bool { return strings.HasPrefix(stream, prefix) })
		}
	case len(f.Types) > 0:
		types := make(map[string]struct{}, len(f.Types))
		for _, t := range f.Types {
			types[t] = struct{}{}
		}
		return func(_, eventType string) bool {
			_, wanted := types[eventType]
			return wanted
		}
	default:
		return func(_, eventType string) bool { return !isSystem(eventType) }
	}
}
