package e2e

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
	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// What a message of these tests holds of a person; none of it may be logged.
const (
	e2eRecipient = "+919812345670"
	e2eBody      = "Dear Anouk, your parcel 7719 waits at the corner shop"
)

func TestMessageIsReadAndNothingPersonalIsLogged(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	// Lost answers and refused calls make it log what it does about them.
	r := e2etest.Start(ctx, t, []string{"WAYPOST_LOG_LEVEL=debug", "WAYPOST_SETTLE_AFTER=2s"}, map[string]any{"drop_response_rate": 1})
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	updates := e2etest.Subscribe(ctx, t, r, `subscription { messageUpdates(senderId: "shop") { message { id status } } }`)

	input := harness.Message("shop", "order-7719", 1)
	input["to"], input["content"] = e2eRecipient, map[string]any{"text": map[string]any{"body": e2eBody}}
	ids, err := r.Client.QueueMessages(ctx, []map[string]any{input})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.Client.QueueMessages(ctx, []map[string]any{input}); err != nil || again[0] != ids[0] {
		t.Fatalf("the same message again is %v, %v; want %v", again, err, ids)
	}
	awaitUpdate(ctx, t, updates, ids[0], "READ")
	status, at, err := r.Client.MessageLifecycle(ctx, ids[0])
	if err != nil || status != "READ" {
		t.Fatalf("after its update the message is %q, %v; want READ", status, err)
	}
	if at["Queued"].IsZero() || at["Read"].Before(at["Queued"]) {
		t.Errorf("history %v has no Queued before Read", at)
	}
	refused := harness.NewClient(r.Client.URL, "wpk_wrong-key-d41d8cd98f00")
	var gqlErr *apiclient.Error
	if _, err := refused.Ledger(ctx); !errors.As(err, &gqlErr) || gqlErr.Extensions.Code != "UNAUTHENTICATED" {
		t.Errorf("a wrong key gets %v; want UNAUTHENTICATED", err)
	}

	if err := updates.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("the WebSocket did not close: %v", err)
	}

	// A start on an existing directory finds everything.
	if err := r.Serve.Stop(); err != nil {
		t.Fatalf("stop: %v; its log ends: %s", err, r.Serve.Tail())
	}
	begin := time.Now()
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("start to ready on an existing directory: %s", time.Since(begin))
	if status, _, err := r.Client.MessageLifecycle(ctx, ids[0]); err != nil || status != "READ" {
		t.Errorf("after a restart the message is %q, %v; want READ", status, err)
	}
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}
	e2etest.CheckNotLogged(t, r.Serve.Log, strings.TrimPrefix(e2eRecipient, "+"), e2eBody, "Anouk", harness.Token, harness.AppSecret, harness.AdminKey, refused.Key)
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
				Errors []apiclient.Error `json:"errors"`
			} `json:"payload"`
		}
		if err := wsjson.Read(ctx, conn, &next); err != nil {
			t.Fatalf("no update with %s: %v; seen %v", status, err, seen)
		}
		switch m := next.Payload.Data.MessageUpdates.Message; {
		case next.Type == "ping":
			if err := wsjson.Write(ctx, conn, e2etest.Frame{Type: "pong"}); err != nil {
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
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args  []string
		names string // what the line has to name
		exit  int
	}{
		"unknown role":        {[]string{"--roles", "api,painter"}, "painter", e2etest.ExitFailed},
		"retry without delay": {[]string{"--retry-schedule", "0s"}, "--retry-schedule", e2etest.ExitFailed},
		"url that is none":    {[]string{"--whatsapp-url", "graph.example"}, "--whatsapp-url", e2etest.ExitFailed},
		"address that is none": {
			[]string{"--addr", "8080"}, "--addr", e2etest.ExitFailed,
		},
		"taken port": {[]string{"--addr", taken.Addr().String()}, taken.Addr().String(), e2etest.ExitFailed},
		// Root can write to any directory, but no user to one below a file.
		"data directory that cannot be written": {[]string{"--data-dir", filepath.Join(file, "data")}, file, e2etest.ExitFailed},
		"unknown broker":                        {[]string{"--broker-url", "mqtt://127.0.0.1"}, "amqp://", e2etest.ExitFailed},
		"events from nowhere":                   {[]string{"--broker-events", "yesterday"}, "--broker-events", e2etest.ExitFailed},
		"traces to nowhere":                     {[]string{"--otlp-endpoint", "localhost:4318"}, "--otlp-endpoint", e2etest.ExitFailed},
		"more than all traces":                  {[]string{"--otlp-ratio", "2"}, "--otlp-ratio", e2etest.ExitFailed},
		"alerts that cannot be signed":          {[]string{"--alert-webhook-url", "http://127.0.0.1:1"}, "--alert-webhook-secret", e2etest.ExitFailed},
		"unknown flag":                          {[]string{"--colour"}, "serve --help", e2etest.ExitUsage},
		"no role":                               {[]string{"--roles="}, "--roles", e2etest.ExitFailed},
		"taken port of metrics":                 {[]string{"--metrics-addr", taken.Addr().String()}, "--metrics-addr", e2etest.ExitFailed},
		"profiles without an internal address":  {[]string{"--pprof"}, "--metrics-addr", e2etest.ExitFailed},
		"origin that is none":                   {[]string{"--cors-origins", "example.com"}, "https://app.example.com", e2etest.ExitFailed},
		"issuer without an audience":            {[]string{"--oidc-issuer", "https://id.example.com"}, "--oidc-audience", e2etest.ExitFailed},
		"people without an issuer":              {[]string{"--oidc-client-id", "waypost"}, "--oidc-issuer", e2etest.ExitFailed},
		"sign-in without TLS":                   {[]string{"--public-url", "http://waypost.example.com"}, "https", e2etest.ExitFailed},
		"event store that is not there": {
			[]string{"--eventstore-url", "esdb://127.0.0.1:1?tls=false", "--secret-key", e2etest.SecretKey}, "WAYPOST_EVENTSTORE_URL", e2etest.ExitFailed,
		},
		"Postgres that is not there": {
			[]string{"--postgres-url", "postgres://127.0.0.1:1/waypost", "--secret-key", e2etest.SecretKey}, "WAYPOST_POSTGRES_URL", e2etest.ExitFailed,
		},
		"given store without a key": {[]string{"--eventstore-url", "esdb://127.0.0.1:1?tls=false"}, "openssl rand -base64 32", e2etest.ExitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stderr := runServe(t, c.args)
			if code != c.exit {
				t.Errorf("exit code %d; want %d", code, c.exit)
			}
			var lines []string
			for line := range strings.Lines(stderr) {
				if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "goroutine ") {
					t.Fatalf("it panicked: %s", stderr)
				}
				if strings.HasPrefix(line, "waypost: ") {
					lines = append(lines, line)
				}
			}
			if len(lines) != 1 || !strings.Contains(lines[0], c.names) {
				t.Errorf("standard error is %q; want one line of waypost that names %s; all of it: %s", lines, c.names, stderr)
			}
		})
	}
}

