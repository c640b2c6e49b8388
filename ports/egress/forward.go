package egress

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A forward queue holds at most forwardCount webhooks and forwardBytes of them.
	forwardCount = 10_000
	forwardBytes = 64 << 20
	// forwardWays is how many are passed on at once.
	forwardWays = 8
	// forwardTries is how often one is tried: some 15 minutes.
	forwardTries = 12
	// forwardPause is the first pause between two tries, longestForwardPause the last.
	forwardPause        = 500 * time.Millisecond
	longestForwardPause = 3 * time.Minute
)

// ForwardClient passes a webhook on.
type ForwardClient interface {
	Forward(ctx context.Context, url, signature string, body []byte) (status int, err error)
}

// Forward passes every webhook of WhatsApp on, as it came and with WhatsApp's
// signature, after it was recorded. It keeps them in memory alone, so that it never
// holds up WhatsApp: what finds the queue full, or stands in it when the process
// ends, is not passed on, and counted.
type Forward struct {
	client  ForwardClient
	url     string
	logger  *slog.Logger
	queue   chan forwarded
	bytes   atomic.Int64
	dropped atomic.Int64
}

type forwarded struct {
	body      []byte
	signature string
}

// NewForward makes it; Run does the work.
func NewForward(client ForwardClient, url string, logger *slog.Logger) *Forward {
	return &Forward{client: client, url: url, logger: logger, queue: make(chan forwarded, forwardCount)}
}

// Add takes a webhook; it does not wait.
func (f *Forward) Add(body []byte, signature string) {
	size := int64(len(body))
	if f.bytes.Add(size) <= forwardBytes {
		select {
		case f.queue <- forwarded{body, signature}:
			return
		default:
		}
	}
	f.bytes.Add(-size)
	f.dropped.Add(1)
}

// Dropped is how many were not passed on so far.
func (f *Forward) Dropped() int64 { return f.dropped.Load() }

// Run passes webhooks on until ctx ends, and answers ctx's error.
func (f *Forward) Run(ctx context.Context) error {
	var working sync.WaitGroup
	for range forwardWays {
		working.Go(func() { f.work(ctx) })
	}
	told := int64(0)
	for wait(ctx, longestPause) {
		if n := f.Dropped(); n > told {
			f.logger.ErrorContext(ctx, "webhooks were not passed on", "since", n-told, "in all", n)
			told = n
		}
	}
	working.Wait()
	if left := len(f.queue); left > 0 {
		f.logger.WarnContext(ctx, "webhooks are not passed on, the process ends", "webhooks", left)
	}
	return ctx.Err()
}

func (f *Forward) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-f.queue:
			f.pass(ctx, w)
			f.bytes.Add(-int64(len(w.body)))
		}
	}
}

// pass tries one webhook until the receiver has it or refuses it.
func (f *Forward) pass(ctx context.Context, w forwarded) {
	pause := forwardPause
	for try := 1; ; try++ {
		status, err := f.client.Forward(ctx, f.url, w.signature, w.body)
		switch {
		case err == nil && status < http.StatusMultipleChoices:
			return
		case ctx.Err() != nil:
			return
		case err == nil:
			err = errors.New(http.StatusText(status))
		}
		if try == 1 {
			f.logger.WarnContext(ctx, "a webhook cannot be passed on for now", "status", status, "error", err)
		}
		if try == forwardTries || refused(status) {
			f.dropped.Add(1)
			return
		}
		if !wait(ctx, pause) {
			return
		}
		pause = min(2*pause, longestForwardPause)
	}
}
