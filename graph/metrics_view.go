package graph

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/coverage"
	"github.com/waypost/waypost/domain/message"
)

const (
	// drainWindow is the window for a sender's drain rate.
	drainWindow = time.Minute
	// The minimum and maximum interval of a metrics subscription.
	minEvery = 200 * time.Millisecond
	maxEvery = time.Hour
)

// FiguresOf returns a sender's drain rate and the status of its lane.
type FiguresOf func() (SenderFigures, error)

// SenderFigures are the metrics of a sender that are not about its queue.
type SenderFigures struct {
	Drain float64
	Lane  query.LaneStatus
	// Covered is how completely the webhooks of all phone numbers were recorded, by ID.
	Covered map[string]coverage.Coverage
	// Limit is the state of the messaging limit, or nil if it is not counted.
	Limit *query.MessagingLimit
}

// figuresOf reads the metrics of several senders, all at once and when one of them is
// requested.
func (r *Resolver) figuresOf(ctx context.Context, ids []string) func(id string) FiguresOf {
	type found struct {
		metrics map[string]query.Metrics
		lanes   map[string]query.LaneStatus
		covered map[string]coverage.Coverage
		limits  map[string]query.MessagingLimit
	}
	read := sync.OnceValues(func() (f found, err error) {
		if f.metrics, err = r.opts.Queries.SenderMetrics(ctx, ids, drainWindow, r.opts.Clock()); err != nil {
			return f, err
		}
		if f.lanes, err = r.opts.Queries.Lanes(ctx); err != nil {
			return f, err
		}
		if f.covered, err = r.opts.Queries.Coverage(ctx, r.opts.Clock()); err != nil {
			return f, err
		}
		f.limits, err = r.opts.Queries.MessagingLimits(ctx, r.opts.Clock())
		return f, err
	})
	return func(id string) FiguresOf {
		return func() (SenderFigures, error) {
			f, err := read()
			figures := SenderFigures{Drain: f.metrics[id].DrainPerMinute(), Lane: f.lanes[id], Covered: f.covered}
			if l, counted := f.limits[id]; counted {
				figures.Limit = &l
			}
			return figures, err
		}
	}
}

// useFigures sets the metrics of the sender that were read together with those of other
// senders.
func (s *Sender) useFigures(f FiguresOf) {
	s.Figures = f
	if s.Hold != nil {
		s.Hold.Figures = f
	}
}

// emptyIn returns the time until a queue is empty at a drain rate, or nil if it never
// is.
func emptyIn(depth int64, drainPerMinute float64) *time.Duration {
	var d time.Duration
	switch {
	case depth <= 0:
		return &d
	case drainPerMinute <= 0:
		return nil
	}
	d = time.Duration(float64(depth) / drainPerMinute * float64(time.Minute)).Round(time.Millisecond)
	return &d
}

// figuresFor checks that the caller has access to the metrics of the sender, or of all
// senders.
func (c caller) figuresFor(senderID *string) error {
	if senderID != nil {
		return c.demandSender("senderId", *senderID)
	}
	if c.SenderIds != nil {
		return domain.Invalid("senderId", "is required: the key is limited to senders")
	}
	return nil
}

func windowOf(window *time.Duration, otherwise time.Duration) (time.Duration, error) {
	w := or(window, otherwise)
	if w < time.Second || w > query.MaxWindow || w%time.Second != 0 {
		return 0, domain.Invalid("window", "must be PT1S to P31D, in whole seconds")
	}
	return w, nil
}

// seriesOf validates the arguments of a series.
func seriesOf(from, to time.Time, step *time.Duration, now time.Time) (time.Duration, error) {
	s := or(step, time.Minute)
	switch {
	case s < time.Second || s%time.Second != 0:
		return 0, domain.Invalid("step", "must be whole seconds, PT1S or more")
	case to.Before(from.Add(s)):
		return 0, domain.Invalid("to", "must be at least one step after from")
	case to.Sub(from) > query.MaxWindow:
		return 0, domain.Invalid("to", "must be at most P31D after from")
	case to.Sub(from)/s > query.MaxPoints:
		return 0, domain.Invalid("step", "must be longer: the series has more than %d points", query.MaxPoints)
	case s%time.Minute != 0 && from.Before(now.Truncate(time.Minute).Add(-query.SecondsKept)):
		return 0, domain.Invalid("step", "must be whole minutes: metrics by the second are kept for %s", query.SecondsKept)
	}
	return s, nil
}

