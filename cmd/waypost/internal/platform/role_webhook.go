package platform

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/ports/httpapi"
)

// recording is the role webhook: it records WhatsApp webhooks in the event log.
type recording struct {
	recorder *command.RecordWebhook
	rejected *rejectionCounter
	// since is when webhooks began to be recorded without interruption. It is nil if this process records none.
	since func() time.Time
}

func (c *core) recordWebhooks() *recording {
	inbound := newInboundCounter(c.Senders, c.leases, c.now, c.log)
	r := &recording{
		recorder: command.NewRecordWebhook(c.gate.Timed(c.guard.Watch(c.stores.Log), time.Now), c.now, c.messages, c.Senders, c.model, c.errors.ParseWebhook, inbound.add, c.log).
			Linking(c.model).ReportingTo(c.templates).Affecting(c.model.SenderStates),
		rejected: &rejectionCounter{leases: c.leases, now: c.now, log: c.log, counted: make(chan struct{}, 1)},
	}
	if !c.settings.has(roleWebhook) {
		return r
	}
	r.since = r.recorder.RecordingSince
	c.parts.repeatAfter("inbound", inbound.counted, inboundFlush, inbound.flush)
	c.parts.repeat("webhook check", time.Second, r.recorder.Check)
	c.parts.repeat("webhook recording", recordingInterval, newRecordingHeartbeat(r.recorder, c.leases, c.now).beat)
	c.parts.run("orphans", process.NewJoinOrphans(c.stores.Log, command.NewReports(c.messages, c.Senders), c.model, c.now, time.After, c.log).Run)
	c.parts.repeatAfter("rejected webhooks", r.rejected.counted, rejectionFlush, r.rejected.flush)
	return r
}

// webhookHandler returns the handler of WhatsApp webhooks.
func (c *core) webhookHandler(r *recording) http.Handler {
	return httpapi.NewWebhook(httpapi.WebhookOptions{
		Recorder: r.recorder, AppSecrets: c.secrets.App.List, VerifyToken: c.secrets.Verify.Get,
		DeliveryID: func() string { return NewID().String() }, Recorded: c.forwardWebhooks(), Rejected: r.rejected.add,
		Gate: c.gate, Trace: c.tracer, Logger: c.log,
	})
}

const (
	// inboundFlush is the time between two updates of the shared counts of inbound messages. WhatsApp counts inbound messages
	// toward a number's throughput, per second.
	inboundFlush = 200 * time.Millisecond
	// inboundTimeout bounds one update. Counts that it misses are outside the window by then.
	inboundTimeout = time.Second
	// rejectionFlush is the time between two updates of the shared count of rejected webhooks.
	rejectionFlush = time.Second
	// rejectionTimeout bounds one update. Counts that it misses are added to the next one.
	rejectionTimeout = time.Second
)

// inboundCounter counts the messages received for each phone number and shares the counts with the lanes of all processes.
type inboundCounter struct {
	senders *command.Senders
	leases  *postgres.Leases
	now     event.Clock
	log     *slog.Logger
	counted chan struct{} // has a value after counts changed

	mu     sync.Mutex
	counts map[string]int // by phone number ID; guarded by mu
}

func newInboundCounter(senders *command.Senders, leases *postgres.Leases, now event.Clock, log *slog.Logger) *inboundCounter {
	return &inboundCounter{senders: senders, leases: leases, now: now, log: log, counted: make(chan struct{}, 1), counts: make(map[string]int)}
}

func (c *inboundCounter) add(phoneNumberID string, n int) {
	c.mu.Lock()
	c.counts[phoneNumberID] += n
	c.mu.Unlock()
	signal(c.counted)
}

func (c *inboundCounter) flush(ctx context.Context) error {
	c.mu.Lock()
	counts := c.counts
	c.counts = make(map[string]int)
	c.mu.Unlock()
	if len(counts) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, inboundTimeout)
	defer cancel()
	bySender := make(map[string]int, len(counts))
	for number, n := range counts {
		if owner, err := c.senders.OwnerOf(ctx, number); err == nil { // messages to other numbers slow no sender
			bySender[owner] += n
		}
	}
	if len(bySender) == 0 {
		return nil
	}
	err := c.leases.AddInbound(ctx, c.now(), bySender)
	if err != nil {
		c.log.DebugContext(ctx, "failed to share counts of inbound messages", "error", err)
	}
	return err
}

// rejectionCounter counts webhooks with wrong signatures and shares the count with the process that evaluates the alert rules.
type rejectionCounter struct {
	leases *postgres.Leases
	now    event.Clock
	log    *slog.Logger
	fresh  atomic.Int64 // not shared yet
	all    atomic.Int64

	counted chan struct{} // has a value after fresh grew
}

func (c *rejectionCounter) add() {
	c.fresh.Add(1)
	c.all.Add(1)
	signal(c.counted)
}

// total returns the number of rejected webhooks since the process started.
func (c *rejectionCounter) total() float64 { return float64(c.all.Load()) }

func (c *rejectionCounter) flush(ctx context.Context) error {
	n := c.fresh.Swap(0)
	if n == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, rejectionTimeout)
	defer cancel()
	err := c.leases.AddRejections(ctx, c.now(), int(n))
	if err != nil {
		c.fresh.Add(n)
		signal(c.counted)
		c.log.DebugContext(ctx, "failed to share the count of rejected webhooks; trying again", "error", err)
	}
	return err
}
