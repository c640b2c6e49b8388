package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/waypost/waypost/adapters/loopback"
)

// e2eTimeout bounds a test that starts the platform, on a busy machine too.
const e2eTimeout = 2 * time.Minute

// What a message of these tests holds of a person; none of it may be logged.
const (
	e2eRecipient = "+919812345670"
	e2eBody      = "Dear Anouk, your parcel 7719 waits at the corner shop"
)

// startTestRig starts a platform and a simulator that end with the test.
func startTestRig(ctx context.Context, t *testing.T, env []string, control map[string]any) *rig {
	t.Helper()
	r, err := startRig(ctx, t.TempDir(), env, control)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

func TestMessageIsReadAndNothingPersonalIsLogged(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	// Lost answers and refused calls make it log what it does about them.
	r := startTestRig(ctx, t, []string{"WAYPOST_LOG_LEVEL=debug", "WAYPOST_SETTLE_AFTER=2s"}, map[string]any{"drop_response_rate": 1})
	if err := r.client.registerSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	updates := dialUpdates(ctx, t, r, `subscription { messageUpdates(senderId: "shop") { message { id status } } }`)

	input := benchMessage("shop", "order-7719", 1)
	input["to"], input["content"] = e2eRecipient, map[string]any{"text": map[string]any{"body": e2eBody}}
	ids, err := r.client.queueMessages(ctx, []map[string]any{input})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.client.queueMessages(ctx, []map[string]any{input}); err != nil || again[0] != ids[0] {
		t.Fatalf("the same message again is %v, %v; want %v", again, err, ids)
	}
	awaitUpdate(ctx, t, updates, ids[0], "READ")
	status, at, err := r.client.messageLifecycle(ctx, ids[0])
	if err != nil || status != "READ" {
		t.Fatalf("after its update the message is %q, %v; want READ", status, err)
	}
	if at["Queued"].IsZero() || at["Read"].Before(at["Queued"]) {
		t.Errorf("history %v has no Queued before Read", at)
	}
	refused := newGraphQLClient(r.client.url, "wpk_wrong-key-d41d8cd98f00")
	var gqlErr *graphqlError
	if _, err := refused.ledger(ctx); !errors.As(err, &gqlErr) || gqlErr.Extensions.Code != "UNAUTHENTICATED" {
		t.Errorf("a wrong key gets %v; want UNAUTHENTICATED", err)
	}

	if err := updates.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("the WebSocket did not close: %v", err)
	}

	// A start on an existing folder finds everything.
	if err := r.serve.stop(); err != nil {
		t.Fatalf("stop: %v; its log ends: %s", err, r.serve.tail())
	}
	begin := time.Now()
	if err := r.startServe(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("start to ready on an existing folder: %s", time.Since(begin))
	if status, _, err := r.client.messageLifecycle(ctx, ids[0]); err != nil || status != "READ" {
		t.Errorf("after a restart the message is %q, %v; want READ", status, err)
	}
	if err := r.serve.stop(); err != nil {
		t.Fatal(err)
	}
	searchLogs(t, r.serve.log, strings.TrimPrefix(e2eRecipient, "+"), e2eBody, "Anouk", rigToken, rigAppSecret, rigAdminKey, refused.key)
}

// searchLogs fails for each of the words that stands in the log.
func searchLogs(t *testing.T, path string, words ...string) {
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
				t.Errorf("%q stands in the log: %s", word, line)
				break
			}
		}
	}
}

// frame is a message of the protocol graphql-transport-ws.
type frame struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Payload any    `json:"payload,omitempty"`
}

// dialUpdates subscribes over a WebSocket that closes with the test.
func dialUpdates(ctx context.Context, t *testing.T, r *rig, query string) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(ctx, "ws://"+r.addr+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	if err := wsjson.Write(ctx, conn, frame{Type: "connection_init", Payload: map[string]string{"authorization": "Bearer " + rigAdminKey}}); err != nil {
		t.Fatal(err)
	}
	var ack frame
	if err := wsjson.Read(ctx, conn, &ack); err != nil || ack.Type != "connection_ack" {
		t.Fatalf("connection_init is answered %+v, %v; want connection_ack", ack, err)
	}
	if err := wsjson.Write(ctx, conn, frame{ID: "1", Type: "subscribe", Payload: map[string]string{"query": query}}); err != nil {
		t.Fatal(err)
	}
	return conn
}

// awaitUpdate reads updates until the message has the status.
func awaitUpdate(ctx context.Context, t *testing.T, conn *websocket.Conn, id, status string) {
	t.Helper()
	var seen []string
	for {
		var next struct {
			Type    string `json:"type"`
			Payload struct {
				Data struct {
					MessageUpdates struct {
						Message struct {
							ID     string `json:"id"`
							Status string `json:"status"`
						} `json:"message"`
					} `json:"messageUpdates"`
				} `json:"data"`
				Errors []graphqlError `json:"errors"`
			} `json:"payload"`
		}
		if err := wsjson.Read(ctx, conn, &next); err != nil {
			t.Fatalf("no update with %s: %v; seen %v", status, err, seen)
		}
		switch m := next.Payload.Data.MessageUpdates.Message; {
		case next.Type == "ping":
			if err := wsjson.Write(ctx, conn, frame{Type: "pong"}); err != nil {
				t.Fatal(err)
			}
		case next.Type != "next" || len(next.Payload.Errors) > 0:
			t.Fatalf("the subscription ended: %+v", next)
		case m.ID == id:
			if seen = append(seen, m.Status); m.Status == status {
				return
			}
		}
	}
}

