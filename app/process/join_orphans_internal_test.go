package process

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
)

// However orphans arrive, are tried, and are put back, at most the limit wait, the
// queue and the index hold the same orphans, and those due first are taken first.
func TestOrphanage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		const limitBytes = 100
		w := newOrphanage(limit, limitBytes)
		now := time.Date(2026, 3, 3, 16, 0, 0, 0, time.UTC)
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				wamid := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "wamid"))
				number := fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "number"))
				raw := strings.Repeat("x", rapid.IntRange(0, limitBytes).Draw(t, "bytes"))
				w.add(inbound.StatusOrphaned{
					Kind: message.ReportFailed, PhoneNumberID: number,
					Personal: inbound.OrphanPersonal{WhatsAppID: wamid, Failure: message.FailurePersonal{Raw: raw}},
				}, uuid.UUID{1}, now)
				if w.byKey[orphanKey{wamid: wamid, number: number}] == nil {
					t.Fatal("the newest has no place")
				}
			},
			"try": func(t *rapid.T) {
				due := w.takeDue(now, 2)
				for i, o := range due {
					if o.due.After(now) || i > 0 && o.due.Before(due[i-1].due) {
						t.Fatalf("%s is due at %s, now is %s", o.key.wamid, o.due, now)
					}
				}
				for _, o := range due {
					if rapid.Bool().Draw(t, "unknown") {
						before := o.delay
						w.putBack(o, now)
						if o.delay < firstLookupDelay || o.delay > lastLookupDelay || o.delay < before {
							t.Fatalf("waits %s after %s", o.delay, before)
						}
					} else {
						w.forget(o)
					}
				}
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 60_000).Draw(t, "ms")) * time.Millisecond)
			},
			"": func(t *rapid.T) {
				if len(w.byKey) > limit || len(w.queue) != len(w.byKey) || len(w.arrived) > 2*limit {
					t.Fatalf("%d by key, %d in the queue, %d arrived; limit %d", len(w.byKey), len(w.queue), len(w.arrived), limit)
				}
				bytes := 0
				for i, o := range w.queue {
					bytes += o.bytes()
					if o.index != i || w.byKey[o.key] != o || len(o.reports) > maxOrphanStatuses {
						t.Fatalf("%+v at %d", o, i)
					}
				}
				if w.bytes != bytes || bytes > limitBytes*(1+maxOrphanStatuses) {
					t.Fatalf("%d bytes are counted, %d are kept", w.bytes, bytes)
				}
			},
		})
	})
}
