package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
)

// MaxPage is how many events a page has at most.
const MaxPage = 1000

const (
	// block is how many events are read of the log at a time.
	block = 1000
	// patience bounds the search for a page. What was found by then is the page, and
	// the next one goes on behind what was searched.
	patience = 5 * time.Second
	// narrowPatience bounds the look for where to begin.
	narrowPatience = time.Second
	// skew is how far recording times may be out of the log's order: processes append
	// side by side, each by its own clock.
	skew = time.Minute
	// maxStream is how many events of one message are read; it has some ten, and its
	// budget of attempts keeps it below a few hundred.
	maxStream = 10_000
)

// Log is the event store as it is read here.
type Log interface {
	event.Log
	// ReadAllBackwards answers at most limit events of the global order that stand
	// before a position (0: the end), the newest first, and how far it came (0: the
	// beginning).
	ReadAllBackwards(ctx context.Context, before event.Position, limit int) ([]event.Recorded, event.Position, error)
}

// Filter chooses events; all conditions that are given must hold.
type Filter struct {
	// Stream and StreamPrefix go by the stream's name.
	Stream, StreamPrefix string
	// Types are names of events.
	Types []string
	// MessageID is the message whose stream it is.
	MessageID uuid.UUID
	// Senders are ids; nil for all.
	Senders []string
	// CorrelationID is the message it belongs to, ActorID who caused it.
	CorrelationID, ActorID string
	// From and To bound the time of recording: from the one, up to before the other.
	From, To time.Time
}

// Order is that of a page.
type Order int

// The orders.
const (
	OldestFirst Order = iota
	NewestFirst
)

// Page says which events are wanted: at most First, behind After in the order. 0 is
// the beginning.
type Page struct {
	Order Order
	First int
	After event.Position
}

// Events is a page of the log.
type Events struct {
	Events []event.Recorded
	// More says that there may be further events; the next page goes on After. A page
	// can have fewer events than were asked for and yet have More: the search is
	// bounded in time.
	More  bool
	After event.Position
}

// Reader reads the log.
type Reader struct {
	log   Log
	logID string
	past  Past
}

// NewReader makes a Reader of a log. past may be away: then more of it is searched.
func NewReader(log Log, logID uuid.UUID, past Past) *Reader {
	return &Reader{log, logID.String(), past}
}

// Read answers a page.
func (r *Reader) Read(ctx context.Context, f Filter, p Page) (Events, error) {
	p = r.narrow(ctx, f, p)
	var (
		found Events
		err   error
	)
	switch stream, one := f.oneStream(); {
	case one && stream == "":
	case one && strings.HasPrefix(stream, event.MessageStreams):
		found, err = r.ofStream(ctx, stream, f, p)
	case p.Order == NewestFirst:
		found, err = r.backwards(ctx, f, p)
	default:
		found, err = r.forwards(ctx, f, p)
	}
	if err != nil {
		return Events{}, fmt.Errorf("read the log: %w", err)
	}
	return found, nil
}

// narrow begins the search of a time where the log has it, instead of at the log's end or
// beginning.
func (r *Reader) narrow(ctx context.Context, f Filter, p Page) Page {
	from, bounded := f.From, !f.From.IsZero()
	if p.Order == NewestFirst {
		from, bounded = f.To, !f.To.IsZero()
	}
	if _, one := f.oneStream(); one || !bounded {
		return p
	}
	looking, stop := context.WithTimeout(ctx, narrowPatience)
	defer stop()
	low, high, err := r.past.Around(looking, r.logID, from, skew)
	switch {
	case err != nil: // the search is longer, what it finds the same
	case p.Order == OldestFirst:
		p.After = max(p.After, low)
	case high != event.Last && (p.After == 0 || high < p.After):
		p.After = high
	}
	return p
}

// oneStream is the one stream that all events the filter finds stand in, if it is
// one; "" if the filter contradicts itself.
func (f Filter) oneStream() (string, bool) {
	stream := f.Stream
	if f.MessageID != uuid.Nil {
		own := event.MessageStream(f.MessageID)
		if stream != "" && stream != own {
			return "", true
		}
		stream = own
	}
	if stream != "" && !strings.HasPrefix(stream, f.StreamPrefix) {
		return "", true
	}
	return stream, stream != ""
}

