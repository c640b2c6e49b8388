package process

import (
	"container/heap"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
)

const (
	// The first lookup after a failed one comes soon: most orphans overtook an
	// answer that is about to be projected. Later ones are rare.
	firstLookupDelay = 50 * time.Millisecond
	lastLookupDelay  = 30 * time.Second
	// orphanTTL is how long an orphan is looked up for. One older is another
	// system's; the next start of the process looks once more.
	orphanTTL = time.Hour
	// maxOrphans bounds the wamids that wait. The oldest make room.
	maxOrphans = 10_000
	// maxOrphanStatuses bounds the statuses of one wamid; there are four kinds.
	maxOrphanStatuses = 8
	// joinsAtOnce is how many wamids are looked up and joined at once.
	joinsAtOnce = 16
)

// JoinOrphans records statuses that came before their message was known, as
// soon as it is.
type JoinOrphans struct {
	log      event.Log
	messages *command.Messages
	wamids   command.WhatsAppIDs
	clock    command.Clock
	after    func(time.Duration) <-chan time.Time
	logger   *slog.Logger
}

// NewJoinOrphans makes the process. after is time.After or its like.
func NewJoinOrphans(
	log event.Log, messages *command.Messages, wamids command.WhatsAppIDs, clock command.Clock,
	after func(time.Duration) <-chan time.Time, logger *slog.Logger,
) *JoinOrphans {
	return &JoinOrphans{log: log, messages: messages, wamids: wamids, clock: clock, after: after, logger: logger}
}

