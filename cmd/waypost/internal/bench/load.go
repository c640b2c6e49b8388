package bench

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

const (
	// queueWorkers is the number of clients that queue concurrently.
	queueWorkers = 4
	// queuePatience bounds the retries of a batch while Waypost is unavailable. A start takes a few seconds, and a few more after a
	// crash.
	queuePatience = 90 * time.Second
	// queuePause is the time between two tries.
	queuePause = 100 * time.Millisecond
	// warmUpPatience is how long backlog waits until the messages of the warm-up are read.
	warmUpPatience = time.Minute
	// sampleSize is the number of messages of a load whose history is read.
	sampleSize = 1000
)

// Load queues messages, spread over senders.
type Load struct {
	Client  *harness.Client
	Senders int
	Batch   int     // messages of one call
	Rate    float64 // messages per second of all senders; 0 means as fast as they are accepted
	Retry   bool    // continue while Waypost is unavailable
	// priority is the priority of the messages. If empty, it is Waypost's default.
	priority string
	// Skip is the number of messages that are queued already.
	Skip int
	// warmFirst is the number of messages that backlog sends before the messages of the backlog.
	warmFirst int

	Queued  atomic.Int64 // acknowledged, including the warm-up
	warm    int64        // messages of the warm-up
	retries atomic.Int64
	newest  atomic.Pointer[acknowledged]
	mu      sync.Mutex
	ids     []string // of the acknowledged messages
}

// acknowledged is a message that Waypost has accepted.
type acknowledged struct {
	sender, key string
	at          time.Time
}

// SenderID returns the ID of the i-th sender of a load.
func SenderID(i int) string { return fmt.Sprintf("bench-%d", i) }

// SenderNumber returns the phone number ID of the i-th sender of a load.
func SenderNumber(i int) string { return fmt.Sprintf("10000000%04d", i) }

// MessageKey is the idempotency key of the n-th message.
func MessageKey(n int) string { return fmt.Sprintf("bench-%d", n) }

// Register registers the senders with a rate each.
func (l *Load) Register(ctx context.Context, rate int) error {
	for i := range l.Senders {
		if err := l.Client.RegisterSender(ctx, SenderID(i), SenderNumber(i), rate); err != nil {
			return fmt.Errorf("register sender: %w", err)
		}
	}
	return nil
}

