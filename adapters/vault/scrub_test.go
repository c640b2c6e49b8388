package vault_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

// pieceSize is the size of a part of a wrapped key that counts as a trace of it: a page
// of Postgres may end within the rest.
const pieceSize = 16

// wrappedOf returns the wrapped keys and seeds in the vault.
func (b *bench) wrappedOf() (wrapped [][]byte) {
	b.tb.Helper()
	rows, err := b.pool.Query(b.ctx, `SELECT wrapped FROM waypost_vault.data_key WHERE wrapped IS NOT NULL
		UNION ALL SELECT wrapped FROM waypost_vault.key_seed`)
	must(b.tb, err)
	wrapped, err = pgx.CollectRows(rows, pgx.RowTo[[]byte])
	must(b.tb, err)
	if len(wrapped) == 0 {
		b.tb.Fatal("the vault is empty, so a search proves nothing")
	}
	return wrapped
}

// traces returns the files of the Postgres server that contain a piece of the secrets.
func (b *bench) traces(secrets [][]byte) (files []string) {
	b.tb.Helper()
	var root string
	must(b.tb, b.pool.QueryRow(b.ctx, `SHOW data_directory`).Scan(&root))
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // files of a running server come and go
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, s := range secrets {
			// The beginning is the same for all: the ID of the secret key.
			for at := len(s) - pieceSize; at >= pieceSize; at -= pieceSize {
				if bytes.Contains(text, s[at:at+pieceSize]) {
					files = append(files, path)
					return nil
				}
			}
		}
		return err
	})
	must(b.tb, err)
	return files
}

// exec runs statements on the server.
func (b *bench) exec(statements ...string) {
	b.tb.Helper()
	for _, s := range statements {
		_, err := b.pool.Exec(b.ctx, s)
		must(b.tb, err)
	}
}

// spread makes the server copy the vault's keys to every place that it copies rows to:
// its files, the column statistics, many segments of the write-ahead log, and, by a
// checkpoint, segments that are reused later.
func (b *bench) spread() {
	b.tb.Helper()
	b.exec(`CHECKPOINT`, `UPDATE waypost_vault.data_key SET made_at = made_at`, `ANALYZE waypost_vault.data_key`, `ANALYZE waypost_vault.key_seed`,
		`CREATE TABLE copied (wrapped bytea)`)
	for range 8 {
		b.exec(`INSERT INTO copied SELECT wrapped FROM waypost_vault.data_key UNION ALL SELECT wrapped FROM waypost_vault.key_seed`, `SELECT pg_switch_wal()`)
	}
	b.exec(`DROP TABLE copied`, `CHECKPOINT`)
}

// TestADestroyedKeyLeavesTheFiles searches every byte of the server's data directory.
func TestADestroyedKeyLeavesTheFiles(t *testing.T) {
	b := setup(t)
	p := b.process(key('k'), 0, true)
	b.run(p)
	for _, person := range []string{anna, "+14155550102", "+14155550103"} {
		b.append(p, "noted-"+person, "secret of "+person, about(person))
	}
	must(t, p.keys.FlushAllProcesses(b.ctx))
	b.spread()
	secrets := b.wrappedOf()
	var keys []event.KeyID
	for _, person := range []string{anna, "+14155550102", "+14155550103"} {
		found, err := p.keys.KeysOf(b.ctx, person, time.Time{})
		must(t, err)
		keys = append(keys, found...)
	}
	if len(b.traces(secrets)) == 0 {
		t.Fatal("the search finds no key while all of them are there, so it proves nothing")
	}
	must(t, p.keys.Destroy(b.ctx, keys, b.clock()))
	must(t, p.keys.FlushAllProcesses(b.ctx)) // retires the seed that the test knows
	must(t, p.keys.PurgeFiles(b.ctx))
	if files := b.traces(secrets); len(files) > 0 {
		t.Errorf("destroyed keys are in %v", files)
	}
}

// TestWhatACrashLeftIsScrubbed ends a process between destroying keys and scrubbing
// them, while the seed from which they can be derived still exists.
func TestWhatACrashLeftIsScrubbed(t *testing.T) {
	b := setup(t)
	p := b.process(key('k'), 0, true)
	b.run(p)
	b.append(p, "noted-1", "secret", about(anna))
	must(t, p.keys.FlushAllProcesses(b.ctx))
	b.append(p, "noted-2", "more", about(ben))
	secrets := b.wrappedOf()
	keys, err := p.keys.KeysOf(b.ctx, anna, time.Time{})
	must(t, err)
	// A transaction that began earlier still sees the keys.
	reader, err := b.pool.BeginTx(b.ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	must(t, err)
	var n int
	must(t, reader.QueryRow(b.ctx, `SELECT count(*) FROM waypost_vault.data_key`).Scan(&n))
	must(t, p.keys.Destroy(b.ctx, keys, b.clock()))
	must(t, p.keys.FlushAllProcesses(b.ctx))
	b.spread()
	if err := p.keys.PurgeFiles(b.ctx); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("while a transaction sees destroyed keys, a scrub returns %v, want UNAVAILABLE", err)
	}
	p.stop()
	must(t, reader.Rollback(b.ctx))
	wrapped := secrets[:0:0]
	alive := b.wrappedOf()
	for _, s := range secrets { // Ben's remains
		if !bytes.Equal(s, alive[0]) && (len(alive) < 2 || !bytes.Equal(s, alive[1])) {
			wrapped = append(wrapped, s)
		}
	}
	if len(b.traces(wrapped)) == 0 {
		t.Fatal("nothing is left to scrub, so the test proves nothing")
	}
	next := b.run(b.process(key('k'), 0, true))
	must(t, next.keys.PurgeFiles(b.ctx))
	if files := b.traces(wrapped); len(files) > 0 {
		t.Errorf("after the restart destroyed keys are in %v", files)
	}
	b.expect(next, "noted-2", "more")
}
