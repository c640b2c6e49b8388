package recovery

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/hooks"
	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// shortenedEvent is the record of a loss as an auditor reads it.
type shortenedEvent struct {
	Data struct {
		LogID        string
		End          int64
		MessagesLost int64
		Consumers    []struct {
			Name                  string
			Position, NewPosition int64
		}
	}
	By struct{ ID, OnBehalfOf string }
}

func recordedLoss(ctx context.Context, t *testing.T, r *harness.TestEnv) []shortenedEvent {
	t.Helper()
	var data struct {
		Events struct {
			Edges []struct{ Node shortenedEvent }
		}
	}
	if err := r.Client.Do(ctx, `{ events(filter: { stream: "waypost-log-end", types: ["LogShortened"] }) { edges { node { data by { id onBehalfOf } } } } }`, nil, &data); err != nil {
		t.Fatal(err)
	}
	var all []shortenedEvent
	for _, e := range data.Events.Edges {
		all = append(all, e.Node)
	}
	return all
}

func checkBalanced(ctx context.Context, t *testing.T, r *harness.TestEnv) {
	t.Helper()
	var data struct{ Ledger struct{ Balanced bool } }
	if err := r.Client.Do(ctx, `{ ledger { balanced } }`, nil, &data); err != nil || !data.Ledger.Balanced {
		t.Errorf("the ledger is not balanced: %+v, %v", data, err)
	}
}

// replaceDir puts a copy of a directory in the place of another.
func replaceDir(t *testing.T, dir, by string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(by)); err != nil {
		t.Fatal(err)
	}
}

// Yesterday's directory of the event store under today's read models: nothing starts until the loss is accepted, which is
// recorded; then everything works.
func TestYesterdaysLogIsRefused(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), faultTimeout)
	defer cancel()
	r := e2etest.Start(ctx, t, nil, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	kept := e2etest.SendUntilRead(ctx, t, r, "order-1")
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}
	events := filepath.Join(r.DataDir(), "eventstore")
	yesterday := filepath.Join(t.TempDir(), "yesterday")
	replaceDir(t, yesterday, events)
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	lost := e2etest.SendUntilRead(ctx, t, r, "order-2")
	cursor := e2etest.Cursor(ctx, t, r, lost)
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}
	replaceDir(t, events, yesterday)

	remedy := []string{"the event log is shorter than it was", "projection views reached position ", "but the log ends at position ", "restore the missing part", "waypost rebuild --accept-shorter-log"}
	for range 3 { // however often it is tried
		err := r.StartServe(ctx)
		if err == nil {
			t.Fatal("the platform starts")
		}
		for _, part := range remedy {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("serve ends with %q, which does not say %q", err, part)
			}
		}
	}
	for _, command := range [][]string{
		{"verify"}, {"rebuild"}, {"backup", "--to", filepath.Join(t.TempDir(), "backup")}, {"key", "list"},
	} {
		if code, out, errs := e2etest.Run(append(command, "--data-dir", r.DataDir())...); code != e2etest.ExitFailed || !strings.Contains(errs, remedy[0]) || !strings.Contains(errs, remedy[4]) {
			t.Errorf("waypost %s exits %d: %s%s", command[0], code, out, errs)
		}
	}

	code, out, errs := e2etest.Run("rebuild", "--accept-shorter-log", "--data-dir", r.DataDir())
	if code != e2etest.ExitDone || !strings.Contains(out, "accepted a log that ends at position ") || !strings.Contains(out, "projection worklist had reached") ||
		!strings.Contains(out, "1 messages are gone") {
		t.Fatalf("rebuild --accept-shorter-log exits %d: %s%s", code, out, errs)
	}
	if code, out, errs := e2etest.Run("rebuild", "--accept-shorter-log", "--data-dir", r.DataDir()); code != e2etest.ExitDone || !strings.Contains(out, "no loss to accept") {
		t.Errorf("accepting it again exits %d: %s%s", code, out, errs)
	}
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	if again := e2etest.SendUntilRead(ctx, t, r, "order-2"); again != lost { // it was never queued, for this log
		t.Errorf("the same key gives message %s, gave %s", again, lost)
	}
	e2etest.AwaitListed(ctx, t, r, kept, "READ")
	e2etest.CheckCursorGone(ctx, t, r, cursor)
	checkBalanced(ctx, t, r)
	records := recordedLoss(ctx, t, r)
	if len(records) != 1 || records[0].Data.MessagesLost != 1 || records[0].Data.LogID == "" || records[0].By.ID != "rebuild command" || records[0].By.OnBehalfOf == "" {
		t.Fatalf("the log says %+v of the loss", records)
	}
	names := map[string]bool{}
	for _, c := range records[0].Data.Consumers {
		names[c.Name] = c.Position > records[0].Data.End && c.NewPosition == records[0].Data.End
	}
	if !names["projection views"] || !names["projection worklist"] {
		t.Errorf("the log says %+v of its consumers", records[0].Data)
	}
	if code, out, errs := e2etest.Run("verify", "--data-dir", r.DataDir()); code != e2etest.ExitDone {
		t.Errorf("verify exits %d: %s%s", code, out, errs)
	}
}

