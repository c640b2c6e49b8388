package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
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
	r := e2etest.Start(ctx, t, []string{"WAYPOST_WEBHOOK_FORWARD_URL=" + copied.URL}, map[string]any{"error_rate": 1, "error_codes": []int{131000}, "read_rate": 0})
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
	e2etest.Await(ctx, t, "the message is DELIVERED", func() bool { return ask().Message.Status == "DELIVERED" })
	delivered := last(ask().Message.AttemptLog)
	readAtAPrice(ctx, t, r, id, delivered.Call, *delivered.WhatsappID)

	m := ask().Message
	accepted := len(m.AttemptLog) - 1
	for i, a := range m.AttemptLog {
		switch {
		case a.Call != i+1 || a.EndedAt == nil || a.EndedAt.Before(a.StartedAt):
			t.Errorf("call %d: %+v", i+1, a)
		case i < accepted && (a.Outcome != "FAILED" || a.Failure == nil || a.Failure.Code == nil || *a.Failure.Code != 131000 || a.WhatsappID != nil):
			t.Errorf("call %d failed and is shown as %+v", a.Call, a)
		case i == accepted && (a.Outcome != "ACCEPTED" || a.WhatsappID == nil || a.Failure != nil):
			t.Errorf("the last call is shown as %+v", a)
		}
	}
	if accepted < 1 {
		t.Errorf("%d calls", accepted+1)
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

// readAtAPrice lets WhatsApp report that the message was read, with a price that has a member
// of which Waypost knows nothing. The price must be shown as it was received.
func readAtAPrice(ctx context.Context, t *testing.T, r *harness.TestEnv, id string, call int, wamid string) {
	t.Helper()
	const price = `{"pricing_model":"PMP","type":"regular","category":"utility","rebate":{"percent":[2.50]}}`
	postWebhook(ctx, t, r, `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"messaging_product":"whatsapp",
		"metadata":{"display_phone_number":"15550001","phone_number_id":"100000000001"},"statuses":[{"id":"`+wamid+`","status":"read","timestamp":"1777000000",
		"biz_opaque_callback_data":"wp1:`+id+`:`+strconv.Itoa(call)+`","pricing":`+price+`,"conversation":{"id":"c1","origin":{"type":"referral_conversion"}}}]}}]}]}`)
	e2etest.AwaitRead(ctx, t, r, id)
	var shown struct {
		Message struct {
			Pricing json.RawMessage
			History struct {
				Edges []struct {
					Node struct {
						Type string
						Data struct {
							Pricing  json.RawMessage
							Personal struct{ Conversation struct{ ID string } }
						}
					}
				}
			}
		}
		Messages struct {
			Edges []struct {
				Node struct{ Pricing json.RawMessage }
			}
		}
	}
	if err := r.Client.Do(ctx, `query($id: ID!) { message(id: $id) { pricing history { edges { node { type data } } } }
		messages { edges { node { pricing } } } }`, map[string]any{"id": id}, &shown); err != nil {
		t.Fatal(err)
	}
	read := last(shown.Message.History.Edges).Node
	for place, got := range map[string]json.RawMessage{
		"message": shown.Message.Pricing, "list": last(shown.Messages.Edges).Node.Pricing, "history": read.Data.Pricing,
	} {
		if string(got) != price {
			t.Errorf("pricing in the %s is %s, want %s", place, got, price)
		}
	}
	if read.Type != "Read" || read.Data.Personal.Conversation.ID != "c1" {
		t.Errorf("the last event is %+v, want Read with the conversation", read)
	}
}

// last returns the last element.
func last[T any](list []T) T { return list[len(list)-1] }

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
