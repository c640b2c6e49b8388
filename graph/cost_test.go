package graph_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/graph"
)

// expensive returns documents that are small but would take seconds, or forever.
func expensive() map[string]string {
	doubling := "{ ...f0 }"
	for i := range 40 {
		doubling = fmt.Sprintf("%s fragment f%d on Query { ...f%d ...f%d }", doubling, i, i+1, i+1)
	}
	doubling += " fragment f40 on Query { viewer { name } }"
	var counts strings.Builder
	for i := range 6_500 {
		fmt.Fprintf(&counts, " a%d: messageCounts { count }", i)
	}
	return map[string]string{
		"fragments that double": doubling,
		"one field many times":  "{ viewer {" + strings.Repeat(" name", 16_000) + " } }",
		"many aliases":          "{" + counts.String() + " }",
		"costly lists":          `{ messages(first: 200) { edges { node { history(first: 200) { edges { node { id type } } } } } } }`,
	}
}

// The limits apply to every transport. The response names the exceeded limit.
func TestExpensiveDocumentsAreRefusedOverEveryTransport(t *testing.T) {
	t.Parallel()
	p := setup(t)
	refused := func(t *testing.T, answer string) {
		t.Helper()
		contains(t, answer, "INVALID_INPUT")
		contains(t, answer, "the limit is")
	}
	for name, document := range expensive() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := p.ask("admin", document, nil)
			if r.code() != "INVALID_INPUT" || r.Status != http.StatusUnprocessableEntity {
				t.Fatalf("POST: %d %+v", r.Status, r.Errors)
			}
			contains(t, r.Errors[0].Message, "the limit is")
			refused(t, p.stream(p.request("admin", document, nil)).next())
			if len(document) < 10_000 { // the limit of a header
				get, err := http.NewRequestWithContext(p.ctx, http.MethodGet, p.url+"?"+url.Values{"query": {document}}.Encode(), nil)
				must(t, err)
				get.Header.Set("Authorization", "Bearer admin")
				refused(t, p.stream(get).next())
			}
			conn := p.socket("admin")
			p.write(conn, wsMessage{ID: "1", Type: "subscribe", Payload: map[string]any{"query": document}})
			refused(t, fmt.Sprint(p.until(conn, "error").Payload))
		})
	}
}

// socket returns an authenticated WebSocket.
func (p *platform) socket(key string) *websocket.Conn {
	p.tb.Helper()
	conn := p.dial()
	p.write(conn, wsMessage{Type: "connection_init", Payload: map[string]string{"authorization": "Bearer " + key}})
	p.until(conn, "connection_ack")
	return conn
}

// A key that sends as many queries as it can takes no connections from Waypost itself
// and does not delay other keys. Its queries end with its clients.
func TestAGreedyKeyHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.project()
	greedy := p.keys.add("greedy", []string{"acme"}, graph.ScopeRead)
	modest := p.keys.add("modest", []string{"acme"}, graph.ScopeRead)
	lock, err := p.pool.Begin(p.ctx) // while it is held, no count ends
	must(t, err)
	defer lock.Rollback(p.ctx)
	_, err = lock.Exec(p.ctx, "LOCK TABLE message_count IN ACCESS EXCLUSIVE MODE")
	must(t, err)
	ctx, leave := context.WithCancel(p.ctx)
	defer leave()
	counts := "{"
	for i := range 30 {
		counts = fmt.Sprintf(`%s a%d: messageCounts(filter: {senderId: "acme"}) { count }`, counts, i)
	}
	var clients sync.WaitGroup
	for range 20 {
		req := p.request(greedy, counts+" }", nil).WithContext(ctx)
		clients.Go(func() {
			if resp, err := http.DefaultClient.Do(req); err == nil {
				resp.Body.Close()
			}
		})
	}
	running := func() (n int) {
		must(t, p.pool.QueryRow(p.ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND state = 'active' AND query LIKE '%FROM message_count%' AND pid <> pg_backend_pid()`).Scan(&n))
		return n
	}
	polltest.Until(t, "a count runs", func() bool { return running() > 0 })
	p.ok(modest, `{ messages { edges { cursor } } sender(id: "acme") { queueDepth } }`, nil)
	p.ok("admin", queueOne, text("an OTP", "hello"))
	if n := running(); n > 4 {
		t.Errorf("%d counts run for one key, want 4 at most", n)
	}
	leave()
	clients.Wait()
	polltest.Until(t, "the counts have ended with their clients", func() bool { return running() == 0 })
}
