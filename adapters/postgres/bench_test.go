package postgres_test

import (
	"context"
	"crypto/md5"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// lifecycle returns the events of typical messages, as batches of messages at the same
// stage, or of whole lives one after the other.
func lifecycle(messages int, staged bool) []event.Batch {
	var position event.Position
	now := start
	stages := []func(i int) domain.Event{
		func(i int) domain.Event { return queued("acme", fmt.Sprint(i)) },
		func(int) domain.Event {
			return message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: now.Add(time.Minute)}
		},
		func(int) domain.Event {
			return message.Sent{Call: 1, At: now, Personal: message.SentPersonal{WhatsAppID: fmt.Sprint("wamid.", uuid.New())}}
		},
		func(int) domain.Event { return message.Confirmed{Call: 1, At: now} },
		func(int) domain.Event { return message.Delivered{Call: 1, At: now, CalledAt: now} },
		func(int) domain.Event { return message.Read{Call: 1, At: now, CalledAt: now} },
	}
	ids := make([]uuid.UUID, messages)
	for i := range ids {
		ids[i] = uuid.New()
	}
	record := func(i, stage int) event.Recorded {
		position += 100
		e := stages[stage](i)
		return event.Recorded{
			Stream: event.MessageStream(ids[i]), Revision: event.Revision(stage), Position: position, Type: e.EventType(), Event: e,
			Meta: event.Meta{RecordedAt: now, Sender: "acme"},
		}
	}
	var events []event.Recorded
	if staged {
		for stage := range stages {
			for i := range ids {
				events = append(events, record(i, stage))
			}
		}
	} else {
		for i := range ids {
			for stage := range stages {
				events = append(events, record(i, stage))
			}
		}
	}
	var batches []event.Batch
	for len(events) > 0 {
		n := min(1000, len(events))
		batches = append(batches, event.Batch{Events: events[:n], Position: events[n-1].Position})
		events = events[n:]
	}
	return batches
}

// BenchmarkProjector reports events projected per second. staged is the expensive case: each
// event of a message comes in a separate batch, so each writes its row.
func BenchmarkProjector(b *testing.B) {
	for _, group := range postgres.Groups() {
		for _, staged := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/staged=%v", group, staged), func(b *testing.B) {
				h := setup(b)
				p := h.projector(group)
				_, err := p.Prepare(h.ctx)
				must(b, err)
				batches := lifecycle(max(1, b.N/6), staged)
				n := 0
				b.ResetTimer()
				for _, batch := range batches {
					must(b, p.Apply(context.Background(), batch))
					n += len(batch.Events)
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// BenchmarkFetch reads 80 fresh items of each of 50 lanes, with a million others after them.
func BenchmarkFetch(b *testing.B) {
	h := setup(b)
	h.project()
	_, err := h.pool.Exec(h.ctx, `INSERT INTO work_item SELECT gen_random_uuid(), 's' || n % 50, 1, 0, true, now(), NULL, '', 0, 0,
		'RESEND', '', 0, n, n FROM generate_series(1, 1000000) n; ANALYZE work_item`)
	must(b, err)
	var wants []work.FetchRequest
	for i := range 50 {
		wants = append(wants, work.FetchRequest{Sender: fmt.Sprint("s", i), Priority: message.PriorityTransactional, Fresh: 80, Timed: 80, After: 1000})
	}
	list := postgres.NewWorkList(h.pool)
	b.ResetTimer()
	for b.Loop() {
		items, _, err := list.Fetch(h.ctx, start, wants)
		must(b, err)
		if len(items) != 50*80 {
			b.Fatalf("%d items", len(items))
		}
	}
	b.ReportMetric(float64(50*80*b.N)/b.Elapsed().Seconds(), "items/s")
}

// BenchmarkFetchPastAPause reads 40 fresh and 40 due items of a lane that are after those of a paused
// campaign.
func BenchmarkFetchPastAPause(b *testing.B) {
	for _, bm := range []struct{ paused, campaigns int }{{0, 2}, {10_000, 2}, {100_000, 2}, {1_000_000, 2}, {100_000, 100}} {
		paused := bm.paused
		b.Run(fmt.Sprintf("%d items, %d pauses", paused, bm.campaigns), func(b *testing.B) {
			h := setup(b)
			h.project()
			_, err := h.pool.Exec(h.ctx, `INSERT INTO work_item (message_id, sender, priority, state, fresh, due_at, recipient, attempt, call,
					on_ambiguous, template, revision, position, queued_position, labels)
				SELECT gen_random_uuid(), 'acme', 2, 0, n % 2 = 0, now() - interval '1 day', md5(n::text), 0, 0, 'RESEND', '', 0, n, n::bigint,
					CASE WHEN n <= $1 THEN ARRAY[md5('north'), md5('spring')] ELSE ARRAY[md5('north')] END
				FROM generate_series(1, $1 + 1000) n`, paused)
			must(b, err)
			_, err = h.pool.Exec(h.ctx, `ANALYZE work_item`)
			must(b, err)
			skip := []string{fmt.Sprintf("%x", md5.Sum([]byte("spring")))}
			for n := range bm.campaigns - 1 {
				skip = append(skip, fmt.Sprintf("%x", md5.Sum([]byte(strconv.Itoa(n)))))
			}
			wants := []work.FetchRequest{{Sender: "acme", Priority: message.PriorityBulk, Fresh: 40, Timed: 40, SkipLabels: skip}}
			list := postgres.NewWorkList(h.pool)
			b.ResetTimer()
			for b.Loop() {
				items, _, err := list.Fetch(h.ctx, time.Now(), wants)
				must(b, err)
				if len(items) != 80 {
					b.Fatalf("%d items", len(items))
				}
			}
		})
	}
}
