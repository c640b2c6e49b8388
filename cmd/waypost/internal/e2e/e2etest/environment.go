package e2etest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/adapters/postgres/postgrestest"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

const (
	// Timeout bounds a test that starts Waypost, on a busy machine too.
	Timeout = 2 * time.Minute
	// SecretKey is a secret key for tests. External stores require one.
	SecretKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

	// pollInterval is the time between two checks of a condition.
	pollInterval = 20 * time.Millisecond
)

// Start starts Waypost and a simulator that stop at the end of the test. See harness.Start. The private Postgres is a copy of one that
// an earlier start has left. A test of the first start calls harness.Start.
func Start(ctx context.Context, t *testing.T, env []string, control map[string]any) *harness.TestEnv {
	t.Helper()
	dir := t.TempDir()
	if !slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "WAYPOST_POSTGRES_URL=") }) {
		CopyPostgres(t, dir)
	}
	r, err := harness.Start(ctx, dir, env, control)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && r.Serve != nil {
			t.Logf("the log of waypost serve ends:\n%s", r.Serve.Tail())
		}
		if err := r.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

// CopyPostgres puts a private Postgres into the data directory that a harness.TestEnv in dir will use, as the first start leaves it. That
// start would take most of the CPU time of a short test.
func CopyPostgres(t *testing.T, dir string) {
	t.Helper()
	data := (&harness.TestEnv{Dir: dir}).DataDir()
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	postgrestest.CopyCluster(t, filepath.Join(data, "postgres"))
}

// Await polls holds until it returns true, and returns how long that took. It fails the test with what, a clause, when ctx ends.
func Await(ctx context.Context, t *testing.T, what string, holds func() bool) time.Duration {
	t.Helper()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for begin := time.Now(); ; {
		if holds() {
			return time.Since(begin)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s in vain until %s", time.Since(begin).Round(time.Second), what)
		case <-tick.C:
		}
	}
}

// Elapse waits for d, or until ctx ends. It is for intervals that a test measures or that an operator waits for, such as a lasting
// outage. To wait until something happens, use Await.
func Elapse(ctx context.Context, t *testing.T, d time.Duration) {
	t.Helper()
	if err := retry.Sleep(ctx, d); err != nil {
		t.Fatal(err)
	}
}

// StartEventstore runs `waypost eventstore` in a new directory until the test ends. It returns the data directory and the TCP
// address. Without args, the store has no TLS and no users.
func StartEventstore(ctx context.Context, t *testing.T, args ...string) (dir, addr string) {
	t.Helper()
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	logs := t.TempDir()
	dir = filepath.Join(logs, "data")
	if len(args) == 0 {
		args = []string{"--insecure"}
	}
	c, err := harness.StartChild(logs, "eventstore", nil, append([]string{"eventstore", "--addr", addr, "--data-dir", dir}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stop: %v; its log ends: %s", err, c.Tail())
		}
	})
	Await(ctx, t, "the event store is ready", func() bool {
		select {
		case <-c.Done:
			t.Fatalf("the event store ended: %v; its log ends: %s", c.Err, c.Tail())
		default:
		}
		return strings.Contains(c.Tail(), "WAYPOST_EVENTSTORE_URL=")
	})
	return dir, addr
}

// Frame is a message of the protocol graphql-transport-ws.
type Frame struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Payload any    `json:"payload,omitempty"`
}

// Subscribe starts a GraphQL subscription over a WebSocket, which closes at the end of the test.
func Subscribe(ctx context.Context, t *testing.T, r *harness.TestEnv, query string) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(ctx, "ws://"+r.Addr+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	if err := wsjson.Write(ctx, conn, Frame{Type: "connection_init", Payload: map[string]string{"authorization": "Bearer " + harness.AdminKey}}); err != nil {
		t.Fatal(err)
	}
	var ack Frame
	if err := wsjson.Read(ctx, conn, &ack); err != nil || ack.Type != "connection_ack" {
		t.Fatalf("the response to connection_init is %+v, %v; want connection_ack", ack, err)
	}
	if err := wsjson.Write(ctx, conn, Frame{ID: "1", Type: "subscribe", Payload: map[string]string{"query": query}}); err != nil {
		t.Fatal(err)
	}
	return conn
}

// ConnectPostgres connects to the private Postgres of r, to change read models without the projections' knowledge.
// The caller must close the connection.
func ConnectPostgres(ctx context.Context, t *testing.T, r *harness.TestEnv) *pgx.Conn {
	t.Helper()
	run, err := platform.Running(r.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, run.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// ReadLog returns the content of a log file.
func ReadLog(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// CheckNotLogged fails the test for each of the words that a log file contains.
func CheckNotLogged(t *testing.T, path string, words ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) == 0 {
		t.Fatal("the log is empty, so a search in it proves nothing")
	}
	for _, word := range words {
		for line := range bytes.Lines(text) {
			if bytes.Contains(line, []byte(word)) {
				t.Errorf("the log contains %q: %s", word, line)
				break
			}
		}
	}
}

// SendUntilRead queues a message of the sender shop, waits until the read models show it as READ, and returns its ID.
func SendUntilRead(ctx context.Context, t *testing.T, r *harness.TestEnv, key string) string {
	t.Helper()
	ids, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("shop", key, 1)})
	if err != nil {
		t.Fatal(err)
	}
	AwaitListed(ctx, t, r, ids[0], "READ")
	return ids[0]
}

