package dispatch_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch"
)

// pausedSource counts how often it has returned a paused sender to the dispatcher.
type pausedSource struct {
	*repository.SenderStates

	paused atomic.Int64
}

func (s *pausedSource) Senders(ctx context.Context) ([]sender.Sender, error) {
	all, err := s.SenderStates.Senders(ctx)
	for _, one := range all {
		if one.State() == sender.StatePaused {
			s.paused.Add(1)
		}
	}
	return all, err
}

// recordOnSender appends to a sender's stream an event that an older version accepted.
func (p *platform) recordOnSender(id string, e domain.Event) {
	p.tb.Helper()
	_, err := p.log.Append(p.ctx, event.SenderStream(id), event.Any(), event.Proposed{
		ID: newID(), Event: e, Meta: event.Meta{RecordedAt: time.Now(), Sender: id, By: tester.By},
	})
	p.must(err)
}

// states follows the senders until the test ends.
func (p *platform) states() *repository.SenderStates {
	p.tb.Helper()
	states := repository.NewSenderStates(p.log, postgres.NewReadModel(p.pool).SenderIDs, time.After)
	ctx, stop := context.WithCancel(p.ctx)
	var following sync.WaitGroup
	following.Go(func() {
		if err := states.Run(ctx); err != nil && ctx.Err() == nil {
			p.tb.Errorf("follow senders: %v", err)
		}
	})
	p.tb.Cleanup(func() { stop(); following.Wait() })
	return states
}

// A sender behaves as its stream says while the read models lack the stream.
func TestAParkedSenderIsSentForAndPaused(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	p.recordOnSender("acme", sender.SenderRegistered{Sender: "acme", Name: "x\x00", PhoneNumberID: number, MessagesPerSecond: 200, TokenID: "given"})
	p.tokens.byID["given"] = "token-of-acme"
	p.recordOnSender("acme", sender.SenderPaused{Priorities: sender.Priorities(), Reason: "x\x00"})
	_, err := p.pool.Exec(p.ctx, `INSERT INTO parked_event (projection, stream, revision, position, type, error)
		VALUES ('views', $1, 0, 1, 'SenderRegistered', 'unsupported Unicode escape sequence')`, event.SenderStream("acme"))
	p.must(err)
	waiting := p.queue("acme", 1, nil)
	expiring := func(n int) {
		t.Helper()
		id := p.queue("acme", n, func(q *message.Queued) { q.ExpiresAt = time.Now().Add(200 * time.Millisecond) })
		p.reaches(id, message.StatusExpired)
		p.wantHistory(id, "Queued", "Expired")
	}

	source := &pausedSource{SenderStates: p.states()}
	p.dispatch(func(o *dispatch.Options) { o.Source = source })
	expiring(2)
	p.wantHistory(waiting, "Queued")
	p.recordOnSender("acme", sender.SenderResumed{})
	p.reaches(waiting, message.StatusSent)

	seen := source.paused.Load()
	p.recordOnSender("acme", sender.SenderPaused{Priorities: sender.Priorities(), Reason: "again\x00"})
	p.eventually("the dispatcher has applied the pause", func() bool { return source.paused.Load() > seen+1 })
	expiring(3)
}

// Senders that register while the read models don't advance are known, and streams
// decide where a read model differs.
func TestSenderStatesFollowTheStreams(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	p.register("old", "1001", 80)
	_, err := p.pool.Exec(p.ctx, `INSERT INTO sender (id, revision, position, state) VALUES ('old', 0, 1, '{"Rate": 1}'), ('gone', 0, 1, '{}')`)
	p.must(err)
	states := p.states()
	rates := func() map[string]int {
		all, err := states.Senders(p.ctx)
		p.must(err)
		rates := make(map[string]int)
		for _, s := range all {
			rates[s.ID] = s.Rate
		}
		return rates
	}
	if got := rates(); len(got) != 1 || got["old"] != 80 {
		t.Errorf("at first %v, want the stream's rate", got)
	}
	p.register("new", "1002", 80)
	const changes = 300
	for rate := range changes {
		p.recordOnSender("old", sender.RateChanged{MessagesPerSecond: rate + 1})
	}
	p.recordOnSender("new", sender.RateChanged{MessagesPerSecond: 7})
	p.eventually("both are known", func() bool {
		got := rates()
		return len(got) == 2 && got["old"] == changes && got["new"] == 7
	})
}
