package e2e

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// replayed is an event as replay prints it.
type replayed struct {
	ID, Type, Stream string
	RecordedAt       time.Time
}

// The commands for auditors and operators reach the Waypost that runs on a data directory.
func TestCommandsReachARunningPlatform(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := e2etest.Start(ctx, t, nil, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	id := e2etest.SendUntilRead(ctx, t, r, "order-1")
	dir := []string{"--data-dir", r.DataDir()}

	code, out, errs := e2etest.Run(append([]string{"replay", "--api-key", harness.AdminKey, "--message", id, "--format", "jsonl"}, dir...)...)
	var types []string
	for line := range strings.Lines(out) {
		var e replayed
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		types = append(types, e.Type)
	}
	if code != e2etest.ExitDone || len(types) < 5 || types[0] != "Queued" || types[1] != "SendAttempted" || types[len(types)-1] != "Read" {
		t.Fatalf("replay exits %d with %v, %s", code, types, errs)
	}
	if code, out, errs = e2etest.Run(append([]string{"replay", "--api-key", harness.AdminKey, "--message", id, "--as-of", "2020-01-01T00:00:00Z"}, dir...)...); code != e2etest.ExitDone || out != "as of 2020-01-01T00:00:00Z: not known\n" {
		t.Errorf("replay of the past exits %d: %q %s", code, out, errs)
	}

	replayFilters(t, dir, id)

	if code, out, errs = e2etest.Run(append([]string{"verify"}, dir...)...); code != e2etest.ExitDone || !strings.Contains(out, " 0 differ") {
		t.Fatalf("verify exits %d: %s%s", code, out, errs)
	}
	falsify(ctx, t, r, id)
	if code, out, errs = e2etest.Run(append([]string{"verify"}, dir...)...); code != e2etest.ExitFailed || !strings.Contains(out, "message id="+id+": changed status") || !strings.Contains(errs, "waypost rebuild") {
		t.Errorf("verify of a changed row exits %d: %s%s", code, out, errs)
	}
	if code, out, errs = e2etest.Run(append([]string{"rebuild"}, dir...)...); code != e2etest.ExitDone || !strings.Contains(out, "the old read models were wrong") {
		t.Errorf("rebuild exits %d: %s%s", code, out, errs)
	}
	if code, out, errs = e2etest.Run(append([]string{"rebuild"}, dir...)...); code != e2etest.ExitDone || !strings.Contains(out, "digests equal") {
		t.Errorf("rebuild again exits %d: %s%s", code, out, errs)
	}
	e2etest.SendUntilRead(ctx, t, r, "order-2") // the projections continue with the new tables

	code, out, errs = e2etest.Run(append([]string{
		"doctor", "--whatsapp-url", r.SimURL + "/v25.0",
		"--whatsapp-token", harness.Token, "--whatsapp-app-secret", harness.AppSecret, "--whatsapp-verify-token", "v",
	}, dir...)...)
	if code != e2etest.ExitDone || !strings.Contains(out, "its token is accepted") || strings.Contains(out, "\nbad") {
		t.Errorf("doctor exits %d: %s%s", code, out, errs)
	}
	// In a shell without the settings, it reports on the platform that runs, not on the shell.
	if code, out, errs = e2etest.Run("doctor", "--whatsapp-url", "http://127.0.0.1:1/v25.0", "--data-dir", r.DataDir()); code != e2etest.ExitDone || strings.Contains(out, "WAYPOST_WHATSAPP_APP_SECRET") {
		t.Errorf("doctor of a platform with secrets exits %d in a shell without them: %s%s", code, out, errs)
	}
	if code, out, _ = e2etest.Run("doctor", "--data-dir", t.TempDir()); code != e2etest.ExitFailed || !strings.Contains(out, "does not run on") || !strings.Contains(out, "WAYPOST_WHATSAPP_APP_SECRET") {
		t.Errorf("doctor of settings without secrets exits %d: %s", code, out)
	}
}

// replayFilters holds each flag of replay to choose what it says.
func replayFilters(t *testing.T, dir []string, id string) {
	t.Helper()
	replay := func(args ...string) string {
		t.Helper()
		code, out, errs := e2etest.Run(append(append([]string{"replay", "--api-key", harness.AdminKey}, args...), dir...)...)
		if code != e2etest.ExitDone {
			t.Fatalf("replay %v exits %d: %s", args, code, errs)
		}
		return out
	}
	if out := replay("--stream", "sender-shop"); strings.Count(out, "sender-shop/") != 1 || !strings.Contains(out, "SenderRegistered") || !strings.Contains(out, "by key admin") {
		t.Errorf("a sender's stream: %s", out)
	}
	if out := replay("--type", "Queued,Read"); !strings.Contains(out, "Queued ") || !strings.Contains(out, "Read ") || strings.Contains(out, "Sent ") {
		t.Errorf("two types: %s", out)
	}
	var queued replayed
	if err := json.Unmarshal([]byte(replay("--type", "Queued", "--format", "jsonl")), &queued); err != nil || queued.Stream != "message-"+id {
		t.Fatalf("%+v, %v", queued, err)
	}
	at := queued.RecordedAt.UTC().Format(time.RFC3339Nano)
	if out := replay("--message", id, "--to", at); out != "" {
		t.Errorf("before it was queued: %s", out)
	}
	if out := replay("--message", id, "--from", at, "--newest-first", "--limit", "2"); strings.Count(out, "message-") != 2 || !strings.Contains(out, "  Read ") {
		t.Errorf("the last two: %s", out)
	}
	if out := replay("--message", id, "--as-of", at); strings.Count(out, "message-") != 1 || !strings.HasSuffix(out, "as of "+at+": QUEUED after 0 attempts\n") {
		t.Errorf("as it was queued: %s", out)
	}
}

// falsify changes the row of a message behind the projections' back.
func falsify(ctx context.Context, t *testing.T, r *harness.TestEnv, id string) {
	t.Helper()
	conn := e2etest.ConnectPostgres(ctx, t, r)
	defer func() { _ = conn.Close(ctx) }()
	tag, err := conn.Exec(ctx, `UPDATE waypost.message SET status = 'FAILED' WHERE id = $1`, id)
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("%v, %v", tag, err)
	}
}

func TestCommandsWithoutAPlatform(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "none")
	for _, command := range []string{"replay", "verify", "rebuild"} {
		if code, _, errs := e2etest.Run(command, "--data-dir", empty); code != e2etest.ExitFailed || !strings.Contains(errs, "--data-dir") || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s exits %d: %s", command, code, errs)
		}
	}
}
