package eventstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/sender"
)

// rolledBack is a store that can be put back to an earlier state, as restoring only its backup would.
type rolledBack struct {
	*store
	backup string
	openIn opener
}

func startRollback(t *testing.T, open opener) *rolledBack {
	t.Helper()
	return &rolledBack{
		store:  startStore(t, func(o *eventstored.Options) { o.Dir = filepath.Join(t.TempDir(), "data") }),
		backup: filepath.Join(t.TempDir(), "backup"),
		openIn: open,
	}
}

func (s *rolledBack) save() {
	s.t.Helper()
	if err := s.s.Backup(s.backup); err != nil {
		s.t.Fatal(err)
	}
}

func (s *rolledBack) rollBack() {
	s.t.Helper()
	s.stop()
	if err := os.RemoveAll(s.opts.Dir); err != nil {
		s.t.Fatal(err)
	}
	if err := os.CopyFS(s.opts.Dir, os.DirFS(s.backup)); err != nil {
		s.t.Fatal(err)
	}
	s.start()
}

// open opens the log as Waypost does.
func (s *rolledBack) open(ctx context.Context) *eventstore.Log {
	s.t.Helper()
	log := s.openIn(s.t, s.store)
	if _, err := log.EnsureOpened(ctx, time.Now()); err != nil {
		s.t.Fatal(err)
	}
	return log
}

func appendOne(ctx context.Context, t *testing.T, log *eventstore.Log, stream string) event.Position {
	t.Helper()
	done, err := log.Append(ctx, stream, event.Any(), count(1))
	if err != nil {
		t.Fatal(err)
	}
	return done.Position
}

func doubts(ctx context.Context, t *testing.T, log *eventstore.Log) int {
	t.Helper()
	found, err := log.ReadBackwards(ctx, event.LogEndStream, 100)
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func isShorter(err error) *event.ShorterError {
	var shorter *event.ShorterError
	errors.As(err, &shorter)
	return shorter
}

// A consumer whose position is beyond the end of a rolled-back log gets an error, in this process and in every later
// one, even when the log has grown past the position.
func TestConsumerBeyondTheEndIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		s := startRollback(t, open)
		log := s.open(ctx)
		end := appendOne(ctx, t, log, "kept")
		s.save()
		var position event.Position
		for range 5 {
			position = appendOne(ctx, t, log, "lost")
		}
		s.rollBack()

		log = s.open(ctx)
		nothing := func(context.Context, event.Batch) error {
			t.Error("a consumer beyond the end receives something")
			return nil
		}
		check := func(log *eventstore.Log) {
			t.Helper()
			shorter := isShorter(log.Subscribe(ctx, event.Subscription{After: position, Consumer: "projection views"}, nothing))
			if shorter == nil || shorter.Consumer != "projection views" || shorter.Position != position || shorter.End != end {
				t.Fatalf("got %+v, want position %d beyond the end %d", shorter, position, end)
			}
			if isShorter(log.Shorter()) == nil {
				t.Error("the log is trusted")
			}
		}
		if err := log.FoundShorter(ctx); err != nil || log.Shorter() != nil {
			t.Errorf("before the first check: %v, %v", err, log.Shorter())
		}
		check(log)
		check(log)
		if n := doubts(ctx, t, log); n != 1 {
			t.Errorf("it is recorded %d times", n)
		}
		for at := event.Position(0); at <= position; { // it grows past the position
			at = appendOne(ctx, t, log, "new")
		}
		check(log)

		later := s.open(ctx)
		if shorter := isShorter(later.FoundShorter(ctx)); shorter == nil || shorter.Position != position || shorter.End != end {
			t.Fatalf("a later process finds %+v", shorter)
		}
		check(later)
		loss := event.LogShortened{End: end, Consumers: []event.ShortenedConsumer{{Name: "projection views", Position: position, NewPosition: end}}}
		if _, err := later.AcceptShorter(ctx, loss, event.Meta{RecordedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := s.open(ctx).FoundShorter(ctx); err != nil {
			t.Errorf("once it is accepted: %v", err)
		}
	})
}

// EventStoreDB also reports positions after its last event, where the next one will be. Those are valid.
func TestPositionOfTheNextEventIsSound(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := startRollback(t, open).open(ctx)
		end := appendOne(ctx, t, log, "s")
		for _, position := range []event.Position{0, 1, end, end + 1, end + 60} {
			if err := log.Reaches(ctx, "someone", position); err != nil {
				t.Errorf("position %d, with the last event at %d: %v", position, end, err)
			}
		}
		if log.Shorter() != nil || log.FoundShorter(ctx) != nil {
			t.Errorf("the log is reported as shorter: %v", log.Shorter())
		}
		// A position that a caller passes proves nothing.
		far, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		before := doubts(ctx, t, log)
		if err := log.Subscribe(far, event.Subscription{After: end + 1e9}, func(context.Context, event.Batch) error { return nil }); isShorter(err) != nil {
			t.Errorf("a caller's cursor: %v", err)
		}
		if n := doubts(ctx, t, log); n != before || log.Shorter() != nil {
			t.Errorf("a caller's cursor is recorded as a doubt: %d, %v", n-before, log.Shorter())
		}
	})
}

