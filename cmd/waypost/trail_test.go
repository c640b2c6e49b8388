package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
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

// The log tells who queued a message and for whom, each call and what came of it, and
// which delivery of WhatsApp each status came with: by the hash of its raw body.
func TestTheTrailOfAMessage(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2eTimeout)
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
	r := startTestRig(ctx, t, []string{"WAYPOST_WEBHOOK_FORWARD_URL=" + copied.URL}, map[string]any{"error_rate": 1, "error_codes": []int{131000}})
	if err := r.client.registerSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	id := queueFor(ctx, t, r, "agent 7", benchMessage("shop", "order-1", 1))
	ask := func() (m trailed) {
		t.Helper()
		if err := r.client.do(ctx, `query($id: ID!) { message(id: $id) { status
			attemptLog { call outcome startedAt endedAt whatsappId failure { code category } }
			history { edges { node { type causationId by { kind id name onBehalfOf } } } } } }`, map[string]any{"id": id}, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for ask().Message.Status != "RETRYING" {
		time.Sleep(10 * time.Millisecond)
	}
	if err := r.control(ctx, map[string]any{"error_rate": 0}); err != nil {
		t.Fatal(err)
	}
	awaitStatusRead(ctx, t, r, id)

	m := ask().Message
	last := len(m.AttemptLog) - 1
	for i, a := range m.AttemptLog {
		switch {
		case a.Call != i+1 || a.EndedAt == nil || a.EndedAt.Before(a.StartedAt):
			t.Errorf("call %d: %+v", i+1, a)
		case i < last && (a.Outcome != "FAILED" || a.Failure == nil || a.Failure.Code == nil || *a.Failure.Code != 131000 || a.WhatsappID != nil):
			t.Errorf("call %d failed and is told as %+v", a.Call, a)
		case i == last && (a.Outcome != "ACCEPTED" || a.WhatsappID == nil || a.Failure != nil):
			t.Errorf("the last call is told as %+v", a)
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
			if i != 0 || by.Kind != "KEY" || by.ID != adminKeyID || by.Name == nil || *by.Name != adminKeyName || by.OnBehalfOf == nil || *by.OnBehalfOf != "agent 7" {
				t.Errorf("queued by %+v", by)
			}
		case "Confirmed", "Delivered", "Read":
			reported++
			if by.Kind != "WEBHOOK" || e.Node.CausationID == nil || !delivered(&mu, bodies, *e.Node.CausationID) {
				t.Errorf("%s is by %+v, of a delivery that was none", e.Node.Type, by)
			}
		default:
			if by.Kind != "PLATFORM" {
				t.Errorf("%s is by %+v", e.Node.Type, by)
			}
		}
	}
	if reported == 0 {
		t.Error("no status was told of")
	}
}

// delivered reports whether a delivery's hash begins so. It is passed on a moment after it
// was recorded.
func delivered(mu *sync.Mutex, bodies map[string]bool, hash string) bool {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		mu.Lock()
		for body := range bodies {
			if strings.HasPrefix(body, hash) && hash != "" {
				mu.Unlock()
				return true
			}
		}
		mu.Unlock()
	}
	return false
}

// queueFor queues a message on behalf of a person.
func queueFor(ctx context.Context, t *testing.T, r *rig, person string, input map[string]any) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"query": `mutation($input: QueueMessageInput!) { queueMessage(input: $input) { message { id } } }`, "variables": map[string]any{"input": input},
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.client.url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+r.client.key)
	req.Header.Set("Waypost-On-Behalf-Of", person)
	text, err := roundTrip(r.client.http, req)
	var answer struct {
		Data struct {
			QueueMessage struct{ Message struct{ ID string } }
		}
	}
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil || answer.Data.QueueMessage.Message.ID == "" {
		t.Fatalf("%v: %s", err, text)
	}
	return answer.Data.QueueMessage.Message.ID
}