// A given event store that is rolled back under a running platform: it notices at once, sends nothing, says so, and
// continues when the loss was accepted.
func TestLogRolledBackUnderAPlatform(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), faultTimeout)
	defer cancel()
	dir := t.TempDir()
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "eventstore")
	start := func() *harness.Child {
		c, err := harness.StartChild(dir, "eventstore", nil, "eventstore", "--addr", addr, "--insecure", "--data-dir", data)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	store := start()
	t.Cleanup(func() { // after the platform
		if err := store.Stop(); err != nil {
			t.Errorf("stop the event store: %v", err)
		}
	})
	hook, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	pager := e2etest.NewPager()
	receiver := httptest.NewUnstartedServer(pager)
	if err := receiver.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	if receiver.Listener, err = new(net.ListenConfig).Listen(ctx, "tcp", hook); err != nil {
		t.Fatal(err)
	}
	receiver.Start()
	t.Cleanup(receiver.Close)
	given := []string{
		"WAYPOST_EVENTSTORE_URL=esdb://" + addr + "?tls=false", "WAYPOST_SECRET_KEY=" + e2etest.SecretKey, "WAYPOST_LOG_LEVEL=warn",
		"WAYPOST_ALERT_WEBHOOK_URL=http://" + hook, "WAYPOST_ALERT_WEBHOOK_SECRET=" + hooks.NewSecret(),
	}
	r := e2etest.Start(ctx, t, given, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	e2etest.SendUntilRead(ctx, t, r, "order-1")
	backup := filepath.Join(dir, "backup")
	e2etest.MustRun(t, "eventstore", "backup", "--data-dir", data, "--to", backup)
	for _, key := range []string{"order-2", "order-3", "order-4", "order-5"} {
		e2etest.SendUntilRead(ctx, t, r, key)
	}
	before, err := r.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	store.Kill()
	replaceDir(t, data, backup)
	store = start()

	begin := time.Now()
	e2etest.Await(ctx, t, "readyz says that the log is shorter", func() bool {
		status, lacks := readiness(ctx, t, r, "")
		return status == http.StatusServiceUnavailable && strings.Contains(lacks, "dispatch: end of the log")
	})
	t.Logf("noticed after %s", time.Since(begin))
	e2etest.Await(ctx, t, "the receiver gets the alert", func() bool { return slices.Contains(pager.Received(), "RAISED LOG_SHORTENED") })
	e2etest.AwaitAlert(ctx, t, r, "LOG_SHORTENED", "RAISED") // in the list, although its read model has stopped
	ids, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("shop", "order-6", 1)})
	if err != nil {
		t.Fatal(err)
	}
	var seen struct{ Message struct{ Status string } }
	if err := r.Client.Do(ctx, `query($id: ID!) { message(id: $id) { status } }`, map[string]any{"id": ids[0]}, &seen); err != nil || seen.Message.Status != "QUEUED" {
		t.Errorf("a message that was queued on the shorter log is %+v, %v", seen, err)
	}
	if after, err := r.Stats(ctx); err != nil || after.Accepted != before.Accepted {
		t.Errorf("%d calls were accepted, %d before: %v", after.Accepted, before.Accepted, err)
	}
	stores := []string{"--data-dir", r.DataDir(), "--eventstore-url", "esdb://" + addr + "?tls=false", "--secret-key", e2etest.SecretKey}
	if code, out, _ := e2etest.Run(append([]string{"doctor"}, stores...)...); code != e2etest.ExitFailed || !strings.Contains(out, "end of the log") || !strings.Contains(out, "is shorter than it was") {
		t.Errorf("doctor exits %d: %s", code, out)
	}
	if code, _, errs := e2etest.Run(append([]string{"rebuild", "--accept-shorter-log"}, stores...)...); code != e2etest.ExitFailed || !strings.Contains(errs, "stop") {
		t.Errorf("under a running platform the loss is accepted: %d, %s", code, errs)
	}
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.StartServe(ctx); err == nil || !strings.Contains(err.Error(), "the event log is shorter than it was") {
		t.Fatalf("it starts again on the shorter log: %v", err)
	}
	if code, out, errs := e2etest.Run(append([]string{"rebuild", "--accept-shorter-log"}, stores...)...); code != e2etest.ExitDone || !strings.Contains(out, "egress alerts had reached") {
		t.Fatalf("rebuild --accept-shorter-log exits %d: %s%s", code, out, errs)
	}
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	e2etest.AwaitListed(ctx, t, r, ids[0], "READ")
	e2etest.AwaitAlert(ctx, t, r, "LOG_SHORTENED", "RESOLVED")
	e2etest.SendUntilRead(ctx, t, r, "order-7")
	checkBalanced(ctx, t, r)
	if n := len(recordedLoss(ctx, t, r)); n != 1 {
		t.Errorf("the log has %d records of the loss", n)
	}
}
