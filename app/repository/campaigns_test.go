package repository_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/campaign"
	"github.com/waypost/waypost/domain/message"
)

var (
	spring = message.Label{Name: "campaign", Value: "spring"}
	autumn = message.Label{Name: "campaign", Value: "autumn"}
	north  = message.Label{Name: "region", Value: "north"}
	tester = event.Cause{By: domain.Actor{Kind: domain.ActorKey, ID: "tester"}}
)

// pausesLog is the stream of paused campaigns, in memory.
type pausesLog struct {
	event.Log

	mu     sync.Mutex
	events []event.Recorded
	locked map[event.Revision]bool // personal data that can't be read
	away   bool                    // reads fail
	slow   time.Duration           // of a read, after it has its events
	added  chan struct{}           // closed at the next event
}

func newPausesLog() *pausesLog {
	return &pausesLog{locked: map[event.Revision]bool{}, added: make(chan struct{})}
}

func (l *pausesLog) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// read returns the events after a position, in the order of the log.
func (l *pausesLog) read(after int, sealed bool) ([]event.Recorded, chan struct{}) {
	found := slices.Clone(l.events[min(after, len(l.events)):])
	for i, e := range found {
		if paused, ok := e.Event.(campaign.CampaignPaused); ok && (sealed || l.locked[e.Revision]) {
			paused.Personal = campaign.PausedPersonal{}
			found[i].Event, found[i].Personal = paused, event.Locked
		}
	}
	return found, l.added
}

func (l *pausesLog) Read(ctx context.Context, _ string, from event.Revision, _ int) ([]event.Recorded, error) {
	l.mu.Lock()
	found, _ := l.read(int(from), false)
	away, slow := l.away, l.slow
	l.mu.Unlock()
	if away {
		return nil, errors.New("away")
	}
	time.Sleep(slow)
	return found, ctx.Err()
}

func (l *pausesLog) Append(_ context.Context, stream string, expected event.Expected, events ...event.Proposed) (event.Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, exact := expected.Revision(); expected.IsNoStream() && len(l.events) > 0 || exact && int(at) != len(l.events)-1 {
		return event.Appended{}, &event.WrongRevisionError{Stream: stream}
	}
	for _, e := range events {
		if !e.Subject.Kept {
			return event.Appended{}, errors.New("the label does not outlive the retention period")
		}
		l.events = append(l.events, event.Recorded{Stream: stream, Revision: event.Revision(len(l.events)), Event: e.Event, Meta: e.Meta})
	}
	close(l.added)
	l.added = make(chan struct{})
	return event.Appended{Revision: event.Revision(len(l.events) - 1)}, nil
}

func (l *pausesLog) End(context.Context) (event.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return event.Position(len(l.events)), nil
}

