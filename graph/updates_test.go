package graph_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/waypost/waypost/graph"
)

// frames are the data of Server-Sent Events.
type frames struct {
	p     *platform
	lines *bufio.Scanner
}

func (p *platform) stream(req *http.Request) *frames {
	p.tb.Helper()
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	must(p.tb, err)
	p.tb.Cleanup(func() { resp.Body.Close() })
	return &frames{p: p, lines: newScanner(resp.Body)}
}

func newScanner(body io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(body)
	s.Buffer(nil, 1<<20)
	return s
}

// more returns the next data, or false at the end of the stream.
func (f *frames) more() (string, bool) {
	for f.lines.Scan() {
		if data, ok := strings.CutPrefix(f.lines.Text(), "data: "); ok {
			return data, true
		}
	}
	return "", false
}

func (f *frames) next() string {
	f.p.tb.Helper()
	data, ok := f.more()
	if !ok {
		f.p.tb.Fatal("the stream ended", f.lines.Err())
	}
	return data
}

const updates = `subscription($after: String, $statuses: [MessageStatus!]) {
	messageUpdates(after: $after, statuses: $statuses) { cursor message { id status } }
}`

func (f *frames) update() (id, status, cursor string) {
	f.p.tb.Helper()
	var r struct {
		Data struct {
			MessageUpdates struct {
				Cursor  string
				Message struct{ ID, Status string }
			}
		}
		Errors []any
	}
	must(f.p.tb, json.Unmarshal([]byte(f.next()), &r))
	if len(r.Errors) > 0 {
		f.p.tb.Fatal(r.Errors)
	}
	u := r.Data.MessageUpdates
	return u.Message.ID, u.Message.Status, u.Cursor
}

// TestUpdatesResumeWithoutGapOrRepeat resumes at an API that started after the cursor:
// its ring does not reach back, so the event log is read first, then live changes
// follow.
func TestUpdatesResumeWithoutGapOrRepeat(t *testing.T) {
	t.Parallel()
	p := setup(t)
	var want []string
	first, cursor := p.queue("0")
	p.deadLetter(first) // three events: each update shows the message at that time
	for _, status := range []string{"SENDING", "SENDING", "DEAD_LETTERED"} {
		want = append(want, first+status)
	}
	p.serve(p.options)
	start := p.stream(p.request("admin", updates, map[string]any{"after": cursor}))
	for i := 1; i < 20; i++ {
		id, _ := p.queue(fmt.Sprint(i))
		want = append(want, id+"QUEUED")
	}
	var cursors []string
	for i, w := range want {
		id, status, c := start.update()
		if id+status != w {
			t.Fatalf("update %d is %s %s, want %s", i, id, status, w)
		}
		cursors = append(cursors, c)
	}
	again := p.stream(p.request("admin", updates, map[string]any{"after": cursors[7]}))
	for i, w := range want[8:] {
		if id, status, _ := again.update(); id+status != w {
			t.Fatalf("after the cursor, update %d is %s %s, want %s", i, id, status, w)
		}
	}
}

func TestUpdatesAreFiltered(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, cursor := p.queue("filtered")
	p.deadLetter(id)
	s := p.stream(p.request("admin", updates, map[string]any{"after": cursor, "statuses": []string{"DEAD_LETTERED"}}))
	if got, status, _ := s.update(); got != id || status != "DEAD_LETTERED" {
		t.Errorf("got %s %s", got, status)
	}
}

func (p *platform) dial() *websocket.Conn {
	p.tb.Helper()
	conn, _, err := websocket.Dial(p.ctx, "ws"+strings.TrimPrefix(p.url, "http"), &websocket.DialOptions{
		Subprotocols: []string{"graphql-transport-ws"},
	})
	must(p.tb, err)
	p.tb.Cleanup(func() { conn.CloseNow() })
	return conn
}

func (p *platform) write(conn *websocket.Conn, m wsMessage) {
	p.tb.Helper()
	must(p.tb, wsjson.Write(p.ctx, conn, m))
}

type wsMessage struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Payload any    `json:"payload,omitempty"`
}

// until reads messages up to one of the type.
func (p *platform) until(conn *websocket.Conn, kind string) wsMessage {
	p.tb.Helper()
	for {
		var m wsMessage
		if err := wsjson.Read(p.ctx, conn, &m); err != nil {
			p.tb.Fatalf("waiting for %s: %v", kind, err)
		}
		if m.Type == kind {
			return m
		}
	}
}

// closeCode reads to the end of the socket.
func (p *platform) closeCode(conn *websocket.Conn) int {
	for {
		if _, _, err := conn.Read(p.ctx); err != nil {
			return int(websocket.CloseStatus(err))
		}
	}
}

func TestUpdatesOverWebSocketEndWithTheKey(t *testing.T) {
	t.Parallel()
	p := setup(t)
	key := p.keys.add("watcher", nil, graph.ScopeRead)
	id, cursor := p.queue("socket")
	p.deadLetter(id)
	conn := p.dial()
	p.write(conn, wsMessage{Type: "connection_init", Payload: map[string]string{"authorization": "Bearer " + key}})
	p.until(conn, "connection_ack")
	p.write(conn, wsMessage{ID: "1", Type: "subscribe", Payload: map[string]any{
		"query": updates, "variables": map[string]any{"after": cursor},
	}})
	if got := at(t, p.until(conn, "next").Payload, "data", "messageUpdates", "message", "id"); got != id {
		t.Errorf("got %v, want %s", got, id)
	}
	p.keys.revoke(key)
	if code := p.closeCode(conn); code != 4401 {
		t.Errorf("closed with %d, want 4401", code)
	}
}

func TestWebSocketWithAWrongKeyIsClosed(t *testing.T) {
	t.Parallel()
	p := setup(t)
	conn := p.dial()
	p.write(conn, wsMessage{Type: "connection_init", Payload: map[string]string{"authorization": "Bearer wrong"}})
	if code := p.closeCode(conn); code != 4401 {
		t.Errorf("closed with %d, want 4401", code)
	}
}

// A subscription whose response is not a stream would wait for its first update.
func TestSubscriptionsNeedAStream(t *testing.T) {
	t.Parallel()
	p := setup(t)
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	r := p.send(p.request("admin", updates, nil).WithContext(ctx))
	if r.code() != "INVALID_INPUT" {
		t.Fatalf("%q %+v", r.code(), r.Errors)
	}
	contains(t, r.Errors[0].Message, "Accept: text/event-stream")
	if n := p.api.OpenSubscriptions(); n != 0 {
		t.Errorf("%d subscriptions are open", n)
	}
}
