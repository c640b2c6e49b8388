package graph

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// MetricsReader answers figures from a read model.
type MetricsReader interface {
	// Metrics answers the figures of the window that ends at now, of a sender or of
	// all for nil.
	Metrics(ctx context.Context, senderID *string, window time.Duration, now time.Time) (query.Metrics, error)
	// MetricSeries answers them for each step of a span.
	MetricSeries(ctx context.Context, senderID *string, from, to time.Time, step time.Duration, now time.Time) ([]query.Metrics, error)
	// SenderMetrics answers them for each of the senders, without their queues.
	SenderMetrics(ctx context.Context, senderIDs []string, window time.Duration, now time.Time) (map[string]query.Metrics, error)
	// Lanes answers how the lanes stand that any process sends for.
	Lanes(ctx context.Context) (map[string]query.LaneStatus, error)
}

const (
	// drainWindow is the time over which a sender's drain is taken.
	drainWindow = time.Minute
	// The bounds of how often a subscription gets figures.
	minEvery = 200 * time.Millisecond
	maxEvery = time.Hour
)

// FiguresOf answers a sender's drain and how its lane stands.
type FiguresOf func() (SenderFigures, error)

// SenderFigures are figures of a sender beside its queue.
type SenderFigures struct {
	Drain float64
	Lane  query.LaneStatus
}

// figuresOf reads the figures of some senders, all at once and where one of them is
// asked for.
func (r *Resolver) figuresOf(ctx context.Context, ids []string) func(id string) FiguresOf {
	type found struct {
		metrics map[string]query.Metrics
		lanes   map[string]query.LaneStatus
	}
	read := sync.OnceValues(func() (f found, err error) {
		if f.metrics, err = r.opts.MetricsReader.SenderMetrics(ctx, ids, drainWindow, r.opts.Clock()); err != nil {
			return f, err
		}
		f.lanes, err = r.opts.MetricsReader.Lanes(ctx)
		return f, err
	})
	return func(id string) FiguresOf {
		return func() (SenderFigures, error) {
			f, err := read()
			return SenderFigures{Drain: f.metrics[id].DrainPerMinute(), Lane: f.lanes[id]}, err
		}
	}
}

// useFigures gives the sender figures that were read together with others'.
func (s *Sender) useFigures(f FiguresOf) {
	s.Figures = f
	if s.Hold != nil {
		s.Hold.Figures = f
	}
}

// emptyIn is when a queue is empty at a drain; nil: never.
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

// figuresFor checks that the caller may see figures of the sender, or of all.
func (c caller) figuresFor(senderID *string) error {
	if senderID != nil {
		return c.demandSender("senderId", *senderID)
	}
	if c.SenderIds != nil {
		return domain.Invalid("senderId", "is needed: the key is limited to some senders")
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

// seriesOf checks what a series asks for.
func seriesOf(from, to time.Time, step *time.Duration, now time.Time) (time.Duration, error) {
	s := or(step, time.Minute)
	switch {
	case s < time.Second || s%time.Second != 0:
		return 0, domain.Invalid("step", "must be whole seconds, PT1S or more")
	case to.Before(from.Add(s)):
		return 0, domain.Invalid("to", "must be a step after from, or later")
	case to.Sub(from) > query.MaxWindow:
		return 0, domain.Invalid("to", "is more than P31D after from; ask for a shorter span")
	case to.Sub(from)/s > query.MaxPoints:
		return 0, domain.Invalid("step", "makes more than %d points; give a longer one", query.MaxPoints)
	case s%time.Minute != 0 && from.Before(now.Truncate(time.Minute).Add(-query.SecondsKept)):
		return 0, domain.Invalid("step", "must be whole minutes: figures by the second are kept for %s", query.SecondsKept)
	}
	return s, nil
}

// metricsOf shows figures.
func (r *Resolver) metricsOf(m query.Metrics) *Metrics {
	v := &Metrics{
		Window: m.Window(), At: m.To, Queued: m.Queued, Sent: m.Sent, Delivered: m.Delivered, Read: m.Read, Failed: m.Failed,
		DeadLettered: m.DeadLettered, Expired: m.Expired, Retried: m.Retried, Throttled: m.Throttled,
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

// errorsByType completes the categories that only codes tell, and adds up what is of
// one type then.
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

// followMetrics sends figures at once and each time every has passed.
func (r *Resolver) followMetrics(ctx context.Context, senderID *string, window, every time.Duration) <-chan *Metrics {
	figures := make(chan *Metrics)
	r.streams.Go(func() {
		defer close(figures)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			m, err := r.opts.MetricsReader.Metrics(ctx, senderID, window, r.opts.Clock())
			if err != nil {
				if ctx.Err() == nil {
					endStream(ctx, r.errors.present(ctx, resolverError{err}))
				}
				return
			}
			select {
			case figures <- r.metricsOf(m):
			case <-ctx.Done():
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return figures
}
