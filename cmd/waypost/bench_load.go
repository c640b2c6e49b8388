package main

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// queueWorkers are the clients that queue at once.
	queueWorkers = 4
	// queuePatience bounds how long a batch is tried while the platform is away: a
	// start takes a few seconds, after a crash a few more.
	queuePatience = 90 * time.Second
	// queuePause is the time between two tries.
	queuePause = 100 * time.Millisecond
	// booksPoll is how often the ledger is asked whether all is read.
	booksPoll = 200 * time.Millisecond
	// sampleSize is how many messages of a load have their history read.
	sampleSize = 1000
)

// load queues messages, spread over senders.
type load struct {
	client  *graphqlClient
	senders int
	batch   int     // messages of one call
	rate    float64 // messages a second over all; 0: as fast as they are taken
	retry   bool    // go on while the platform is away
	// priority is that of the messages; the platform's default if empty.
	priority string
	// skip is how many messages of these numbers stand already.
	skip int

	queued  atomic.Int64 // acknowledged
	retries atomic.Int64
	newest  atomic.Pointer[acknowledged]
	mu      sync.Mutex
	ids     []string // of the acknowledged messages
}

// acknowledged is a message whose queueing was answered.
type acknowledged struct {
	sender, key string
	at          time.Time
}

// senderID and senderNumber name the i-th sender of a load.
func senderID(i int) string     { return fmt.Sprintf("bench-%d", i) }
func senderNumber(i int) string { return fmt.Sprintf("10000000%04d", i) }

// messageKey is the idempotency key of the n-th message.
func messageKey(n int) string { return fmt.Sprintf("bench-%d", n) }

// register registers the senders with a rate each.
func (l *load) register(ctx context.Context, rate int) error {
	for i := range l.senders {
		if err := l.client.registerSender(ctx, senderID(i), senderNumber(i), rate); err != nil {
			return fmt.Errorf("register sender: %w", err)
		}
	}
	return nil
}

// queue queues messages until it has count of them, enough says so, or ctx ends.
// A call that went unanswered is made again with the same idempotency keys.
func (l *load) queue(ctx context.Context, count int, enough func() bool) error {
	if count <= 0 {
		count = math.MaxInt
	}
	start := time.Now()
	var next atomic.Int64 // number of the next message
	group, ctx := errgroup.WithContext(ctx)
	for range queueWorkers {
		group.Go(func() error {
			for !enough() {
				first := int(next.Add(int64(l.batch))) - l.batch
				if first >= count {
					return nil
				}
				if err := l.await(ctx, start, first); err != nil {
					return err
				}
				if err := l.queueBatch(ctx, first, min(l.batch, count-first)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// await waits until it is the turn of the n-th message.
func (l *load) await(ctx context.Context, start time.Time, n int) error {
	if l.rate <= 0 {
		return ctx.Err()
	}
	return pause(ctx, time.Until(start.Add(time.Duration(float64(n)/l.rate*float64(time.Second)))))
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *load) queueBatch(ctx context.Context, first, size int) error {
	inputs := make([]map[string]any, size)
	for i := range inputs {
		n := l.skip + first + i
		inputs[i] = benchMessage(senderID(n%l.senders), messageKey(n), n)
		if l.priority != "" {
			inputs[i]["priority"] = l.priority
		}
	}
	giveUp := time.Now().Add(queuePatience)
	for {
		ids, err := l.client.queueMessages(ctx, inputs)
		if err == nil {
			l.queued.Add(int64(len(ids)))
			last := l.skip + first + size - 1
			l.newest.Store(&acknowledged{sender: senderID(last % l.senders), key: messageKey(last), at: time.Now()})
			l.mu.Lock()
			l.ids = append(l.ids, ids...)
			l.mu.Unlock()
			return nil
		}
		if !l.retry || !again(err) || time.Now().After(giveUp) {
			return fmt.Errorf("queue messages: %w", err)
		}
		l.retries.Add(1)
		if err := pause(ctx, queuePause); err != nil {
			return err
		}
	}
}

// awaitRead waits until the ledger says that every message was read, at most
// for patience. When it does not come to that, the books it answers tell what
// is wrong; an error is of the connection alone.
func (l *load) awaitRead(ctx context.Context, patience time.Duration) (b books, at time.Time, err error) {
	giveUp := time.Now().Add(patience)
	for {
		if b, err = l.client.ledger(ctx); err != nil {
			return b, time.Now(), fmt.Errorf("read the ledger: %w", err)
		}
		at = time.Now()
		if (b.Read == l.queued.Load() && b.Balanced) || at.After(giveUp) {
			return b, at, nil
		}
		if err := pause(ctx, booksPoll); err != nil {
			return b, at, err
		}
	}
}

// spans are the times between a message's events.
type spans struct {
	QueuedToCall    percentiles `json:"queued_to_call"`
	QueuedToSent    percentiles `json:"queued_to_sent"`
	SentToDelivered percentiles `json:"sent_to_delivered"`
	QueuedToRead    percentiles `json:"queued_to_read"`
}

// sampleSpans reads the history of messages spread evenly over the load.
// Histories have the platform's own times; WhatsApp's are whole seconds.
func (l *load) sampleSpans(ctx context.Context) (spans, error) {
	call, sent, delivered, read := newLatencies(), newLatencies(), newLatencies(), newLatencies()
	step := max(1, len(l.ids)/sampleSize)
	for i := 0; i < len(l.ids); i += step {
		status, at, err := l.client.messageLifecycle(ctx, l.ids[i])
		if err != nil {
			return spans{}, err
		}
		if status != "READ" {
			continue // the books count it
		}
		call.record(at["SendAttempted"].Sub(at["Queued"]))
		sent.record(at["Sent"].Sub(at["Queued"]))
		read.record(at["Read"].Sub(at["Queued"]))
		if !at["Delivered"].IsZero() { // a read may come without one
			delivered.record(at["Delivered"].Sub(at["Sent"]))
		}
	}
	return spans{call.percentiles(), sent.percentiles(), delivered.percentiles(), read.percentiles()}, nil
}

// lag is how far the read models are behind.
type lag struct {
	told   latencies // by readModel
	listed latencies // from a message's acknowledgement until the list has it
}

const (
	// lagEvery is the time between two samples of the lag.
	lagEvery = 100 * time.Millisecond
	// listedPoll is how often the list is asked for a message, and so how exact
	// that lag is.
	listedPoll = 10 * time.Millisecond
)

// watchLag samples the lag until ctx ends, which is no error.
func (l *load) watchLag(ctx context.Context) (lag, error) {
	seen := lag{newLatencies(), newLatencies()}
	var last *acknowledged
	for {
		err := pause(ctx, lagEvery)
		var behind time.Duration
		if err == nil {
			behind, err = l.client.behind(ctx)
		}
		if err == nil {
			seen.told.record(behind)
			if newest := l.newest.Load(); newest != last {
				last = newest
				err = l.awaitListed(ctx, newest, seen.listed)
			}
		}
		switch {
		case ctx.Err() != nil:
			return seen, nil //nolint:nilerr // the end of ctx is the usual one
		case err != nil:
			return seen, fmt.Errorf("ask how far the read models are behind: %w", err)
		}
	}
}

// awaitListed waits until the list has the message and records how long that took.
func (l *load) awaitListed(ctx context.Context, m *acknowledged, into latencies) error {
	for {
		listed, err := l.client.listed(ctx, m.sender, m.key)
		if err != nil {
			return err
		}
		if listed {
			into.record(time.Since(m.at))
			return nil
		}
		if err := pause(ctx, listedPoll); err != nil {
			return err
		}
	}
}
