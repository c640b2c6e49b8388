package main

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// scheduledFor is what the platform says of a message that waits for its time.
type scheduledFor struct {
	Status string     `json:"status"`
	SendAt *time.Time `json:"sendAt"`
	SentAt *time.Time `json:"sentAt"`
}

func (r *rig) scheduled(ctx context.Context, t *testing.T, senderID, id string) (waiting, due int64, m scheduledFor) {
	t.Helper()
	var data struct {
		Sender struct {
			Scheduled  int64 `json:"scheduled"`
			QueueDepth int64 `json:"queueDepth"`
		} `json:"sender"`
		Message scheduledFor `json:"message"`
	}
	err := r.client.do(ctx, `query($s: ID!, $m: ID!) { sender(id: $s) { scheduled queueDepth } message(id: $m) { status sendAt sentAt } }`,
		map[string]any{"s": senderID, "m": id}, &data)
	if err != nil {
		t.Fatal(err)
	}
	return data.Sender.Scheduled, data.Sender.QueueDepth, data.Message
}

type operationAnswer struct {
	ID           string `json:"id"`
	State        string `json:"state"`
	Selected     int    `json:"selected"`
	Done         int    `json:"done"`
	RefusedCount int    `json:"refusedCount"`
}

// What waits for its sendAt still waits after the platform was killed, is sent
// then and not before; and an operation that the kill cut off goes on.
func TestScheduledMessagesAndOperationsSurviveAKill(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	r := startTestRig(ctx, t, nil, nil)
	if err := r.client.registerSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	const later = 3000
	inputs := make([]map[string]any, 0, later+1)
	soon, tomorrow := time.Now().Add(15*time.Second).UTC().Truncate(time.Millisecond), time.Now().Add(24*time.Hour)
	first := benchMessage("shop", "soon", later)
	first["sendAt"] = soon.Format(time.RFC3339Nano)
	inputs = append(inputs, first)
	for n := range later {
		m := benchMessage("shop", fmt.Sprintf("tomorrow-%d", n), n)
		m["sendAt"], m["priority"] = tomorrow.Format(time.RFC3339Nano), "BULK"
		inputs = append(inputs, m)
	}
	var ids []string
	for from := 0; from < len(inputs); from += 1000 {
		part, err := r.client.queueMessages(ctx, inputs[from:min(from+1000, len(inputs))])
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, part...)
	}
	awaitScheduled := func(want int64) scheduledFor {
		t.Helper()
		for {
			waiting, due, m := r.scheduled(ctx, t, "shop", ids[0])
			if (waiting == want && due == 0) || (want > later && time.Now().After(soon)) { // a slow machine is late
				return m
			}
			if ctx.Err() != nil {
				t.Fatalf("%d are scheduled and %d due, want %d and none", waiting, due, want)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	awaitScheduled(later + 1)
	r.serve.kill()
	if err := r.startServe(ctx); err != nil {
		t.Fatal(err)
	}
	if m := awaitScheduled(later + 1); m.SendAt == nil || !m.SendAt.Equal(soon) || (m.SentAt != nil && m.SentAt.Before(soon)) {
		t.Errorf("after a kill the scheduled message is %+v, to be sent at %s", m, soon)
	}

	var begun struct {
		CancelMessages operationAnswer `json:"cancelMessages"`
	}
	err := r.client.do(ctx, `mutation {
		cancelMessages(input: {filter: {priority: BULK}}, reason: "wrong prices") { id state selected done refusedCount }
	}`, nil, &begun)
	if err != nil || begun.CancelMessages.Selected != later {
		t.Fatalf("cancelMessages: %+v, %v", begun, err)
	}
	r.serve.kill()
	if err := r.startServe(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d were cancelled when the mutation answered", begun.CancelMessages.Done, later)
	for {
		var now struct {
			Operation *operationAnswer `json:"operation"`
		}
		if err := r.client.do(ctx, `query($id: ID!) { operation(id: $id) { id state selected done refusedCount } }`,
			map[string]any{"id": begun.CancelMessages.ID}, &now); err != nil {
			t.Fatal(err)
		}
		if now.Operation == nil {
			t.Fatal("the operation is forgotten")
		}
		if now.Operation.State == "DONE" {
			if now.Operation.Done != later || now.Operation.RefusedCount != 0 {
				t.Errorf("in the end: %+v", *now.Operation)
			}
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	for {
		_, _, m := r.scheduled(ctx, t, "shop", ids[0])
		if m.SentAt != nil {
			if m.SentAt.Before(soon) {
				t.Errorf("sent at %s, before its sendAt %s", m.SentAt, soon)
			}
			t.Logf("sent %s after its sendAt", m.SentAt.Sub(soon))
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("it is not sent: %+v", m)
		}
		time.Sleep(20 * time.Millisecond)
	}
	awaitScheduled(0)
	s, err := r.stats(ctx)
	if err != nil || s.Accepted != 1 {
		t.Errorf("WhatsApp got %d messages, %v; want the one", s.Accepted, err)
	}
}