// metricsOf returns the GraphQL representation of metrics.
func (r *Resolver) metricsOf(m query.Metrics) *Metrics {
	v := &Metrics{
		Window: m.Window(), At: m.To, Queued: m.Queued, Sent: m.Sent, Delivered: m.Delivered, Read: m.Read, Failed: m.Failed,
		DeadLettered: m.DeadLettered, Expired: m.Expired, Overdue: m.Overdue, Suppressed: m.Suppressed, Retried: m.Retried, Throttled: m.Throttled,
		Ambiguous: m.Ambiguous, Settled: m.Settled, SentTwice: m.SentTwice, SentPerMinute: m.SentPerMinute(),
		DeliveryRate: known(m.DeliveryRate()), ErrorRate: known(m.ErrorRate()), ErrorsByType: r.errorsByType(m),
		AverageDeliveryLatency: known(m.AverageLatency()), P50DeliveryLatency: known(m.Latencies.Percentile(0.50)),
		P95DeliveryLatency: known(m.Latencies.Percentile(0.95)), P99DeliveryLatency: known(m.Latencies.Percentile(0.99)),
		AverageWebhookLag: known(m.AverageLag()), QueueDepth: m.QueueDepth, Scheduled: m.Scheduled,
		QueueGrowthPerMinute: m.QueueGrowthPerMinute(), OldestDueAge: m.OldestDueAge,
	}
	return v
}

func known[T any](v T, ok bool) *T {
	if !ok {
		return nil
	}
	return &v
}

// errorsByType fills in the categories that only the codes determine, and then adds up
// the counts of the same type.
func (r *Resolver) errorsByType(m query.Metrics) []*ErrorTypeRate {
	type key struct {
		class    message.Class
		category message.Category
		code     int
		coded    bool
	}
	types := []*ErrorTypeRate{}
	byKey := make(map[key]*ErrorTypeRate)
	for _, f := range m.Failures {
		k := key{class: f.Class, category: f.Category, code: or(f.Code, 0), coded: f.Code != nil}
		if k.category == "" {
			k.category = r.categoryOf(k.class, k.code)
		}
		t := byKey[k]
		if t == nil {
			t = &ErrorTypeRate{Class: k.class, Category: string(k.category), Code: f.Code}
			byKey[k] = t
			types = append(types, t)
		}
		t.Count += f.Count
		t.Rate = m.FailureRate(t.Count)
	}
	slices.SortStableFunc(types, func(a, b *ErrorTypeRate) int { return int(b.Count - a.Count) })
	return types
}

func (r *Resolver) categoryOf(class message.Class, code int) message.Category {
	if r.opts.CategoryOf != nil {
		if c, ok := r.opts.CategoryOf(code); ok {
			return c
		}
	}
	switch class {
	case message.ClassThrottled:
		return message.CategoryRateLimit
	case message.ClassSender:
		return message.CategoryAccount
	case message.ClassTransient:
		return message.CategoryServer
	case message.ClassPermanent:
	}
	return message.CategoryUnknown
}

// followMetrics sends metrics immediately and then after each interval.
func (r *Resolver) followMetrics(ctx context.Context, senderID *string, window, every time.Duration) (<-chan *Metrics, error) {
	read, leave, err := r.figures.join(callerOf(ctx).account(), figuresWanted{or(senderID, ""), senderID == nil, window, every})
	if err != nil {
		return nil, err
	}
	shown := make(chan *Metrics)
	r.streams.run(func() {
		defer close(shown)
		defer leave()
		for {
			var next figuresRead
			select {
			case next = <-read:
			case <-ctx.Done():
				return
			}
			if next.err != nil {
				if ctx.Err() == nil {
					endStream(ctx, r.errors.present(ctx, resolverError{next.err}))
				}
				return
			}
			select {
			case shown <- r.metricsOf(next.metrics):
			case <-ctx.Done():
				return
			}
		}
	})
	return shown, nil
}
