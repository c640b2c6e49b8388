package lane

import (
	"time"

	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch/pace"
)

const (
	// holdAgain is how soon after a release another hold continues the backoff of the
	// hold before it: the sender was healthy, but its calls still failed.
	holdAgain = time.Minute
	// holdSettled is how long after a release a recorded hold can be older than it.
	holdSettled = time.Second
)

type holdState uint8

const (
	released holdState = iota
	held               // Waypost stopped the lane
	probing            // it is held, and WhatsApp is being asked about the sender
)

// hold is whether Waypost stopped the lane, and when it asks WhatsApp whether the
// fault is fixed.
type hold struct {
	state   holdState
	tokenID string // the token that the lane was held with
	level   int    // of the backoff
	probeAt time.Time
	begun   time.Time
	ended   time.Time
}

func (h *hold) active() bool { return h.state != released }

func (h *hold) release(now time.Time) { h.state, h.ended = released, now }

// Stop stops the lane for a fault of its sender that was found with the given token.
// It reports whether the fault must be recorded: not if the lane is held already or
// the token has been replaced since.
func (l *Lane) Stop(tokenID string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hold.active() || tokenID != l.sender.TokenID {
		return false
	}
	l.stop(now)
	return true
}

func (l *Lane) stop(now time.Time) {
	h := &l.hold
	if now.Sub(h.ended) > holdAgain {
		h.level = 0
	}
	h.state, h.tokenID, h.begun = held, l.sender.TokenID, now
	h.backOff(now)
	l.dismiss()
}

// backOff schedules the next probe.
func (h *hold) backOff(now time.Time) {
	h.probeAt = now.Add(pace.Backoff(h.level))
	h.level++
}

// Adopt applies the record of the sender. It reports whether lane and record differ on
// a hold, so that the event log must be read; never while a probe is in
// progress.
func (l *Lane) Adopt(s sender.Sender, now time.Time) (differ bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	resumed := len(l.sender.PausedPriorities) > 0 && len(s.PausedPriorities) == 0
	l.update(s)
	if h := &l.hold; h.active() && (resumed || h.tokenID != s.TokenID) {
		h.tokenID, h.level, h.probeAt = s.TokenID, 0, now
	}
	return l.hold.active() != (s.Hold != nil) && l.hold.state != probing
}

// SyncHold applies the hold of a sender that was read from the event log. It changes
// nothing while a probe is in progress, or while the record may be older than the
// lane's last change.
func (l *Lane) SyncHold(s sender.Sender, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch h := &l.hold; {
	case h.state == released && s.Hold != nil && now.Sub(h.ended) > holdSettled:
		l.stop(now)
	case h.state == held && s.Hold == nil && now.Sub(h.begun) > holdAgain:
		h.release(now)
	}
}

// StartProbe reports whether it is time to ask WhatsApp about the held sender, and
// returns the sender. If so, the caller must call EndProbe.
func (l *Lane) StartProbe(now time.Time) (s sender.Sender, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hold.state != held || now.Before(l.hold.probeAt) {
		return sender.Sender{}, false
	}
	l.hold.state = probing
	return l.sender, true
}

// EndProbe ends the probe of the sender that StartProbe returned. If the sender is
// healthy, the lane is released. Otherwise the next probe is scheduled, unless the
// token has been replaced in the meantime: the new one is tried immediately.
func (l *Lane) EndProbe(s sender.Sender, healthy bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &l.hold
	h.state = held
	if healthy {
		h.release(now)
		return
	}
	if h.tokenID == s.TokenID {
		h.backOff(now)
	}
}
