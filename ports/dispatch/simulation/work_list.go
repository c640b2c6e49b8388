package simulation

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

var errSeparated = errors.New("postgres is unavailable")

// workList is the work list as the projector has written it.
type workList struct {
	items    map[uuid.UUID]*work.Item
	awaited  map[uuid.UUID]work.Item // the messages whose delivery can become overdue
	position event.Position
	next     int       // in world.events
	behind   time.Time // the time since which an event waits to be projected, or zero
}

// project projects the event log to the work list, the senders, and the wamids: each batch
// in one step, and with a lag.
func (w *world) project(ctx context.Context) {
	for {
		w.mu.Lock()
		appended := w.appended
		more := w.list.next < len(w.events)
		if more && w.list.behind.IsZero() {
			w.list.behind = time.Now()
		}
		w.mu.Unlock()
		if !more {
			select {
			case <-appended:
				continue
			case <-ctx.Done():
				return
			}
		}
		d := w.dice("project", 0)
		lag := d.between(500*time.Microsecond, 5*time.Millisecond)
		if w.faulty() {
			lag = d.between(500*time.Microsecond, w.plan.faults.lag)
			for _, stall := range w.plan.faults.stalls {
				if now := w.now(); stall.has(now) {
					lag = stall.to - now
				}
			}
		}
		if w.stepWith(ctx, lag) != nil {
			return
		}
		w.mu.Lock()
		part := len(w.events) - w.list.next
		if d.chance(0.3) { // a batch can end anywhere
			part = 1 + d.below(part)
		}
		for range part {
			w.list.apply(w, w.events[w.list.next])
			w.list.next++
		}
		w.list.behind = time.Time{}
		w.checkList()
		for _, p := range w.living {
			if p != nil {
				p.dispatcher.Wake()
			}
		}
		w.mu.Unlock()
	}
}

// caughtUp reports whether the work list is at most one second behind the log. At the start
// of a process it takes a while. So the poll of the dispatcher, which calls it first, never
// happens at the instant of one of its other timers.
func (p *process) caughtUp() bool {
	w := p.w
	if w.now() == p.begun {
		time.Sleep(w.dice("ready", uint64(p.number)).between(1, 10*time.Millisecond))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list.behind.IsZero() || time.Since(w.list.behind) < time.Second
}

// apply updates the read models with one event.
func (l *workList) apply(w *world, r event.Recorded) {
	l.position = r.Position
	if id, ok := strings.CutPrefix(r.Stream, event.SenderStreams); ok {
		s := w.senders[id].Apply(sender.Record{Event: r.Event, At: r.Meta.RecordedAt, By: r.Meta.Actor()})
		if w.defect == DefectDeafToPauses {
			s.PausedPriorities = nil
		}
		w.senders[id] = s
		return
	}
	id, ok := event.ParseMessageStream(r.Stream)
	if !ok {
		return
	}
	l.await(w, id, r)
	e := work.Entry{Closed: true, Complete: true}
	if i := l.items[id]; i != nil {
		e = work.Entry{Item: *i, Complete: true}
	}
	switch event := r.Event.(type) {
	case message.Queued:
		if w.defect == DefectLostItem && idOf(id)%5 == 0 {
			return
		}
	case message.Sent:
		w.wamids[event.Personal.WhatsAppID] = id
	}
	if changed, ok := r.Event.(message.Event); ok && work.Reopens(changed) {
		e = work.Fold(w.messageStream(id).events[:r.Revision]...)
	}
	if e = work.Apply(e, r); e.Closed {
		delete(l.items, id)
		return
	}
	for _, label := range e.Labels {
		e.Item.Labels = append(e.Item.Labels, labelIndex(label))
	}
	l.items[id] = &e.Item
}

// labelIndex identifies a label in the work list.
func labelIndex(l message.Label) string { return l.Name + "=" + l.Value }

// await updates whether the delivery of a message can become overdue.
func (l *workList) await(w *world, id uuid.UUID, r event.Recorded) {
	s := w.messageStream(id)
	if s.message.DeliverWithin == 0 {
		return
	}
	delete(l.awaited, id)
	var m message.Message
	for _, r := range s.events[:r.Revision+1] {
		m = m.Apply(message.Record{Event: r.Event, At: r.Meta.RecordedAt})
	}
	if awaitsDelivery(m) {
		l.awaited[id] = work.Item{
			MessageID: id, Sender: m.Sender, Priority: m.Priority, State: work.Undelivered, DueAt: m.DueAt,
			Revision: r.Revision, Position: r.Position,
		}
	}
}

// postgres is the work list and the read models as one process uses them.
type postgres struct{ p *process }

func (p *process) separated() bool {
	return within(p.w.plan.faults.separated[p.place], p.w.now())
}

// ask delays a query to Postgres, or its result.
func (p *process) ask(ctx context.Context, d *dice) error {
	if err := p.alive(ctx); err != nil {
		return err
	}
	if err := p.w.stepWith(ctx, p.transit(d)); err != nil {
		return err
	}
	if p.separated() {
		return errSeparated
	}
	return p.alive(ctx)
}

// Fetch returns the items that are ready and due.
func (l postgres) Fetch(ctx context.Context, now time.Time, wants []work.FetchRequest) ([]work.Item, event.Position, error) {
	w, d := l.p.w, l.p.w.dice("fetch", uint64(l.p.number))
	if err := l.p.ask(ctx, d); err != nil {
		return nil, 0, err
	}
	w.mu.Lock()
	var items []work.Item
	for _, want := range wants {
		var timed, fresh []work.Item
		for _, i := range w.list.items {
			if i.Sender != want.Sender || i.Priority != want.Priority || i.State != work.Ready ||
				want.Label != "" && !slices.Contains(i.Labels, want.Label) ||
				slices.ContainsFunc(want.SkipLabels, func(l string) bool { return slices.Contains(i.Labels, l) }) {
				continue
			}
			switch {
			case i.Fresh && i.QueuedPosition > want.After:
				fresh = append(fresh, *i)
			case !i.Fresh && !i.DueAt.After(now):
				timed = append(timed, *i)
			}
		}
		slices.SortFunc(timed, byDue)
		slices.SortFunc(fresh, func(a, b work.Item) int { return cmp.Compare(a.QueuedPosition, b.QueuedPosition) })
		items = append(items, timed[:min(len(timed), want.Timed)]...)
		items = append(items, fresh[:min(len(fresh), want.Fresh)]...)
	}
	position := w.list.position
	w.mu.Unlock()
	return items, position, l.p.ask(ctx, d)
}

func byDue(a, b work.Item) int {
	return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.QueuedPosition, b.QueuedPosition))
}

