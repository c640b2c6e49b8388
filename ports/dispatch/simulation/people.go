package simulation

import (
	"context"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/coverage"
)

// optOut records that the recipient of a message wants no marketing.
func (w *world) optOut(key uint64, m messagePlan) {
	id := w.plan.senders[m.sender].id
	proposed := event.Proposed{ID: w.newID(), Event: conversation.OptedOut{Choice: conversation.Choice{
		Sender: id, Source: conversation.FromAPI, At: time.Now(), Personal: conversation.ChoicePersonal{Person: conversation.Person{Number: m.to}},
	}}}
	w.insist("opt out", key, func(p *process) error {
		proposed.Meta = event.Meta{RecordedAt: time.Now(), Sender: id, By: person.By}
		_, err := eventLog{p}.Append(p.ctx, event.MarketingStream(id), event.Any(), proposed)
		return err
	})
}

// closedFor returns how long a person's window has been closed; it is not positive while it is
// open.
func (w *world) closedFor(to string) time.Duration {
	closes, ever := w.plan.windows[to]
	if !ever {
		return 0
	}
	return w.now() - closes
}

// Conversations returns what the read model knows. People wrote a day before their windows close.
func (l postgres) Conversations(ctx context.Context, of []work.Recipient) ([]conversation.Conversation, event.Position, error) {
	w, d := l.p.w, l.p.w.dice("conversations", uint64(l.p.number))
	if err := l.p.ask(ctx, d); err != nil {
		return nil, 0, err
	}
	w.mu.Lock()
	position := w.list.position
	known := make([]conversation.Conversation, len(of))
	for i, r := range of {
		known[i].OpenedAt = w.start
		if closes, ever := w.plan.windows[r.To]; ever {
			known[i].OpenedAt = w.start.Add(closes - conversation.Window)
		}
		s := w.streams[event.MarketingStream(r.Sender)]
		if s == nil || w.defect == DefectDeafToOptOuts {
			continue
		}
		for _, e := range s.events {
			if out, ok := e.Event.(conversation.OptedOut); ok && out.Personal.Number == r.To && e.Position <= position {
				known[i].Marketing = conversation.Marketing{OptedOut: true, At: out.At, Position: int64(e.Position)}
			}
		}
	}
	w.mu.Unlock()
	return known, position, l.p.ask(ctx, d)
}

// coverage returns that the webhooks of all numbers were recorded completely.
func (p *process) coverage(_ context.Context, now time.Time) (map[string]coverage.Coverage, error) {
	covered := make(map[string]coverage.Coverage)
	for _, s := range p.w.plan.senders {
		covered[s.number] = coverage.Coverage{
			Recording:   coverage.Recording{Since: now.Add(-2 * coverage.Window), HeardAt: now},
			Number:      coverage.Number{Since: now.Add(-2 * coverage.Window), HeardAt: now},
			ConfirmedAt: now,
		}
	}
	return covered, nil
}
