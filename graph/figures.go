package graph

import (
	"context"
	"sync"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/request"
	"github.com/waypost/waypost/domain"
)

// figures reads metrics for the subscribers of the process. Subscribers to the same
// metrics share one reading, so the load on Postgres does not grow with their number.
type figures struct {
	ctx     context.Context //nolint:containedctx // it lives as long as the API, not as a request
	metrics metricsQuery
	clock   event.Clock

	mu       sync.Mutex
	readings map[figuresWanted]*reading
	begun    map[string]int // running readings by the account that started them
	running  sync.WaitGroup
}

// metricsQuery returns the metrics of a sender, or of all senders if senderID is nil.
type metricsQuery func(ctx context.Context, senderID *string, window time.Duration, now time.Time) (query.Metrics, error)

// figuresWanted identifies metrics and their interval.
type figuresWanted struct {
	sender string
	all    bool // instead of one sender
	window time.Duration
	every  time.Duration
}

// reading runs while it has subscribers.
type reading struct {
	of      figuresWanted
	account string
	stop    context.CancelFunc
	latest  *figuresRead
	to      map[chan figuresRead]struct{} // each has room for the latest result
}

type figuresRead struct {
	metrics query.Metrics
	err     error
}

func newFigures(ctx context.Context, metrics metricsQuery, clock event.Clock) *figures {
	return &figures{
		ctx: ctx, metrics: metrics, clock: clock,
		readings: make(map[figuresWanted]*reading), begun: make(map[string]int),
	}
}

// close waits for the end of the readings, after the context has ended.
func (f *figures) close() {
	f.mu.Lock()   // a join that began before the context ended adds to running first
	f.mu.Unlock() //nolint:staticcheck // later joins see that the context has ended
	f.running.Wait()
}

// join adds a subscriber. The first subscriber of the metrics starts the reading.
func (f *figures) join(account string, want figuresWanted) (figuresOf <-chan figuresRead, leave func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		return nil, nil, errStopping
	}
	r := f.readings[want]
	if r == nil {
		switch {
		case f.begun[account] >= maxFiguresPerKey:
			return nil, nil, domain.Unavailable("the key follows %d different metrics, which is the limit; use the same window and interval in several subscriptions", maxFiguresPerKey)
		case len(f.readings) >= maxFigures:
			return nil, nil, domain.Unavailable("%d different metrics are followed, which is the limit of one process; try another", maxFigures)
		}
		ctx, stop := context.WithCancel(request.WithCaller(f.ctx, "live metrics")) // all readings have one share
		r = &reading{of: want, account: account, stop: stop, to: make(map[chan figuresRead]struct{})}
		f.readings[want] = r
		f.begun[account]++
		f.running.Go(func() { f.read(ctx, r) })
	}
	to := make(chan figuresRead, 1)
	r.to[to] = struct{}{}
	if r.latest != nil {
		to <- *r.latest
	}
	return to, func() { f.leave(r, to) }, nil
}

// leave removes a subscriber. With the last one, the reading ends.
func (f *figures) leave(r *reading, to chan figuresRead) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(r.to, to)
	if len(r.to) == 0 {
		f.end(r)
	}
}

func (f *figures) end(r *reading) {
	if f.readings[r.of] != r {
		return
	}
	r.stop()
	delete(f.readings, r.of)
	if f.begun[r.account]--; f.begun[r.account] == 0 {
		delete(f.begun, r.account)
	}
}

// read reads the metrics immediately and after each interval, until ctx ends or reading
// fails.
func (f *figures) read(ctx context.Context, r *reading) {
	tick := time.NewTicker(r.of.every)
	defer tick.Stop()
	for {
		sender := &r.of.sender
		if r.of.all {
			sender = nil
		}
		m, err := f.metrics(ctx, sender, r.of.window, f.clock())
		f.hand(r, figuresRead{m, err})
		if err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// hand sends a result to every subscriber. It replaces a result that a subscriber has
// not received yet.
func (f *figures) hand(r *reading, read figuresRead) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.latest = &read
	for to := range r.to {
		select {
		case <-to:
		default:
		}
		to <- read // only this function sends to it
	}
	if read.err != nil { // new subscribers start another reading
		f.end(r)
	}
}
