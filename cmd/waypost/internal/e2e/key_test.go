package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// keyRun runs a key command on a data directory and returns its output.
func keyRun(t *testing.T, dataDir string, args ...string) string {
	t.Helper()
	return e2etest.MustRun(t, append(append([]string{"key"}, args...), "--data-dir", dataDir)...)
}

// An operator who is locked out creates a key in the event log, while Waypost is running or stopped. A key that is revoked there stops
// working in a running Waypost.
func TestKeyCommandWorksOnTheLog(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := e2etest.Start(ctx, t, nil, nil)
	printed := keyRun(t, r.DataDir(), "create", "--name", "way back in", "--scope", "READ,AUDIT", "--sender", "shop")
	made := regexp.MustCompile(`^id +(\S+)\nsecret +(\S+)\n$`).FindStringSubmatch(printed)
	if made == nil {
		t.Fatalf("printed %q", printed)
	}
	client := harness.NewClient(r.Client.URL, made[2])
	var viewer struct {
		Viewer struct {
			Name      string
			SenderIDs []string
		}
	}
	if err := client.Do(ctx, `{ viewer { name senderIds } }`, nil, &viewer); err != nil || viewer.Viewer.Name != "way back in" || viewer.Viewer.SenderIDs[0] != "shop" {
		t.Fatalf("the key sees %+v, %v", viewer, err)
	}
	conn := dialWith(ctx, t, r, made[2], nil)
	keyRun(t, r.DataDir(), "revoke", made[1])
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != 4401 {
		t.Errorf("the socket of the revoked key ended with %v; want 4401", err)
	}
	var gqlErr *apiclient.Error
	if err := client.Do(ctx, `{ viewer { name } }`, nil, &viewer); !errors.As(err, &gqlErr) || gqlErr.Extensions.Code != "UNAUTHENTICATED" {
		t.Errorf("the revoked key gets %v", err)
	}
	if err := r.Serve.Stop(); err != nil {
		t.Fatal(err)
	}
	if list := keyRun(t, r.DataDir(), "list"); strings.Contains(list, made[1]) {
		t.Errorf("a revoked key is listed: %s", list)
	}
	if list := keyRun(t, r.DataDir(), "list", "--all"); !strings.Contains(list, made[1]) || !strings.Contains(list, "revoked") {
		t.Errorf("listed %s", list)
	}
	e2etest.CheckNotLogged(t, r.Serve.Log, made[2])

	if code, _, stderr := e2etest.Run("key", "list", "--data-dir", t.TempDir()); code != e2etest.ExitFailed || !strings.Contains(stderr, "--data-dir") {
		t.Errorf("on a directory without a store: exit code %d, %s", code, stderr)
	}
}

// dialWith opens a WebSocket with a key. dial may give it another connection.
func dialWith(ctx context.Context, t *testing.T, r *harness.TestEnv, key string, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(ctx, "ws://"+r.Addr+"/graphql", &websocket.DialOptions{
		Subprotocols: []string{"graphql-transport-ws"}, HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	if err := wsjson.Write(ctx, conn, e2etest.Frame{Type: "connection_init", Payload: map[string]string{"authorization": "Bearer " + key}}); err != nil {
		t.Fatal(err)
	}
	var ack e2etest.Frame
	if err := wsjson.Read(ctx, conn, &ack); err != nil || ack.Type != "connection_ack" {
		t.Fatalf("connection_init is answered %+v, %v; want connection_ack", ack, err)
	}
	return conn
}

// A subscriber that reads nothing does not keep the platform from ending well.
func TestStopWithAReaderThatDoesNotRead(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	r := e2etest.Start(ctx, t, nil, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	var local, remote net.Addr
	conn := dialWith(ctx, t, r, harness.AdminKey, func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if tcp, ok := c.(*net.TCPConn); ok && err == nil {
			err = tcp.SetReadBuffer(4096) // so that little fills it
			local, remote = c.LocalAddr(), c.RemoteAddr()
		}
		return c, err
	})
	subscribe := e2etest.Frame{ID: "1", Type: "subscribe", Payload: map[string]string{"query": `subscription { messageUpdates { message { content } } }`}}
	if err := wsjson.Write(ctx, conn, subscribe); err != nil {
		t.Fatal(err)
	}
	// The updates of these are some 2 MB: far more than is kept on the way.
	var inputs []map[string]any
	for i := range 200 {
		input := harness.Message("shop", "", i)
		input["idempotencyKey"] = nil
		input["content"] = map[string]any{"text": map[string]any{"body": strings.Repeat("a", 4000)}}
		inputs = append(inputs, input)
	}
	if _, err := r.Client.QueueMessages(ctx, inputs); err != nil {
		t.Fatal(err)
	}
	// Before the connection is full, stopping is easier.
	e2etest.Await(ctx, t, "the connection is full", func() bool { return bytesInSendQueue(t, remote, local) > 0 })
	begin := time.Now()
	if err := r.Serve.Stop(); err != nil {
		t.Errorf("stop: %v; its log ends: %s", err, r.Serve.Tail())
	}
	t.Logf("stopped within %s", time.Since(begin))
}

// bytesInSendQueue returns the number of bytes that a socket of this machine has sent and its peer has not acknowledged. On the
// loopback interface they stay only if the peer's buffer is full. Systems without /proc/net/tcp don't tell; it returns 1 there.
func bytesInSendQueue(t *testing.T, socket, peer net.Addr) uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 1
	}
	port := func(a net.Addr) string { return fmt.Sprintf(":%04X", a.(*net.TCPAddr).Port) }
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line) // number, local address, remote address, state, queues, …
		if len(fields) < 5 || !strings.HasSuffix(fields[1], port(socket)) || !strings.HasSuffix(fields[2], port(peer)) {
			continue
		}
		queued, _, _ := strings.Cut(fields[4], ":")
		n, err := strconv.ParseUint(queued, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 0
}
