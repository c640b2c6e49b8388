package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
)

// A backup of a running Waypost is restored to another directory, with every message and with readable personal data.
func TestBackupComesBack(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*e2etest.Timeout)
	defer cancel()
	r := e2etest.Start(ctx, t, nil, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	id := e2etest.SendUntilRead(ctx, t, r, "order-1")
	to := filepath.Join(t.TempDir(), "backup")
	if code, out, errs := e2etest.Run("backup", "--to", to, "--data-dir", r.DataDir()); code != e2etest.ExitDone {
		t.Fatalf("backup exits %d: %s%s", code, out, errs)
	}
	if code, _, errs := e2etest.Run("backup", "--to", to, "--data-dir", r.DataDir()); code != e2etest.ExitFailed || !strings.Contains(errs, "exists") {
		t.Errorf("a backup over a backup exits %d: %s", code, errs)
	}
	later := e2etest.SendUntilRead(ctx, t, r, "order-2")
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}

	if code, _, errs := e2etest.Run("restore", "--from", to, "--data-dir", r.DataDir()); code != e2etest.ExitFailed || !strings.Contains(errs, "--data-dir") {
		t.Errorf("a restore over a data directory exits %d: %s", code, errs)
	}
	restored := filepath.Join(t.TempDir(), "data")
	if code, out, errs := e2etest.Run("restore", "--from", to, "--data-dir", restored); code != e2etest.ExitDone {
		t.Fatalf("restore exits %d: %s%s", code, out, errs)
	}
	if err := os.Rename(r.DataDir(), r.DataDir()+".lost"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(restored, r.DataDir()); err != nil {
		t.Fatal(err)
	}
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	var data struct {
		Message, Later *struct{ Status, To string }
	}
	err := r.Client.Do(ctx, `query($id: ID!, $later: ID!) { message(id: $id) { status to } later: message(id: $later) { status to } }`,
		map[string]any{"id": id, "later": later}, &data)
	if err != nil || data.Message == nil || data.Message.Status != "READ" || !strings.HasPrefix(data.Message.To, "+") || data.Later != nil {
		t.Fatalf("after the restore: %+v, %v; want the message as READ with its number, and not the later one", data, err)
	}
	e2etest.SendUntilRead(ctx, t, r, "order-3")
	if code, out, errs := e2etest.Run("verify", "--data-dir", r.DataDir()); code != e2etest.ExitDone {
		t.Errorf("verify of what was restored exits %d: %s%s", code, out, errs)
	}
}
