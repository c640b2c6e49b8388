package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// keyRun runs a key command on a data folder and answers what it printed.
func keyRun(t *testing.T, dataDir string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(append(append([]string{"key"}, args...), "--data-dir", dataDir), &stdout, &stderr); code != exitDone {
		t.Fatalf("waypost key %v: exit code %d: %s", args, code, &stderr)
	}
	return stdout.String()
}

// Who is locked out makes a key on the log itself, while the platform runs and when
// it does not; and what is revoked there is closed in the platform.
func TestKeyCommandWorksOnTheLog(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	r := startTestRig(ctx, t, nil, nil)
	printed := keyRun(t, r.dataDir(), "create", "--name", "way back in", "--scope", "READ,AUDIT", "--sender", "shop")
	made := regexp.MustCompile(`^id +(\S+)\nsecret +(\S+)\n$`).FindStringSubmatch(printed)
	if made == nil {
		t.Fatalf("printed %q", printed)
	}
	client := newGraphQLClient(r.client.url, made[2])
	var viewer struct {
		Viewer struct {
			Name      string
			SenderIDs []string
		}
	}
	if err := client.do(ctx, `{ viewer { name senderIds } }`, nil, &viewer); err != nil || viewer.Viewer.Name != "way back in" || viewer.Viewer.SenderIDs[0] != "shop" {
		t.Fatalf("the key sees %+v, %v", viewer, err)
	}
	conn := dialWith(ctx, t, r, made[2], nil)
	keyRun(t, r.dataDir(), "revoke", made[1])
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != 4401 {
		t.Errorf("the socket of the revoked key ended with %v; want 4401", err)
	}
	var gqlErr *graphqlError
	if err := client.do(ctx, `{ viewer { name } }`, nil, &viewer); !errors.As(err, &gqlErr) || gqlErr.Extensions.Code != "UNAUTHENTICATED" {
		t.Errorf("the revoked key gets %v", err)
	}
	if err := r.serve.stop(); err != nil {
		t.Fatal(err)
	}
	if list := keyRun(t, r.dataDir(), "list"); strings.Contains(list, made[1]) {
		t.Errorf("a revoked key is listed: %s", list)
	}
	if list := keyRun(t, r.dataDir(), "list", "--all"); !strings.Contains(list, made[1]) || !strings.Contains(list, "revoked") {
		t.Errorf("listed %s", list)
	}
	searchLogs(t, r.serve.log, made[2])

	var stdout, stderr bytes.Buffer
	if code := run([]string{"key", "list", "--data-dir", t.TempDir()}, &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "--data-dir") {
		t.Errorf("on a folder without a store: exit code %d, %s", code, &stderr)
	}
}

// dialWith opens a WebSocket with a key. dial may give it another connection.
func dialWith(ctx context.Context, t *testing.T, r *rig, key string, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(ctx, "ws://"+r.addr+"/graphql", &websocket.DialOptions{
		Subprotocols: []string{"graphql-transport-ws"}, HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	if err := wsjson.Write(ctx, conn, frame{Type: "connection_init", Payload: map[string]string{"authorization": "Bearer " + key}}); err != nil {
		t.Fatal(err)
	}
	var ack frame
	if err := wsjson.Read(ctx, conn, &ack); err != nil || ack.Type != "connection_ack" {
		t.Fatalf("connection_init is answered %+v, %v; want connection_ack", ack, err)
	}
	return conn
}

// A subscriber that reads nothing does not keep the platform from ending well.
func TestStopWithAReaderThatDoesNotRead(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
	defer cancel()
	r := startTestRig(ctx, t, nil, nil)
	if err := r.client.registerSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	conn := dialWith(ctx, t, r, rigAdminKey, func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if tcp, ok := c.(*net.TCPConn); ok && err == nil {
			err = tcp.SetReadBuffer(4096) // so that little fills it
		}
		return c, err
	})
	subscribe := frame{ID: "1", Type: "subscribe", Payload: map[string]string{"query": `subscription { messageUpdates { message { content } } }`}}
	if err := wsjson.Write(ctx, conn, subscribe); err != nil {
		t.Fatal(err)
	}
	// The updates of these are some 2 MB: far more than is kept on the way.
	var inputs []map[string]any
	for i := range 200 {
		input := benchMessage("shop", "", i)
		input["idempotencyKey"] = nil
		input["content"] = map[string]any{"text": map[string]any{"body": strings.Repeat("a", 4000)}}
		inputs = append(inputs, input)
	}
	if _, err := r.client.queueMessages(ctx, inputs); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // until its connection is full; before that the end is easier
	begin := time.Now()
	if err := r.serve.stop(); err != nil {
		t.Errorf("stop: %v; its log ends: %s", err, r.serve.tail())
	}
	t.Logf("stopped within %s", time.Since(begin))
}
