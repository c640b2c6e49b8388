package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket/wsjson"
	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored/testcert"
	"github.com/waypost/waypost/adapters/loopback"
)

// testSecretKey is what a given event store makes necessary.
const testSecretKey = "WAYPOST_SECRET_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// startEventstore runs `waypost eventstore` in a folder of its own until the test
// ends, and gives the folder and the address.
func startEventstore(ctx context.Context, t *testing.T, args ...string) (dir, addr string) {
	t.Helper()
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	logs := t.TempDir()
	dir = filepath.Join(logs, "data")
	c, err := startChild(logs, "eventstore", nil, append([]string{"eventstore", "--addr", addr, "--data-dir", dir}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Errorf("stop: %v; its log ends: %s", err, c.tail())
		}
	})
	for !strings.Contains(c.tail(), "WAYPOST_EVENTSTORE_URL=") {
		select {
		case <-c.done:
			t.Fatalf("the event store ended: %v; its log ends: %s", c.err, c.tail())
		case <-ctx.Done():
			t.Fatalf("the event store does not start; its log ends: %s", c.tail())
		case <-time.After(readyPoll):
		}
	}
	return dir, addr
}

// runCommand runs the program in this process and answers what it printed.
func runCommand(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(args, &stdout, &stderr); code != exitDone {
		t.Fatalf("waypost %s: exit code %d: %s", strings.Join(args, " "), code, stderr.String())
	}
	return stdout.String()
}

// startProtectedEventstore is one with TLS and a user, and the URL to reach it by.
func startProtectedEventstore(ctx context.Context, t *testing.T) string {
	t.Helper()
	files, err := testcert.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, addr := startEventstore(ctx, t, "--tls-cert", files.Cert, "--tls-key", files.Key, "--users", "platform:s3cret/ü")
	u := url.URL{Scheme: "esdb", User: url.UserPassword("platform", "s3cret/ü"), Host: addr}
	return u.String() + "?tls=true&tlsCAFile=" + files.CA
}

// The platform runs on the event store that EVENTSTORE_URL names, whatever else
// stands in it, or else on one of ours with TLS and a user.
func TestGivenStoreUnderThePlatform(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	given := os.Getenv("EVENTSTORE_URL")
	if given == "" {
		given = startProtectedEventstore(ctx, t)
	}
	r := startTestRig(ctx, t, []string{"WAYPOST_EVENTSTORE_URL=" + given, testSecretKey}, nil)
	// A store that is used again knows earlier senders and their numbers.
	sender := "shop-" + uuid.NewString()[:8]
	number := fmt.Sprintf("1%014d", time.Now().UnixMilli())
	if err := r.client.registerSender(ctx, sender, number, 80); err != nil {
		t.Fatal(err)
	}
	updates := dialUpdates(ctx, t, r, fmt.Sprintf(`subscription { messageUpdates(senderId: %q) { message { id status } } }`, sender))
	ids, err := r.client.queueMessages(ctx, []map[string]any{benchMessage(sender, "order-1", 1)})
	if err != nil {
		t.Fatal(err)
	}
	awaitUpdate(ctx, t, updates, ids[0], "READ")
	if err := r.serve.stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.startServe(ctx); err != nil {
		t.Fatal(err)
	}
	if status, _, err := r.client.messageLifecycle(ctx, ids[0]); err != nil || status != "READ" {
		t.Errorf("after a restart the message is %q, %v; want READ", status, err)
	}
	if err := r.serve.stop(); err != nil {
		t.Fatal(err)
	}
	if u, err := url.Parse(given); err == nil && u.User != nil {
		password, _ := u.User.Password()
		searchLogs(t, r.serve.log, password, url.PathEscape(password))
	}
}

