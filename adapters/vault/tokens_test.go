package vault_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/adapters/postgres/postgrestest"
	"github.com/waypost/waypost/adapters/vault"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func migrated(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), postgrestest.Migrated(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func TestTokenIsStoredEncryptedAndOpensAfterRotation(t *testing.T) {
	t.Parallel()
	const token = "EAAG-a-secret-token"
	pool, ctx := migrated(t), context.Background()
	id, err := vault.NewTokens(pool, parse(t, key('a')), newID).Put(ctx, "shop", token)
	if err != nil {
		t.Fatal(err)
	}
	var sealed []byte
	if err := pool.QueryRow(ctx, `SELECT ciphertext FROM waypost_vault.sender_token WHERE id = $1`, id).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(sealed), token) {
		t.Error("the token is stored in plain text")
	}
	rotated := vault.NewTokens(pool, parse(t, key('b')+","+key('a')), newID)
	if got, err := rotated.Get(ctx, "shop", id); err != nil || got != token {
		t.Errorf("after rotation: %q, %v", got, err)
	}
	if _, err := vault.NewTokens(pool, parse(t, key('a')), newID).Get(ctx, "other", id); err == nil {
		t.Error("a token opened for another sender")
	}
	if _, err := vault.NewTokens(pool, parse(t, key('b')), newID).Get(ctx, "shop", id); err == nil || !strings.Contains(err.Error(), "WAYPOST_SECRET_KEY") {
		t.Errorf("without its key: %v", err)
	}
}
