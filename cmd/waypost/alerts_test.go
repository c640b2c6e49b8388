package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// awaitAlert waits until an alert of the kind is in the state and answers its sender.
func awaitAlert(ctx context.Context, t *testing.T, r *rig, kind, state string) (sender string) {
	t.Helper()
	for {
		var data struct {
			Alerts struct {
				Edges []struct {
					Node struct {
						State   string
						Summary string
						Sender  *struct{ ID string }
					}
				}
			}
		}
		if err := r.client.do(ctx, `query($kind: [AlertKind!]) { alerts(filter: {kind: $kind}) { edges { node { state summary sender { id } } } } }`,
			map[string]any{"kind": []string{kind}}, &data); err != nil {
			t.Fatalf("waiting for %s %s: %v; the log ends: %s", kind, state, err, r.serve.tail())
		}
		if edges := data.Alerts.Edges; len(edges) > 0 && edges[0].Node.State == state {
			if len(edges) != 1 {
				t.Errorf("%s was raised %d times: %+v", kind, len(edges), edges)
			}
			if s := edges[0].Node.Sender; s != nil {
				sender = s.ID
			}
			return sender
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestAlertsOfARunningPlatform(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	r := startTestRig(ctx, t, nil, map[string]any{"error_rate": 1, "error_codes": []int{190}})
	if err := r.client.registerSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.queueMessages(ctx, []map[string]any{benchMessage("shop", "held", 1)}); err != nil {
		t.Fatal(err)
	}
	if sender := awaitAlert(ctx, t, r, "SENDER_HELD", "RAISED"); sender != "shop" {
		t.Errorf("the held sender is %q", sender)
	}
	for range 10 {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.addr+"/webhooks/whatsapp", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	awaitAlert(ctx, t, r, "WEBHOOK_REJECTED", "RAISED")
	if err := r.control(ctx, map[string]any{"error_rate": 0}); err != nil {
		t.Fatal(err)
	}
	awaitAlert(ctx, t, r, "SENDER_HELD", "RESOLVED")
}

// A receiver that wants no more is given up at once, and people are told until somebody
// sets it going again.
func TestAlertOfAnOutgoingWebhookThatWasGivenUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	r := startTestRig(ctx, t, []string{"WAYPOST_HOOK_NETWORKS=127.0.0.0/8"}, nil)
	var gone atomic.Bool
	gone.Store(true)
	told := make(chan struct{}, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusGone)
			return
		}
		told <- struct{}{}
	}))
	t.Cleanup(receiver.Close)
	var made struct {
		CreateOutgoingWebhook struct{ OutgoingWebhook struct{ ID string } }
	}
	if err := r.client.do(ctx, `mutation($url: String!) { createOutgoingWebhook(input: {url: $url, eventTypes: ["Queued"]}) { outgoingWebhook { id } } }`,
		map[string]any{"url": receiver.URL + "/events?token=of-the-receiver"}, &made); err != nil {
		t.Fatal(err)
	}
	id := made.CreateOutgoingWebhook.OutgoingWebhook.ID
	if err := r.client.registerSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.queueMessages(ctx, []map[string]any{benchMessage("shop", "told", 1)}); err != nil {
		t.Fatal(err)
	}
	awaitAlert(ctx, t, r, "OUTGOING_WEBHOOK_DISABLED", "RAISED")
	var seen struct {
		Alerts struct {
			Edges []struct {
				Node struct {
					Summary     string
					Explanation []string
				}
			}
		}
	}
	if err := r.client.do(ctx, `{ alerts(filter: {kind: [OUTGOING_WEBHOOK_DISABLED]}) { edges { node { summary explanation } } } }`, nil, &seen); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(seen.Alerts.Edges)
	if !strings.Contains(text, id) || !strings.Contains(text, "410") || strings.Contains(text, "of-the-receiver") {
		t.Errorf("the alert says %s; want the hook, why, and nothing that its URL keeps", text)
	}
	gone.Store(false)
	if err := r.client.do(ctx, `mutation($id: ID!) { enableOutgoingWebhook(id: $id) { disabledAt } }`, map[string]any{"id": id}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-told:
	case <-ctx.Done():
		t.Fatal("what it missed did not come")
	}
	awaitAlert(ctx, t, r, "OUTGOING_WEBHOOK_DISABLED", "RESOLVED")
}