// A platform moves from one event store to another and back into a restored one:
// what was, is there with its times; cursors of the old place are refused; read
// models are built again.
func TestPlatformMovesHouse(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the platform three times")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*e2eTimeout)
	defer cancel()
	first := startProtectedEventstore(ctx, t)
	r := startTestRig(ctx, t, []string{"WAYPOST_EVENTSTORE_URL=" + first, testSecretKey}, nil)
	if err := r.client.registerSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	before := sendUntilRead(ctx, t, r, "order-1")
	_, was, err := r.client.messageLifecycle(ctx, before)
	if err != nil {
		t.Fatal(err)
	}
	cursor := cursorOf(ctx, t, r, before)
	if err := r.serve.stop(); err != nil {
		t.Fatal(err)
	}

	secondDir, secondAddr := startEventstore(ctx, t)
	second := "esdb://" + secondAddr + "?tls=false"
	for range 2 { // the second time there is nothing to do
		if said := runCommand(t, "eventstore", "copy", "--from", first, "--to", second); !strings.HasPrefix(said, "copied ") {
			t.Fatalf("copy says %q", said)
		}
	}
	moveTo := func(store string) {
		t.Helper()
		r.env[0] = "WAYPOST_EVENTSTORE_URL=" + store
		if err := r.startServe(ctx); err != nil {
			t.Fatal(err)
		}
		awaitStatus(ctx, t, r, before, "READ")
		_, is, err := r.client.messageLifecycle(ctx, before)
		if err != nil {
			t.Fatal(err)
		}
		for event, at := range was {
			if !is[event].Equal(at) {
				t.Errorf("%s was at %s, is now at %s", event, at, is[event])
			}
		}
		refusedCursor(ctx, t, r, cursor)
	}
	moveTo(second)
	after := sendUntilRead(ctx, t, r, "order-2")

	// Copied while it runs, then thrown away behind the backup.
	backup := filepath.Join(t.TempDir(), "backup")
	runCommand(t, "eventstore", "backup", "--data-dir", secondDir, "--to", backup)
	runCommand(t, "eventstore", "scavenge", "--data-dir", secondDir)
	cursor = cursorOf(ctx, t, r, after)
	lost := sendUntilRead(ctx, t, r, "order-3")
	if err := r.serve.stop(); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	runCommand(t, "eventstore", "restore", "--data-dir", restored, "--from", backup)
	if said := runCommand(t, "eventstore", "verify", "--data-dir", restored); !strings.HasPrefix(said, "sound: ") {
		t.Fatalf("verify says %q", said)
	}
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	third, err := startChild(t.TempDir(), "restored", nil, "eventstore", "--addr", addr, "--data-dir", restored)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(third.kill)
	moveTo("esdb://" + addr + "?tls=false")
	awaitStatus(ctx, t, r, after, "READ")
	if status, _, err := r.client.messageLifecycle(ctx, lost); err == nil && status != "" {
		t.Errorf("a message that was queued after the backup is %s", status)
	}
	// Its key is free again: for this log it was never queued.
	if again := sendUntilRead(ctx, t, r, "order-3"); again != lost {
		t.Errorf("the same key gives message %s, gave %s", again, lost)
	}
}

func sendUntilRead(ctx context.Context, t *testing.T, r *rig, key string) string {
	t.Helper()
	ids, err := r.client.queueMessages(ctx, []map[string]any{benchMessage("shop", key, 1)})
	if err != nil {
		t.Fatal(err)
	}
	awaitStatus(ctx, t, r, ids[0], "READ")
	return ids[0]
}

// awaitStatus waits until the list of messages, which is a read model, shows it so.
func awaitStatus(ctx context.Context, t *testing.T, r *rig, id, status string) {
	t.Helper()
	for {
		var data struct {
			Messages struct {
				Edges []struct {
					Node struct{ ID, Status string } `json:"node"`
				} `json:"edges"`
			} `json:"messages"`
		}
		err := r.client.do(ctx, `{ messages(first: 50) { edges { node { id status } } } }`, nil, &data)
		if err != nil && !again(err) {
			t.Fatal(err)
		}
		for _, e := range data.Messages.Edges {
			if e.Node.ID == id && e.Node.Status == status {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("message %s is not listed as %s: %v, %v", id, status, data, err)
		case <-time.After(readyPoll):
		}
	}
}

func cursorOf(ctx context.Context, t *testing.T, r *rig, id string) string {
	t.Helper()
	var data struct {
		Message struct{ Cursor string } `json:"message"`
	}
	if err := r.client.do(ctx, `query($id: ID!) { message(id: $id) { cursor } }`, map[string]any{"id": id}, &data); err != nil || data.Message.Cursor == "" {
		t.Fatalf("message %s has no cursor: %v", id, err)
	}
	return data.Message.Cursor
}

// refusedCursor fails unless a subscription that starts at the cursor is CURSOR_GONE.
func refusedCursor(ctx context.Context, t *testing.T, r *rig, cursor string) {
	t.Helper()
	conn := dialUpdates(ctx, t, r, fmt.Sprintf(`subscription { messageUpdates(after: %q) { cursor } }`, cursor))
	var answer map[string]any
	if err := wsjson.Read(ctx, conn, &answer); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(fmt.Sprint(answer), "CURSOR_GONE") {
		t.Errorf("a cursor of another log is answered %v; want CURSOR_GONE", answer)
	}
}

func TestEventstoreThatCannotStart(t *testing.T) {
	files, err := testcert.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tls := []string{"--tls-cert", files.Cert, "--tls-key", files.Key}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"open to the network":     {[]string{"--addr", "0.0.0.0:0"}, "no TLS and no users: anybody on the network"},
		"TLS alone":               {append([]string{"--addr", "0.0.0.0:0"}, tls...), "no users: anybody on the network"},
		"users alone":             {[]string{"--users", "a:b"}, "users without TLS"},
		"a certificate alone":     {tls[:2], "--tls-cert and --tls-key belong together"},
		"a key that does not fit": {[]string{"--tls-cert", files.CA, "--tls-key", files.Key}, "--tls-cert: "},
		"users that are none":     {append([]string{"--users", "me"}, tls...), "name:password"},
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"eventstore", "--addr", "127.0.0.1:0", "--data-dir", t.TempDir()}, tt.args...)
		if code := run(args, &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), tt.want) || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: exit code %d, %q; want one line with %q", name, code, stderr.String(), tt.want)
		}
	}
}
