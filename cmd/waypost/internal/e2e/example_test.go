package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
)

// A program queues a message and follows it until the recipient has read it. It
// needs nothing but net/http: GraphQL is a POST with JSON, and a subscription is
// the same POST with Accept: text/event-stream.
func Example_client() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	url, key, stop, err := demoForExample(ctx)
	if err != nil {
		log.Panic(err)
	}
	c := client{url: url + "/graphql", key: key}

	order := map[string]any{
		"senderId": "demo", "to": "+1 415 555 0101", "idempotencyKey": "order-7719",
		"content": map[string]any{"text": map[string]any{"body": "Your order is on its way"}},
	}
	id, cursor, replayed, err := c.queue(ctx, order)
	fmt.Println("replayed:", replayed, err)

	_, _, replayed, err = c.queue(ctx, order) // the program crashed, and repeats the request
	fmt.Println("replayed:", replayed, err)

	err = c.follow(ctx, id, cursor, func(status string) bool {
		return status != "READ"
	})
	fmt.Println("read:", err == nil)
	fmt.Println(stop())
	// Output:
	// replayed: false <nil>
	// replayed: true <nil>
	// read: true
	// <nil>
}

// client calls the GraphQL API with a key.
type client struct{ url, key string }

// queue queues a message. It returns the message's ID, and a cursor from which to
// follow it.
func (c client) queue(ctx context.Context, input map[string]any) (id, cursor string, replayed bool, err error) {
	resp, err := c.post(ctx, "application/json",
		`mutation ($input: QueueMessageInput!) { queueMessage(input: $input) { replayed cursor message { id } } }`,
		map[string]any{"input": input})
	if err != nil {
		return "", "", false, err
	}
	defer resp.Body.Close()
	var result struct {
		Data struct {
			QueueMessage struct {
				Replayed bool
				Cursor   string
				Message  struct{ ID string }
			}
		}
		Errors []struct{ Message string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&result); err != nil {
		return "", "", false, err
	}
	if len(result.Errors) > 0 {
		return "", "", false, errors.New(result.Errors[0].Message)
	}
	q := result.Data.QueueMessage
	return q.Message.ID, q.Cursor, q.Replayed, nil
}

// follow calls onStatus for each change of the message after the cursor, until it
// returns false. A program that is interrupted resumes with the cursor of the last
// change that it has seen.
func (c client) follow(ctx context.Context, id, cursor string, onStatus func(string) bool) error {
	resp, err := c.post(ctx, "text/event-stream",
		`subscription ($id: ID!, $after: String) { messageUpdates(ids: [$id], after: $after) { cursor message { status } } }`,
		map[string]any{"id": id, "after": cursor})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var update struct {
			Data struct {
				MessageUpdates struct{ Message struct{ Status string } }
			}
		}
		if err := json.Unmarshal([]byte(data), &update); err != nil {
			return err
		}
		if !onStatus(update.Data.MessageUpdates.Message.Status) {
			return nil
		}
	}
	return errors.Join(lines.Err(), errors.New("the subscription ended"))
}

func (c client) post(ctx context.Context, accept, query string, variables map[string]any) (*http.Response, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return nil, errors.Join(fmt.Errorf("%s: %s", resp.Status, text), resp.Body.Close())
	}
	return resp, nil
}

// demoForExample starts `waypost demo` without traffic of its own. It returns its URL,
// its ADMIN key, and a function that stops it.
func demoForExample(ctx context.Context) (url, key string, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "waypost-example")
	if err != nil {
		return "", "", nil, err
	}
	addr, err := loopback.FreeAddr()
	if err != nil {
		return "", "", nil, err
	}
	demo := e2etest.Command(ctx, "demo", "--traffic=0", "--addr="+addr, "--simulator-addr=127.0.0.1:0", "--data-dir="+dir)
	demo.Stderr = os.Stderr
	demo.Cancel = func() error { return demo.Process.Signal(syscall.SIGTERM) }
	out, err := demo.StdoutPipe()
	if err != nil {
		return "", "", nil, err
	}
	if err := demo.Start(); err != nil {
		return "", "", nil, err
	}
	stop = func() error {
		err := demo.Process.Signal(syscall.SIGTERM)
		return errors.Join(err, demo.Wait(), os.RemoveAll(dir))
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it prints once it is ready
		return "", "", nil, errors.Join(fmt.Errorf("start the demo: %w", err), stop())
	}
	secret, err := os.ReadFile(filepath.Join(dir, "admin.key"))
	if err != nil {
		return "", "", nil, errors.Join(err, stop())
	}
	return "http://" + addr, strings.TrimSpace(string(secret)), stop, nil
}
