package repository

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/campaign"
	"github.com/waypost/waypost/domain/message"
)

// campaignsAgain is the pause before the stream of paused campaigns is read again.
const campaignsAgain = time.Second

// labelsAgain returns the schedule by which the stream is read again while the label of a pause
// can't be read.
func labelsAgain() retry.Backoff {
	return retry.Backoff{First: 100 * time.Millisecond, Max: 30 * time.Second}
}

// Campaigns loads and changes which campaigns are paused. It keeps them in memory and follows the
// log, so that dispatch reads nothing for a message.
type Campaigns struct {
	log    event.Log
	clock  event.Clock
	ids    event.IDs
	logger *slog.Logger
	// index returns what identifies a label in the work list.
	index func(message.Label) string
	// unread has a value after a pause was learned whose label can't be read.
	unread chan struct{}

	mu      sync.RWMutex
	changed func() // of Run, nil before it
	// state is what is known of the stream. While live is set, the log is followed, and state has
	// all events up to the last one received.
	state storedCampaigns
	live  bool
	// indexes identify the paused labels in the work list. If allWait is set, the label of a pause
	// can't be read.
	indexes map[string]bool
	allWait bool
}

// storedCampaigns are the paused campaigns before the revision next of their stream.
type storedCampaigns struct {
	pauses campaign.Pauses
	next   event.Revision
}

// with returns the state after events of the stream. Those that it already has change nothing.
func (s storedCampaigns) with(events []event.Recorded) storedCampaigns {
	for _, e := range events {
		if e.Revision >= s.next {
			s.pauses = s.pauses.Apply(campaign.Record{Event: e.Event, At: e.Meta.RecordedAt, By: e.Meta.Actor()})
			s.next = e.Revision + 1
		}
	}
	return s
}

// NewCampaigns returns a repository. Until Run has read the stream, messages with labels wait.
// index returns what identifies a label in the work list.
func NewCampaigns(log event.Log, clock event.Clock, ids event.IDs, index func(message.Label) string, logger *slog.Logger) *Campaigns {
	return &Campaigns{log: log, clock: clock, ids: ids, index: index, logger: logger, unread: make(chan struct{}, 1)}
}

// Run follows the log until ctx ends, so that what other processes record is known. If that fails,
// it reads the stream again. It calls changed when the paused campaigns have changed, and at first
// when they are known. changed must not block.
func (c *Campaigns) Run(ctx context.Context, changed func()) error {
	c.mu.Lock()
	c.changed = changed
	c.mu.Unlock()
	for {
		err := c.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.forget()
		c.logger.WarnContext(ctx, "failed to follow the paused campaigns; messages with labels wait", "error", err)
		if err := retry.Sleep(ctx, campaignsAgain); err != nil {
			return err
		}
	}
}

// follow reads the stream as of the end of the log, and follows the log from there.
func (c *Campaigns) follow(ctx context.Context) error {
	end, err := c.log.End(ctx)
	if err != nil {
		return err
	}
	state, err := c.read(ctx, c.known())
	if err != nil {
		return err
	}
	c.learn(state, true)
	ctx, stop := context.WithCancel(ctx)
	var labels sync.WaitGroup
	defer labels.Wait()
	defer stop()
	labels.Go(func() { c.readLabels(ctx) })
	// With its personal data, a pause would be received only when its data key is available.
	sub := event.Subscription{
		After: end, Filter: event.Filter{StreamPrefixes: []string{event.CampaignsStream}}, Sealed: true, Consumer: "paused campaigns",
	}
	return c.log.Subscribe(ctx, sub, func(ctx context.Context, b event.Batch) error {
		if len(b.Events) == 0 {
			return nil
		}
		state, err := c.read(ctx, c.known())
		if err != nil {
			state = c.known().with(b.Events) // everything except the labels, which readLabels reads
		}
		c.learn(state, true)
		return nil
	})
}

// readLabels reads the stream again while the label of a pause can't be read, until ctx ends.
func (c *Campaigns) readLabels(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.unread:
		}
		again := labelsAgain()
		for len(c.known().pauses.Unreadable()) > 0 {
			if again.Sleep(ctx) != nil {
				return
			}
			state, err := c.read(ctx, c.known())
			if err == nil {
				c.learn(state, false)
			}
			if unread := c.known().pauses.Unreadable(); len(unread) > 0 && ctx.Err() == nil {
				c.logger.WarnContext(ctx, "labels of paused campaigns cannot be read; messages with labels wait", "pauses", unread, "error", err)
			}
		}
	}
}

// forget drops what is known. Until the stream was read again, messages with labels wait.
func (c *Campaigns) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.live, c.indexes, c.allWait = storedCampaigns{}, false, nil, false
}

func (c *Campaigns) known() storedCampaigns {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.state
}

