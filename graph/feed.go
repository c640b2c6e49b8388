package graph

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// Bounds of the feed.
const (
	// ringSize is how many of the newest changes are kept: some seconds at full rate.
	ringSize = 8192
	// readAhead is how many of them a subscriber takes at a time.
	readAhead = 256
	// maxUpdateIDs is how many messages one subscription may name.
	maxUpdateIDs = 1000
	// feedPause is how long the feed waits before it subscribes again.
	feedPause = time.Second
)

// change is an event of a message, as little of it as a subscriber needs.
type change struct {
	id       uuid.UUID
	sender   string
	revision event.Revision
	position event.Position
	at       time.Time
}

func changeOf(e event.Recorded) (change, bool) {
	id, ok := event.MessageOf(e.Stream)
	return change{id: id, sender: e.Meta.Sender, revision: e.Revision, position: e.Position, at: e.Meta.RecordedAt}, ok
}

// feed follows the changes of all messages for every subscriber of the process,
// by one subscription, and keeps the newest in a ring. A subscriber that wants, or
// has fallen back to, what is older reads the log by itself until it meets the ring.
type feed struct {
	log    event.Log
	logger *slog.Logger

	mu      sync.Mutex
	started bool
	ring    []change // by position; at most ringSize
	next    int      // where the next one goes once the ring is full
	floor   event.Position
	changed chan struct{} // closed when a change comes
}

func newFeed(log event.Log, logger *slog.Logger) *feed {
	return &feed{log: log, logger: logger, changed: make(chan struct{})}
}

// run follows the log until ctx ends. Without a store it tries again.
func (f *feed) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := f.follow(ctx); err != nil && ctx.Err() == nil {
			f.logger.WarnContext(ctx, "live updates wait for the event store", "error", err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(feedPause):
		}
	}
}

func (f *feed) follow(ctx context.Context) error {
	end, err := f.log.End(ctx)
	if err != nil {
		return err
	}
	f.restart(end)
	return f.log.Subscribe(ctx, event.Subscription{
		After: end, Filter: event.Filter{StreamPrefixes: []string{event.MessageStreams}},
	}, func(_ context.Context, b event.Batch) error {
		f.add(b.Events)
		return nil
	})
}

// restart empties the ring: it covers what comes behind end.
func (f *feed) restart(end event.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started, f.ring, f.next, f.floor = true, nil, 0, end
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *feed) add(events []event.Recorded) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		c, ok := changeOf(e)
		if !ok {
			continue
		}
		if len(f.ring) < ringSize {
			f.ring = append(f.ring, c)
			continue
		}
		f.floor = f.ring[f.next].position
		f.ring[f.next] = c
		f.next = (f.next + 1) % ringSize
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// after answers the changes behind a position, a few at a time, and what tells of
// more. It answers false if the ring does not reach back that far.
func (f *feed) after(p event.Position) (found []change, more <-chan struct{}, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.started || p < f.floor {
		return nil, f.changed, false
	}
	older, newer := f.ring[f.next:], f.ring[:f.next]
	for _, part := range [][]change{older, newer} {
		i, exact := slices.BinarySearchFunc(part, p, func(c change, p event.Position) int {
			switch {
			case c.position < p:
				return -1
			case c.position > p:
				return 1
			}
			return 0
		})
		if exact {
			i++
		}
		part = part[i:]
		found = append(found, part[:min(len(part), readAhead-len(found))]...)
		if len(found) == readAhead {
			break
		}
	}
	return found, f.changed, true
}

// covers reports whether the ring reaches back to p.
func (f *feed) covers(p event.Position) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.started && p >= f.floor
}

// errJoined ends a subscription to the log that has met the ring.
var errJoined = errors.New("joined the feed")

