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
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
)

const (
	// The first lookup after a failed one is soon, because most orphans arrived before a
	// response that is about to be projected. Later ones are rare.
	firstLookupDelay = 50 * time.Millisecond
	lastLookupDelay  = 30 * time.Second
	// orphanTTL is how long an orphan is looked up. An older one is another system's. It is
	// looked up again when the process restarts.
	orphanTTL = time.Hour
	// maxOrphans bounds the waiting orphans, and maxOrphanBytes bounds WhatsApp's text in
	// them. The oldest are dropped first.
	maxOrphans     = 10_000
	maxOrphanBytes = 16 << 20
	// maxOrphanStatuses bounds the statuses of one wamid. There are four kinds.
	maxOrphanStatuses = 8
	// lookupsAtOnce is the number of wamids to look up together, and joinsAtOnce is the
	// number of messages to change concurrently.
	lookupsAtOnce = 1000
	joinsAtOnce   = 16
)

// JoinOrphans records statuses that arrived before their message was known, as soon as it
// is known.
type JoinOrphans struct {
	log     event.Log
	reports *command.Reports
	wamids  command.WhatsAppIDs
	clock   event.Clock
	after   func(time.Duration) <-chan time.Time
	logger  *slog.Logger
}

// NewJoinOrphans returns the process. after is time.After, or a test's.
func NewJoinOrphans(
	log event.Log, reports *command.Reports, wamids command.WhatsAppIDs, clock event.Clock,
	after func(time.Duration) <-chan time.Time, logger *slog.Logger,
) *JoinOrphans {
	return &JoinOrphans{log: log, reports: reports, wamids: wamids, clock: clock, after: after, logger: logger}
}

// Run follows the log from its start until ctx ends or the subscription fails, and returns
// that error. It needs no position of its own, because an orphan that is already joined
// adds nothing.
func (p *JoinOrphans) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	arrivals := make(chan event.Recorded, lookupsAtOnce)
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
	waiting := newOrphanage(maxOrphans, maxOrphanBytes)
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("follow orphaned statuses: %w", err)
		case e := <-arrivals:
			p.admit(waiting, e)
			for more := len(arrivals); more > 0; more-- { // they are looked up together
				p.admit(waiting, <-arrivals)
			}
		case <-p.untilDue(waiting):
		}
		p.joinDue(ctx, waiting)
	}
}

// untilDue returns a channel that is ready when the next orphan is due, or nil if none
// waits.
func (p *JoinOrphans) untilDue(waiting *orphanQueue) <-chan time.Time {
	due, waits := waiting.nextDue()
	if !waits {
		return nil
	}
	return p.after(max(0, due.Sub(p.clock())))
}

func (p *JoinOrphans) admit(waiting *orphanQueue, e event.Recorded) {
	if s, ok := e.Event.(inbound.StatusOrphaned); ok && s.Personal.WhatsAppID != "" && !s.Foreign {
		waiting.add(s, e.ID, p.clock())
	}
}

// joinDue looks up the due orphans, and puts back those whose message is still unknown.
func (p *JoinOrphans) joinDue(ctx context.Context, waiting *orphanQueue) {
	due := waiting.takeDue(p.clock(), lookupsAtOnce)
	if len(due) == 0 {
		return
	}
	joined := make([]bool, len(due))
	ids := p.find(ctx, due)
	var wg sync.WaitGroup
	slots := make(chan struct{}, joinsAtOnce)
	for i, o := range due {
		if id, known := ids[o.key.wamid]; known {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				joined[i] = p.join(ctx, id, o)
			})
		}
	}
	wg.Wait()
	now := p.clock()
	for i, o := range due {
		if !joined[i] && now.Sub(o.since) < orphanTTL {
			waiting.putBack(o, now)
		} else {
			waiting.forget(o)
		}
	}
}

// find looks up the messages of orphans. An unavailable read model is reported elsewhere.
func (p *JoinOrphans) find(ctx context.Context, orphans []*orphan) map[string]uuid.UUID {
	ctx, cancel := context.WithTimeout(ctx, lastLookupDelay)
	defer cancel()
	wamids := make([]string, len(orphans))
	for i, o := range orphans {
		wamids[i] = o.key.wamid
	}
	ids, _ := p.wamids.MessagesOf(ctx, wamids)
	return ids
}

// join records the statuses of one orphan. It returns false if the orphan must be retried.
func (p *JoinOrphans) join(ctx context.Context, id uuid.UUID, o *orphan) bool {
	if o.key.message != "" && o.key.message != id.String() {
		return true // its callback data names another message, which it did not fit
	}
	ctx, cancel := context.WithTimeout(ctx, lastLookupDelay)
	defer cancel()
	cause := event.Cause{By: domain.Platform("join-orphans"), CausationID: o.last.String()}
	numbers := make([]string, len(o.reports))
	for i := range numbers {
		numbers[i] = o.key.number
	}
	unmatched, err := p.reports.Record(ctx, id, cause, o.reports, numbers)
	if err != nil {
		if ctx.Err() == nil {
			p.logger.WarnContext(ctx, "failed to join an orphaned status, retrying", "message", id, "error", err)
		}
		return false
	}
	return len(unmatched) == 0
}

