package recovery

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// Answers are lost in every way there is. What WhatsApp took is found by its
// statuses and not sent again; what it did not take is; and whatever was taken
// twice all the same is counted.
func TestLostAnswersAreSettled(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for responses that do not arrive")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*e2etest.Timeout)
	defer cancel()
	const messages = 150
	r := e2etest.Start(ctx, t, []string{"WAYPOST_CALL_TIMEOUT=1s", "WAYPOST_SETTLE_AFTER=5s"}, map[string]any{
		"drop_response_rate": 0.15, "empty_5xx_rate": 0.1, "garbled_200_rate": 0.1, "timeout_rate": 0.05, "lost_accept_rate": 0.5,
		"webhook_duplicate_rate": 0.1, "webhook_reorder": 0.2, "latency": "10ms", "seed": 7,
	})
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	inputs := make([]map[string]any, messages)
	for n := range inputs {
		inputs[n] = harness.Message("shop", fmt.Sprintf("settle-%d", n), n)
	}
	if _, err := r.Client.QueueMessages(ctx, inputs); err != nil {
		t.Fatal(err)
	}
	for {
		b, err := r.Client.Ledger(ctx)
		if err != nil {
			t.Fatal(err)
		}
		stats, err := r.Stats(ctx)
		if err != nil {
			t.Fatal(err)
		}
		// A status of a call that the policy repeated can still arrive.
		if b.Accepted == messages && b.Read+b.DeadLettered == messages && b.SentTwice == stats.Duplicates && stats.WebhooksPending == 0 {
			if !b.Balanced {
				t.Errorf("the ledger does not balance: %v", b)
			}
			if stats.DuplicatesAfterEcho != 0 {
				t.Errorf("%d messages were called again after a status", stats.DuplicatesAfterEcho)
			}
			for _, kind := range []string{"cut", "garbled", "empty5xx", "timeout"} {
				if stats.Answers[kind] == 0 {
					t.Errorf("no answer was lost as %s, so it proves little: %v", kind, stats.Answers)
				}
			}
			if b.DeadLettered > messages/10 {
				t.Errorf("%d of %d are dead letters; four attempts are to spare nearly all", b.DeadLettered, messages)
			}
			t.Logf("%v; sent twice %d; answers %v", b, b.SentTwice, stats.Answers)
			return
		}
		if err := retry.Sleep(ctx, 200*time.Millisecond); err != nil {
			t.Fatalf("not all has ended: %v, sent twice %d, WhatsApp %+v", b, b.SentTwice, stats)
		}
	}
}
