package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/privatepg"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
)

// TestACommandComesInAndItsEventsLeave holds the whole way over a broker that the
// user runs: a row inserted there, a message that is read, and its events there.
func TestACommandComesInAndItsEventsLeave(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	url := startUsersPostgres(ctx, t)
	r := e2etest.Start(ctx, t, []string{"WAYPOST_BROKER_URL=" + url, "WAYPOST_BROKER_EVENTS=start"}, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	command, err := json.Marshal(map[string]any{
		"v": 1, "senderId": "shop", "to": e2eRecipient, "idempotencyKey": "order-7719",
		"content": map[string]any{"text": map[string]any{"body": e2eBody}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{string(command), "no command", string(command)} {
		insert(ctx, t, conn, payload)
	}

	var types []string
	e2etest.Await(ctx, t, "the event Read is published", func() bool {
		types = eventTypes(ctx, t, conn)
		return slices.Contains(types, "waypost.Read")
	})
	if n := count(types, "waypost.Queued"); n != 1 {
		t.Errorf("the command given twice was queued %d times", n)
	}
	for _, want := range []string{"waypost.SendAttempted", "waypost.Sent", "waypost.Delivered"} {
		if !slices.Contains(types, want) {
			t.Errorf("%s did not leave; what left is %v", want, types)
		}
	}
	// What people write leaves too, under the ID by which the API knows it.
	written := `{"phone_number_id":"100000000001","from":"` + e2eRecipient[1:] + `","text":"Is it ready?"}`
	resp, err := http.Post(r.SimURL+"/inbound", "application/json", strings.NewReader(written))
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the simulator returned status %d: %v", resp.StatusCode, err)
	}
	var subject, sender string
	e2etest.Await(ctx, t, "the inbound message is published", func() bool {
		err := conn.QueryRow(ctx, `SELECT payload->>'subject', payload->>'sender' FROM "watermill_waypost.events" WHERE payload->>'type' = 'waypost.InboundReceived'`).
			Scan(&subject, &sender)
		return err == nil
	})
	var found struct {
		InboundMessage struct {
			SenderID string
			Content  struct{ Body string }
		}
	}
	if err := r.Client.Do(ctx, `query($id: ID!) { inboundMessage(id: $id) { senderId content } }`, map[string]any{"id": subject}, &found); err != nil {
		t.Fatal(err)
	}
	if sender != "shop" || found.InboundMessage.SenderID != "shop" || found.InboundMessage.Content.Body != "Is it ready?" {
		t.Errorf("inbound message %s of %s is %+v", subject, sender, found)
	}
	var personal, rejected int
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM "watermill_waypost.events" WHERE payload->'data'->'personal' IS NOT NULL`).Scan(&personal); err != nil {
		t.Fatal(err)
	}
	e2etest.Await(ctx, t, "the invalid command is rejected", func() bool {
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM "watermill_waypost.commands.rejected" WHERE payload LIKE '%no command%'`).Scan(&rejected); err != nil {
			t.Fatal(err)
		}
		return rejected > 0
	})
	if personal != 0 || rejected != 1 {
		t.Errorf("%d published events contain personal data, want none; %d commands were rejected, want 1", personal, rejected)
	}
}

// insert hands a payload over as soon as the platform has made the table.
func insert(ctx context.Context, t *testing.T, conn *pgx.Conn, payload string) {
	t.Helper()
	e2etest.Await(ctx, t, "the table of commands takes a row", func() bool {
		_, err := conn.Exec(ctx, `INSERT INTO "watermill_waypost.commands" (payload) VALUES ($1)`, payload)
		return err == nil
	})
}

func eventTypes(ctx context.Context, t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(ctx, `SELECT payload->>'type' FROM "watermill_waypost.events" ORDER BY "offset"`)
	if err != nil {
		t.Fatal(err)
	}
	types, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// startUsersPostgres starts a Postgres that does not belong to Waypost.
func startUsersPostgres(ctx context.Context, t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "waypost-broker-") // its user has to reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	cluster, err := privatepg.Start(ctx, privatepg.Options{DataDir: filepath.Join(dir, "postgres")})
	if errors.Is(err, privatepg.ErrNoBinaries) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stopping, cancel := context.WithTimeout(context.Background(), e2etest.Timeout)
		defer cancel()
		if err := cluster.Stop(stopping); err != nil {
			t.Error(err)
		}
	})
	return cluster.URL()
}