// Run follows the log from its start until ctx ends or the subscription fails,
// and answers that error. It needs no position of its own: an orphan that is
// joined already gives nothing new.
func (p *JoinOrphans) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	arrivals := make(chan event.Recorded, joinsAtOnce)
	ended := make(chan error, 1)
	go func() {
		ended <- p.log.Subscribe(ctx, event.Subscription{
			Filter: event.Filter{StreamPrefixes: []string{event.OrphanStreams}},
		}, func(ctx context.Context, b event.Batch) error {
			for _, e := range b.Events {
				select {
				case arrivals <- e:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	}()
	waiting := newOrphanage(maxOrphans)
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("follow orphaned statuses: %w", err)
		case e := <-arrivals:
			p.admit(waiting, e)
		case <-p.untilDue(waiting):
		}
		p.joinDue(ctx, waiting)
	}
}

// untilDue is ready when the next orphan is due; never if none waits.
func (p *JoinOrphans) untilDue(waiting *orphanage) <-chan time.Time {
	due, waits := waiting.nextDue()
	if !waits {
		return nil
	}
	return p.after(max(0, due.Sub(p.clock())))
}

func (p *JoinOrphans) admit(waiting *orphanage, e event.Recorded) {
	if s, ok := e.Event.(inbound.StatusOrphaned); ok && s.Personal.WhatsAppID != "" {
		waiting.add(s, e.ID, p.clock())
	}
}

// joinDue tries the orphans that are due, and puts back those whose message is
// still unknown.
func (p *JoinOrphans) joinDue(ctx context.Context, waiting *orphanage) {
	due := waiting.takeDue(p.clock(), joinsAtOnce)
	joined := make([]bool, len(due))
	var wg sync.WaitGroup
	for i, o := range due {
		wg.Go(func() { joined[i] = p.join(ctx, o) })
	}
	wg.Wait()
	now := p.clock()
	for i, o := range due {
		if !joined[i] && now.Sub(o.since) < orphanTTL {
			waiting.putBack(o, now)
		}
	}
}

// join records the statuses of one wamid; false if it is to be tried again.
func (p *JoinOrphans) join(ctx context.Context, o *orphan) bool {
	ctx, cancel := context.WithTimeout(ctx, lastLookupDelay)
	defer cancel()
	id, known, err := p.wamids.MessageOf(ctx, o.wamid)
	if err != nil || !known {
		return false // a read model that is away is noticed elsewhere
	}
	cause := command.Cause{By: domain.Platform("join-orphans"), CausationID: o.last.String()}
	unmatched, err := p.messages.RecordReports(ctx, id, cause, o.reports)
	if err != nil {
		if ctx.Err() == nil {
			p.logger.WarnContext(ctx, "orphaned status was not joined; it is tried again", "message", id, "error", err)
		}
		return false
	}
	return len(unmatched) == 0
}

// orphan is the statuses of one wamid whose message is not known.
type orphan struct {
	wamid   string
	reports []message.Report
	last    uuid.UUID // the event of the status that came last
	since   time.Time
	due     time.Time
	delay   time.Duration
	index   int // in the heap
}

// orphanage holds the orphans that wait, a bounded number. It is one
// goroutine's.
type orphanage struct {
	limit   int
	byWamid map[string]*orphan
	queue   dueQueue
	arrived []*orphan // oldest first; some are gone already
}

func newOrphanage(limit int) *orphanage {
	return &orphanage{limit: limit, byWamid: make(map[string]*orphan)}
}

func (w *orphanage) add(s inbound.StatusOrphaned, id uuid.UUID, now time.Time) {
	o := w.byWamid[s.Personal.WhatsAppID]
	if o == nil {
		w.makeRoom()
		o = &orphan{wamid: s.Personal.WhatsAppID, since: now, due: now}
		w.byWamid[o.wamid] = o
		w.arrived = append(w.arrived, o)
		heap.Push(&w.queue, o)
	}
	if len(o.reports) == maxOrphanStatuses {
		o.reports = o.reports[1:]
	}
	o.reports = append(o.reports, s.Report())
	o.last = id
}

// makeRoom drops the oldest orphan when there are as many as may be, and
// forgets the arrivals of those that are gone.
func (w *orphanage) makeRoom() {
	for len(w.arrived) > 0 && (len(w.byWamid) >= w.limit || w.byWamid[w.arrived[0].wamid] != w.arrived[0]) {
		oldest := w.arrived[0]
		w.arrived = w.arrived[1:]
		if w.byWamid[oldest.wamid] == oldest {
			heap.Remove(&w.queue, oldest.index)
			delete(w.byWamid, oldest.wamid)
		}
	}
	if len(w.arrived) >= 2*w.limit {
		kept := make([]*orphan, 0, w.limit)
		for _, o := range w.arrived {
			if w.byWamid[o.wamid] == o {
				kept = append(kept, o)
			}
		}
		w.arrived = kept
	}
}

func (w *orphanage) nextDue() (time.Time, bool) {
	if len(w.queue) == 0 {
		return time.Time{}, false
	}
	return w.queue[0].due, true
}

// takeDue takes out at most limit orphans that are due.
func (w *orphanage) takeDue(now time.Time, limit int) []*orphan {
	var due []*orphan
	for len(w.queue) > 0 && len(due) < limit && !w.queue[0].due.After(now) {
		o := heap.Pop(&w.queue).(*orphan) //nolint:forcetypeassert // the queue holds nothing else
		delete(w.byWamid, o.wamid)
		due = append(due, o)
	}
	return due
}

// putBack lets o wait for twice as long as before.
func (w *orphanage) putBack(o *orphan, now time.Time) {
	o.delay = min(max(2*o.delay, firstLookupDelay), lastLookupDelay)
	o.due = now.Add(o.delay)
	w.byWamid[o.wamid] = o
	heap.Push(&w.queue, o)
}

// dueQueue is a heap of orphans, the one that is due first on top.
type dueQueue []*orphan

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push adds an orphan; for container/heap.
func (q *dueQueue) Push(x any) {
	o := x.(*orphan) //nolint:forcetypeassert // the queue holds nothing else
	o.index = len(*q)
	*q = append(*q, o)
}

// Pop takes the last orphan; for container/heap.
func (q *dueQueue) Pop() any {
	old := *q
	o := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return o
}
