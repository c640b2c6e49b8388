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

// MaxPage is the maximum number of events of a page.
const MaxPage = 1000

const (
	// block is the number of events to read from the log at a time.
	block = 1000
	// patience bounds the search for a page. The events found by then are the page, and the
	// next page continues after the searched part.
	patience = 5 * time.Second
	// narrowPatience bounds the lookup of where to start.
	narrowPatience = time.Second
	// skew is the maximum deviation of recording times from the order of the log, because
	// processes append concurrently, each by its own clock.
	skew = time.Minute
	// maxStream is the maximum number of events to read of one message. A message has about
	// ten; its retry budget keeps it below a few hundred.
	maxStream = 10_000
)

// Log is the event store as the audit needs it.
type Log interface {
	event.Log
	// ReadAllBackwards returns at most limit events of the global order before a position,
	// newest first, and the position that it reached. A position of 0 is the end of the log
	// as an argument, and its start as a result.
	ReadAllBackwards(ctx context.Context, before event.Position, limit int) ([]event.Recorded, event.Position, error)
}

// Filter selects events. All conditions that are set must hold.
type Filter struct {
	// Stream and StreamPrefix match the stream's name.
	Stream, StreamPrefix string
	// Types are the names of event types.
	Types []string
	// MessageID selects the stream of a message.
	MessageID uuid.UUID
	// Senders are sender IDs. If nil, events of all senders match.
	Senders []string
	// CorrelationID is the message that an event belongs to. ActorID is who caused it.
	CorrelationID, ActorID string
	// From and To bound the time of recording. From is inclusive, To is exclusive.
	From, To time.Time
}

// Order is the order of a page.
type Order int

// The orders.
const (
	OldestFirst Order = iota
	NewestFirst
)

// Page selects at most First events after the position After in the order. If After is 0,
// the page starts at the beginning.
type Page struct {
	Order Order
	First int
	After event.Position
}

// Events is a page of events.
type Events struct {
	Events []event.Recorded
	// More reports whether there can be further events. The next page starts after After. A
	// page can have fewer events than requested and still have More, because the search is
	// bounded in time.
	More  bool
	After event.Position
}

// Reader reads the event log.
type Reader struct {
	log   Log
	logID string
	past  HistoryReader
}

// NewReader returns a Reader of a log. While past is unavailable, the Reader searches more
// of the log.
func NewReader(log Log, logID uuid.UUID, past HistoryReader) *Reader {
	return &Reader{log, logID.String(), past}
}

// Read returns a page.
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

// narrow moves the start of a search in time from the log's end or beginning to the
// matching part of the log.
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
	low, high, err := r.past.PositionsAround(looking, r.logID, from, skew)
	switch {
	case err != nil: // the search takes longer but finds the same
	case p.Order == OldestFirst:
		p.After = max(p.After, low)
	case high != event.MaxPosition && (p.After == 0 || high < p.After):
		p.After = high
	}
	return p
}

// oneStream returns the only stream that can have matching events, if there is one. It
// returns "" if the filter contradicts itself.
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

// finds reports whether e matches the filter.
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

// ofStream returns a page of a stream that is short enough to read as a whole.
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

// passed reports whether a position is before the page.
func (p Page) passed(at event.Position) bool {
	return p.After > 0 && (at == p.After || (at < p.After) == (p.Order == OldestFirst))
}

func (e *Events) add(r event.Recorded) {
	e.Events, e.After = append(e.Events, r), r.Position
}

// errPage ends a subscription that has delivered enough.
var errPage = errors.New("the page is complete")

// forwards returns a page in the order of the log. It subscribes with a filter of the
// store, as far as the store supports it, and ends with the page.
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
			return Events{}, event.ErrUnavailable // nothing was delivered at all
		}
		found.More = true
		return found, nil
	default:
		return Events{}, err
	}
}

// ofStore returns what the store can filter by: streams or types, not both.
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

// backwards returns a page from the end of the log. The store has no filter for that.
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
