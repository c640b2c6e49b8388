package recovery

import (
	"context"
	"strings"
	"testing"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// restart ends the platform and starts it with these roles; all if there are none.
func restart(ctx context.Context, t *testing.T, r *harness.TestEnv, roles ...string) {
	t.Helper()
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}
	r.Env = nil
	if len(roles) > 0 {
		r.Env = []string{"WAYPOST_ROLES=" + strings.Join(roles, ",")}
	}
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
}

// Waypost raises an alert if a part of it stops: a queue that no process sends from, a lost work item, read models that no process keeps
// up to date.
func TestStandstillsAreSeen(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*e2etest.Timeout)
	defer cancel()
	r := e2etest.Start(ctx, t, nil, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	// The rules at the start are right for operators and too patient for a test.
	setRule := func(input string) {
		if err := r.Client.Do(ctx, `mutation { setAlertRule(input: `+input+`) { id } }`, nil, &struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	setRule(`{kind: QUEUE_STALLED, id: "queue-stalled", threshold: 10}`)
	setRule(`{kind: LEDGER_UNBALANCED, id: "ledger-unbalanced", for: "PT0S"}`)

	restart(ctx, t, r, "api", "webhook", "project", "alert") // no process sends
	ids, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("shop", "waits", 1), harness.Message("shop", "lost", 2)})
	if err != nil {
		t.Fatal(err)
	}
	loseWorkItem(ctx, t, r, ids[1])
	e2etest.AwaitAlert(ctx, t, r, "LEDGER_UNBALANCED", "RAISED")
	if err := r.Client.Do(ctx, `mutation($id: ID!) { cancelMessage(id: $id) { id } }`, map[string]any{"id": ids[1]}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	e2etest.AwaitAlert(ctx, t, r, "LEDGER_UNBALANCED", "RESOLVED")
	if sender := e2etest.AwaitAlert(ctx, t, r, "QUEUE_STALLED", "RAISED"); sender != "shop" {
		t.Errorf("the stopped queue is %q's", sender)
	}

	// Not before, since a start on a busy machine may take as long.
	setRule(`{kind: READ_MODEL_STALE, id: "read-model-stale", threshold: 5}`)
	restart(ctx, t, r, "api", "webhook", "dispatch", "alert") // no process projects
	if _, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("shop", "unseen", 3)}); err != nil {
		t.Fatal(err)
	}
	e2etest.AwaitAlert(ctx, t, r, "READ_MODEL_STALE", "RAISED") // the list of alerts shows it, although it is also a read model

	restart(ctx, t, r)
	e2etest.AwaitAlert(ctx, t, r, "READ_MODEL_STALE", "RESOLVED")
	e2etest.AwaitAlert(ctx, t, r, "QUEUE_STALLED", "RESOLVED")
	e2etest.AwaitRead(ctx, t, r, ids[0])
}

// loseWorkItem removes a message from the work list without the projections' knowledge, once it is there.
func loseWorkItem(ctx context.Context, t *testing.T, r *harness.TestEnv, id string) {
	t.Helper()
	conn := e2etest.ConnectPostgres(ctx, t, r)
	defer func() { _ = conn.Close(ctx) }()
	e2etest.Await(ctx, t, "the work item is deleted", func() bool {
		tag, err := conn.Exec(ctx, `DELETE FROM waypost.work_item WHERE message_id = $1`, id)
		if err != nil {
			t.Fatal(err)
		}
		return tag.RowsAffected() == 1
	})
}