// runServe runs serve until it ends, in its own directory, on a free port.
func runServe(t *testing.T, args []string) (code int, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := e2etest.Command(ctx, append([]string{"serve"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(harness.ChildEnv(), "WAYPOST_ADDR="+addr, "WAYPOST_DATA_DIR="+filepath.Join(dir, "data"))
	var out bytes.Buffer
	cmd.Stderr = &out
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("serve %v: %v", args, errors.Join(err, ctx.Err()))
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// A first start makes the ADMIN key and says once where it is, but not the key; the key
// opens the platform.
func TestFirstStartMakesAdminKey(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := &harness.TestEnv{Dir: t.TempDir()}
	var err error
	if r.Addr, err = loopback.FreeAddr(); err != nil {
		t.Fatal(err)
	}
	r.Serve, err = harness.StartChild(r.Dir, "serve", nil, "serve", "--addr", r.Addr, "--data-dir", r.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Serve.Kill()
	if err := r.Serve.Ready(ctx, "http://"+r.Addr+"/readyz"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.DataDir(), "admin.key")
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("admin.key is %v, %v; want mode 0600", info, err)
	}
	e2etest.Await(ctx, t, "where the key is", func() bool { return strings.Contains(e2etest.ReadLog(t, r.Serve.Log), "in "+path) })
	e2etest.CheckNotLogged(t, r.Serve.Log, strings.TrimSpace(string(key)))
	books, err := harness.NewClient("http://"+r.Addr+"/graphql", strings.TrimSpace(string(key))).Ledger(ctx)
	if err != nil || books.Accepted != 0 || !books.Balanced {
		t.Errorf("the ledger of a new directory is %v, %v; want an empty one that balances", books, err)
	}
	// Without an app secret, webhooks are rejected, never accepted unsigned.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.Addr+"/webhooks/whatsapp", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apiclient.RoundTrip(http.DefaultClient, req); err == nil {
		t.Error("an unsigned webhook was accepted")
	}
	if err := r.Serve.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}
