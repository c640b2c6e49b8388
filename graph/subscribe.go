package graph

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

const (
	// maxUpdateIDs is how many messages one subscription may name.
	maxUpdateIDs = 1000
	// maxPrefixes is for how many messages the store itself is asked to leave out
	// the others; with more it is slower than passing over them.
	maxPrefixes = 20
	// maxSocketStreams bounds the subscriptions of one WebSocket.
	maxSocketStreams = 200
)

// want is what a subscriber wants to see.
type want struct {
	caller   caller
	ids      map[uuid.UUID]bool // nil: all
	senderID *string
	label    *message.Label
	statuses []message.Status
}

// wantOf is what is wanted by the messages that the field names, nil for all, and
// by the sender.
func wantOf(c caller, field string, ids []string, senderID *string) (want, error) {
	w := want{caller: c, senderID: senderID}
	if len(ids) > maxUpdateIDs {
		return w, domain.Invalid(field, "has %d ids, at most %d are allowed", len(ids), maxUpdateIDs)
	}
	if ids != nil {
		w.ids = make(map[uuid.UUID]bool, len(ids))
	}
	for _, s := range ids {
		id, err := messageID(s)
		if err != nil {
			return w, domain.Invalid(field, "%q is no message's id", s)
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
	sender := c.event.Meta.Sender
	return w.caller.sees(sender) && (w.ids == nil || w.ids[c.id]) && (w.senderID == nil || *w.senderID == sender)
}

// message reports whether the message is wanted as it is after the change.
func (w want) message(m message.Message) bool {
	return (w.label == nil || slices.Contains(m.Labels, *w.label)) &&
		(w.statuses == nil || slices.Contains(w.statuses, m.Status))
}

// streams are the prefixes of the streams in which a wanted change can stand.
func (w want) streams() []string {
	if len(w.ids) == 0 || len(w.ids) > maxPrefixes {
		return []string{event.MessageStreams}
	}
	var prefixes []string
	for id := range w.ids {
		prefixes = append(prefixes, event.MessageStream(id))
	}
	return prefixes
}

// start is the position behind which a subscription starts: that of the cursor, or
// the present end of the log.
func (r *Resolver) start(ctx context.Context, after *string) (event.Position, error) {
	if after == nil {
		return r.opts.Log.End(ctx)
	}
	return r.position(after)
}

// subscribe sends what show makes of the wanted changes behind a position, until
// ctx ends. What it makes nothing of is passed over. The channel has no buffer:
// who reads slowly falls back to the log.
func subscribe[T any](
	ctx context.Context, r *Resolver, w want, start event.Position, show func(context.Context, change) (*T, error),
) (<-chan *T, error) {
	if s, ok := ctx.Value(socketKey{}).(*socket); ok {
		if s.streams.Add(1) > maxSocketStreams {
			s.streams.Add(-1)
			return nil, domain.Unavailable("a WebSocket takes %d subscriptions; open another", maxSocketStreams)
		}
		context.AfterFunc(ctx, func() { s.streams.Add(-1) })
	}
	s, err := r.feed.join(w, start)
	if err != nil {
		return nil, err
	}
	updates := make(chan *T)
	r.streams.Go(func() {
		defer close(updates)
		defer r.feed.leave(s)
		err := r.feed.each(ctx, s, func(c change) error {
			shown, err := show(ctx, c)
			if err != nil || shown == nil {
				return err
			}
			select {
			case updates <- shown:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil && ctx.Err() == nil {
			endStream(ctx, r.errors.present(ctx, resolverError{err}))
		}
	})
	return updates, nil
}

// showUpdate is the message as it was right after a change, if it is wanted then.
func (r *Resolver) showUpdate(w want) func(context.Context, change) (*MessageUpdate, error) {
	return func(ctx context.Context, c change) (*MessageUpdate, error) {
		l, err := r.loadAfter(ctx, c)
		if err != nil || !w.message(l.Message) {
			return nil, err
		}
		return &MessageUpdate{Cursor: r.cursor(c.position()), At: c.event.Meta.RecordedAt, Message: r.messageOf(ctx, l)}, nil
	}
}

func (r *Resolver) loadAfter(ctx context.Context, c change) (command.Loaded, error) {
	l, err := r.opts.Messages.LoadAt(ctx, c.id, c.event.Revision)
	if err != nil || l.Revision == c.event.Revision {
		return l, err
	}
	return foldWhile(ctx, r.opts.Log, c.id, func(e event.Recorded) bool { return e.Revision <= c.event.Revision })
}
