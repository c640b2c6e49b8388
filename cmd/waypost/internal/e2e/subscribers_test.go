package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
	"github.com/waypost/waypost/domain/message"
)

// watchers is how many subscribers one process is to hold.
const watchers = 2000

// TestTwoThousandSubscribers opens as many WebSockets, each of which follows one
// message to READ, and tells what they cost.
func TestTwoThousandSubscribers(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of sockets")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*e2etest.Timeout)
	defer cancel()
	r := e2etest.Start(ctx, t, []string{"WAYPOST_LOG_LEVEL=warn"}, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 1000); err != nil {
		t.Fatal(err)
	}
	var first struct {
		QueueMessage struct{ Cursor string }
	}
	err := r.Client.Do(ctx, `mutation($input: QueueMessageInput!) { queueMessage(input: $input) { cursor } }`,
		map[string]any{"input": harness.Message("shop", "first", 0)}, &first)
	if err != nil {
		t.Fatal(err)
	}
	empty := harness.PeakMemory(r.Serve.PID())
	var dialling, reading sync.WaitGroup
	slots := make(chan struct{}, 32)
	failed := make(chan error, watchers)
	for i := range watchers {
		slots <- struct{}{}
		dialling.Go(func() {
			defer func() { <-slots }()
			conn, err := watch(ctx, r, first.QueueMessage.Cursor, message.ID("shop", fmt.Sprint("watched-", i)).String())
			if err != nil {
				failed <- err
				return
			}
			reading.Go(func() {
				defer conn.CloseNow()
				if err := untilRead(ctx, conn); err != nil {
					failed <- fmt.Errorf("watcher %d: %w", i, err)
				}
			})
		})
	}
	dialling.Wait()
	before, err := r.CPU()
	if err != nil {
		t.Fatal(err)
	}
	const idle = 3 * time.Second
	e2etest.Elapse(ctx, t, idle)
	waiting, err := r.CPU()
	if err != nil {
		t.Fatal(err)
	}
	held := harness.PeakMemory(r.Serve.PID())
	begin := time.Now()
	for i := 0; i < watchers; i += 100 {
		var inputs []map[string]any
		for j := range 100 {
			inputs = append(inputs, harness.Message("shop", fmt.Sprint("watched-", i+j), i+j))
		}
		if _, err := r.Client.QueueMessages(ctx, inputs); err != nil {
			t.Fatal(err)
		}
	}
	reading.Wait()
	took := time.Since(begin)
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	after, err := r.CPU()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d subscribers: %d MiB over %d MiB without, %.1f%% of a core while they wait; %d messages to READ for each in %s, with %s of CPU in Waypost",
		watchers, (held-empty)>>20, empty>>20, 100*waiting.Minus(before).Serve.Seconds()/idle.Seconds(), watchers, took.Round(time.Millisecond), after.Minus(waiting).Serve)
}

// watch subscribes to the updates of one message behind a cursor: what comes before
// the platform has come to the subscription is not missed.
func watch(ctx context.Context, r *harness.TestEnv, after, id string) (*websocket.Conn, error) {
	conn, _, err := websocket.Dial(ctx, "ws://"+r.Addr+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return nil, err
	}
	var ack e2etest.Frame
	err = errors.Join(
		wsjson.Write(ctx, conn, e2etest.Frame{Type: "connection_init", Payload: map[string]string{"authorization": "Bearer " + harness.AdminKey}}),
		wsjson.Read(ctx, conn, &ack),
		wsjson.Write(ctx, conn, e2etest.Frame{ID: "1", Type: "subscribe", Payload: map[string]any{
			"query": `subscription($ids: [ID!], $after: String) { messageUpdates(ids: $ids, after: $after) { message { status } } }`, "variables": map[string]any{"ids": []string{id}, "after": after},
		}}))
	return conn, err
}

func untilRead(ctx context.Context, conn *websocket.Conn) error {
	for {
		var m struct {
			Type    string
			Payload struct {
				Data struct {
					MessageUpdates struct{ Message struct{ Status string } }
				}
			}
		}
		if err := wsjson.Read(ctx, conn, &m); err != nil {
			return err
		}
		switch status := m.Payload.Data.MessageUpdates.Message.Status; {
		case m.Type == "ping":
			if err := wsjson.Write(ctx, conn, e2etest.Frame{Type: "pong"}); err != nil {
				return err
			}
		case m.Type != "next":
			return fmt.Errorf("the subscription ended with %s", m.Type)
		case status == "READ":
			return nil
		}
	}
}
