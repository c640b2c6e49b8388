package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// posts records webhooks and responds as configured.
type posts struct {
	mu     sync.Mutex
	at     []time.Duration
	clock  func() time.Duration
	answer func(ctx context.Context, nth int) (int, error)
}

func (p *posts) post(ctx context.Context, _ string, _ []byte) (int, error) {
	p.mu.Lock()
	p.at = append(p.at, p.clock())
	nth := len(p.at)
	p.mu.Unlock()
	return p.answer(ctx, nth)
}

// runOutbox runs an outbox in virtual time. Updates that are still pending at the end
// of test are dropped.
func runOutbox(t *testing.T, c Control, answer func(ctx context.Context, nth int) (int, error), test func(*testing.T, *outbox, *posts)) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		clock := func() time.Duration { return time.Since(start) }
		c.WebhookURL = "http://receiver.test/"
		s := newSettings(c)
		p := &posts{clock: clock, answer: answer}
		o := newOutbox(func() *settings { return s }, clock, p.post, newLedger(), slog.New(slog.DiscardHandler), "1")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); o.run(ctx, ctx) }()
		test(t, o, p)
		cancel()
		<-done
	})
}

func give(t *testing.T, o *outbox, n int) {
	t.Helper()
	if err := o.reserve(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		o.add(&message{key: uint64(i + 1), number: &number{id: "1"}, wamid: "wamid.x"}, []planned{{kind: statusSent}})
	}
}

func TestRedeliverySchedule(t *testing.T) {
	want := []time.Duration{0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60}
	for failures := 1; failures < len(want); failures++ {
		if got := redelivery(failures); got != want[failures]*time.Second {
			t.Errorf("after %d failures: %s", failures, got)
		}
	}
	if got := redelivery(1 << 30); got != time.Minute {
		t.Errorf("after very many: %s", got)
	}
}

func TestOutboxRepeatsUntilTaken(t *testing.T) {
	const failures = 9
	fail := func(_ context.Context, nth int) (int, error) {
		if nth > failures {
			return 200, nil
		}
		return 503, nil
	}
	runOutbox(t, DefaultControl(), fail, func(t *testing.T, o *outbox, p *posts) {
		give(t, o, 1)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		var gaps []time.Duration
		for i := 1; i < len(p.at); i++ {
			gaps = append(gaps, (p.at[i]-p.at[i-1]).Round(100*time.Millisecond)/time.Second)
		}
		if want := []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60}; !slices.Equal(gaps, want) {
			t.Errorf("tries %v apart, want %v", gaps, want)
		}
		if figures, owed := o.snapshot(); owed != 0 || figures != (outboxFigures{webhooks: 1, refused: failures, updates: 1}) {
			t.Errorf("%d owed, %+v", owed, figures)
		}
	})
}

func TestOutboxGivesAReceiverTenSeconds(t *testing.T) {
	hang := func(ctx context.Context, nth int) (int, error) {
		if nth > 1 {
			return 200, nil
		}
		<-ctx.Done()
		return 0, ctx.Err()
	}
	runOutbox(t, DefaultControl(), hang, func(t *testing.T, o *outbox, p *posts) {
		give(t, o, 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(p.at) != 2 || p.at[1]-p.at[0] < answerTimeout || p.at[1]-p.at[0] > answerTimeout+100*time.Millisecond {
			t.Errorf("tries at %v", p.at)
		}
	})
}

func TestOutboxBatchesAndLingers(t *testing.T) {
	c := DefaultControl()
	take := func(context.Context, int) (int, error) { return 200, nil }
	runOutbox(t, c, take, func(t *testing.T, o *outbox, p *posts) {
		give(t, o, 25)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(p.at) != 3 {
			t.Fatalf("%d webhooks for 25 updates", len(p.at))
		}
		if waited := p.at[2] - p.at[1]; waited < time.Duration(c.WebhookLinger)-passInterval || waited > time.Duration(c.WebhookLinger)+2*passInterval {
			t.Errorf("the last five waited %s", waited)
		}
	})
}

func TestOutboxHoldsBackAtItsBound(t *testing.T) {
	slow := func(ctx context.Context, _ int) (int, error) {
		select {
		case <-time.After(5 * time.Second):
			return 200, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	runOutbox(t, DefaultControl(), slow, func(t *testing.T, o *outbox, _ *posts) {
		give(t, o, 10)
		if err := o.reserve(t.Context(), maxOwed-10); err != nil {
			t.Fatal(err)
		}
		limited, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := o.reserve(limited, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("space for more than the limit: %v", err)
		}
		got := make(chan error, 1)
		go func() { got <- o.reserve(t.Context(), 10) }()
		synctest.Wait()
		select {
		case err := <-got:
			t.Errorf("space before any was freed: %v", err)
		default:
		}
		if _, owed := o.snapshot(); owed != maxOwed {
			t.Errorf("%d pending at the limit", owed)
		}
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
}

func TestOutboxKeepsWithinItsConcurrency(t *testing.T) {
	c := DefaultControl()
	c.WebhookConcurrency, c.WebhookBatch = 3, 1
	var mu sync.Mutex
	now, most := 0, 0
	slow := func(context.Context, int) (int, error) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		return 200, nil
	}
	runOutbox(t, c, slow, func(t *testing.T, o *outbox, p *posts) {
		give(t, o, 30)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if most != 3 || len(p.at) != 30 {
			t.Errorf("%d webhooks, at most %d at once", len(p.at), most)
		}
	})
}

func BenchmarkWebhookBody(b *testing.B) {
	n := &number{id: "910200300400500", display: "15550100100"}
	var batch []pendingUpdate
	for i := range 10 {
		batch = append(batch, pendingUpdate{&message{number: n, wamid: newWamid(recipient{waID: "12025550143"}, false, 1, uint64(i)), peer: recipient{waID: "12025550143"}, callback: fmt.Sprintf("wp1:%036d:1", i)}, statusSent, 1772553600})
	}
	body := make([]byte, 0, 8192)
	for b.Loop() {
		body = appendWebhook(body[:0], "1", batch)
	}
}
