package graph

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// retryHint sets the header Retry-After of a response to the longest time that an error of
// the response names. A nil *retryHint does nothing.
type retryHint struct {
	header http.Header

	mu      sync.Mutex
	seconds int
}

type retryHintKey struct{}

// withRetryHint returns a copy of ctx for a request whose response has the header, and is
// written after all of its errors are known.
func withRetryHint(ctx context.Context, header http.Header) context.Context {
	return context.WithValue(ctx, retryHintKey{}, &retryHint{header: header})
}

func hintOf(ctx context.Context) *retryHint {
	hint, _ := ctx.Value(retryHintKey{}).(*retryHint)
	return hint
}

func (h *retryHint) atLeast(seconds int) {
	if h == nil || seconds <= 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if seconds > h.seconds {
		h.seconds = seconds
		h.header.Set("Retry-After", strconv.Itoa(seconds))
	}
}

// secondsOf returns a time in whole seconds, rounded up.
func secondsOf(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
