package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

func TestPersonalDataAreErasedOnceTheyAreOldEnough(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := e2etest.Start(ctx, t, []string{"WAYPOST_CONTENT_RETENTION=2s"}, map[string]any{"read_rate": 1})
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	now, later := harness.Message("shop", "now", 1), harness.Message("shop", "later", 2)
	later["sendAt"] = time.Now().Add(8 * time.Second).UTC().Format(time.RFC3339Nano)
	ids, err := r.Client.QueueMessages(ctx, []map[string]any{now, later})
	if err != nil {
		t.Fatal(err)
	}
	awaitErased := func(id string) {
		for {
			v := viewOf(ctx, t, r, id)
			if v.ErasedAt != nil {
				if v.To != nil || v.Content != nil || v.Status != "READ" {
					t.Errorf("the message that is not kept any longer reads %+v", v)
				}
				return
			}
			select {
			case <-ctx.Done():
				t.Fatalf("message reads %+v and is not erased", v)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	awaitErased(ids[0])
	// A scheduled message is older than the retention time, and is sent all the same.
	if v := viewOf(ctx, t, r, ids[1]); v.Status == "QUEUED" && (v.To == nil || v.ErasedAt != nil) {
		t.Errorf("a message that is still to be sent reads %+v", v)
	}
	awaitErased(ids[1])
	if code, out, errs := e2etest.Run("verify", "--data-dir", r.DataDir()); code != e2etest.ExitDone {
		t.Errorf("the read models are not as the log has them: %s%s", out, errs)
	}
}
