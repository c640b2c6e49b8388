package whatsapp_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/app/webhook"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// startSimulator starts a Cloud API without latency or limits and returns a client for it.
func startSimulator(t testing.TB, webhookURL string, change func(*simulator.Control)) (*simulator.Simulator, *whatsapp.Client) {
	t.Helper()
	control := simulator.DefaultControl()
	control.Latency, control.WebhookDelay, control.WebhookLinger, control.Rate = 0, 0, 0, 0
	if change != nil {
		change(&control)
	}
	s, err := simulator.Start(t.Context(), simulator.Options{WebhookURL: webhookURL, AppSecret: "secret", Control: &control})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	timeout := time.Minute
	if len(control.HangNumbers) > 0 {
		timeout = 2 * time.Second // the call must be written in that time
	}
	return s, newClient(t, s.URL(), timeout)
}

const textBody = `{"messaging_product":"whatsapp","recipient_type":"individual","to":"+12025550143","type":"text","text":{"body":"Hello"},"biz_opaque_callback_data":"wp1:0198c3f2-7d5e-7a31-9f0a-6b1f3a5f0c11:1"}`

func TestCallsMeetTheirFate(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*simulator.Control)
		want   func(message.CallResult) bool
	}{
		"accepted": {nil, func(r message.CallResult) bool {
			a, ok := r.(message.Accepted)
			return ok && a.RecipientID == "12025550143"
		}},
		"cut":            {func(c *simulator.Control) { c.DropResponseRate = 1 }, isLost(whatsapp.CauseCut, 0)},
		"hang":           {func(c *simulator.Control) { c.HangNumbers = []string{phoneNumberID} }, isLost(whatsapp.CauseTimeout, 0)},
		"empty 5xx":      {func(c *simulator.Control) { c.Empty5xxRate = 1 }, isLost(whatsapp.CauseServer, 502)},
		"garbled 200":    {func(c *simulator.Control) { c.Garbled200Rate = 1 }, isLost(whatsapp.CauseUnreadable, 200)},
		"error":          {func(c *simulator.Control) { c.ErrorRate = 1 }, refusedWith(message.ClassTransient, "", message.CategoryServer)},
		"unknown number": {func(c *simulator.Control) { c.UnknownNumbers = []string{phoneNumberID} }, refusedWith(message.ClassSender, "", message.CategoryAccount)},
		"token":          {func(c *simulator.Control) { c.InvalidTokens = []string{"secret-token"} }, refusedWith(message.ClassSender, "", message.CategoryAuth)},
		"account throttled": {func(c *simulator.Control) { c.FailNumbers = map[string]int{phoneNumberID: 80007} }, func(r message.CallResult) bool {
			refused, ok := r.(message.Refused)
			return ok && refused.Scope == message.ScopeAccount && refused.RetryAfterSeconds == 60
		}},
		"throttled by a 429": {func(c *simulator.Control) {
			c.FailNumbers = map[string]int{phoneNumberID: 130429}
			c.ThrottleStatus = 429
			c.RetryAfter = simulator.Duration(2500 * time.Millisecond)
		}, func(r message.CallResult) bool {
			refused, ok := r.(message.Refused)
			return ok && refused.Scope == message.ScopeNumber && refused.RetryAfterSeconds == 3
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, c := startSimulator(t, "", tc.change)
			got := c.Send(t.Context(), whatsapp.Call{PhoneNumberID: phoneNumberID, Token: "secret-token", Body: []byte(textBody)})
			if !tc.want(got) {
				t.Errorf("%T %+v", got, got)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	_, c := startSimulator(t, "", func(c *simulator.Control) {
		c.BlockedNumbers = map[string]int{"1002": 131042}
		c.UnknownNumbers = []string{"1003"}
		c.InvalidTokens = []string{"old"}
	})
	for _, tc := range []struct {
		number, token string
		canSend       bool
		status        string
		code          int
	}{
		{"1001", "new", true, "AVAILABLE", -1},
		{"1002", "new", false, "BLOCKED", 131042},
		{"1003", "new", false, "", 100},
		{"1001", "old", false, "", 190},
	} {
		h, err := c.Health(t.Context(), tc.number, tc.token)
		if err != nil || h.CanSend != tc.canSend || h.Status != tc.status || (h.Failure == nil) != (tc.code < 0) {
			t.Errorf("%s with %s: %+v, %v", tc.number, tc.token, h, err)
			continue
		}
		if h.Failure != nil && (h.Failure.Code == nil || *h.Failure.Code != tc.code || h.Failure.Class != message.ClassSender) {
			t.Errorf("%s with %s: %+v", tc.number, tc.token, h.Failure)
		}
	}
}

func TestPhoneNumber(t *testing.T) {
	_, c := startSimulator(t, "", func(c *simulator.Control) { c.UnknownNumbers = []string{"1003"} })
	want := sender.Report{Quality: sender.QualityGreen, Limit: &sender.Limit{Unlimited: true}, Throughput: 80}
	if r, err := c.PhoneNumber(t.Context(), "1001", "new"); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("the number is %+v, %v, want %+v", r, err, want)
	}
	if _, err := c.PhoneNumber(t.Context(), "1003", "new"); err == nil || !strings.Contains(err.Error(), "status 400") {
		t.Errorf("a number that doesn't exist: %v", err)
	}
	for body, want := range map[string]sender.Report{
		`{}`: {},
		`{"quality_rating": "YELLOW", "throughput": {"level": "HIGH"}, "whatsapp_business_manager_messaging_limit": "TIER_2K"}`: {
			Quality: sender.QualityYellow, Limit: &sender.Limit{People: 2000}, Throughput: 1000,
		},
		`{"quality_rating": "NA", "throughput": "x", "whatsapp_business_manager_messaging_limit": "UNTIERED"}`:                {},
		`{"quality_rating": 1, "throughput": {"level": "NOT_APPLICABLE"}, "whatsapp_business_manager_messaging_limit": null}`: {},
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
		if r, err := newClient(t, url, time.Minute).PhoneNumber(t.Context(), "1", "t"); err != nil || !reflect.DeepEqual(r, want) {
			t.Errorf("%s is %+v, %v", body, r, err)
		}
	}
}

func TestHealthUnknown(t *testing.T) {
	for _, tc := range []struct {
		status int
		body   string
	}{
		{200, "{}"},
		{200, ""},
		{500, ""},
		{503, "<html>"},
		{429, ""},
		{500, `{"error":{"code":131000}}`},
		{400, `{"error":{"code":130429}}`},
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tc.status); io.WriteString(w, tc.body) })
		if h, err := newClient(t, url, time.Minute).Health(t.Context(), "1", "t"); err == nil {
			t.Errorf("%d %s reported %+v", tc.status, tc.body, h)
		}
	}
	c := newClient(t, "http://127.0.0.1:1", time.Minute)
	if _, err := c.Health(t.Context(), "1", "t"); err == nil {
		t.Error("no server responded, and no error")
	}
}