// When a log is rolled back during subscriptions, a subscription with a stored position ends, and one without starts
// again, so that no event of the current log is skipped.
func TestSubscriptionsOfALogThatIsRolledBack(t *testing.T) {
	ctx := testContext(t)
	s := startRollback(t, func(t testing.TB, st *store, change ...func(*options)) *eventstore.Log {
		t.Helper()
		return openLog(t, st.url(), change...)
	})
	log := s.open(ctx)
	first := appendOne(ctx, t, log, "kept")
	s.save()
	for range 5 {
		appendOne(ctx, t, log, "lost")
	}
	type seen struct {
		streams []string
		err     error
	}
	follow := func(sub event.Subscription, until string) (ready chan struct{}, result chan seen) {
		ready, result = make(chan struct{}), make(chan seen, 1)
		go func() {
			var all []string
			waiting := ready
			err := log.Subscribe(ctx, sub, func(_ context.Context, b event.Batch) error {
				for _, e := range b.Events {
					all = append(all, e.Stream)
				}
				if b.Live && waiting != nil {
					close(waiting)
					waiting = nil
				}
				if len(all) > 0 && all[len(all)-1] == until {
					return errEnoughSeen
				}
				return nil
			})
			result <- seen{all, err}
		}()
		return ready, result
	}
	filter := event.Filter{Types: []string{counted{}.EventType()}}
	keptReady, kept := follow(event.Subscription{After: first, Filter: filter, Consumer: "egress broker"}, "new")
	restartedReady, restarted := follow(event.Subscription{Filter: filter}, "new")
	fromEndReady, fromEnd := follow(event.Subscription{FromEnd: true, Filter: filter}, "new")
	for _, ready := range []chan struct{}{keptReady, restartedReady, fromEndReady} {
		<-ready
	}
	s.rollBack()

	if got := <-kept; isShorter(got.err) == nil {
		t.Errorf("with a kept position: %+v", got)
	}
	appendOne(ctx, t, log, "new")
	got := <-restarted
	if !errors.Is(got.err, errEnoughSeen) || len(got.streams) != 8 || got.streams[6] != "kept" {
		t.Errorf("from the start: %+v; want the kept one, five lost ones, and both again from the start", got)
	}
	if got := <-fromEnd; !errors.Is(got.err, errEnoughSeen) || len(got.streams) != 1 {
		t.Errorf("from the end: %+v; want the new one", got)
	}
}

// A consumer whose filter matches nothing notices that the log was rolled back, although
// the last event that it has received is still there. Otherwise it would miss everything up
// to its position.
func TestQuietConsumerOfALogThatIsRolledBack(t *testing.T) {
	ctx := testContext(t)
	s := startRollback(t, func(t testing.TB, st *store, change ...func(*options)) *eventstore.Log {
		t.Helper()
		return openLog(t, st.url(), change...)
	})
	log := s.open(ctx)
	kept := appendOne(ctx, t, log, "kept")
	s.save()
	var last atomic.Uint64 // the position to reach, once it is known
	live, beyond, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		isLive, isBeyond := sync.OnceFunc(func() { close(live) }), sync.OnceFunc(func() { close(beyond) })
		sub := event.Subscription{After: kept, Filter: event.Filter{StreamPrefixes: []string{"nothing-"}}, Consumer: "egress alerts"}
		ended <- log.Subscribe(ctx, sub, func(_ context.Context, b event.Batch) error {
			if b.Live {
				isLive()
			}
			if reached := last.Load(); reached > 0 && uint64(b.Position) >= reached {
				isBeyond()
			}
			return nil
		})
	}()
	<-live
	var lost event.Position
	for range 20 { // more than what the log gains when the loss is noticed
		lost = appendOne(ctx, t, log, "lost")
	}
	last.Store(uint64(lost))
	appendOne(ctx, t, log, "lost") // so that a position after that is reported
	<-beyond
	s.rollBack()
	if err := <-ended; isShorter(err) == nil {
		t.Errorf("the subscription ended with %v", err)
	}
}

// Dispatch continues to know the senders of a log that was rolled back, also if nothing was recorded
// between the start and the roll-back.
func TestSenderStatesOfALogThatIsRolledBack(t *testing.T) {
	for name, quiet := range map[string]bool{"with events since the start": false, "without events since the start": true} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			s := startRollback(t, func(t testing.TB, st *store, change ...func(*options)) *eventstore.Log {
				t.Helper()
				return openLog(t, st.url(), change...)
			})
			log := s.open(ctx)
			appendOne(ctx, t, log, "kept")
			s.save()
			for range 20 {
				appendOne(ctx, t, log, "lost")
			}
			if quiet {
				registerSender(ctx, t, log, "acme")
			}
			known := func(context.Context) ([]string, error) { return []string{"acme", "other"}, nil }
			states := repository.NewSenderStates(log, known, time.After)
			running, stop := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- states.Run(running) }()
			has := func(want ...string) func() bool {
				return func() bool {
					all, err := states.Senders(ctx)
					var ids []string
					for _, one := range all {
						ids = append(ids, one.PhoneNumberID)
					}
					return err == nil && slices.Equal(ids, want)
				}
			}
			if !quiet {
				polltest.Until(t, "it is known that there are no senders", has())
				registerSender(ctx, t, log, "acme")
			}
			polltest.Until(t, "the sender is known", has("acme"))
			s.rollBack()
			registerSender(ctx, t, log, "other")
			polltest.Until(t, "only the sender of the shorter log is known", has("other"))
			stop()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("following ended with %v", err)
			}
		})
	}
}

func registerSender(ctx context.Context, t *testing.T, log *eventstore.Log, id string) {
	t.Helper()
	if _, err := log.Append(ctx, event.SenderStream(id), event.NoStream(), event.Proposed{
		ID: uuid.New(), Event: sender.SenderRegistered{Sender: id, PhoneNumberID: id, MessagesPerSecond: 80},
		Meta: event.Meta{RecordedAt: time.Now(), By: domain.Platform("test")},
	}); err != nil {
		t.Fatal(err)
	}
}

var errEnoughSeen = errors.New("enough was seen")
