package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
	"github.com/waypost/waypost/graph"
)

// trailed is what an auditor asks of a message.
type trailed struct {
	Message struct {
		Status     string
		AttemptLog []struct {
			Call       int
			Outcome    string
			StartedAt  time.Time
			EndedAt    *time.Time
			WhatsappID *string
			Failure    *struct {
				Code     *int
				Category string
			}
		}
		History struct {
			Edges []struct {
				Node struct {
					Type        string
					CausationID *string
					By          struct {
						Kind, ID         string
						Name, OnBehalfOf *string
					}
				}
			}
		}
	}
}

// The event log shows who queued a message and on whose behalf, each call and its outcome, and the webhook that each status arrived in, by
// the hash of its raw body.
func TestTheTrailOfAMessage(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	var mu sync.Mutex
	bodies := map[string]bool{} // hashes of what WhatsApp delivered
	copied := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sum := sha256.Sum256(body)
		mu.Lock()
		defer mu.Unlock()
		bodies[hex.EncodeToString(sum[:])] = true
	}))
	defer copied.Close()
	r := e2etest.Start(ctx, t, []string{"WAYPOST_WEBHOOK_FORWARD_URL=" + copied.URL}, map[string]any{"error_rate": 1, "error_codes": []int{131000}})
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	id := queueFor(ctx, t, r, "agent 7", harness.Message("shop", "order-1", 1))
	ask := func() (m trailed) {
		t.Helper()
		if err := r.Client.Do(ctx, `query($id: ID!) { message(id: $id) { status
			attemptLog { call outcome startedAt endedAt whatsappId failure { code category } }
			history { edges { node { type causationId by { kind id name onBehalfOf } } } } } }`, map[string]any{"id": id}, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	e2etest.Await(ctx, t, "the message is RETRYING", func() bool { return ask().Message.Status == "RETRYING" })
	if err := r.Control(ctx, map[string]any{"error_rate": 0}); err != nil {
		t.Fatal(err)
	}
	e2etest.AwaitRead(ctx, t, r, id)

	m := ask().Message
	last := len(m.AttemptLog) - 1
	for i, a := range m.AttemptLog {
		switch {
		case a.Call != i+1 || a.EndedAt == nil || a.EndedAt.Before(a.StartedAt):
			t.Errorf("call %d: %+v", i+1, a)
		case i < last && (a.Outcome != "FAILED" || a.Failure == nil || a.Failure.Code == nil || *a.Failure.Code != 131000 || a.WhatsappID != nil):
			t.Errorf("call %d failed and is shown as %+v", a.Call, a)
		case i == last && (a.Outcome != "ACCEPTED" || a.WhatsappID == nil || a.Failure != nil):
			t.Errorf("the last call is shown as %+v", a)
		}
	}
	if last < 1 {
		t.Errorf("%d calls", last+1)
	}
	reported := 0
	for i, e := range m.History.Edges {
		by := e.Node.By
		switch e.Node.Type {
		case "Queued":
			if i != 0 || by.Kind != "KEY" || by.ID != graph.AdminKeyID || by.Name == nil || *by.Name != graph.AdminKeyName || by.OnBehalfOf == nil || *by.OnBehalfOf != "agent 7" {
				t.Errorf("queued by %+v", by)
			}
		case "Confirmed", "Delivered", "Read":
			reported++
			if by.Kind != "WEBHOOK" || e.Node.CausationID == nil || *e.Node.CausationID == "" {
				t.Errorf("%s is by %+v, caused by no webhook", e.Node.Type, by)
				continue
			}
			// A webhook is forwarded a moment after it is recorded.
			e2etest.Await(ctx, t, "the webhook that caused "+e.Node.Type+" is forwarded", func() bool { return forwarded(&mu, bodies, *e.Node.CausationID) })
		default:
			if by.Kind != "PLATFORM" {
				t.Errorf("%s is by %+v", e.Node.Type, by)
			}
		}
	}
	if reported == 0 {
		t.Error("no status was recorded")
	}
}

// forwarded reports whether the hash of a forwarded webhook begins with hash.
func forwarded(mu *sync.Mutex, bodies map[string]bool, hash string) bool {
	mu.Lock()
	defer mu.Unlock()
	for body := range bodies {
		if strings.HasPrefix(body, hash) {
			return true
		}
	}
	return false
}

// queueFor queues a message on behalf of a person.
func queueFor(ctx context.Context, t *testing.T, r *harness.TestEnv, person string, input map[string]any) string {
	t.Helper()
	var data struct {
		QueueMessage struct{ Message struct{ ID string } }
	}
	text := doWithHeader(ctx, t, r, "Waypost-On-Behalf-Of", person,
		`mutation($input: QueueMessageInput!) { queueMessage(input: $input) { message { id } } }`, map[string]any{"input": input}, &data)
	if data.QueueMessage.Message.ID == "" {
		t.Fatalf("got %s", text)
	}
	return data.QueueMessage.Message.ID
}
