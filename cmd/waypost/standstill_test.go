package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// restart ends the platform and starts it with these roles; all if there are none.
func (r *rig) restart(ctx context.Context, t *testing.T, roles ...string) {
	t.Helper()
	if err := r.serve.stop(); err != nil {
		t.Fatal(err)
	}
	r.env = nil
	if len(roles) > 0 {
		r.env = []string{"WAYPOST_ROLES=" + strings.Join(roles, ",")}
	}
	if err := r.startServe(ctx); err != nil {
		t.Fatal(err)
	}
}

// A platform whose parts stand still says so by itself: a queue that nobody sends from, a
// work item that is lost, read models that nobody keeps.
func TestStandstillsAreSeen(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*e2eTimeout)
	defer cancel()
	r := startTestRig(ctx, t, nil, nil)
	if err := r.client.registerSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	// The rules at the start are right for operators and too patient for a test.
	setRule := func(input string) {
		if err := r.client.do(ctx, `mutation { setAlertRule(input: `+input+`) { id } }`, nil, &struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	setRule(`{kind: QUEUE_STALLED, id: "queue-stalled", threshold: 10}`)
	setRule(`{kind: LEDGER_UNBALANCED, id: "ledger-unbalanced", for: "PT0S"}`)

	r.restart(ctx, t, "api", "webhook", "project", "alert") // nobody sends
	ids, err := r.client.queueMessages(ctx, []map[string]any{benchMessage("shop", "stands", 1), benchMessage("shop", "lost", 2)})
	if err != nil {
		t.Fatal(err)
	}
	loseWorkItem(ctx, t, r, ids[1])
	awaitAlert(ctx, t, r, "LEDGER_UNBALANCED", "RAISED")
	if err := r.client.do(ctx, `mutation($id: ID!) { cancelMessage(id: $id) { id } }`, map[string]any{"id": ids[1]}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	awaitAlert(ctx, t, r, "LEDGER_UNBALANCED", "RESOLVED")
	if sender := awaitAlert(ctx, t, r, "QUEUE_STALLED", "RAISED"); sender != "shop" {
		t.Errorf("the queue that stands still is %q's", sender)
	}

	// Not before, since a start on a busy machine may take as long.
	setRule(`{kind: READ_MODEL_STALE, id: "read-model-stale", threshold: 5}`)
	r.restart(ctx, t, "api", "webhook", "dispatch", "alert") // nobody projects
	if _, err := r.client.queueMessages(ctx, []map[string]any{benchMessage("shop", "unseen", 3)}); err != nil {
		t.Fatal(err)
	}
	awaitAlert(ctx, t, r, "READ_MODEL_STALE", "RAISED") // the list of alerts shows it, though it is projected, too

	r.restart(ctx, t)
	awaitAlert(ctx, t, r, "READ_MODEL_STALE", "RESOLVED")
	awaitAlert(ctx, t, r, "QUEUE_STALLED", "RESOLVED")
	awaitStatusRead(ctx, t, r, ids[0])
}

// loseWorkItem takes a message from the send work-list behind the projections' back, once
// it is there.
func loseWorkItem(ctx context.Context, t *testing.T, r *rig, id string) {
	t.Helper()
	run, err := readRunFile(r.dataDir())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, run.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for {
		tag, err := conn.Exec(ctx, `DELETE FROM waypost.work_item WHERE message_id = $1`, id)
		if err != nil {
			t.Fatal(err)
		}
		if tag.RowsAffected() == 1 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
