package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wm "github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/ports/ingest"
)

// memory is a broker in memory, because virtual time needs a broker without a network.
type memory struct {
	commands chan *wm.Message
	limit    int

	mu       sync.Mutex
	rejected []*wm.Message
}

func (b *memory) Subscribe(ctx context.Context, _ string) (<-chan *wm.Message, error) {
	out := make(chan *wm.Message)
	go func() {
		defer close(out)
		for {
			select {
			case <-ctx.Done():
				return
			case m := <-b.commands:
				m.SetContext(ctx)
				select {
				case <-ctx.Done():
					return
				case out <- m:
				}
			}
		}
	}()
	return out, nil
}

func (b *memory) Publish(_ context.Context, _ string, messages ...*wm.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rejected = append(b.rejected, messages...)
	return nil
}

func (b *memory) MaxMessage() int { return b.limit }
func (b *memory) Kind() string    { return "memory" }

func (b *memory) rejections(t *testing.T) []ingest.Rejection {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]ingest.Rejection, len(b.rejected))
	for i, m := range b.rejected {
		if err := json.Unmarshal(m.Payload, &all[i]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// queue records the requests it receives. If fail is set, it returns fail's errors.
type queue struct {
	mu     sync.Mutex
	fail   func(try int) error
	tries  int
	queued []message.Request
	causes []event.Cause
}

func (q *queue) Handle(_ context.Context, r message.Request, cause event.Cause) (command.Queued, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tries++
	if q.fail != nil {
		if err := q.fail(q.tries); err != nil {
			return command.Queued{}, err
		}
	}
	q.queued, q.causes = append(q.queued, r), append(q.causes, cause)
	return command.Queued{}, nil
}

func (q *queue) attempts() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tries
}

// intake runs a Consumer on b and q until stop is called.
func intake(b *memory, q *queue, away *bool) (stop func()) {
	in := ingest.New(ingest.Options{
		Broker: b, Commands: "commands", Rejected: "rejected", Queue: q, IDs: uuid.New, Subscriptions: 1,
		Parse: func(raw []byte) (message.Request, error) {
			if strings.HasPrefix(string(raw), "bad") {
				return message.Request{}, domain.Invalid("to", "must not be bad")
			}
			return message.Request{Sender: "shop", IdempotencyKey: strings.TrimSuffix(string(raw), "keyless")}, nil
		},
		Ping: func(context.Context) error {
			if *away {
				return event.ErrUnavailable
			}
			return nil
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = in.Run(ctx) }()
	return func() { cancel(); <-done }
}

func acked(m *wm.Message) bool {
	select {
	case <-m.Acked():
		return true
	default:
		return false
	}
}

// A producer's traceparent continues with its message. An invalid one is dropped.
func TestProducersTracesGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		b, q, away := &memory{commands: make(chan *wm.Message, 2)}, &queue{}, false
		stop := intake(b, q, &away)
		for key, header := range map[string]string{"good": parent, "odd": "+919812345670"} {
			m := wm.NewMessage(key, []byte(key))
			m.Metadata.Set("traceparent", header)
			b.commands <- m
		}
		time.Sleep(time.Second)
		stop()
		got := map[string]string{}
		for i, r := range q.queued {
			got[r.IdempotencyKey] = q.causes[i].Traceparent
		}
		if len(got) != 2 || got["good"] != parent || got["odd"] != "" {
			t.Errorf("traceparents are %v", got)
		}
	})
}

func TestCommandsWaitWhileTheEventStoreIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, away := &memory{commands: make(chan *wm.Message)}, true
		back := time.Now().Add(10 * time.Minute)
		q := &queue{fail: func(int) error {
			if time.Now().Before(back) {
				return event.ErrUnavailable
			}
			return nil
		}}
		stop := intake(b, q, &away)
		m := wm.NewMessage("id", []byte("order-1"))
		b.commands <- m
		time.Sleep(9 * time.Minute)
		if acked(m) || len(b.rejections(t)) != 0 {
			t.Fatal("a command was settled while nothing could be recorded")
		}
		time.Sleep(2 * time.Minute)
		stop()
		if !acked(m) || len(q.queued) != 1 || len(b.rejections(t)) != 0 {
			t.Errorf("acked %v, recorded %v, rejected %v", acked(m), q.queued, b.rejections(t))
		}
	})
}

