package graph_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/app/event"
)

const eventUpdates = `subscription($after: String) { messageEvents(after: $after) { cursor } }`

// cutter subscribes repeatedly, each time after the last cursor that it saw, and cuts
// the connection after a few updates.
type cutter struct {
	p     *platform
	field string
	rand  *rand.Rand
	seen  []string
}

func (c *cutter) query() string {
	if c.field == "messageEvents" {
		return eventUpdates
	}
	return updates
}

// cursorOf returns the cursor in an update's data.
func (c *cutter) cursorOf(data json.RawMessage) (string, error) {
	var r struct {
		Data   map[string]struct{ Cursor string }
		Errors []any
	}
	if err := json.Unmarshal(data, &r); err != nil || len(r.Errors) > 0 || r.Data[c.field].Cursor == "" {
		return "", fmt.Errorf("no update: %s (%w)", data, err)
	}
	return r.Data[c.field].Cursor, nil
}

// run follows until it has seen the last cursor.
func (c *cutter) run(after string, last func() string) error {
	for {
		take := 1 + c.rand.IntN(60)
		ctx, cut := context.WithTimeout(c.p.ctx, time.Duration(1+c.rand.IntN(400))*time.Millisecond)
		follow := c.overSocket
		if c.rand.IntN(2) == 0 {
			follow = c.overEvents
		}
		err := follow(ctx, after, take)
		cut()
		if err != nil && c.p.ctx.Err() != nil {
			return err
		}
		if n := len(c.seen); n > 0 {
			if after = c.seen[n-1]; after == last() {
				return nil
			}
		}
	}
}

func (c *cutter) overEvents(ctx context.Context, after string, take int) error {
	req := c.p.request("admin", c.query(), map[string]any{"after": after}).WithContext(ctx)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	frames := &frames{lines: newScanner(resp.Body)}
	for range take {
		data, ok := frames.more()
		if !ok {
			return errors.New("the stream ended")
		}
		cursor, err := c.cursorOf(json.RawMessage(data))
		if err != nil {
			return err
		}
		c.seen = append(c.seen, cursor)
	}
	return nil
}

func (c *cutter) overSocket(ctx context.Context, after string, take int) error {
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(c.p.url, "http"), &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	err = errors.Join(
		wsjson.Write(ctx, conn, wsMessage{Type: "connection_init", Payload: map[string]string{"authorization": "Bearer admin"}}),
		wsjson.Write(ctx, conn, wsMessage{ID: "1", Type: "subscribe", Payload: map[string]any{
			"query": c.query(), "variables": map[string]any{"after": after},
		}}))
	for got := 0; got < take && err == nil; {
		var m struct {
			Type    string
			Payload json.RawMessage
		}
		if err = wsjson.Read(ctx, conn, &m); err != nil || m.Type != "next" {
			continue
		}
		cursor, err := c.cursorOf(m.Payload)
		if err != nil {
			return err
		}
		c.seen = append(c.seen, cursor)
		got++
	}
	return err
}