// finds reports whether the filter finds e.
func (f Filter) finds(e event.Recorded) bool {
	stream, one := f.oneStream()
	return (!one || e.Stream == stream) &&
		strings.HasPrefix(e.Stream, f.StreamPrefix) &&
		(len(f.Types) == 0 || slices.Contains(f.Types, e.Type)) &&
		(f.Senders == nil || slices.Contains(f.Senders, e.Meta.Sender)) &&
		(f.CorrelationID == "" || f.CorrelationID == e.Meta.CorrelationID) &&
		(f.ActorID == "" || f.ActorID == e.Meta.By.ID) &&
		!e.Meta.RecordedAt.Before(f.From) &&
		(f.To.IsZero() || e.Meta.RecordedAt.Before(f.To))
}

// ofStream pages over a stream that is short enough to be read as a whole.
func (r *Reader) ofStream(ctx context.Context, stream string, f Filter, p Page) (Events, error) {
	all, err := r.log.Read(ctx, stream, 0, maxStream)
	if err != nil {
		return Events{}, err
	}
	if p.Order == NewestFirst {
		slices.Reverse(all)
	}
	var found Events
	for _, e := range all {
		if p.passed(e.Position) || !f.finds(e) {
			continue
		}
		if found.More = len(found.Events) == p.First; found.More {
			break
		}
		found.add(e)
	}
	return found, nil
}

// passed reports whether a position stands before the page.
func (p Page) passed(at event.Position) bool {
	return p.After > 0 && (at == p.After || (at < p.After) == (p.Order == OldestFirst))
}

func (e *Events) add(r event.Recorded) {
	e.Events, e.After = append(e.Events, r), r.Position
}

// errPage ends a subscription that has seen enough.
var errPage = errors.New("the page is complete")

// forwards pages by a subscription that the store itself filters, as far as it can,
// and that ends with the page.
func (r *Reader) forwards(ctx context.Context, f Filter, p Page) (Events, error) {
	found := Events{After: p.After}
	sub := event.Subscription{After: p.After, Filter: f.ofStore(), MaxBatch: min(p.First+1, block)}
	searching, stop := context.WithTimeout(ctx, patience)
	defer stop()
	err := r.log.Subscribe(searching, sub, func(_ context.Context, b event.Batch) error {
		for _, e := range b.Events {
			if !f.To.IsZero() && e.Meta.RecordedAt.After(f.To.Add(skew)) {
				return errPage
			}
			if !f.finds(e) {
				continue
			}
			if found.More = len(found.Events) == p.First; found.More {
				return errPage
			}
			found.add(e)
		}
		found.After = max(found.After, b.Position)
		if b.Live {
			return errPage
		}
		return nil
	})
	switch {
	case errors.Is(err, errPage):
		return found, nil
	case ctx.Err() == nil && searching.Err() != nil:
		if found.After == p.After {
			return Events{}, event.ErrUnavailable // nothing came at all
		}
		found.More = true
		return found, nil
	default:
		return Events{}, err
	}
}

// ofStore is what the store can filter by: streams or types, not both.
func (f Filter) ofStore() event.Filter {
	stream, one := f.oneStream()
	switch {
	case one:
		return event.Filter{StreamPrefixes: []string{stream}}
	case len(f.Types) > 0:
		return event.Filter{Types: f.Types}
	case f.StreamPrefix != "":
		return event.Filter{StreamPrefixes: []string{f.StreamPrefix}}
	}
	return event.Filter{}
}

// backwards pages over the log's end. The store has no filter for that.
func (r *Reader) backwards(ctx context.Context, f Filter, p Page) (Events, error) {
	found := Events{After: p.After}
	searching, stop := context.WithTimeout(ctx, patience)
	defer stop()
	for {
		events, reached, err := r.log.ReadAllBackwards(searching, found.After, block)
		if err != nil && ctx.Err() == nil && searching.Err() != nil && found.After != p.After {
			found.More = true
			return found, nil
		}
		if err != nil {
			return Events{}, err
		}
		for _, e := range events {
			if !f.From.IsZero() && e.Meta.RecordedAt.Before(f.From.Add(-skew)) {
				return found, nil
			}
			if !f.finds(e) {
				continue
			}
			if found.More = len(found.Events) == p.First; found.More {
				return found, nil
			}
			found.add(e)
		}
		if reached == 0 {
			return found, nil
		}
		found.After = reached
	}
}
