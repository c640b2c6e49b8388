package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// runHere runs a command of the program in this process.
func runHere(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

// The commands of auditors and operators reach the platform that runs on a folder.
func TestCommandsReachARunningPlatform(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	r := startTestRig(ctx, t, nil, nil)
	if err := r.client.registerSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	id := sendUntilRead(ctx, t, r, "order-1")
	dir := []string{"--data-dir", r.dataDir()}

	code, out, errs := runHere(append([]string{"replay", "--api-key", rigAdminKey, "--message", id, "--format", "jsonl"}, dir...)...)
	var types []string
	for line := range strings.Lines(out) {
		var e replayed
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		types = append(types, e.Type)
	}
	if code != exitDone || len(types) < 5 || types[0] != "Queued" || types[1] != "SendAttempted" || types[len(types)-1] != "Read" {
		t.Fatalf("replay exits %d with %v, %s", code, types, errs)
	}
	if code, out, errs = runHere(append([]string{"replay", "--api-key", rigAdminKey, "--message", id, "--as-of", "2020-01-01T00:00:00Z"}, dir...)...); code != exitDone || out != "as of 2020-01-01T00:00:00Z: not known\n" {
		t.Errorf("replay of the past exits %d: %q %s", code, out, errs)
	}

	replayFilters(t, dir, id)

	if code, out, errs = runHere(append([]string{"verify"}, dir...)...); code != exitDone || !strings.Contains(out, " 0 differ") {
		t.Fatalf("verify exits %d: %s%s", code, out, errs)
	}
	falsify(ctx, t, r, id)
	if code, out, errs = runHere(append([]string{"verify"}, dir...)...); code != exitFailed || !strings.Contains(out, "message id="+id+": changed status") || !strings.Contains(errs, "waypost rebuild") {
		t.Errorf("verify of a changed row exits %d: %s%s", code, out, errs)
	}
	if code, out, errs = runHere(append([]string{"rebuild"}, dir...)...); code != exitDone || !strings.Contains(out, "the old read models were wrong") {
		t.Errorf("rebuild exits %d: %s%s", code, out, errs)
	}
	if code, out, errs = runHere(append([]string{"rebuild"}, dir...)...); code != exitDone || !strings.Contains(out, "digests equal") {
		t.Errorf("rebuild again exits %d: %s%s", code, out, errs)
	}
	sendUntilRead(ctx, t, r, "order-2") // the projections go on with the new tables

	code, out, errs = runHere(append([]string{
		"doctor", "--whatsapp-url", r.simURL + "/v25.0",
		"--whatsapp-token", rigToken, "--whatsapp-app-secret", rigAppSecret, "--whatsapp-verify-token", "v",
	}, dir...)...)
	if code != exitDone || !strings.Contains(out, "its token is taken") || strings.Contains(out, "\nbad") {
		t.Errorf("doctor exits %d: %s%s", code, out, errs)
	}
	if code, out, _ = runHere("doctor", "--whatsapp-url", "http://127.0.0.1:1/v25.0", "--data-dir", r.dataDir()); code != exitFailed || !strings.Contains(out, "WAYPOST_WHATSAPP_APP_SECRET") {
		t.Errorf("doctor of a platform without secrets exits %d: %s", code, out)
	}
}

// replayFilters holds each flag of replay to choose what it says.
func replayFilters(t *testing.T, dir []string, id string) {
	t.Helper()
	replay := func(args ...string) string {
		t.Helper()
		code, out, errs := runHere(append(append([]string{"replay", "--api-key", rigAdminKey}, args...), dir...)...)
		if code != exitDone {
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
func falsify(ctx context.Context, t *testing.T, r *rig, id string) {
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
	tag, err := conn.Exec(ctx, `UPDATE waypost.message SET status = 'FAILED' WHERE id = $1`, id)
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("%v, %v", tag, err)
	}
}

func TestCommandsWithoutAPlatform(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "none")
	for _, command := range []string{"replay", "verify", "rebuild"} {
		if code, _, errs := runHere(command, "--data-dir", empty); code != exitFailed || !strings.Contains(errs, "--data-dir") || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s exits %d: %s", command, code, errs)
		}
	}
}
