package repository

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain/sender"
)

const (
	// senderReads is the number of sender streams to read concurrently.
	senderReads = 16
	// followAgain is the pause before another request for the end of the log.
	followAgain = time.Second
	// listAgain is how long a list of the known senders is used, and twice as long each time up
	// to maxListAgain. Senders that are new since Run began are noticed immediately, so the list
	// only adds older ones that the read model didn't contain yet.
	listAgain    = time.Second
	maxListAgain = 16 * time.Second
)

// SenderStates keeps all senders in memory, folded from their own streams. Dispatch uses
// it because a pause must take effect even if the read model is behind, or leaves out the
// sender's stream.
type SenderStates struct {
	log   event.Log
	known func(context.Context) ([]string, error)
	after func(time.Duration) <-chan time.Time

	changed func() // see OnChange; nil if no one asked

	following chan struct{} // closed once every later event is noticed
	mu        sync.Mutex
	states    map[string]*senderState
	listDue   <-chan time.Time // when the known senders must be listed again; nil if now
	listPause time.Duration    // how long the last list is used
}

// senderState is a sender before the revision next. seen is what next would be if all
// noticed events were folded.
type senderState struct {
	sender     sender.Sender
	read       bool
	next, seen event.Revision
}

// NewSenderStates returns the states of the senders that known lists, and of every sender
// that changes while Run runs. after is time.After, or a test's.
func NewSenderStates(
	log event.Log, known func(context.Context) ([]string, error), after func(time.Duration) <-chan time.Time,
) *SenderStates {
	return &SenderStates{
		log: log, known: known, after: after, following: make(chan struct{}), states: make(map[string]*senderState),
	}
}

// OnChange calls changed after the event log had something new about senders. It must be called
// before Run. changed must not block.
func (s *SenderStates) OnChange(changed func()) { s.changed = changed }

// Run follows the streams of senders until ctx ends. If the log has become shorter, it reads
// them again. Run it once.
func (s *SenderStates) Run(ctx context.Context) error {
	complete := sync.OnceFunc(func() { close(s.following) })
	for {
		end, err := s.log.End(ctx)
		for err != nil {
			if err := retry.Wait(ctx, s.after, followAgain); err != nil {
				return err
			}
			end, err = s.log.End(ctx)
		}
		complete() // a stream that is read from now on is complete up to end
		err = s.follow(ctx, end)
		var shorter *event.ShorterError
		if !errors.As(err, &shorter) {
			return err
		}
		s.readAgain()
	}
}

func (s *SenderStates) follow(ctx context.Context, end event.Position) error {
	sub := event.Subscription{After: end, Filter: event.Filter{StreamPrefixes: []string{event.SenderStreams}}, Consumer: "senders"}
	return s.log.Subscribe(ctx, sub, func(_ context.Context, b event.Batch) error {
		s.mu.Lock()
		for _, r := range b.Events {
			s.apply(r)
		}
		s.mu.Unlock()
		if len(b.Events) > 0 && s.changed != nil {
			s.changed()
		}
		return nil
	})
}

// readAgain lets the next call of Senders read all streams. Until then, senders stay as they
// were.
func (s *SenderStates) readAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range s.states {
		state.read, state.next, state.seen = false, 0, 0
	}
	s.listDue, s.listPause = nil, 0
}

// apply folds an event, or notes that its stream must be read. The caller must hold s.mu.
func (s *SenderStates) apply(r event.Recorded) {
	id := strings.TrimPrefix(r.Stream, event.SenderStreams)
	state := s.states[id]
	if state == nil {
		state = &senderState{}
		s.states[id] = state
	}
	if state.read && state.next == r.Revision {
		state.sender = state.sender.Apply(sender.Record{Event: r.Event, At: r.Meta.RecordedAt, By: r.Meta.Actor()})
		state.next++
	}
	state.seen = max(state.seen, r.Revision+1)
}

// Senders returns the registered senders by ID. It reads the streams of senders that are
// new or missed an event. If it cannot read some streams, it returns these senders as they
// were, all the others, and an error.
func (s *SenderStates) Senders(ctx context.Context) ([]sender.Sender, error) {
	select {
	case <-s.following:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the log: %w", ctx.Err())
	}
	ids, listed := s.list(ctx)
	read := s.readAll(ctx, s.unread(ids))
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]sender.Sender, 0, len(s.states))
	for _, id := range slices.Sorted(maps.Keys(s.states)) {
		if state := s.states[id]; state.sender.Registered() {
			all = append(all, state.sender)
		}
	}
	return all, errors.Join(listed, read)
}

// list returns the known senders, or nothing if they were listed within listAgain.
func (s *SenderStates) list(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	due := s.listDue
	s.mu.Unlock()
	if due != nil {
		select {
		case <-due:
		default:
			return nil, nil
		}
	}
	ids, err := s.known(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listDue = nil; err == nil {
		s.listPause = min(max(2*s.listPause, listAgain), maxListAgain)
		s.listDue = s.after(s.listPause)
	}
	return ids, err
}

// unread returns the senders whose streams must be read, including new ones among ids.
func (s *SenderStates) unread(ids []string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.states[id] == nil {
			s.states[id] = &senderState{}
		}
	}
	var unread []string
	for id, state := range s.states {
		if !state.read || state.next < state.seen {
			unread = append(unread, id)
		}
	}
	return unread
}

// readAll reads the streams. A stream that cannot be read doesn't delay the others.
func (s *SenderStates) readAll(ctx context.Context, ids []string) error {
	failed := make([]error, len(ids))
	var group errgroup.Group
	group.SetLimit(senderReads)
	for i, id := range ids {
		group.Go(func() error {
			failed[i] = s.readOne(ctx, id)
			return nil
		})
	}
	return errors.Join(group.Wait(), errors.Join(failed...))
}

func (s *SenderStates) readOne(ctx context.Context, id string) error {
	events, err := readStream(ctx, s.log, event.SenderStream(id))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.states[id]
	if next := revisionAfter(events); !state.read || next > state.next {
		state.sender, state.read, state.next = sender.Fold(senderRecords(events)), true, next
	}
	return nil
}
