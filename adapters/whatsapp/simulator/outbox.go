package simulator

import (
	"container/heap"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// maxOwed limits the pending updates. At the limit, calls wait.
	maxOwed = 1_000_000
	// answerTimeout is the time that a receiver has to respond to a webhook.
	answerTimeout = 10 * time.Second
	// passInterval is the minimum time between two checks for due updates, so that updates gather into batches.
	passInterval = 5 * time.Millisecond
	// idleInterval is the maximum time between them.
	idleInterval = time.Minute
)

// redelivery returns the delay before the next try of a webhook that has failed failures times: 0, 1, 2, 4 … and at
// most 60 s.
func redelivery(failures int) time.Duration {
	if failures <= 1 {
		return 0
	}
	return min(time.Minute, time.Second<<min(failures-2, 6))
}

// poster sends the body of a webhook and returns the status of the response.
type poster func(ctx context.Context, url string, body []byte) (status int, err error)

// outbox holds every update that the receiver must get, from its planning until a webhook with it got the response 200.
// One goroutine, run, decides what is sent. Each webhook in flight has its own.
type outbox struct {
	settings func() *settings
	clock    func() time.Duration
	post     poster
	ledger   *ledger
	log      *slog.Logger
	account  string // business account ID

	wake chan struct{} // of capacity 1
	work sync.WaitGroup

	mu       sync.Mutex
	open     bool // false until the receiver was verified
	due      dueHeap
	ready    []pendingUpdate
	waiting  time.Duration // the time since which the first of ready has waited
	failed   retryHeap
	underWay int
	owed     int
	freed    chan struct{} // closed when owed decreases
	figures  outboxFigures
}

type outboxFigures struct{ webhooks, refused, updates int64 }

func newOutbox(settings func() *settings, clock func() time.Duration, post poster, ledger *ledger, log *slog.Logger, account string) *outbox {
	return &outbox{
		settings: settings, clock: clock, post: post, ledger: ledger, log: log, account: account,
		wake: make(chan struct{}, 1), freed: make(chan struct{}), open: true,
	}
}

// reserve reserves space for n updates, waiting for it while too many are pending.
func (o *outbox) reserve(ctx context.Context, n int) error {
	for {
		o.mu.Lock()
		if o.owed+n <= maxOwed {
			o.owed += n
			o.mu.Unlock()
			return nil
		}
		freed := o.freed
		o.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// add plans updates of m that reserve reserved space for.
func (o *outbox) add(m *message, updates []planned) {
	now := o.clock()
	o.mu.Lock()
	first := idleInterval
	if len(o.due) > 0 {
		first = o.due[0].at - now
	}
	for _, u := range updates {
		heap.Push(&o.due, dueUpdate{now + u.after, pendingUpdate{message: m, kind: u.kind}})
	}
	sooner := o.due[0].at-now < first
	o.mu.Unlock()
	if sooner {
		o.wakeUp()
	}
}

func (o *outbox) wakeUp() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// setOpen allows or stops the sending of webhooks.
func (o *outbox) setOpen(open bool) {
	o.mu.Lock()
	o.open = open
	o.mu.Unlock()
	o.wakeUp()
}

// run starts webhooks until ctx ends, and returns after those in flight have also ended. They are cancelled when
// posting ends.
func (o *outbox) run(ctx, posting context.Context) {
	defer o.work.Wait()
	timer := time.NewTimer(idleInterval)
	defer timer.Stop()
	for {
		timer.Reset(o.pass(posting))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-o.wake:
		}
	}
}

// pass starts the webhooks that can start now and returns the delay before the next pass.
func (o *outbox) pass(posting context.Context) time.Duration {
	s := o.settings()
	now := o.clock()
	unix := time.Now().Unix()
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.due) > 0 && o.due[0].at <= now {
		u := heap.Pop(&o.due).(dueUpdate).owed
		u.unix = unix
		if len(o.ready) == 0 {
			o.waiting = now
		}
		o.ready = append(o.ready, u)
	}
	linger := time.Duration(s.WebhookLinger)
	for o.open && s.WebhookURL != "" && o.underWay < s.WebhookConcurrency {
		switch {
		case len(o.failed) > 0 && o.failed[0].due <= now:
			o.start(posting, s, heap.Pop(&o.failed).(*batch))
		case len(o.ready) >= s.WebhookBatch || len(o.ready) > 0 && now-o.waiting >= linger:
			o.start(posting, s, &batch{updates: o.takeReady(s)})
			o.waiting = now
		default:
			return o.untilNext(now, linger)
		}
	}
	return idleInterval // the end of a webhook, or a new setting, wakes the next pass
}

