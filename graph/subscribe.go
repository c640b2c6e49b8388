package graph

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

const (
	// maxUpdateIDs is the maximum number of messages that one subscription can name.
	maxUpdateIDs = 1000
	// maxPrefixes is the maximum number of messages for which the store filters. With
	// more, filtering in the store is slower than skipping the others here.
	maxPrefixes = 20
)

// want describes what a subscriber wants to see.
type want struct {
	caller   caller
	ids      map[uuid.UUID]bool // nil means all
	senderID *string
	label    *message.Label
	statuses []message.Status
	// streamNames are the streams of the wanted inbound messages. Nil means all.
	streamNames map[string]bool
}

// wantOf returns the want for the messages that the field names, or all if ids is nil,
// and for the sender.
func wantOf(c caller, field string, ids []string, senderID *string) (want, error) {
	w := want{caller: c, senderID: senderID}
	if len(ids) > maxUpdateIDs {
		return w, domain.Invalid(field, "must contain at most %d IDs, got %d", maxUpdateIDs, len(ids))
	}
	if ids != nil {
		w.ids = make(map[uuid.UUID]bool, len(ids))
	}
	for _, s := range ids {
		id, err := messageID(s)
		if err != nil {
			return w, domain.Invalid(field, "%q is not a message ID", s)
		}
		w.ids[id] = true
	}
	if senderID != nil {
		return w, c.demandSender("senderId", *senderID)
	}
	return w, nil
}

// change reports whether a change may be wanted, based on the change itself.
func (w want) change(c change) bool {
	sender := c.event.Meta.Sender
	if w.streamNames != nil {
		return w.streamNames[c.event.Stream] // older events of inbound messages don't name their sender
	}
	return w.caller.sees(sender) && (w.ids == nil || w.ids[c.id]) && (w.senderID == nil || *w.senderID == sender)
}

// message reports whether the message is wanted in its state after the change.
func (w want) message(m *message.Message) bool {
	return (w.label == nil || slices.Contains(m.Labels, *w.label)) &&
		(w.statuses == nil || slices.Contains(w.statuses, m.Status))
}

// streams returns the prefixes of the streams that can contain a wanted change.
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

// start returns the position after which a subscription starts: that of the cursor, or
// the current end of the event log.
func (r *Resolver) start(ctx context.Context, after *string) (event.Position, error) {
	if after == nil {
		return r.opts.Log.End(ctx)
	}
	return r.position(after)
}

// subscribe sends the results of show for the wanted changes after a position, until
// ctx ends. First it sends begin. Changes for which show returns nil are skipped. The
// channel has no buffer: a slow reader falls back to the event log.
func subscribe[T any](
	ctx context.Context, r *Resolver, f *feed, w want, start event.Position, begin []*T, show func(context.Context, change) (*T, error),
) (<-chan *T, error) {
	s, err := f.join(w, start)
	if err != nil {
		return nil, err
	}
	updates := make(chan *T)
	send := func(shown *T) error {
		select {
		case updates <- shown:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.streams.run(func() {
		defer close(updates)
		defer f.leave(s)
		for _, shown := range begin {
			if send(shown) != nil {
				return
			}
		}
		err := f.each(ctx, s, func(c change) error {
			shown, err := show(ctx, c)
			if err != nil || shown == nil {
				return err
			}
			return send(shown)
		})
		if err != nil && ctx.Err() == nil {
			endStream(ctx, r.errors.present(ctx, resolverError{err}))
		}
	})
	return updates, nil
}

// showUpdate returns a function that returns the message right after a change, if it is
// wanted in that state.
func (r *Resolver) showUpdate(w want) func(context.Context, change) (*MessageUpdate, error) {
	return func(ctx context.Context, c change) (*MessageUpdate, error) {
		l, err := r.loadAfter(ctx, c)
		if err != nil || !w.message(l.Message) {
			return nil, err
		}
		return &MessageUpdate{Cursor: r.cursor(c.position()), At: c.event.Meta.RecordedAt, Message: r.messageOf(ctx, l)}, nil
	}
}

func (r *Resolver) loadAfter(ctx context.Context, c change) (repository.Loaded, error) {
	l, err := r.opts.Queries.FindMessageAt(ctx, c.id, c.event.Revision)
	if err != nil || l.Revision == c.event.Revision {
		return l, err
	}
	return foldWhile(ctx, r.opts.Log, c.id, func(e event.Recorded) bool { return e.Revision <= c.event.Revision })
}

type streamEndKey struct{}

// endStream notes why the subscription of ctx ends, for reportEnd.
func endStream(ctx context.Context, err *gqlerror.Error) {
	if end, ok := ctx.Value(streamEndKey{}).(*atomic.Pointer[gqlerror.Error]); ok {
		end.Store(err)
	}
}

// reportEnd tells the subscriber why its subscription ended. It does so in the goroutine
// that writes the updates, because gqlgen's own record of the error has no lock and is
// also read when the subscriber completes the operation at that moment.
func reportEnd(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	end := new(atomic.Pointer[gqlerror.Error])
	updates := next(context.WithValue(ctx, streamEndKey{}, end))
	return func(ctx context.Context) *graphql.Response {
		update := updates(ctx)
		if err := end.Load(); update == nil && err != nil {
			if events, ok := ctx.Value(streamKey{}).(*eventStream); ok {
				events.failure.Store(err)
			} else {
				transport.AddSubscriptionError(ctx, err)
			}
		}
		return update
	}
}
