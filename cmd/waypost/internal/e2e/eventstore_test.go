package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored/testcert"
	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// testSecretKey is what a given event store makes necessary.
const testSecretKey = "WAYPOST_SECRET_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// startProtectedEventstore is one with TLS and a user, and the URL to reach it by.
func startProtectedEventstore(ctx context.Context, t *testing.T) string {
	t.Helper()
	files, err := testcert.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, addr := e2etest.StartEventstore(ctx, t, "--tls-cert", files.Cert, "--tls-key", files.Key, "--users", "platform:s3cret/ü")
	u := url.URL{Scheme: "esdb", User: url.UserPassword("platform", "s3cret/ü"), Host: addr}
	return u.String() + "?tls=true&tlsCAFile=" + files.CA
}

// The platform runs on the event store that EVENTSTORE_URL names, whatever else
// the store contains, or else on an embedded one with TLS and a user.
func TestGivenStoreUnderThePlatform(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	given := os.Getenv("EVENTSTORE_URL")
	if given == "" {
		given = startProtectedEventstore(ctx, t)
	}
	r := e2etest.Start(ctx, t, []string{"WAYPOST_EVENTSTORE_URL=" + given, testSecretKey}, nil)
	// A store that is used again knows earlier senders and their numbers.
	sender := "shop-" + uuid.NewString()[:8]
	number := fmt.Sprintf("1%014d", time.Now().UnixMilli())
	if err := r.Client.RegisterSender(ctx, sender, number, 80); err != nil {
		t.Fatal(err)
	}
	updates := e2etest.Subscribe(ctx, t, r, fmt.Sprintf(`subscription { messageUpdates(senderId: %q) { message { id status } } }`, sender))
	ids, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message(sender, "order-1", 1)})
	if err != nil {
		t.Fatal(err)
	}
	awaitUpdate(ctx, t, updates, ids[0], "READ")
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	if status, _, err := r.Client.MessageLifecycle(ctx, ids[0]); err != nil || status != "READ" {
		t.Errorf("after a restart the message is %q, %v; want READ", status, err)
	}
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}
	if u, err := url.Parse(given); err == nil && u.User != nil {
		password, _ := u.User.Password()
		e2etest.CheckNotLogged(t, r.Serve.Log, password, url.PathEscape(password))
	}
}

// A platform moves from one event store to another and back into a restored one:
// what was, is there with its times; cursors of the old place are refused; read
// models are built again.
func TestPlatformMovesHouse(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the platform three times")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*e2etest.Timeout)
	defer cancel()
	first := startProtectedEventstore(ctx, t)
	r := e2etest.Start(ctx, t, []string{"WAYPOST_EVENTSTORE_URL=" + first, testSecretKey}, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	before := e2etest.SendUntilRead(ctx, t, r, "order-1")
	_, was, err := r.Client.MessageLifecycle(ctx, before)
	if err != nil {
		t.Fatal(err)
	}
	cursor := e2etest.Cursor(ctx, t, r, before)
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}

	secondDir, secondAddr := e2etest.StartEventstore(ctx, t)
	second := "esdb://" + secondAddr + "?tls=false"
	for range 2 { // the second time there is nothing to do
		if output := e2etest.MustRun(t, "eventstore", "copy", "--from", first, "--to", second); !strings.HasPrefix(output, "copied ") {
			t.Fatalf("copy says %q", output)
		}
	}
	moveTo := func(store string) {
		t.Helper()
		r.Env[0] = "WAYPOST_EVENTSTORE_URL=" + store
		if err := r.StartServe(ctx); err != nil {
			t.Fatal(err)
		}
		e2etest.AwaitListed(ctx, t, r, before, "READ")
		_, is, err := r.Client.MessageLifecycle(ctx, before)
		if err != nil {
			t.Fatal(err)
		}
		for event, at := range was {
			if !is[event].Equal(at) {
				t.Errorf("%s was at %s, is now at %s", event, at, is[event])
			}
		}
		e2etest.CheckCursorGone(ctx, t, r, cursor)
	}
	moveTo(second)
	after := e2etest.SendUntilRead(ctx, t, r, "order-2")

	// Copied while it runs, then thrown away behind the backup.
	backup := filepath.Join(t.TempDir(), "backup")
	e2etest.MustRun(t, "eventstore", "backup", "--data-dir", secondDir, "--to", backup)
	e2etest.MustRun(t, "eventstore", "scavenge", "--data-dir", secondDir)
	cursor = e2etest.Cursor(ctx, t, r, after)
	lost := e2etest.SendUntilRead(ctx, t, r, "order-3")
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	e2etest.MustRun(t, "eventstore", "restore", "--data-dir", restored, "--from", backup)
	if output := e2etest.MustRun(t, "eventstore", "verify", "--data-dir", restored); !strings.HasPrefix(output, "sound: ") {
		t.Fatalf("verify says %q", output)
	}
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	third, err := harness.StartChild(t.TempDir(), "restored", nil, "eventstore", "--insecure", "--addr", addr, "--data-dir", restored)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(third.Kill)
	moveTo("esdb://" + addr + "?tls=false")
	e2etest.AwaitListed(ctx, t, r, after, "READ")
	if status, _, err := r.Client.MessageLifecycle(ctx, lost); err == nil && status != "" {
		t.Errorf("a message that was queued after the backup is %s", status)
	}
	// Its key is free again: for this log it was never queued.
	if again := e2etest.SendUntilRead(ctx, t, r, "order-3"); again != lost {
		t.Errorf("the same key gives message %s, gave %s", again, lost)
	}
}

func TestEventstoreThatCannotStart(t *testing.T) {
	files, err := testcert.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tls := []string{"--tls-cert", files.Cert, "--tls-key", files.Key}
	for name, tt := range map[string]struct {
		users string
		args  []string
		want  string
	}{
		"open to the network":     {"", []string{"--addr", "0.0.0.0:0", "--insecure"}, "no TLS and no users: every client that reaches it"},
		"insecure with TLS":       {"", append([]string{"--insecure"}, tls...), "--insecure is without TLS and users"},
		"insecure with users":     {"a:b", []string{"--insecure"}, "--insecure is without TLS and users"},
		"a certificate alone":     {"", tls[:2], "WAYPOST_EVENTSTORE_TLS_KEY) belong together"},
		"a key that does not fit": {"", []string{"--tls-cert", files.CA, "--tls-key", files.Key}, "--tls-cert: "},
		"users that are none":     {"me", tls, "name:password"},
	} {
		t.Setenv("WAYPOST_EVENTSTORE_USERS", tt.users)
		args := append([]string{"eventstore", "--addr", "127.0.0.1:0", "--data-dir", t.TempDir()}, tt.args...)
		if code, _, stderr := e2etest.Run(args...); code != e2etest.ExitFailed || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q; want one line with %q", name, code, stderr, tt.want)
		}
	}
}
