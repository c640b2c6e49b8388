package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// scheduledFor is what the platform says of a message that waits for its time.
type scheduledFor struct {
	Status string     `json:"status"`
	SendAt *time.Time `json:"sendAt"`
	SentAt *time.Time `json:"sentAt"`
}

func scheduled(ctx context.Context, t *testing.T, r *harness.TestEnv, senderID, id string) (waiting, due int64, m scheduledFor) {
	t.Helper()
	var data struct {
		Sender struct {
			Scheduled  int64 `json:"scheduled"`
			QueueDepth int64 `json:"queueDepth"`
		} `json:"sender"`
		Message scheduledFor `json:"message"`
	}
	// Right after a start, a busy machine needs longer to read the message's key than a query waits.
	e2etest.Await(ctx, t, "the message can be read", func() bool {
		err := r.Client.Do(ctx, `query($s: ID!, $m: ID!) { sender(id: $s) { scheduled queueDepth } message(id: $m) { status sendAt sentAt } }`,
			map[string]any{"s": senderID, "m": id}, &data)
		if err != nil && !apiclient.IsRetryable(err) {
			t.Fatal(err)
		}
		return err == nil
	})
	return data.Sender.Scheduled, data.Sender.QueueDepth, data.Message
}

// A message that waits for its sendAt still waits after Waypost was killed, and is not sent before that time. An operation that the kill
// interrupted continues.
func TestScheduledMessagesAndOperationsSurviveAKill(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := e2etest.Start(ctx, t, nil, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	const later = 3000
	inputs := make([]map[string]any, 0, later+1)
	soon, tomorrow := time.Now().Add(15*time.Second).UTC().Truncate(time.Millisecond), time.Now().Add(24*time.Hour)
	first := harness.Message("shop", "soon", later)
	first["sendAt"] = soon.Format(time.RFC3339Nano)
	inputs = append(inputs, first)
	for n := range later {
		m := harness.Message("shop", fmt.Sprintf("tomorrow-%d", n), n)
		m["sendAt"], m["priority"] = tomorrow.Format(time.RFC3339Nano), "BULK"
		inputs = append(inputs, m)
	}
	var ids []string
	for from := 0; from < len(inputs); from += 1000 {
		part, err := r.Client.QueueMessages(ctx, inputs[from:min(from+1000, len(inputs))])
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, part...)
	}
	awaitScheduled := func(want int64) scheduledFor {
		t.Helper()
		var m scheduledFor
		e2etest.Await(ctx, t, fmt.Sprintf("%d messages are scheduled and none is due", want), func() bool {
			var waiting, due int64
			waiting, due, m = scheduled(ctx, t, r, "shop", ids[0])
			return (waiting == want && due == 0) || (want > later && time.Now().After(soon)) // a slow machine is late
		})
		return m
	}
	awaitScheduled(later + 1)
	r.Serve.Kill()
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	if m := awaitScheduled(later + 1); m.SendAt == nil || !m.SendAt.Equal(soon) || (m.SentAt != nil && m.SentAt.Before(soon)) {
		t.Errorf("after a kill the scheduled message is %+v, to be sent at %s", m, soon)
	}

	var begun struct {
		CancelMessages e2etest.Operation `json:"cancelMessages"`
	}
	err := r.Client.Do(ctx, `mutation {
		cancelMessages(input: {filter: {priority: BULK}}, reason: "wrong prices") { id state selected done refusedCount }
	}`, nil, &begun)
	if err != nil || begun.CancelMessages.Selected != later {
		t.Fatalf("cancelMessages: %+v, %v", begun, err)
	}
	r.Serve.Kill()
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d were cancelled when the mutation answered", begun.CancelMessages.Done, later)
	e2etest.Await(ctx, t, "the operation is done", func() bool {
		var now struct {
			Operation *e2etest.Operation `json:"operation"`
		}
		if err := r.Client.Do(ctx, `query($id: ID!) { operation(id: $id) { id state selected done refusedCount } }`,
			map[string]any{"id": begun.CancelMessages.ID}, &now); err != nil {
			t.Fatal(err)
		}
		if now.Operation == nil {
			t.Fatal("the operation is forgotten")
		}
		if now.Operation.State != "DONE" {
			return false
		}
		if now.Operation.Done != later || now.Operation.RefusedCount != 0 {
			t.Errorf("in the end: %+v", *now.Operation)
		}
		return true
	})
	var sentAt time.Time
	e2etest.Await(ctx, t, "the message is sent", func() bool {
		_, _, m := scheduled(ctx, t, r, "shop", ids[0])
		if m.SentAt != nil {
			sentAt = *m.SentAt
		}
		return m.SentAt != nil
	})
	if sentAt.Before(soon) {
		t.Errorf("sent at %s, before its sendAt %s", sentAt, soon)
	}
	t.Logf("sent %s after its sendAt", sentAt.Sub(soon))
	awaitScheduled(0)
	s, err := r.Stats(ctx)
	if err != nil || s.Accepted != 1 {
		t.Errorf("WhatsApp got %d messages, %v; want the one", s.Accepted, err)
	}
}
