package eventstored

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// A group stores its state in the log: its checkpoint and its parked messages are
// streams.

const (
	typeCheckpoint = "$SubscriptionCheckpoint"
	typeMetadata   = "$metadata"
)

type checkpointData struct {
	ResumeAt uint64 `json:"resumeAt"`
}

// load finds the place where the group resumes, once.
func (g *group) load(ctx context.Context) error {
	g.mu.Lock()
	loaded := g.loaded
	g.mu.Unlock()
	if loaded {
		return nil
	}
	data, ok, err := newestData(ctx, g.store, g.settings.checkpointStream())
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = g.settings.StartAt
	if ok {
		var c checkpointData
		if err := json.Unmarshal(data, &c); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		g.next, g.checkpoint, g.hasCheckpoint = c.ResumeAt, c.ResumeAt, true
	}
	g.loaded, g.checkpointAt = true, time.Now()
	return nil
}

// newestData returns the data of a stream's last event.
func newestData(ctx context.Context, st *store.Store, stream string) ([]byte, bool, error) {
	view, err := st.Stream(ctx, stream)
	if err != nil || view.State() != store.StreamReadable {
		return nil, false, err
	}
	records, _, _, err := view.ReadBackwards(math.MaxInt64, 1)
	if err != nil || len(records) == 0 {
		return nil, false, err
	}
	v, err := records[0].View()
	return v.Data, err == nil, err
}

func (g *group) writeCheckpoint(ctx context.Context) error {
	g.mu.Lock()
	at, counted := g.firstUndone(), g.sinceCheckpoint
	g.mu.Unlock()
	data, err := json.Marshal(checkpointData{ResumeAt: at})
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	e := store.Event{ID: uuid.New(), Type: typeCheckpoint, JSON: true, Data: data}
	if _, err := g.store.Append(ctx, g.settings.checkpointStream(), store.Any, []store.Event{e}); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.checkpoint, g.hasCheckpoint, g.checkpointAt = at, true, time.Now()
	g.sinceCheckpoint -= counted
	return nil
}

// read fetches more messages when few are left, and reports whether it made progress.
func (g *group) read(ctx context.Context) (bool, error) {
	g.mu.Lock()
	from, batch := g.next, g.settings.readBatch()
	enough := len(g.waiting)+len(g.again)+len(g.toPark)+g.inFlight >= min(max(int(g.settings.HistoryBufferSize), batch), maxGroupBuffer) ||
		len(g.waiting) >= batch || len(g.consumers) == 0
	g.mu.Unlock()
	if enough {
		return false, nil
	}
	records, next, err := g.readSource(ctx, from, uint64(batch))
	if err != nil || next == from {
		return false, err
	}
	messages := make([]*message, 0, len(records))
	for _, r := range records {
		v, err := r.View()
		if err != nil {
			return false, err
		}
		if ok, err := g.filter.matches(r); err != nil {
			return false, err
		} else if !ok {
			continue
		}
		messages = append(messages, newMessage(r, &v, g.settings.place(&v)))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, messages...)
	g.next = next
	return true, nil
}

func newMessage(r store.Record, v *store.RecordView, place uint64) *message {
	return &message{record: r, id: v.ID, stream: string(v.Stream), revision: v.Revision, place: place}
}

// readSource returns records from a place on, and the place to continue from.
func (g *group) readSource(ctx context.Context, from, limit uint64) ([]store.Record, uint64, error) {
	if g.settings.all() {
		records, _, err := g.store.ReadAll(from, limit)
		if err != nil || len(records) == 0 {
			return nil, from, err
		}
		next := records[len(records)-1].Position + 1
		visible, err := visibleInAll(records)
		return visible, next, err
	}
	view, err := g.store.Stream(ctx, g.settings.Stream)
	if err != nil {
		return nil, from, err
	}
	if g.live {
		view = view.Live()
	}
	end := uint64(view.Last() + 1)
	if view.State() != store.StreamReadable || from >= end {
		g.live = true
		return nil, max(from, end), nil
	}
	records, revision, _, err := view.Read(int64(from), limit)
	next := min(uint64(revision), end) // the first readable one may not exist yet
	g.live = g.live || next == end
	return records, next, err
}