// learn replaces what is known, unless that is newer. live is set if the log is followed from there.
func (c *Campaigns) learn(state storedCampaigns, live bool) {
	indexes := make(map[string]bool, len(state.pauses))
	for _, p := range state.pauses {
		if p.HasLabel() {
			indexes[c.index(p.Label)] = true
		}
	}
	c.mu.Lock()
	news := live && !c.live
	c.live = c.live || live
	if state.next >= c.state.next {
		news = news || !slices.Equal(state.pauses, c.state.pauses)
		c.state, c.indexes, c.allWait = state, indexes, len(state.pauses.Unreadable()) > 0
	}
	changed, allWait := c.changed, c.allWait
	c.mu.Unlock()
	if allWait {
		select {
		case c.unread <- struct{}{}:
		default:
		}
	}
	if news && changed != nil {
		changed()
	}
}

// read returns the state after the events of the stream that follow it. Labels that couldn't be read
// before are read again.
func (c *Campaigns) read(ctx context.Context, state storedCampaigns) (storedCampaigns, error) {
	if len(state.pauses.Unreadable()) > 0 {
		state = storedCampaigns{}
	}
	for {
		page, err := c.log.Read(ctx, event.CampaignsStream, state.next, maxHistory)
		if err != nil {
			return storedCampaigns{}, fmt.Errorf("load the paused campaigns: %w", err)
		}
		state = state.with(page)
		if len(page) < maxHistory {
			return state, nil
		}
	}
}

// Pause pauses the messages with a label, and returns the pause.
func (c *Campaigns) Pause(ctx context.Context, l message.Label, reason string, cause event.Cause) (campaign.Pause, error) {
	pauses, err := c.change(ctx, cause, func(have campaign.Pauses) ([]domain.Event, error) {
		return campaign.Start(have, c.ids(), l, reason)
	})
	p, _ := pauses.Of(l)
	return p, err
}

// Resume resumes the messages with a label. It returns the pause that it ended, or false if the
// label was not paused.
func (c *Campaigns) Resume(ctx context.Context, l message.Label, cause event.Cause) (ended campaign.Pause, paused bool, err error) {
	_, err = c.change(ctx, cause, func(have campaign.Pauses) ([]domain.Event, error) {
		ended, paused = have.Of(l)
		return campaign.End(have, l)
	})
	return ended, paused && err == nil, err
}

// ResumePause resumes the messages of a pause, whether or not its label can be read. It returns the
// pause, or false if it had already ended.
func (c *Campaigns) ResumePause(ctx context.Context, id uuid.UUID, cause event.Cause) (ended campaign.Pause, paused bool, err error) {
	_, err = c.change(ctx, cause, func(have campaign.Pauses) ([]domain.Event, error) {
		ended, paused = have.ByID(id)
		return campaign.EndPause(have, id), nil
	})
	return ended, paused && err == nil, err
}

func (c *Campaigns) change(
	ctx context.Context, cause event.Cause, decide func(campaign.Pauses) ([]domain.Event, error),
) (campaign.Pauses, error) {
	changed, err := Execute(ctx, Stream[storedCampaigns, domain.Event]{
		Name: "the paused campaigns",
		Load: func(ctx context.Context) (storedCampaigns, error) { return c.read(ctx, c.known()) },
		Append: func(ctx context.Context, state *storedCampaigns, events []domain.Event) error {
			expected := event.NoStream()
			if state.next > 0 {
				expected = event.ExactRevision(state.next - 1)
			}
			meta := cause.Meta(c.clock())
			proposed := event.Propose(c.ids, meta, events...)
			for i := range proposed {
				proposed[i].Subject.Kept = true // a paused campaign must not be sent because the retention period ended
			}
			done, err := c.log.Append(ctx, event.CampaignsStream, expected, proposed...)
			if err != nil {
				return fmt.Errorf("append to the paused campaigns: %w", err)
			}
			for _, e := range events {
				state.pauses = state.pauses.Apply(campaign.Record{Event: e, At: meta.RecordedAt, By: meta.Actor()})
			}
			state.next = done.Revision + 1
			c.learn(*state, false)
			return nil
		},
	}, func(state storedCampaigns) ([]domain.Event, error) { return decide(state.pauses) })
	return changed.pauses, err
}

// List returns the pauses as their stream has them, by age.
func (c *Campaigns) List(ctx context.Context) (campaign.Pauses, error) {
	state, err := c.read(ctx, c.known())
	return slices.Clone(state.pauses), err
}

// Of returns the known pauses that hold messages with these labels, by age.
func (c *Campaigns) Of(labels []message.Label) []campaign.Pause {
	var found []campaign.Pause
	for _, p := range c.known().pauses {
		if p.Holds(labels) {
			found = append(found, p)
		}
	}
	return found
}

// Waits reports whether messages with these labels wait, because one of them is paused, or because
// it is not known whether one is.
func (c *Campaigns) Waits(labels []message.Label) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(labels) > 0 && (!c.live || slices.ContainsFunc(c.state.pauses, func(p campaign.Pause) bool { return p.Holds(labels) }))
}

// Indexes returns what identifies labels in the work list.
func (c *Campaigns) Indexes(labels []message.Label) []string {
	indexes := make([]string, len(labels))
	for i, l := range labels {
		indexes[i] = c.index(l)
	}
	return indexes
}

// WaitsAt is Waits for one label, which is given as the work list identifies it.
func (c *Campaigns) WaitsAt(index string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return !c.live || c.allWait || c.indexes[index]
}
