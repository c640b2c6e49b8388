package process

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
)

// However orphans come, are tried and put back: no more than the limit wait, the
// queue and the index hold the same ones, and what is due first is taken first.
func TestOrphanage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		w := newOrphanage(limit)
		now := time.Date(2026, 3, 3, 16, 0, 0, 0, time.UTC)
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				wamid := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "wamid"))
				w.add(inbound.StatusOrphaned{Kind: message.ReportSent, Personal: inbound.OrphanPersonal{WhatsAppID: wamid}}, uuid.UUID{1}, now)
				if w.byWamid[wamid] == nil {
					t.Fatal("the newest has no place")
				}
			},
			"try": func(t *rapid.T) {
				due := w.takeDue(now, 2)
				for i, o := range due {
					if o.due.After(now) || i > 0 && o.due.Before(due[i-1].due) {
						t.Fatalf("%s is due at %s, now is %s", o.wamid, o.due, now)
					}
				}
				for _, o := range due {
					if rapid.Bool().Draw(t, "unknown") {
						before := o.delay
						w.putBack(o, now)
						if o.delay < firstLookupDelay || o.delay > lastLookupDelay || o.delay < before {
							t.Fatalf("waits %s after %s", o.delay, before)
						}
					}
				}
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 60_000).Draw(t, "ms")) * time.Millisecond)
			},
			"": func(t *rapid.T) {
				if len(w.byWamid) > limit || len(w.queue) != len(w.byWamid) || len(w.arrived) > 2*limit {
					t.Fatalf("%d by wamid, %d in the queue, %d arrived; limit %d", len(w.byWamid), len(w.queue), len(w.arrived), limit)
				}
				for i, o := range w.queue {
					if o.index != i || w.byWamid[o.wamid] != o || len(o.reports) > maxOrphanStatuses {
						t.Fatalf("%+v at %d", o, i)
					}
				}
			},
		})
	})
}