func (o *outbox) takeReady(s *settings) []pendingUpdate {
	n := min(s.WebhookBatch, len(o.ready))
	updates := slices.Clone(o.ready[:n])
	o.ready = o.ready[n:]
	if len(o.ready) == 0 {
		o.ready = nil
	}
	if s.WebhookReorder > 0 {
		rand.Shuffle(n, func(i, j int) { updates[i], updates[j] = updates[j], updates[i] })
	}
	return updates
}

func (o *outbox) untilNext(now, linger time.Duration) time.Duration {
	next := idleInterval
	if len(o.ready) > 0 {
		next = min(next, o.waiting+linger-now)
	}
	if len(o.due) > 0 {
		next = min(next, o.due[0].at-now)
	}
	if len(o.failed) > 0 {
		next = min(next, o.failed[0].due-now)
	}
	return max(next, passInterval)
}

// start sends a batch. The caller must hold the lock.
func (o *outbox) start(posting context.Context, s *settings, b *batch) {
	o.underWay++
	o.work.Go(func() { o.deliver(posting, s.WebhookURL, b) })
}

func (o *outbox) deliver(posting context.Context, url string, b *batch) {
	body := appendWebhook(make([]byte, 0, 256+512*len(b.updates)), o.account, b.updates)
	limited, cancel := context.WithTimeout(posting, answerTimeout)
	status, err := o.post(limited, url, body)
	cancel()
	now := o.clock()
	taken := err == nil && status == 200
	if taken {
		o.ledger.echoed(b.updates, now)
	} else if b.failures == 0 {
		o.log.WarnContext(posting, "webhook rejected, will be repeated until the response is 200", "updates", len(b.updates), "status", status, "error", err)
	}

	o.mu.Lock()
	o.underWay--
	if taken {
		o.figures.webhooks++
		o.figures.updates += int64(len(b.updates))
		o.owed -= len(b.updates)
		close(o.freed)
		o.freed = make(chan struct{})
	} else {
		o.figures.refused++
		b.failures++
		b.due = now + redelivery(b.failures)
		heap.Push(&o.failed, b)
	}
	// Waking the loop for every webhook that ends would make batches of whatever is there. Only a pass without free
	// slots waits for this one, or a pass that now has something to repeat.
	rouse := !taken || o.underWay == o.settings().WebhookConcurrency-1
	o.mu.Unlock()
	if rouse {
		o.wakeUp()
	}
}

// snapshot returns the statistics and the number of pending updates.
func (o *outbox) snapshot() (outboxFigures, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.figures, o.owed
}

// batch contains the updates of one webhook that is in flight or will be repeated.
type batch struct {
	updates  []pendingUpdate
	failures int
	due      time.Duration
}

type dueUpdate struct {
	at   time.Duration
	owed pendingUpdate
}

// dueHeap has the update that is due first on top.
type dueHeap []dueUpdate

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueUpdate)) }
func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = dueUpdate{} // do not keep its message alive
	*h = old[:len(old)-1]
	return last
}

// retryHeap has the batch that is due first on top.
type retryHeap []*batch

func (h retryHeap) Len() int           { return len(h) }
func (h retryHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h retryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *retryHeap) Push(x any)        { *h = append(*h, x.(*batch)) }
func (h *retryHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