// The simulator's statuses are parsed as statuses of the message, with its callback data.
func TestStatusesOfACall(t *testing.T) {
	rows := table(t)
	var mu sync.Mutex
	var statuses []webhook.Status
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		d := rows.ParseWebhook(body)
		mu.Lock()
		defer mu.Unlock()
		statuses = append(statuses, d.Statuses...)
		if len(d.Parked) > 0 || len(d.Changes) > 0 {
			t.Errorf("webhook %s", describe(d))
		}
	}))
	defer receiver.Close()
	s, c := startSimulator(t, receiver.URL, nil)
	accepted, ok := c.Send(t.Context(), whatsapp.Call{PhoneNumberID: phoneNumberID, Token: "t", Body: []byte(textBody)}).(message.Accepted)
	if !ok {
		t.Fatal("not accepted")
	}
	polltest.Until(t, "all webhooks are delivered", func() bool { return s.Stats().WebhooksPending == 0 })
	mu.Lock()
	defer mu.Unlock()
	kinds := map[message.StatusKind]int{}
	for _, status := range statuses {
		kinds[status.Kind]++
		if status.MessageID.String() != "0198c3f2-7d5e-7a31-9f0a-6b1f3a5f0c11" || status.Call != 1 || status.WhatsAppID != accepted.WhatsAppID ||
			status.PhoneNumberID != phoneNumberID || status.RecipientID != accepted.RecipientID || time.Since(status.At).Abs() > time.Minute {
			t.Errorf("status %+v", status)
		}
	}
	if len(statuses) != 3 || kinds[message.ReportSent] != 1 || kinds[message.ReportDelivered] != 1 || kinds[message.ReportRead] != 1 {
		t.Errorf("statuses %v", kinds)
	}
}

// BenchmarkSend measures the cost of a call, including the simulator's part: one process, kept connections, no latency.
func BenchmarkSend(b *testing.B) {
	_, c := startSimulator(b, "", nil)
	call := whatsapp.Call{PhoneNumberID: phoneNumberID, Token: "t", Body: []byte(textBody)}
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := c.Send(b.Context(), call).(message.Accepted); !ok {
				b.Error("not accepted")
			}
		}
	})
}
