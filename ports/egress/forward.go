package egress

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/app/retry"
)

const (
	// A forward queue holds at most forwardCount webhooks, with at most forwardBytes in
	// total.
	forwardCount = 10_000
	forwardBytes = 64 << 20
	// forwardWays is the maximum number of webhooks that are forwarded concurrently.
	forwardWays = 8
	// forwardTries is the maximum number of attempts for one webhook. They take about 15
	// minutes.
	forwardTries = 12
	// forwardPause is the first delay between two attempts, and longestForwardPause the
	// longest.
	forwardPause        = 500 * time.Millisecond
	longestForwardPause = 3 * time.Minute
)

// ForwardClient forwards a webhook over HTTP.
type ForwardClient interface {
	Forward(ctx context.Context, url, signature string, body []byte) (status int, err error)
}

// Forward forwards every WhatsApp webhook after it was recorded, unchanged and with
// WhatsApp's signature. It queues webhooks only in memory, so that it never delays
// WhatsApp. A webhook that doesn't fit into the queue, or that the receiver does not
// accept, is dropped and counted. Webhooks still in the queue when the process ends are
// lost.
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

// NewForward returns a Forward. Nothing is forwarded until Run is called.
func NewForward(client ForwardClient, url string, logger *slog.Logger) *Forward {
	return &Forward{client: client, url: url, logger: logger, queue: make(chan forwarded, forwardCount)}
}

// Add queues a webhook, or drops it if the queue is full. It does not block.
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

// Dropped returns the number of webhooks dropped so far.
func (f *Forward) Dropped() int64 { return f.dropped.Load() }

// Run forwards webhooks until ctx ends and returns ctx's error.
func (f *Forward) Run(ctx context.Context) error {
	var working sync.WaitGroup
	for range forwardWays {
		working.Go(func() { f.work(ctx) })
	}
	told := int64(0)
	for retry.Sleep(ctx, longestPause) == nil {
		if n := f.Dropped(); n > told {
			f.logger.ErrorContext(ctx, "webhooks dropped instead of forwarded", "since", n-told, "in all", n)
			told = n
		}
	}
	working.Wait()
	if left := len(f.queue); left > 0 {
		f.logger.WarnContext(ctx, "queued webhooks lost: the process ends", "webhooks", left)
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

// pass tries to forward one webhook until the receiver accepts it, the attempts are used
// up, or the receiver refuses it.
func (f *Forward) pass(ctx context.Context, w forwarded) {
	retries := retry.Backoff{First: forwardPause, Max: longestForwardPause}
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
			f.logger.WarnContext(ctx, "failed to forward webhook", "status", status, "error", err)
		}
		if try == forwardTries || refused(status) {
			f.dropped.Add(1)
			return
		}
		if retries.Sleep(ctx) != nil {
			return
		}
	}
}