// Queue queues count messages, or fewer if enough returns true or ctx ends. A count of 0 means no limit. A request without a response is
// repeated with the same idempotency keys.
func (l *Load) Queue(ctx context.Context, count int, enough func() bool) error {
	if count <= 0 {
		count = math.MaxInt
	}
	start := time.Now()
	var next atomic.Int64 // number of the next message
	group, ctx := errgroup.WithContext(ctx)
	for range queueWorkers {
		group.Go(func() error {
			for !enough() {
				first := int(next.Add(int64(l.Batch))) - l.Batch
				if first >= count {
					return nil
				}
				if err := l.await(ctx, start, first); err != nil {
					return err
				}
				if err := l.queueBatch(ctx, first, min(l.Batch, count-first)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// await waits until the n-th message is due.
func (l *Load) await(ctx context.Context, start time.Time, n int) error {
	if l.Rate <= 0 {
		return ctx.Err()
	}
	return retry.Sleep(ctx, time.Until(start.Add(time.Duration(float64(n)/l.Rate*float64(time.Second)))))
}

func (l *Load) queueBatch(ctx context.Context, first, size int) error {
	inputs := make([]map[string]any, size)
	for i := range inputs {
		n := l.Skip + first + i
		inputs[i] = harness.Message(SenderID(n%l.Senders), MessageKey(n), n)
		if l.priority != "" {
			inputs[i]["priority"] = l.priority
		}
	}
	giveUp := time.Now().Add(queuePatience)
	for {
		ids, err := l.Client.QueueMessages(ctx, inputs)
		if err == nil {
			l.Queued.Add(int64(len(ids)))
			last := l.Skip + first + size - 1
			l.newest.Store(&acknowledged{sender: SenderID(last % l.Senders), key: MessageKey(last), at: time.Now()})
			l.mu.Lock()
			l.ids = append(l.ids, ids...)
			l.mu.Unlock()
			return nil
		}
		if !l.Retry || !apiclient.IsRetryable(err) || time.Now().After(giveUp) {
			return fmt.Errorf("queue messages: %w", err)
		}
		l.retries.Add(1)
		if err := retry.Sleep(ctx, queuePause); err != nil {
			return err
		}
	}
}

// AwaitRead waits until the ledger shows every message as read, at most for patience. If that does not happen, the returned counts show
// what is wrong. An error is one of the connection.
func (l *Load) AwaitRead(ctx context.Context, patience time.Duration) (b harness.LedgerCounts, at time.Time, err error) {
	giveUp := time.Now().Add(patience)
	for {
		if b, err = l.Client.Ledger(ctx); err != nil {
			return b, time.Now(), fmt.Errorf("read the ledger: %w", err)
		}
		at = time.Now()
		if (b.Read == l.Queued.Load() && b.Balanced) || at.After(giveUp) {
			return b, at, nil
		}
		if err := retry.Sleep(ctx, harness.PollInterval); err != nil {
			return b, at, err
		}
	}
}

// warmUp sends messages as fast as possible and waits until all are read. They are not counted, except in Queued. It returns the
// number per second.
func (l *Load) warmUp(ctx context.Context, count int, patience time.Duration) (perSecond float64, err error) {
	if count == 0 {
		return 0, nil
	}
	rate := l.Rate
	l.Rate = 0
	start := time.Now()
	if err := l.Queue(ctx, count, func() bool { return false }); err != nil {
		return 0, err
	}
	ledger, readAt, err := l.AwaitRead(ctx, patience)
	if err != nil {
		return 0, err
	}
	if ledger.Read != int64(count) {
		return 0, fmt.Errorf("not all messages of the warm-up were read within %s: %v", patience, ledger)
	}
	l.Skip, l.warm, l.ids, l.Rate = l.Skip+count, int64(count), nil, rate
	l.newest.Store(nil)
	return float64(count) / readAt.Sub(start).Seconds(), nil
}

// Lag is the lag of the read models.
type Lag struct {
	reported Latencies // by readModel
	listed   Latencies // from a message's acknowledgement until the list has it
	over     []lagAt   // the reported ones, over time
}

// lagAt is the lag at a time.
type lagAt struct {
	at     time.Time
	behind time.Duration
}

const (
	// lagEvery is the time between two samples of the lag.
	lagEvery = 100 * time.Millisecond
	// listedPoll is the time between two reads of the list of messages, and so the precision of that lag.
	listedPoll = 10 * time.Millisecond
)

// WatchLag samples the lag until ctx ends, and returns the samples without an error then.
func (l *Load) WatchLag(ctx context.Context) (Lag, error) {
	seen := Lag{reported: newLatencies(), listed: newLatencies()}
	var last *acknowledged
	for {
		err := retry.Sleep(ctx, lagEvery)
		var behind time.Duration
		if err == nil {
			behind, err = l.Client.Behind(ctx)
		}
		if err == nil {
			seen.reported.record(behind)
			seen.over = append(seen.over, lagAt{time.Now(), behind})
			if newest := l.newest.Load(); newest != last {
				last = newest
				err = l.awaitListed(ctx, newest, seen.listed)
			}
		}
		switch {
		case ctx.Err() != nil:
			return seen, nil //nolint:nilerr // the end of ctx is the usual one
		case err != nil:
			return seen, fmt.Errorf("measure the lag of the read models: %w", err)
		}
	}
}

// awaitListed waits until the list has the message and records how long that took.
func (l *Load) awaitListed(ctx context.Context, m *acknowledged, into Latencies) error {
	for {
		listed, err := l.Client.Listed(ctx, m.sender, m.key)
		if err != nil {
			return err
		}
		if listed {
			into.record(time.Since(m.at))
			return nil
		}
		if err := retry.Sleep(ctx, listedPoll); err != nil {
			return err
		}
	}
}

// sendBacklog registers the senders, queues messages, and starts to send them.
func (l *Load) sendBacklog(ctx context.Context, rate, count int) error {
	if err := l.backlog(ctx, rate, count); err != nil {
		return err
	}
	return l.resume(ctx)
}

// backlog registers the senders and queues messages while all senders are paused, so that queueing does not disturb the measurement.
func (l *Load) backlog(ctx context.Context, rate, count int) error {
	if err := l.Register(ctx, rate); err != nil {
		return err
	}
	if _, err := l.warmUp(ctx, l.warmFirst, warmUpPatience); err != nil {
		return err
	}
	for i := range l.Senders {
		err := l.Client.Do(ctx, `mutation($id: ID!) { pauseSender(id: $id, reason: "bench") { id } }`,
			map[string]any{"id": SenderID(i)}, &struct{}{})
		if err != nil {
			return fmt.Errorf("pause sender: %w", err)
		}
	}
	if err := l.Queue(ctx, count, func() bool { return false }); err != nil {
		return err
	}
	return l.awaitCaughtUp(ctx)
}

// awaitCaughtUp waits until the read models have caught up.
func (l *Load) awaitCaughtUp(ctx context.Context) error {
	for giveUp := time.Now().Add(time.Minute); ; {
		behind, err := l.Client.Behind(ctx)
		if err != nil {
			return err
		}
		if behind < harness.PollInterval {
			return retry.Sleep(ctx, settleTime)
		}
		if time.Now().After(giveUp) {
			return fmt.Errorf("the read models lag by %s a minute after the load", behind)
		}
		if err := retry.Sleep(ctx, harness.PollInterval); err != nil {
			return err
		}
	}
}

// resume ends the pauses of all senders.
func (l *Load) resume(ctx context.Context) error {
	for i := range l.Senders {
		err := l.Client.Do(ctx, `mutation($id: ID!) { resumeSender(id: $id) { id } }`,
			map[string]any{"id": SenderID(i)}, &struct{}{})
		if err != nil {
			return fmt.Errorf("resume sender: %w", err)
		}
	}
	return nil
}