// orphanKey is what the statuses of one orphan have in common.
type orphanKey struct {
	wamid string
	// number is the phone number ID of the statuses.
	number string
	// message is the message ID in their callback data, if they had any.
	message string
}

// orphan is the statuses of one wamid whose message is unknown.
type orphan struct {
	key     orphanKey
	reports []message.StatusUpdate
	last    uuid.UUID // the event of the latest status
	since   time.Time
	due     time.Time
	lookups retry.Backoff
	delay   time.Duration // the last one of lookups
	index   int           // in the heap
}

// bytes returns the length of WhatsApp's text in the statuses.
func (o *orphan) bytes() int {
	n := 0
	for i := range o.reports {
		r := &o.reports[i]
		n += len(r.Personal.Raw) + len(r.Personal.Details) + len(r.About.Raw)
	}
	return n
}

// orphanQueue holds a bounded number of waiting orphans. Only one goroutine uses it.
type orphanQueue struct {
	limit, limitBytes int
	byKey             map[orphanKey]*orphan
	bytes             int // of all orphans, including those taken out
	queue             dueQueue
	arrived           []*orphan // oldest first; some are already gone
}

func newOrphanage(limit, limitBytes int) *orphanQueue {
	return &orphanQueue{limit: limit, limitBytes: limitBytes, byKey: make(map[orphanKey]*orphan)}
}

func (w *orphanQueue) add(s inbound.StatusOrphaned, id uuid.UUID, now time.Time) {
	key := orphanKey{wamid: s.Personal.WhatsAppID, number: s.PhoneNumberID, message: s.MessageID}
	o := w.byKey[key]
	if o == nil {
		w.makeRoom()
		o = &orphan{key: key, since: now, due: now, lookups: retry.Backoff{First: firstLookupDelay, Max: lastLookupDelay}}
		w.byKey[key] = o
		w.arrived = append(w.arrived, o)
		heap.Push(&w.queue, o)
	}
	w.bytes -= o.bytes()
	if len(o.reports) == maxOrphanStatuses {
		o.reports = o.reports[1:]
	}
	o.reports = append(o.reports, s.Report())
	w.bytes += o.bytes()
	o.last = id
}

// makeRoom drops the oldest orphans if there are too many, and forgets the arrivals of
// those that are gone.
func (w *orphanQueue) makeRoom() {
	full := func() bool { return len(w.byKey) >= w.limit || w.bytes >= w.limitBytes }
	for len(w.arrived) > 0 && (full() || w.byKey[w.arrived[0].key] != w.arrived[0]) {
		oldest := w.arrived[0]
		w.arrived = w.arrived[1:]
		if w.byKey[oldest.key] == oldest {
			heap.Remove(&w.queue, oldest.index)
			delete(w.byKey, oldest.key)
			w.forget(oldest)
		}
	}
	if len(w.arrived) >= 2*w.limit {
		kept := make([]*orphan, 0, w.limit)
		for _, o := range w.arrived {
			if w.byKey[o.key] == o {
				kept = append(kept, o)
			}
		}
		w.arrived = kept
	}
}

// forget subtracts an orphan that is no longer kept.
func (w *orphanQueue) forget(o *orphan) { w.bytes -= o.bytes() }

func (w *orphanQueue) nextDue() (time.Time, bool) {
	if len(w.queue) == 0 {
		return time.Time{}, false
	}
	return w.queue[0].due, true
}

// takeDue takes out at most limit due orphans.
func (w *orphanQueue) takeDue(now time.Time, limit int) []*orphan {
	var due []*orphan
	for len(w.queue) > 0 && len(due) < limit && !w.queue[0].due.After(now) {
		o := heap.Pop(&w.queue).(*orphan) //nolint:forcetypeassert // the queue holds nothing else
		delete(w.byKey, o.key)
		due = append(due, o)
	}
	return due
}

// putBack makes o wait for the next delay of its schedule.
func (w *orphanQueue) putBack(o *orphan, now time.Time) {
	o.delay = o.lookups.Next()
	o.due = now.Add(o.delay)
	if o.delay > time.Second {
		o.due = o.due.Truncate(time.Second) // so that many are looked up together
	}
	w.byKey[o.key] = o
	heap.Push(&w.queue, o)
}

// dueQueue is a heap of orphans, with the one that is due first on top.
type dueQueue []*orphan

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push adds an orphan, for container/heap.
func (q *dueQueue) Push(x any) {
	o := x.(*orphan) //nolint:forcetypeassert // the queue holds nothing else
	o.index = len(*q)
	*q = append(*q, o)
}

// Pop removes the last orphan, for container/heap.
func (q *dueQueue) Pop() any {
	old := *q
	o := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return o
}