// TestCutSocketsMissNothing cuts subscriptions at random while messages arrive, and
// resumes each one after its last cursor. All of its connections together saw the
// content of the event log, in order and each event once.
func TestCutSocketsMissNothing(t *testing.T) {
	t.Parallel()
	p := setup(t)
	_, start := p.queue("start")
	var mu sync.Mutex
	last := ""
	var wg sync.WaitGroup
	var cutters []*cutter
	for i, field := range []string{"messageUpdates", "messageUpdates", "messageEvents", "messageEvents"} {
		c := &cutter{p: p, field: field, rand: rand.New(rand.NewPCG(20, uint64(i)))}
		cutters = append(cutters, c)
		wg.Go(func() {
			err := c.run(start, func() string {
				mu.Lock()
				defer mu.Unlock()
				return last
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	messages := 300
	if testing.Short() {
		messages = 60 // four minutes under the race detector otherwise
	}
	for i := range messages {
		id, _ := p.queue(fmt.Sprint("cut-", i))
		if i%3 == 0 {
			p.deadLetter(id)
		}
	}
	_, end := p.queue("end")
	mu.Lock()
	last = end
	mu.Unlock()
	wg.Wait()

	var want []event.Position
	stop := errors.New("live")
	err := p.log.Subscribe(p.ctx, event.Subscription{Filter: event.Filter{StreamPrefixes: []string{event.MessageStreams}}},
		func(_ context.Context, b event.Batch) error {
			for _, e := range b.Events {
				want = append(want, e.Position)
			}
			if b.Live {
				return stop
			}
			return nil
		})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	want = want[1:] // start itself
	for _, c := range cutters {
		got := make([]event.Position, len(c.seen))
		for i, cursor := range c.seen {
			got[i] = p.positionIn(cursor)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: saw %d updates, the log has %d; seen twice or out of order: %t", c.field, len(got), len(want), !slices.IsSorted(got))
		}
	}
}

// positionIn returns the event log position in a cursor: its last eight bytes.
func (p *platform) positionIn(cursor string) event.Position {
	p.tb.Helper()
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	must(p.tb, err)
	return event.Position(binary.BigEndian.Uint64(b[16:]))
}

// narrowPipe returns a connection with small buffers.
func narrowPipe(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if tcp, ok := c.(*net.TCPConn); ok && err == nil {
		err = tcp.SetReadBuffer(32 << 10)
	}
	return c, err
}

// fill queues messages with far more updates than the buffers can hold.
func (p *platform) fill() {
	p.tb.Helper()
	var inputs []any
	for i := range 300 {
		inputs = append(inputs, text(fmt.Sprint("fill-", i), strings.Repeat("a", 4000))["input"])
	}
	p.ok("admin", `mutation($inputs: [QueueMessageInput!]!) { queueMessages(inputs: $inputs) { replayed } }`, map[string]any{"inputs": inputs})
}

// heldUp is a listener that knows how long its connections have been waiting for their
// writes, and which ones the server has closed.
type heldUp struct {
	net.Listener

	mu     sync.Mutex
	since  map[*heldUpConn]time.Time // start times of the writes in progress
	closed map[string]bool           // addresses of the peers
}

func newHeldUp() *heldUp {
	return &heldUp{since: map[*heldUpConn]time.Time{}, closed: map[string]bool{}}
}

type heldUpConn struct {
	*net.TCPConn

	by *heldUp
}

func (l *heldUp) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &heldUpConn{c.(*net.TCPConn), l}, nil
}

func (c *heldUpConn) Write(p []byte) (int, error) {
	c.by.mu.Lock()
	c.by.since[c] = time.Now()
	c.by.mu.Unlock()
	defer func() {
		c.by.mu.Lock()
		defer c.by.mu.Unlock()
		delete(c.by.since, c)
	}()
	return c.TCPConn.Write(p)
}

// Close records that the server closes the connection, before a peer can take the same address.
func (c *heldUpConn) Close() error {
	c.by.mu.Lock()
	c.by.closed[c.RemoteAddr().String()] = true
	c.by.mu.Unlock()
	return c.TCPConn.Close()
}

// hasClosed reports whether the server has closed the connection of this peer.
func (l *heldUp) hasClosed(peer string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed[peer]
}

// count returns the number of connections that have been waiting for longer than d.
func (l *heldUp) count(d time.Duration) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, since := range l.since {
		if time.Since(since) > d {
			n++
		}
	}
	return n
}

const contents = `subscription($after: String) { messageUpdates(after: $after) { cursor message { content } } }`

// A reader that stops for too long and then continues is asked to resume, over both
// transports.
func TestSlowReadersAreTold(t *testing.T) {
	t.Parallel()
	p := setup(t)
	options := p.options
	options.SlowAfter = 3 * time.Second // the connection is cut at three times that
	full := newHeldUp()
	p.serve(options, func(s *httptest.Server) { full.Listener, s.Listener = s.Listener, full })
	client := &http.Client{Transport: &http.Transport{DialContext: narrowPipe}}
	_, cursor := p.queue("start")
	p.fill()
	// One after the other: on a slow machine, the first of two would be cut before the second
	// is full.
	stops := func() {
		t.Helper()
		polltest.Until(t, "the connection is full, because nothing is read", func() bool { return full.count(options.SlowAfter) == 1 })
	}

	req := p.request("admin", contents, map[string]any{"after": cursor})
	req.Header.Set("Accept", "text/event-stream")
	resp, err := client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	stops()
	frames, last := &frames{lines: newScanner(resp.Body)}, ""
	for data, ok := frames.more(); ok; data, ok = frames.more() {
		last = data
	}
	if !strings.Contains(last, "UNAVAILABLE") || !strings.Contains(last, "too slowly") {
		t.Errorf("the last event is %.200s", last)
	}

	conn := p.subscribeContents(client, cursor)
	defer conn.CloseNow()
	stops()
	for err == nil {
		_, _, err = conn.Read(p.ctx)
	}
	if code := websocket.CloseStatus(err); code != websocket.StatusTryAgainLater {
		t.Errorf("the socket is closed with %v, want 1013", err)
	}
}

// subscribeContents subscribes to the contents after a cursor on a WebSocket of its own.
func (p *platform) subscribeContents(client *http.Client, cursor string) *websocket.Conn {
	p.tb.Helper()
	conn, _, err := websocket.Dial(p.ctx, "ws"+strings.TrimPrefix(p.url, "http"), &websocket.DialOptions{
		Subprotocols: []string{"graphql-transport-ws"}, HTTPClient: client,
	})
	must(p.tb, err)
	p.write(conn, wsMessage{Type: "connection_init", Payload: map[string]string{"authorization": "Bearer admin"}})
	p.until(conn, "connection_ack")
	p.write(conn, wsMessage{ID: "1", Type: "subscribe", Payload: map[string]any{"query": contents, "variables": map[string]any{"after": cursor}}})
	return conn
}

// A reader that never reads again is disconnected. The reader itself may learn that minutes later: the kernel on its side
// can drop a reset that comes while its buffer is full. So the server's side is asked.
func TestReadersThatDoNotReadAreCut(t *testing.T) {
	t.Parallel()
	p := setup(t)
	options := p.options
	options.SlowAfter = 100 * time.Millisecond
	full := newHeldUp()
	p.serve(options, func(s *httptest.Server) { full.Listener, s.Listener = s.Listener, full })
	var reader string // its address
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := narrowPipe(ctx, network, addr)
		if err == nil {
			reader = c.LocalAddr().String()
		}
		return c, err
	}}}
	_, cursor := p.queue("start")
	p.fill()
	conn := p.subscribeContents(client, cursor)
	defer conn.CloseNow()
	// A stream that ends with an error, as it may on a slow machine, leaves the connection open and not full. So another one
	// begins now and then.
	n := 0
	polltest.Until(t, "the server cuts the connection", func() bool {
		if n++; n%250 == 0 {
			_ = wsjson.Write(p.ctx, conn, wsMessage{ // it may have been cut
				ID: fmt.Sprint("again-", n), Type: "subscribe", Payload: map[string]any{"query": contents, "variables": map[string]any{"after": cursor}},
			})
		}
		return full.hasClosed(reader)
	})
}
