package e2e

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// secretOnDisk is a data key or a seed, as it is stored and as it is used.
type secretOnDisk struct {
	what         string
	id           []byte
	wrapped, raw []byte
}

// connectPrivate connects to a rig's private Postgres.
func connectPrivate(ctx context.Context, t *testing.T, r *harness.TestEnv) *pgx.Conn {
	t.Helper()
	u := url.URL{Scheme: "postgres", Path: "/waypost", RawQuery: url.Values{
		"host": {filepath.Join(r.DataDir(), "postgres", "socket")}, "user": {"waypost"},
	}.Encode()}
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	return conn
}

// secretsOf returns all data keys and seeds of the vault.
func secretsOf(ctx context.Context, t *testing.T, r *harness.TestEnv, conn *pgx.Conn) (secrets []secretOnDisk) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.DataDir(), "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	wrapping, err := hkdf.Key(sha256.New, secret, nil, "waypost data key v1", 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(wrapping)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(ctx, `SELECT 'key', id, wrapped FROM waypost_vault.data_key WHERE wrapped IS NOT NULL
		UNION ALL SELECT 'seed', id, wrapped FROM waypost_vault.key_seed`)
	if err != nil {
		t.Fatal(err)
	}
	var s secretOnDisk
	if _, err := pgx.ForEachRow(rows, []any{&s.what, &s.id, &s.wrapped}, func() error {
		head := len(s.wrapped) - 32 - aead.Overhead() // the secret key's id and a nonce
		s.raw, err = aead.Open(nil, s.wrapped[head-aead.NonceSize():head], s.wrapped[head:], []byte(s.what+" "+string(s.id)))
		secrets = append(secrets, s)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return secrets
}

// tracesOf returns the files below root that hold a part of the secrets, in the clear or
// in hexadecimal, as they are stored or as they are used.
func tracesOf(t *testing.T, root string, secrets []secretOnDisk) (found []string) {
	t.Helper()
	const piece = 16 // a page of Postgres may end in the middle of the rest
	var forms [][]byte
	for _, s := range secrets {
		for _, secret := range [][]byte{s.wrapped, s.raw} {
			for at := len(secret) - piece; at >= 0 && (at >= piece || len(secret) == 32); at -= piece {
				part := secret[at : at+piece]
				forms = append(forms, part, []byte(hex.EncodeToString(part)))
			}
		}
	}
	size := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // files of running stores come and go
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		size += len(text)
		for _, form := range forms {
			if bytes.Contains(text, form) {
				found = append(found, path)
				break
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if size == 0 || len(forms) == 0 {
		t.Fatalf("%d forms in %d bytes: the search proves nothing", len(forms), size)
	}
	return found
}

// TestAnErasedPersonLeavesNoKeyOnDisk erases a person, ends everything in the middle of it
// as a power failure does, and starts again: no byte of the data directory, and none of a
// backup, is of a key that opens what was theirs.
func TestAnErasedPersonLeavesNoKeyOnDisk(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*e2etest.Timeout)
	defer cancel()
	r := e2etest.Start(ctx, t, nil, map[string]any{"read_rate": 1})
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	message := func(to, key string) map[string]any {
		in := harness.Message("shop", key, 1)
		in["to"], in["content"] = to, map[string]any{"text": map[string]any{"body": forgottenBody}}
		return in
	}
	scheduled := message(forgottenNumber, "scheduled")
	scheduled["sendAt"] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
	ids, err := r.Client.QueueMessages(ctx, []map[string]any{message(forgottenNumber, "now"), message(keptNumber, "kept"), scheduled})
	if err != nil {
		t.Fatal(err)
	}
	awaitREAD(ctx, t, r, ids[0])
	awaitREAD(ctx, t, r, ids[1])

	conn := connectPrivate(ctx, t, r)
	exec := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := conn.Exec(ctx, s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
	await := func(what, query string) {
		t.Helper()
		for {
			var is bool
			if err := conn.QueryRow(ctx, query).Scan(&is); err == nil && is {
				return
			}
			select {
			case <-ctx.Done():
				t.Fatalf("waited in vain until %s", what)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	await("the keys are stored", `SELECT count(*) >= 2 FROM waypost_vault.data_key`)
	before := secretsOf(ctx, t, r, conn)
	// The keys get to where keys get in time: statistics, and segments of the write-ahead
	// log that a checkpoint recycles.
	exec(`ANALYZE waypost_vault.data_key`, `ANALYZE waypost_vault.key_seed`, `CHECKPOINT`, `CREATE TABLE public.copied (wrapped bytea)`)
	for range 6 {
		exec(`INSERT INTO public.copied SELECT wrapped FROM waypost_vault.data_key UNION ALL SELECT wrapped FROM waypost_vault.key_seed`, `SELECT pg_switch_wal()`)
	}
	exec(`DROP TABLE public.copied`, `CHECKPOINT`)
	if len(tracesOf(t, r.DataDir(), before)) == 0 {
		t.Fatal("the search finds no key while all are there, so it proves nothing")
	}

	// A reader keeps the erasure from being completed, and everything ends.
	exec(`BEGIN ISOLATION LEVEL REPEATABLE READ`, `SELECT count(*) FROM waypost_vault.data_key`)
	erased := make(chan error, 1)
	go func() {
		erased <- r.Client.Do(ctx, `mutation($to: String!) { eraseRecipient(to: $to, reason: "asked") { id } }`, map[string]any{"to": forgottenNumber}, nil)
	}()
	conn = connectPrivate(ctx, t, r) // the reader stays connected
	await("the keys are destroyed", `SELECT EXISTS (SELECT FROM waypost_vault.data_key WHERE erased_at IS NOT NULL)`)
	// Stopped, the process doesn't notice the end of Postgres. If it ended first, Postgres would shut down in order.
	if err := r.Serve.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	killPrivatePostgres(t, r)
	if err := r.Serve.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-r.Serve.Done
	<-erased
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	conn = connectPrivate(ctx, t, r)
	await("the erasure is completed", `SELECT NOT EXISTS (SELECT FROM waypost_vault.scrub_due) AND EXISTS (SELECT FROM waypost_vault.data_key WHERE erased_at IS NOT NULL)`)

	gone := before[:0:0]
	left := secretsOf(ctx, t, r, conn)
	for _, s := range before {
		kept := false
		for _, l := range left {
			kept = kept || bytes.Equal(l.id, s.id)
		}
		if !kept {
			gone = append(gone, s)
		}
	}
	if len(gone) < 2 { // a key and the seed that it was derived from
		t.Errorf("%d keys and seeds are gone, want 2 or more", len(gone))
	}
	if files := tracesOf(t, r.DataDir(), gone); len(files) > 0 {
		t.Errorf("keys of the erased person are in %v", files)
	}
	searchFiles(t, r.DataDir(), personalWords()...)
	checkErased(ctx, t, r, ids[0])
	for viewOf(ctx, t, r, ids[2]).Status != "CANCELLED" {
		select {
		case <-ctx.Done():
			t.Fatalf("the scheduled message is %s", viewOf(ctx, t, r, ids[2]).Status)
		case <-time.After(50 * time.Millisecond):
		}
	}
	if v := viewOf(ctx, t, r, ids[1]); v.To == nil || *v.To != keptNumber {
		t.Errorf("another recipient's message reads %+v", v)
	}
	if code, out, errs := e2etest.Run("verify", "--data-dir", r.DataDir()); code != e2etest.ExitDone {
		t.Errorf("the read models are not as the log has them: %s%s", out, errs)
	}
	backup := filepath.Join(r.Dir, "backup")
	if code, out, errs := e2etest.Run("backup", "--to", backup, "--data-dir", r.DataDir()); code != e2etest.ExitDone {
		t.Fatalf("backup exits %d: %s%s", code, out, errs)
	}
	if files := tracesOf(t, backup, gone); len(files) > 0 {
		t.Errorf("keys of the erased person are in %v", files)
	}
	if kept := tracesOf(t, backup, left); len(kept) == 0 {
		t.Error("the search finds no key of others in the backup, so it proves nothing")
	}
}

// killPrivatePostgres ends the private Postgres of a rig as a power failure does.
func killPrivatePostgres(t *testing.T, r *harness.TestEnv) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.DataDir(), "postgres", "cluster", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
