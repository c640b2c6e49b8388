package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/command"
)

const (
	// inboundFlush is how often counts of inbound messages are shared: WhatsApp
	// counts them into a number's throughput, a second at a time.
	inboundFlush = 200 * time.Millisecond
	// inboundTimeout bounds the sharing; what it misses is out of the window.
	inboundTimeout = time.Second
)

// inboundCounter counts the messages that came in for each number and shares
// the counts with the lanes of all processes.
type inboundCounter struct {
	senders *command.Senders
	leases  *postgres.Leases
	now     command.Clock
	log     *slog.Logger

	mu     sync.Mutex
	counts map[string]int
}

func newInboundCounter(senders *command.Senders, leases *postgres.Leases, now command.Clock, log *slog.Logger) *inboundCounter {
	return &inboundCounter{senders: senders, leases: leases, now: now, log: log, counts: make(map[string]int)}
}

func (c *inboundCounter) add(phoneNumberID string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[phoneNumberID] += n
}

func (c *inboundCounter) run(ctx context.Context) error {
	tick := time.NewTicker(inboundFlush)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			c.flush(ctx)
		}
	}
}

func (c *inboundCounter) flush(ctx context.Context) {
	c.mu.Lock()
	counts := c.counts
	c.counts = make(map[string]int)
	c.mu.Unlock()
	if len(counts) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, inboundTimeout)
	defer cancel()
	bySender := make(map[string]int, len(counts))
	for number, n := range counts {
		if owner, err := c.senders.OwnerOf(ctx, number); err == nil { // another's number slows nobody here
			bySender[owner] += n
		}
	}
	if len(bySender) == 0 {
		return
	}
	if err := c.leases.AddInbound(ctx, c.now(), bySender); err != nil {
		c.log.DebugContext(ctx, "inbound messages were not counted", "error", err)
	}
}