func TestStartThatCannotBe(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args  []string
		names string // what the line has to name
		exit  int
	}{
		"unknown role":        {[]string{"--roles", "api,painter"}, "painter", exitFailed},
		"retry without delay": {[]string{"--retry-schedule", "0s"}, "--retry-schedule", exitFailed},
		"url that is none":    {[]string{"--whatsapp-url", "graph.example"}, "--whatsapp-url", exitFailed},
		"address that is none": {
			[]string{"--addr", "8080"}, "--addr", exitFailed,
		},
		"taken port": {[]string{"--addr", taken.Addr().String()}, taken.Addr().String(), exitFailed},
		// Root may write to any folder, but nobody to one below a file.
		"data folder that cannot be written": {[]string{"--data-dir", filepath.Join(file, "data")}, file, exitFailed},
		"unknown broker":                     {[]string{"--broker-url", "mqtt://127.0.0.1"}, "amqp://", exitFailed},
		"events from nowhere":                {[]string{"--broker-events", "yesterday"}, "--broker-events", exitFailed},
		"traces to nowhere":                  {[]string{"--otlp-endpoint", "localhost:4318"}, "--otlp-endpoint", exitFailed},
		"more than all traces":               {[]string{"--otlp-ratio", "2"}, "--otlp-ratio", exitFailed},
		"alerts that cannot be signed":       {[]string{"--alert-webhook-url", "http://127.0.0.1:1"}, "--alert-webhook-secret", exitFailed},
		"unknown flag":                       {[]string{"--colour"}, "serve --help", exitUsage},
		"no role":                            {[]string{"--roles="}, "--roles", exitFailed},
		"taken port of metrics":              {[]string{"--metrics-addr", taken.Addr().String()}, "--metrics-addr", exitFailed},
		"origin that is none":                {[]string{"--cors-origins", "example.com"}, "https://app.example.com", exitFailed},
		"issuer without an audience":         {[]string{"--oidc-issuer", "https://id.example.com"}, "--oidc-audience", exitFailed},
		"event store that is not there": {
			[]string{"--eventstore-url", "esdb://127.0.0.1:1?tls=false", "--secret-key", faultSecretKey}, "WAYPOST_EVENTSTORE_URL", exitFailed,
		},
		"Postgres that is not there": {
			[]string{"--postgres-url", "postgres://127.0.0.1:1/waypost", "--secret-key", faultSecretKey}, "WAYPOST_POSTGRES_URL", exitFailed,
		},
		"given store without a key": {[]string{"--eventstore-url", "esdb://127.0.0.1:1?tls=false"}, "openssl rand -base64 32", exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			code, stderr := runServe(t, c.args)
			if code != c.exit {
				t.Errorf("exit code %d; want %d", code, c.exit)
			}
			var said []string
			for line := range strings.Lines(stderr) {
				if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "goroutine ") {
					t.Fatalf("it panicked: %s", stderr)
				}
				if strings.HasPrefix(line, "waypost: ") {
					said = append(said, line)
				}
			}
			if len(said) != 1 || !strings.Contains(said[0], c.names) {
				t.Errorf("standard error says %q; want one line of waypost that names %s; all of it: %s", said, c.names, stderr)
			}
		})
	}
}

// runServe runs serve until it ends, in a folder of its own, on a free port.
func runServe(t *testing.T, args []string) (code int, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(ctx, executable, append([]string{"serve"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(childEnvironment(), "WAYPOST_ADDR="+addr, "WAYPOST_DATA_DIR="+filepath.Join(dir, "data"))
	var out bytes.Buffer
	cmd.Stderr = &out
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("serve %v: %v", args, errors.Join(err, ctx.Err()))
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// A first start makes the ADMIN key and says so once; the key opens the platform.
func TestFirstStartMakesAdminKey(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	r := &rig{dir: t.TempDir()}
	var err error
	if r.addr, err = loopback.FreeAddr(); err != nil {
		t.Fatal(err)
	}
	r.serve, err = startChild(r.dir, "serve", nil, "serve", "--addr", r.addr, "--data-dir", r.dataDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.serve.kill()
	if err := r.serve.ready(ctx, "http://"+r.addr+"/readyz"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.dataDir(), "admin.key")
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("admin.key is %v, %v; want mode 0600", info, err)
	}
	books, err := newGraphQLClient("http://"+r.addr+"/graphql", strings.TrimSpace(string(key))).ledger(ctx)
	if err != nil || books.Accepted != 0 || !books.Balanced {
		t.Errorf("the ledger of a new folder is %v, %v; want an empty one that balances", books, err)
	}
	// Without an app secret webhooks are refused, never taken in unsigned.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.addr+"/webhooks/whatsapp", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := roundTrip(http.DefaultClient, req); err == nil {
		t.Error("an unsigned webhook was taken in")
	}
	if err := r.serve.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}
