package platform

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/command"
)

const (
	// recordingInterval is the time between two heartbeats of a process that records webhooks.
	recordingInterval = time.Second
	// recordingTimeout bounds one heartbeat. If it is missed, the next one says how long this process was silent.
	recordingTimeout = 2 * time.Second
	// numberInterval is the time between two updates of when a number's last webhook came.
	numberInterval = time.Minute
)

// recordingHeartbeat reports to all processes that this one can record webhooks, and which numbers' webhooks came.
type recordingHeartbeat struct {
	recorder *command.RecordWebhook
	leases   *postgres.Leases
	process  uuid.UUID
	now      func() time.Time

	last time.Time // the last heartbeat, zero before the first; belongs to beat

	mu      sync.Mutex
	fresh   map[string]bool      // numbers whose webhooks came, not shared yet; guarded by mu
	sharing map[string]time.Time // when they were shared last; guarded by mu
}

func newRecordingHeartbeat(recorder *command.RecordWebhook, leases *postgres.Leases, now func() time.Time) *recordingHeartbeat {
	h := &recordingHeartbeat{
		recorder: recorder, leases: leases, process: NewID(), now: now, fresh: make(map[string]bool), sharing: make(map[string]time.Time),
	}
	recorder.Hearing(h.heard)
	return h
}

// heard notes that webhooks of phone numbers were recorded.
func (h *recordingHeartbeat) heard(phoneNumberIDs []string) {
	if len(phoneNumberIDs) == 0 {
		return
	}
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range phoneNumberIDs {
		if shared, known := h.sharing[id]; !known || now.Sub(shared) >= numberInterval {
			h.fresh[id], h.sharing[id] = true, now
		}
	}
}

// beat sends a heartbeat, if webhooks can be recorded. Otherwise, the silence shows that they can't.
func (h *recordingHeartbeat) beat(ctx context.Context) error {
	begun := h.now()
	can, unbroken := h.recorder.Recording(h.last)
	if !can {
		return nil
	}
	h.mu.Lock()
	numbers := slices.Collect(maps.Keys(h.fresh))
	clear(h.fresh)
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, recordingTimeout)
	defer cancel()
	err := h.leases.RecordingBeat(ctx, postgres.RecordingBeat{
		Process: h.process, First: h.last.IsZero(), SinceLast: begun.Sub(h.last), Unbroken: unbroken, Numbers: numbers,
	})
	if err == nil {
		h.last = begun
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range numbers {
		h.fresh[id] = true
	}
	return err
}
