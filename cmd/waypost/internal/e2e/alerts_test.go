package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

func TestAlertsOfARunningPlatform(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := e2etest.Start(ctx, t, nil, map[string]any{"error_rate": 1, "error_codes": []int{190}})
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("shop", "held", 1)}); err != nil {
		t.Fatal(err)
	}
	if sender := e2etest.AwaitAlert(ctx, t, r, "SENDER_HELD", "RAISED"); sender != "shop" {
		t.Errorf("the held sender is %q", sender)
	}
	for range 10 {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.Addr+"/webhooks/whatsapp", strings.NewReader("{}"))
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
	e2etest.AwaitAlert(ctx, t, r, "WEBHOOK_REJECTED", "RAISED")
	if err := r.Control(ctx, map[string]any{"error_rate": 0}); err != nil {
		t.Fatal(err)
	}
	e2etest.AwaitAlert(ctx, t, r, "SENDER_HELD", "RESOLVED")
}

// An outgoing webhook whose receiver is gone is disabled immediately, and operators are alerted until someone enables it again.
func TestAlertOfAnOutgoingWebhookThatWasGivenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := e2etest.Start(ctx, t, []string{"WAYPOST_HOOK_NETWORKS=127.0.0.0/8"}, nil)
	var gone atomic.Bool
	gone.Store(true)
	received := make(chan struct{}, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusGone)
			return
		}
		received <- struct{}{}
	}))
	t.Cleanup(receiver.Close)
	var made struct {
		CreateOutgoingWebhook struct{ OutgoingWebhook struct{ ID string } }
	}
	if err := r.Client.Do(ctx, `mutation($url: String!) { createOutgoingWebhook(input: {url: $url, eventTypes: ["Queued"]}) { outgoingWebhook { id } } }`,
		map[string]any{"url": receiver.URL + "/events?token=of-the-receiver"}, &made); err != nil {
		t.Fatal(err)
	}
	id := made.CreateOutgoingWebhook.OutgoingWebhook.ID
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("shop", "received", 1)}); err != nil {
		t.Fatal(err)
	}
	e2etest.AwaitAlert(ctx, t, r, "OUTGOING_WEBHOOK_DISABLED", "RAISED")
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
	if err := r.Client.Do(ctx, `{ alerts(filter: {kind: [OUTGOING_WEBHOOK_DISABLED]}) { edges { node { summary explanation } } } }`, nil, &seen); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(seen.Alerts.Edges)
	if !strings.Contains(text, id) || !strings.Contains(text, "410") || strings.Contains(text, "of-the-receiver") {
		t.Errorf("the alert says %s; want the hook, why, and nothing that its URL keeps", text)
	}
	gone.Store(false)
	if err := r.Client.Do(ctx, `mutation($id: ID!) { enableOutgoingWebhook(id: $id) { disabledAt } }`, map[string]any{"id": id}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-received:
	case <-ctx.Done():
		t.Fatal("what it missed did not come")
	}
	e2etest.AwaitAlert(ctx, t, r, "OUTGOING_WEBHOOK_DISABLED", "RESOLVED")
}