// AwaitListed waits until the list of messages, which is a read model, shows a message with the status.
func AwaitListed(ctx context.Context, t *testing.T, r *harness.TestEnv, id, status string) {
	t.Helper()
	Await(ctx, t, fmt.Sprintf("message %s is listed as %s", id, status), func() bool {
		var data struct {
			Messages struct {
				Edges []struct {
					Node struct{ ID, Status string } `json:"node"`
				} `json:"edges"`
			} `json:"messages"`
		}
		err := r.Client.Do(ctx, `{ messages(first: 50) { edges { node { id status } } } }`, nil, &data)
		if err != nil && !apiclient.IsRetryable(err) {
			t.Fatal(err)
		}
		for _, e := range data.Messages.Edges {
			if e.Node.ID == id && e.Node.Status == status {
				return true
			}
		}
		return false
	})
}

// AwaitRead waits until the event log says that the messages were read.
func AwaitRead(ctx context.Context, t *testing.T, r *harness.TestEnv, ids ...string) {
	t.Helper()
	for _, id := range ids {
		Await(ctx, t, "message "+id+" is READ", func() bool {
			status, _, err := r.Client.MessageLifecycle(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			return status == "READ"
		})
	}
}

// Cursor returns the cursor of a message.
func Cursor(ctx context.Context, t *testing.T, r *harness.TestEnv, id string) string {
	t.Helper()
	var data struct {
		Message struct{ Cursor string } `json:"message"`
	}
	if err := r.Client.Do(ctx, `query($id: ID!) { message(id: $id) { cursor } }`, map[string]any{"id": id}, &data); err != nil || data.Message.Cursor == "" {
		t.Fatalf("message %s has no cursor: %v", id, err)
	}
	return data.Message.Cursor
}

// CheckCursorGone fails the test unless a subscription that starts at the cursor gets CURSOR_GONE.
func CheckCursorGone(ctx context.Context, t *testing.T, r *harness.TestEnv, cursor string) {
	t.Helper()
	conn := Subscribe(ctx, t, r, fmt.Sprintf(`subscription { messageUpdates(after: %q) { cursor } }`, cursor))
	var response map[string]any
	if err := wsjson.Read(ctx, conn, &response); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(fmt.Sprint(response), "CURSOR_GONE") {
		t.Errorf("the response to a cursor of another log is %v; want CURSOR_GONE", response)
	}
}

// AwaitAlert waits until the only alert of the kind is in the state, and returns its sender.
func AwaitAlert(ctx context.Context, t *testing.T, r *harness.TestEnv, kind, state string) (sender string) {
	t.Helper()
	type alert struct {
		State  string
		Sender *struct{ ID string }
	}
	var found alert
	Await(ctx, t, kind+" is "+state, func() bool {
		var data struct {
			Alerts struct{ Edges []struct{ Node alert } }
		}
		if err := r.Client.Do(ctx, `query($kind: [AlertKind!]) { alerts(filter: {kind: $kind}) { edges { node { state sender { id } } } } }`,
			map[string]any{"kind": []string{kind}}, &data); err != nil {
			t.Fatalf("waiting for %s %s: %v; the log ends: %s", kind, state, err, r.Serve.Tail())
		}
		edges := data.Alerts.Edges
		if len(edges) == 0 || edges[0].Node.State != state {
			return false
		}
		if len(edges) != 1 {
			t.Errorf("%s was raised %d times: %+v", kind, len(edges), edges)
		}
		found = edges[0].Node
		return true
	})
	if found.Sender == nil {
		return ""
	}
	return found.Sender.ID
}

// Pager is a receiver of alert notifications.
type Pager struct {
	mu       sync.Mutex
	seen     map[string]bool // IDs of notifications
	received []string        // state and kind of each notification, once
}

// NewPager returns a Pager that has received nothing.
func NewPager() *Pager { return &Pager{seen: make(map[string]bool)} }

// ServeHTTP receives a notification.
func (p *Pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var n struct {
		Data struct{ State, Kind string }
	}
	if err != nil || json.Unmarshal(body, &n) != nil || r.Header.Get("Webhook-Signature") == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if id := r.Header.Get("Webhook-Id"); !p.seen[id] {
		p.seen[id] = true
		p.received = append(p.received, n.Data.State+" "+n.Data.Kind)
	}
}

// Received returns the state and kind of every notification, such as "RAISED DISK_SPACE".
func (p *Pager) Received() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.received)
}

// Await waits for n notifications and returns all that were received.
func (p *Pager) Await(ctx context.Context, t *testing.T, n int) []string {
	t.Helper()
	Await(ctx, t, fmt.Sprintf("%d notifications are received", n), func() bool { return len(p.Received()) >= n })
	return p.Received()
}

// Operation is a bulk operation as GraphQL returns it.
type Operation struct {
	ID           string `json:"id"`
	State        string `json:"state"`
	Selected     int    `json:"selected"`
	Done         int    `json:"done"`
	RefusedCount int    `json:"refusedCount"`
}
