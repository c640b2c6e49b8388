package httpapi

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/waypost/waypost/domain"
)

const (
	// bodiesInFlight is the maximum number of bytes of request bodies in memory at once,
	// on all routes together. keptForSmall of them are reserved for small bodies, so that
	// these get through while someone uploads large bodies. keptForWebhooks are reserved
	// for small webhooks, so that these get through while many requests wait.
	bodiesInFlight  = 40 << 20
	keptForSmall    = 8 << 20
	keptForWebhooks = 8 << 20
	// smallBody is the size of the largest body that can use the reserved bytes.
	smallBody = 64 << 10
	// bodyStep is the number of bytes that a body takes from the limit at a time.
	bodyStep = 16 << 10
	// readBodyTimeout is the time limit for reading a request's body.
	readBodyTimeout = 30 * time.Second
)

// errBodies is the error of reading a body while too many bytes are in memory.
var errBodies = domain.Unavailable("too many large requests are in progress; try again in a few seconds")

// Bodies limits the bytes of request bodies in memory at once. The servers of one process
// share it.
type Bodies struct {
	mu   sync.Mutex
	free int64
}

// NewBodies returns a Bodies from which nothing is taken.
func NewBodies() *Bodies { return &Bodies{free: bodiesInFlight} }

// take takes n bytes for a body that already has held bytes. It returns false if too few
// are free.
func (b *Bodies) take(n, held int64, webhook bool) bool {
	kept := int64(keptForWebhooks)
	switch {
	case held+n > smallBody:
		kept += keptForSmall
	case webhook:
		kept = 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.free - n
	if left < kept {
		return false
	}
	b.free = left
	return true
}

func (b *Bodies) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
}

// bounded limits the bytes of request bodies in memory and the time for reading each body.
// A body's bytes are freed when its handler returns.
func (b *Bodies) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		body := &boundedBody{
			ReadCloser: r.Body, bodies: b, control: http.NewResponseController(w), webhook: r.URL.Path == webhookPattern,
		}
		// Not every ResponseWriter supports deadlines, but the server's does.
		_ = body.control.SetReadDeadline(time.Now().Add(readBodyTimeout))
		defer body.release()
		r.Body = body
		next.ServeHTTP(w, r)
	})
}

// boundedBody takes bytes from the limit as they arrive, so that a body that only claims
// to be large, or that arrives slowly, doesn't block others.
type boundedBody struct {
	io.ReadCloser

	bodies      *Bodies
	control     *http.ResponseController
	webhook     bool
	taken, read int64
	ended       bool
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.read >= b.taken && !b.ended {
		if !b.bodies.take(bodyStep, b.taken, b.webhook) {
			return 0, errBodies
		}
		b.taken += bodyStep
	}
	if room := b.taken - b.read; !b.ended && int64(len(p)) > room {
		p = p[:room]
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if errors.Is(err, io.EOF) && !b.ended {
		b.ended = true
		_ = b.control.SetReadDeadline(time.Time{}) // the response has no time limit here
	}
	return n, err
}

// release frees the bytes that the body took. A body that was not read to its end keeps
// its deadline, because the server reads the rest of it.
func (b *boundedBody) release() { b.bodies.give(b.taken) }