// parkedMetadata contains the reason why a message was parked.
type parkedMetadata struct {
	Added  time.Time `json:"added"`
	Reason string    `json:"reason"`
}

// park writes links to the messages that will not be retried.
func (g *group) park(ctx context.Context) error {
	for {
		g.mu.Lock()
		if len(g.toPark) == 0 {
			g.mu.Unlock()
			return nil
		}
		m := g.toPark[0]
		g.mu.Unlock()
		metadata, err := json.Marshal(parkedMetadata{Added: g.now().UTC(), Reason: m.reason})
		if err != nil {
			return fmt.Errorf("park: %w", err)
		}
		e := store.Event{
			ID: uuid.New(), Type: typeLink, Data: fmt.Appendf(nil, "%d@%s", m.revision, m.stream), Metadata: metadata,
		}
		if _, err := g.store.Append(ctx, g.settings.parkedStream(), store.Any, []store.Event{e}); err != nil {
			return fmt.Errorf("park: %w", err)
		}
		g.mu.Lock()
		g.toPark = g.toPark[1:]
		g.done(m)
		g.mu.Unlock()
	}
}

// parked returns the revision of the first parked message and the revision after the
// last one.
func (g *group) parked(ctx context.Context) (first, end int64, err error) {
	view, err := g.store.Stream(ctx, g.settings.parkedStream())
	if err != nil || view.State() != store.StreamReadable {
		return 0, 0, err
	}
	return view.First(), view.Last() + 1, nil
}

// replayParked makes the group send parked messages again: the first limit messages, or
// all.
func (g *group) replayParked(ctx context.Context, limit int64) error {
	first, end, err := g.parked(ctx)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replayNext = max(g.replayNext, first)
	if limit > 0 {
		end = min(end, g.replayNext+limit)
	}
	g.replayEnd = max(g.replayEnd, end)
	signal(g.wake)
	return nil
}

// replay moves a batch of parked messages back to the waiting ones.
func (g *group) replay(ctx context.Context) error {
	g.mu.Lock()
	next, end := g.replayNext, g.replayEnd
	enough := len(g.again) >= g.settings.readBatch()
	g.mu.Unlock()
	if next >= end || enough {
		return nil
	}
	view, err := g.store.Stream(ctx, g.settings.parkedStream())
	if err != nil || view.State() != store.StreamReadable {
		return err
	}
	links, after, _, err := view.Read(next, min(uint64(end-next), uint64(g.settings.readBatch())))
	if err != nil {
		return err
	}
	var messages []*message
	for _, link := range links {
		v, err := link.View()
		if err != nil {
			return err
		}
		target, state, err := readLinked(ctx, g.store, v.Data)
		if err != nil {
			return err
		}
		if state != linkFound {
			continue // the event was deleted
		}
		tv, err := target.View()
		if err != nil {
			return err
		}
		m := newMessage(target, &tv, g.settings.place(&tv))
		m.link, m.id = link, v.ID
		messages = append(messages, m)
	}
	data := fmt.Appendf(nil, `{"$tb":%d}`, after)
	e := store.Event{ID: uuid.New(), Type: typeMetadata, JSON: true, Data: data}
	if _, err := g.store.Append(ctx, store.MetadataStream(g.settings.parkedStream()), store.Any, []store.Event{e}); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.again = append(g.again, messages...)
	g.replayNext = after
	signal(g.wake)
	return nil
}

// deleteStreams removes the group's streams.
func (g *group) deleteStreams(ctx context.Context) error {
	var errs []error
	for _, stream := range []string{g.settings.checkpointStream(), g.settings.parkedStream()} {
		_, err := g.store.Delete(ctx, stream, store.Any)
		var never *store.WrongRevisionError
		if err != nil && !errors.As(err, &never) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
