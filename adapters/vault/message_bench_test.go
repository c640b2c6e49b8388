package vault_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// BenchmarkMessage records and reads the events of a message's life as the log does,
// sealed and in plain text. The difference is the cost of encryption per message. It
// measures CPU time, without Postgres, because wall time means little on a busy
// machine.
func BenchmarkMessage(bm *testing.B) {
	b := setup(bm)
	p := b.process(key('a'), 0, false)
	running, stop := context.WithCancel(b.ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.keys.Run(running) })
	defer wg.Wait()
	defer stop()
	plain, err := event.NewCodec(event.Types(), message.Types())
	must(bm, err)
	sealing := plain.WithVault(p.keys)
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	life := func(bm *testing.B, c *event.Codec, to string) {
		stream := "message-" + uuid.NewString()
		subject := event.Subject{People: []string{to}}
		for _, e := range []domain.Event{
			message.Queued{Sender: "shop", Kind: message.KindText, Priority: message.PriorityBulk, Personal: message.QueuedPersonal{
				To: to, Content: json.RawMessage(`{"body":"Your parcel waits at the corner shop until Saturday. Bring a card."}`), IdempotencyKey: "order-1",
				Labels: []message.Label{{Name: "campaign", Value: "spring"}},
			}},
			message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: at},
			message.Sent{Call: 1, At: at, By: message.ByAnswer, Personal: message.SentPersonal{WhatsAppID: "wamid.HBgLMTQxNTU1NTAxMDEVAgARGBI1"}},
			message.Delivered{Call: 1, At: at},
			message.Read{Call: 1, At: at},
		} {
			data, meta, key, err := c.Encode(b.ctx, stream, event.Proposed{Event: e, Subject: subject, Meta: event.Meta{RecordedAt: at}})
			if err != nil {
				bm.Fatal(err)
			}
			if subject.Key == "" {
				subject.Key = key
			}
			r := event.Recorded{Stream: stream, Type: e.EventType()}
			if err := c.Decode(b.ctx, &r, data, meta); err != nil {
				bm.Fatal(err)
			}
		}
	}
	for _, m := range []struct {
		name  string
		codec *event.Codec
		to    func(int) string
	}{
		{"in plain text", plain, func(int) string { return anna }},
		{"sealed, recipient known", sealing, func(int) string { return anna }},
		{"sealed, recipient new", sealing, func(n int) string { return fmt.Sprintf("+9198%08d", n) }},
	} {
		bm.Run(m.name, func(bm *testing.B) {
			before := cpu(bm)
			if m.name != "sealed, recipient new" {
				for bm.Loop() {
					life(bm, m.codec, m.to(0))
				}
				bm.ReportMetric(float64((cpu(bm)-before).Nanoseconds())/1e3/float64(bm.N), "cpu-µs/message")
				return
			}
			// Like one request that queues a thousand messages: 48 at a time.
			slots := make(chan struct{}, 48)
			var all sync.WaitGroup
			for n := range bm.N {
				slots <- struct{}{}
				all.Go(func() { life(bm, m.codec, m.to(n)); <-slots })
			}
			all.Wait()
			bm.ReportMetric(float64((cpu(bm)-before).Nanoseconds())/1e3/float64(bm.N), "cpu-µs/message")
		})
	}
}

// cpu returns the CPU time that this process has used.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	must(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
