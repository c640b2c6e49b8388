package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A backup of a running platform comes back as another folder with every message, and
// with what is sealed readable.
func TestBackupComesBack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*e2eTimeout)
	defer cancel()
	r := startTestRig(ctx, t, nil, nil)
	if err := r.client.registerSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	id := sendUntilRead(ctx, t, r, "order-1")
	to := filepath.Join(t.TempDir(), "backup")
	if code, out, errs := runHere("backup", "--to", to, "--data-dir", r.dataDir()); code != exitDone {
		t.Fatalf("backup exits %d: %s%s", code, out, errs)
	}
	if code, _, errs := runHere("backup", "--to", to, "--data-dir", r.dataDir()); code != exitFailed || !strings.Contains(errs, "exists") {
		t.Errorf("a backup over a backup exits %d: %s", code, errs)
	}
	later := sendUntilRead(ctx, t, r, "order-2")
	if err := r.serve.stop(); err != nil {
		t.Fatal(err)
	}

	if code, _, errs := runHere("restore", "--from", to, "--data-dir", r.dataDir()); code != exitFailed || !strings.Contains(errs, "--data-dir") {
		t.Errorf("a restore over a data folder exits %d: %s", code, errs)
	}
	restored := filepath.Join(t.TempDir(), "data")
	if code, out, errs := runHere("restore", "--from", to, "--data-dir", restored); code != exitDone {
		t.Fatalf("restore exits %d: %s%s", code, out, errs)
	}
	if err := os.Rename(r.dataDir(), r.dataDir()+".lost"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(restored, r.dataDir()); err != nil {
		t.Fatal(err)
	}
	if err := r.startServe(ctx); err != nil {
		t.Fatal(err)
	}
	var data struct {
		Message, Later *struct{ Status, To string }
	}
	err := r.client.do(ctx, `query($id: ID!, $later: ID!) { message(id: $id) { status to } later: message(id: $later) { status to } }`,
		map[string]any{"id": id, "later": later}, &data)
	if err != nil || data.Message == nil || data.Message.Status != "READ" || !strings.HasPrefix(data.Message.To, "+") || data.Later != nil {
		t.Fatalf("after the restore: %+v, %v; want the message as READ with its number, and not the later one", data, err)
	}
	sendUntilRead(ctx, t, r, "order-3")
	if code, out, errs := runHere("verify", "--data-dir", r.dataDir()); code != exitDone {
		t.Errorf("verify of what was restored exits %d: %s%s", code, out, errs)
	}
}