// Overdue returns the items whose call or settling is due, and those that have expired.
func (l postgres) Overdue(ctx context.Context, now time.Time, senders []string, limit int) ([]work.Item, event.Position, error) {
	w, d := l.p.w, l.p.w.dice("overdue", uint64(l.p.number))
	if err := l.p.ask(ctx, d); err != nil {
		return nil, 0, err
	}
	w.mu.Lock()
	var items []work.Item
	for _, i := range w.list.items {
		if len(senders) > 0 && !slices.Contains(senders, i.Sender) {
			continue
		}
		late := i.State != work.Ready && !i.DueAt.After(now)
		expired := i.State == work.Ready && !i.ExpiresAt.IsZero() && !i.ExpiresAt.After(now)
		if late || expired {
			items = append(items, *i)
		}
	}
	position := w.list.position
	w.mu.Unlock()
	slices.SortFunc(items, byDue)
	return items[:min(len(items), limit)], position, l.p.ask(ctx, d)
}

// Undelivered returns the messages whose delivery is wanted by now.
func (l postgres) Undelivered(ctx context.Context, now time.Time, senders []string, limit int) ([]work.Item, event.Position, error) {
	w, d := l.p.w, l.p.w.dice("undelivered", uint64(l.p.number))
	if err := l.p.ask(ctx, d); err != nil {
		return nil, 0, err
	}
	w.mu.Lock()
	var items []work.Item
	for _, i := range w.list.awaited {
		if slices.Contains(senders, i.Sender) && !i.DueAt.After(now) {
			items = append(items, i)
		}
	}
	position := w.list.position
	w.mu.Unlock()
	slices.SortFunc(items, func(a, b work.Item) int { return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.Position, b.Position)) })
	return items[:min(len(items), limit)], position, l.p.ask(ctx, d)
}

// Depths returns when the next item of each sender is due.
func (l postgres) Depths(ctx context.Context) (map[string]time.Time, error) {
	w, d := l.p.w, l.p.w.dice("depths", uint64(l.p.number))
	if err := l.p.ask(ctx, d); err != nil {
		return nil, err
	}
	w.mu.Lock()
	due := make(map[string]time.Time)
	for _, i := range w.list.items {
		at := i.DueAt
		if i.State == work.Ready && !i.ExpiresAt.IsZero() && i.ExpiresAt.Before(at) {
			at = i.ExpiresAt
		}
		if have, ok := due[i.Sender]; !ok || at.Before(have) {
			due[i.Sender] = at
		}
	}
	w.mu.Unlock()
	return due, l.p.ask(ctx, d)
}

// Senders returns the senders of the read model. It takes no time: two parts of a dispatcher
// call it in turn, so it doesn't matter which of them does.
func (l postgres) Senders(ctx context.Context) ([]sender.Sender, error) {
	p, w := l.p, l.p.w
	if err := p.alive(ctx); err != nil {
		return nil, err
	}
	if p.separated() {
		return nil, errSeparated
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]sender.Sender, 0, len(w.senders))
	for _, id := range slices.Sorted(maps.Keys(w.senders)) {
		all = append(all, w.senders[id])
	}
	return all, nil
}

// MessagesOf returns messages by their wamids, as far as the read model knows them.
func (l postgres) MessagesOf(ctx context.Context, wamids []string) (map[string]uuid.UUID, error) {
	w, d := l.p.w, l.p.w.dice("wamid", hash(strings.Join(wamids, "\n"))^uint64(l.p.number))
	if err := l.p.ask(ctx, d); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	found := make(map[string]uuid.UUID)
	for _, wamid := range wamids {
		if id, ok := w.wamids[wamid]; ok {
			found[wamid] = id
		}
	}
	return found, nil
}

// Limited returns nothing: no sender has a messaging limit.
func (postgres) Limited(context.Context, time.Time, []work.LimitRequest) (items []work.Item, list, views event.Position, err error) {
	return nil, 0, 0, nil
}