// each hands every change behind p to take, in order, each once, until ctx ends or
// take fails. A slow take holds back only itself: what the ring loses meanwhile is
// read from the log.
func (f *feed) each(ctx context.Context, p event.Position, take func(change) error) error {
	for {
		found, more, ok := f.after(p)
		if !ok {
			var err error
			if p, err = f.catchUp(ctx, p, take); err != nil {
				return err
			}
			continue
		}
		for _, c := range found {
			if err := take(c); err != nil {
				return err
			}
			p = c.position
		}
		if len(found) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}

// catchUp reads the log behind p until the ring covers where it is.
func (f *feed) catchUp(ctx context.Context, p event.Position, take func(change) error) (event.Position, error) {
	err := f.log.Subscribe(ctx, event.Subscription{
		After: p, Filter: event.Filter{StreamPrefixes: []string{event.MessageStreams}}, MaxBatch: readAhead,
	}, func(_ context.Context, b event.Batch) error {
		for _, e := range b.Events {
			c, ok := changeOf(e)
			if !ok || c.position <= p {
				continue
			}
			if err := take(c); err != nil {
				return err
			}
			p = c.position
		}
		p = max(p, b.Position)
		if f.covers(p) {
			return errJoined
		}
		return nil
	})
	if errors.Is(err, errJoined) {
		return p, nil
	}
	return p, err
}

// want is what a subscriber wants to see.
type want struct {
	caller   caller
	ids      map[uuid.UUID]bool // nil: all
	senderID *string
	label    *message.Label
	statuses []message.Status
}

func wantOf(c caller, ids []string, senderID *string, label *message.Label, statuses []message.Status) (want, error) {
	w := want{caller: c, senderID: senderID, label: label, statuses: statuses}
	if len(ids) > maxUpdateIDs {
		return w, domain.Invalid("ids", "has %d ids, at most %d are allowed", len(ids), maxUpdateIDs)
	}
	if ids != nil {
		w.ids = make(map[uuid.UUID]bool, len(ids))
	}
	for _, s := range ids {
		id, err := messageID(s)
		if err != nil {
			return w, domain.Invalid("ids", "%q is no message's id", s)
		}
		w.ids[id] = true
	}
	if senderID != nil {
		return w, c.demandSender("senderId", *senderID)
	}
	return w, nil
}

// change reports whether a change may be wanted, by what it says itself.
func (w want) change(c change) bool {
	return w.caller.sees(c.sender) && (w.ids == nil || w.ids[c.id]) && (w.senderID == nil || *w.senderID == c.sender)
}

// message reports whether the message is wanted as it is after the change.
func (w want) message(m message.Message) bool {
	return (w.label == nil || slices.Contains(m.Labels, *w.label)) &&
		(w.statuses == nil || slices.Contains(w.statuses, m.Status))
}

// follow sends the wanted updates behind a position until ctx ends. The channel has
// no buffer: who reads slowly falls back to the log.
func (r *Resolver) follow(ctx context.Context, w want, start event.Position) <-chan *MessageUpdate {
	updates := make(chan *MessageUpdate)
	r.streams.Go(func() {
		defer close(updates)
		err := r.feed.each(ctx, start, func(c change) error {
			if !w.change(c) {
				return nil
			}
			l, err := r.loadAfter(ctx, c)
			if err != nil || !w.message(l.Message) {
				return err
			}
			select {
			case updates <- &MessageUpdate{Cursor: r.cursor(c.position), At: c.at, Message: r.messageOf(ctx, l)}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil && ctx.Err() == nil {
			endStream(ctx, r.errors.present(ctx, resolverError{err}))
		}
	})
	return updates
}

// loadAfter is the message as it was right after a change.
func (r *Resolver) loadAfter(ctx context.Context, c change) (command.Loaded, error) {
	l, err := r.opts.Messages.LoadAt(ctx, c.id, c.revision)
	if err != nil || l.Revision == c.revision {
		return l, err
	}
	return foldWhile(ctx, r.opts.Log, c.id, func(e event.Recorded) bool { return e.Revision <= c.revision })
}