func (l *pausesLog) Subscribe(ctx context.Context, sub event.Subscription, handle func(context.Context, event.Batch) error) error {
	for at := int(sub.After); ; {
		l.mu.Lock()
		found, added := l.read(at, sub.Sealed)
		l.mu.Unlock()
		if len(found) > 0 {
			at += len(found)
			if err := handle(ctx, event.Batch{Events: found, Live: true}); err != nil {
				return err
			}
			continue
		}
		select {
		case <-added:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// campaigns returns the paused campaigns as one more process knows them. The process ends with the
// test, or with stop.
func (l *pausesLog) campaigns(t *testing.T, logged *strings.Builder) (c *repository.Campaigns, stop func()) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	if logged != nil {
		logger = slog.New(slog.NewTextHandler(logged, nil))
	}
	c = l.unfollowed(logger)
	ctx, stop := context.WithCancel(t.Context())
	go func() { _ = c.Run(ctx, func() {}) }()
	synctest.Wait()
	return c, stop
}

func (l *pausesLog) unfollowed(logger *slog.Logger) *repository.Campaigns {
	return repository.NewCampaigns(l, time.Now, uuid.New, func(l message.Label) string { return l.Value }, logger)
}

// expectWaits checks which messages wait: those with only the label spring, only autumn, and none.
func expectWaits(t *testing.T, c *repository.Campaigns, when string, ofSpring, ofAutumn bool) {
	t.Helper()
	synctest.Wait()
	for _, l := range []struct {
		of   message.Label
		want bool
	}{{spring, ofSpring}, {autumn, ofAutumn}} {
		if got, at := c.Waits([]message.Label{north, l.of}), c.WaitsAt(l.of.Value); got != l.want || at != l.want {
			t.Errorf("%s, messages of %s wait: %t, and in the work list: %t; want %t", when, l.of.Value, got, at, l.want)
		}
	}
	if c.Waits(nil) {
		t.Errorf("%s, messages without labels wait", when)
	}
}

func mustPause(t *testing.T, c *repository.Campaigns, l message.Label) campaign.Pause {
	t.Helper()
	p, err := c.Pause(t.Context(), l, "wrong prices", tester)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The label of an old pause that has ended doesn't matter. While that of a current one can't be read,
// all messages with labels wait. It can be listed, resumed by its ID, and read again later.
func TestALabelThatCannotBeRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newPausesLog()
		first, _ := log.campaigns(t, nil)
		mustPause(t, first, autumn)
		if _, _, err := first.Resume(t.Context(), autumn, tester); err != nil {
			t.Fatal(err)
		}
		log.set(func() { log.locked[0] = true })
		second, stop := log.campaigns(t, nil)
		expectWaits(t, second, "after an old pause", false, false)
		stop()

		p := mustPause(t, first, spring)
		log.set(func() { log.locked[2] = true })
		var logged strings.Builder
		second, stop = log.campaigns(t, &logged)
		expectWaits(t, second, "without the label", true, true)
		if list, err := second.List(t.Context()); err != nil || len(list) != 1 || list[0].ID != p.ID || list[0].HasLabel() || list[0].Reason != "wrong prices" {
			t.Errorf("listed: %+v and %v", list, err)
		}
		if of := second.Of([]message.Label{autumn}); len(of) != 1 || of[0].ID != p.ID {
			t.Errorf("a message waits for %+v", of)
		}
		if _, _, err := second.Resume(t.Context(), autumn, tester); domain.CodeOf(err) != domain.CodeConflict {
			t.Errorf("resumed by a label that can be another: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := strings.Count(logged.String(), p.ID.String()); n < 3 || n > 12 {
			t.Errorf("logged %d times in a minute:\n%s", n, &logged)
		}
		log.set(func() { clear(log.locked) })
		time.Sleep(time.Minute)
		expectWaits(t, second, "with the label again", true, false)
		stop()

		log.set(func() { log.locked[2] = true })
		second, _ = log.campaigns(t, nil)
		mustPause(t, second, autumn)
		ended, paused, err := second.ResumePause(t.Context(), p.ID, tester)
		if err != nil || !paused || ended.ID != p.ID {
			t.Errorf("resumed by its ID: %+v, %t, %v", ended, paused, err)
		}
		expectWaits(t, second, "after the resume by ID", false, true)
		expectWaits(t, first, "elsewhere", false, true)
		if _, paused, err := second.ResumePause(t.Context(), p.ID, tester); paused || err != nil {
			t.Errorf("resumed twice: %t, %v", paused, err)
		}
	})
}

// If the stream can't be read when an event arrives, nothing that is known is lost. A new pause then
// holds all messages with labels until its label was read, and the end of a pause is known at once.
func TestAFailedReadLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newPausesLog()
		first, _ := log.campaigns(t, nil)
		second, _ := log.campaigns(t, nil)
		mustPause(t, first, spring)
		expectWaits(t, second, "after a pause", true, false)
		log.set(func() { log.away = true })
		appended := func(e domain.Event) {
			t.Helper()
			_, err := log.Append(t.Context(), event.CampaignsStream, event.Any(), event.Proposed{Event: e, Subject: event.Subject{Kept: true}})
			if err != nil {
				t.Fatal(err)
			}
		}
		appended(campaign.CampaignResumed{Pause: second.Of([]message.Label{spring})[0].ID})
		expectWaits(t, second, "after a resume", false, false)
		appended(campaign.CampaignPaused{Pause: uuid.New(), Reason: "legal", Personal: campaign.PausedPersonal{Label: autumn}})
		expectWaits(t, second, "after another pause", true, true)
		log.set(func() { log.away = false })
		time.Sleep(100 * time.Millisecond)
		expectWaits(t, second, "after the next read", false, true)
	})
}

// A read that began before a pause of this process and ended after it doesn't undo the pause.
func TestANewerPauseIsNotReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newPausesLog()
		log.slow = time.Second
		c := log.unfollowed(slog.New(slog.DiscardHandler))
		go func() {
			_ = c.Run(t.Context(), func() {
				if !c.Waits([]message.Label{spring}) {
					t.Error("for a moment, the campaign was not paused")
				}
			})
		}()
		synctest.Wait() // it reads the empty stream
		log.set(func() { log.slow = 0 })
		mustPause(t, c, spring)
		expectWaits(t, c, "before the first read has ended", true, true)
		time.Sleep(2 * time.Second)
		expectWaits(t, c, "after it", true, false)
	})
}