// A command that is refused because of an overload waits for the time that the error names,
// as often as it takes, and none of this counts as a failed attempt.
func TestCommandsWaitWhileAcceptingIsOverloaded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, away := &memory{commands: make(chan *wm.Message)}, false
		begun := time.Now()
		q := &queue{fail: func(try int) error {
			switch {
			case time.Since(begun) < 10*time.Minute:
				return fmt.Errorf("queue: %w", domain.Overloaded(5*time.Second, "overloaded"))
			case try < 120+5: // the last attempt of a command that fails otherwise
				return errors.New("for another reason")
			}
			return nil
		}}
		stop := intake(b, q, &away)
		m := wm.NewMessage("id", []byte("order-1"))
		b.commands <- m
		time.Sleep(9*time.Minute + time.Second)
		if acked(m) || len(b.rejections(t)) != 0 || q.attempts() != 9*60/5+1 {
			t.Fatalf("acked %v after %d attempts", acked(m), q.attempts())
		}
		time.Sleep(2 * time.Minute)
		stop()
		if !acked(m) || len(q.queued) != 1 || len(b.rejections(t)) != 0 {
			t.Errorf("acked %v, recorded %v, rejected %v", acked(m), q.queued, b.rejections(t))
		}
	})
}

func TestAFailureOfItsOwnIsTriedAFewTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, away := &memory{commands: make(chan *wm.Message)}, false
		q := &queue{fail: func(int) error { return errors.New("pq: password of waypost is wrong") }}
		stop := intake(b, q, &away)
		m := wm.NewMessage("id", []byte("order-1"))
		b.commands <- m
		time.Sleep(time.Minute)
		stop()
		got := b.rejections(t)
		if !acked(m) || q.tries != 5 || len(got) != 1 || got[0].Error.Code != domain.CodeInternal {
			t.Fatalf("acked %v after %d tries, rejected %+v", acked(m), q.tries, got)
		}
		if strings.Contains(got[0].Error.Message, "password") {
			t.Errorf("the producer received %q", got[0].Error.Message)
		}
	})
}

func TestRejectionTellsWhyAndWhat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, id, raw string
		limit         int
		field         string
		text          string
		truncated     bool
	}{
		{"not JSON", "id", "bad \"text\"", 0, "to", "bad \"text\"", false},
		{"too large for the broker", "id", "bad" + strings.Repeat("x", 8000), 4096, "to", "bad" + strings.Repeat("x", 509), true},
		{"no key and no ID", "", "keyless", 0, "idempotencyKey", "keyless", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, away := &memory{commands: make(chan *wm.Message), limit: c.limit}, false
				q := &queue{}
				stop := intake(b, q, &away)
				m := wm.NewMessage(c.id, []byte(c.raw))
				b.commands <- m
				synctest.Wait()
				stop()
				got := b.rejections(t)
				if !acked(m) || len(got) != 1 || len(q.queued) != 0 {
					t.Fatalf("acked %v, rejected %+v, recorded %v", acked(m), got, q.queued)
				}
				r := got[0]
				if r.Error.Code != domain.CodeInvalidInput || r.Error.Field != c.field || r.OriginalText != c.text ||
					r.Truncated != c.truncated || r.OriginalSize != len(c.raw) || r.ID != c.id {
					t.Errorf("rejection is %+v", r)
				}
			})
		})
	}
}

func TestACommandWithoutKeyIsKnownByTheIDOfItsMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, away := &memory{commands: make(chan *wm.Message)}, false
		q := &queue{}
		stop := intake(b, q, &away)
		b.commands <- wm.NewMessage("id", []byte("keyless"))
		synctest.Wait()
		stop()
		if len(q.queued) != 1 || q.queued[0].IdempotencyKey != "broker:id" {
			t.Errorf("recorded %+v", q.queued)
		}
	})
}
