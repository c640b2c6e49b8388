package bench

import (
	"context"

	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// histories are the times of messages spread evenly over a load. Only messages that were read are included; the ledger counts the
// others.
type histories struct {
	at   []harness.MessageTimes
	step int // each represents this many messages
}

// sampleHistories reads the history of messages spread evenly over the load. Histories have Waypost's own times; WhatsApp's are whole
// seconds.
func (l *Load) sampleHistories(ctx context.Context) (h histories, err error) {
	h.step = max(1, len(l.ids)/sampleSize)
	for i := 0; i < len(l.ids); i += h.step {
		status, at, err := l.Client.MessageLifecycle(ctx, l.ids[i])
		if err != nil {
			return h, err
		}
		if status == "READ" {
			h.at = append(h.at, at)
		}
	}
	return h, nil
}

// spans are the times between a message's events.
type spans struct {
	QueuedToCall    Percentiles `json:"queued_to_call"`
	QueuedToSent    Percentiles `json:"queued_to_sent"`
	SentToDelivered Percentiles `json:"sent_to_delivered"`
	QueuedToRead    Percentiles `json:"queued_to_read"`
}

func (h histories) spans() spans {
	call, sent, delivered, read := newLatencies(), newLatencies(), newLatencies(), newLatencies()
	for _, at := range h.at {
		call.record(at["SendAttempted"].Sub(at["Queued"]))
		sent.record(at["Sent"].Sub(at["Queued"]))
		read.record(at["Read"].Sub(at["Queued"]))
		if !at["Delivered"].IsZero() { // a message can be read without a delivery status
			delivered.record(at["Delivered"].Sub(at["Sent"]))
		}
	}
	return spans{call.percentiles(), sent.percentiles(), delivered.percentiles(), read.percentiles()}
}
