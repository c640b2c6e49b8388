package dispatch

import (
	"context"
	"log/slog"
	"time"

	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

const (
	// probeTimeout bounds a question for a sender's health.
	probeTimeout = 30 * time.Second
	// holdAgain is how soon after a release another hold keeps the backoff of the
	// one before: the health said yes and the calls still failed.
	holdAgain = time.Minute
)

func faultOf(f message.Failure) sender.Fault {
	return sender.Fault{Code: f.Code, Category: string(f.Category), Message: f.Message, Advice: f.Advice}
}

// stop stops the lane for a fault of its sender. It answers the fault if it is
// the first to stop the lane, and so has to be recorded.
func (l *lane) stop(f sender.Fault, now time.Time) *sender.Fault {
	if l.hold.active {
		return nil
	}
	if now.Sub(l.hold.ended) > holdAgain {
		l.hold.level = 0
	}
	l.hold.active, l.hold.tokenID, l.hold.begun = true, l.sender.TokenID, now
	l.hold.probeAt = now.Add(backoffAt(l.hold.level))
	l.hold.level++
	l.dismiss()
	return &f
}

// holdSender records that a sender is held, until that stands.
func (d *Dispatcher) holdSender(s sender.Sender, f sender.Fault) {
	d.log.WarnContext(d.recording, "the sender is held", slog.String("sender", s.ID),
		slog.String("category", f.Category), slog.String("fault", f.Message))
	d.changeSender(s.ID, func(have sender.Sender) ([]domain.Event, error) { return sender.Hold(have, f) })
}

func (d *Dispatcher) changeSender(id string, decide func(sender.Sender) ([]domain.Event, error)) bool {
	for wait := recordRetry; ; wait = min(2*wait, maxRecordRetry) {
		ctx, cancel := context.WithTimeout(d.recording, appendTimeout)
		_, err := d.senders.Change(ctx, id, cause(trace.Span{}), decide)
		cancel()
		if err == nil || domain.CodeOf(err) == domain.CodeNotFound {
			return err == nil
		}
		d.log.WarnContext(d.recording, "the sender's state cannot be recorded; trying again",
			slog.String("sender", id), slog.Any("error", err))
		if sleep(d.recording, wait) != nil {
			return false
		}
	}
}

// adopt takes what is recorded of a sender into its lane. Answers whether the
// lane and the record differ on a hold, so that the log has to be asked.
func (l *lane) adopt(s sender.Sender, now time.Time) (differs bool) {
	resumed := len(l.sender.PausedPriorities) > 0 && len(s.PausedPriorities) == 0
	l.update(s)
	if l.hold.active && (resumed || l.hold.tokenID != s.TokenID) {
		l.hold.tokenID, l.hold.level, l.hold.probeAt = s.TokenID, 0, now
	}
	return l.hold.active != (s.Hold != nil)
}

// startProbes asks WhatsApp about the held lanes whose time has come.
func (d *Dispatcher) startProbes() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock()
	for _, l := range d.lanes {
		if !l.hold.active || l.hold.probing || now.Before(l.hold.probeAt) || d.stopping {
			continue
		}
		l.hold.probing = true
		s := l.sender
		d.watchers.Go(func() {
			d.probe(l, s)
		})
	}
}

// probe asks WhatsApp about a held sender and releases it when it is well.
func (d *Dispatcher) probe(l *lane, s sender.Sender) {
	ctx, cancel := context.WithTimeout(d.calling, probeTimeout)
	defer cancel()
	healthy, failure, err := d.caller.Probe(ctx, s)
	switch {
	case err != nil:
		d.log.InfoContext(ctx, "the health of a held sender is not known", slog.String("sender", s.ID), slog.Any("error", err))
	case healthy:
		healthy = d.changeSender(s.ID, func(have sender.Sender) ([]domain.Event, error) {
			return sender.Release(have, "WhatsApp says that the number can send again")
		})
	case failure.Message != "":
		d.changeSender(s.ID, func(have sender.Sender) ([]domain.Event, error) {
			return sender.Hold(have, faultOf(failure))
		})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock()
	l.hold.probing = false
	if err == nil && healthy {
		l.hold.active, l.hold.ended = false, now
		signal(d.sub.wake)
		return
	}
	if l.hold.tokenID == s.TokenID { // a token that came meanwhile is tried at once
		l.hold.probeAt = now.Add(backoffAt(l.hold.level))
		l.hold.level++
	}
}
