package simulator_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/whatsapp/simulator"
)

const (
	secret = "test_app_secret"
	phone  = "910200300400500"
	to     = "+12025550143"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a simulator without latency. change can modify its settings.
func start(t *testing.T, webhookURL string, change func(*simulator.Control)) *simulator.Simulator {
	t.Helper()
	control := simulator.DefaultControl()
	control.Latency, control.WebhookDelay, control.WebhookLinger, control.Rate = 0, 0, 0, 0
	if change != nil {
		change(&control)
	}
	s, err := simulator.Start(t.Context(), simulator.Options{WebhookURL: webhookURL, AppSecret: secret, Control: &control})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

// answer is the response to a call.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// code returns the error code. The response must contain one.
func (a answer) code(t *testing.T) int {
	t.Helper()
	var body struct {
		Error *struct{ Code *int }
	}
	if err := json.Unmarshal(a.body, &body); err != nil || body.Error == nil || body.Error.Code == nil {
		t.Fatalf("response %d has no error code: %s", a.status, a.body)
	}
	return *body.Error.Code
}

func call(ctx context.Context, s *simulator.Simulator, number, token, body string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/"+number+"/messages", strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close()
	read, err := io.ReadAll(got.Body)
	return answer{got.StatusCode, got.Header, read}, err
}

func mustCall(t *testing.T, s *simulator.Simulator, body string) answer {
	t.Helper()
	a, err := call(t.Context(), s, phone, "token", body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func textTo(to, callback string) string {
	body := map[string]any{"messaging_product": "whatsapp", "to": to, "type": "text", "text": map[string]any{"body": "Hello"}}
	if callback != "" {
		body["biz_opaque_callback_data"] = callback
	}
	data, _ := json.Marshal(body)
	return string(data)
}

// status is one status of a webhook.
type status struct {
	ID, Status, Timestamp string
	RecipientID           string `json:"recipient_id"`
	Callback              string `json:"biz_opaque_callback_data"`
	Errors                []struct{ Code int }
	Pricing               struct{ Type, Category string }
}

type webhook struct {
	Entry []struct {
		ID      string
		Changes []struct {
			Field string
			Value struct {
				Metadata struct {
					ID string `json:"phone_number_id"`
				}
				Statuses []status
				Messages []struct{ ID, From string }
			}
		}
	}
}

// receiver receives webhooks, checks their signatures, and responds as configured.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	answer   func(try int) int // by the number of the try, from 1
	tries    int
	bodies   [][]byte
	statuses []status
	inbound  int
	largest  int // statuses in one webhook
	forged   int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{answer: func(int) int { return http.StatusOK }}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.Header.Get("X-Hub-Signature-256") != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
		r.forged++
	}
	r.tries++
	code := r.answer(r.tries)
	w.WriteHeader(code)
	if code != http.StatusOK {
		return
	}
	r.bodies = append(r.bodies, body)
	var hook webhook
	if err := json.Unmarshal(body, &hook); err != nil {
		r.forged++
		return
	}
	count := 0
	for _, entry := range hook.Entry {
		for _, change := range entry.Changes {
			r.statuses = append(r.statuses, change.Value.Statuses...)
			count += len(change.Value.Statuses)
			r.inbound += len(change.Value.Messages)
		}
	}
	r.largest = max(r.largest, count)
}

// of returns the statuses of one message, in order of arrival.
func (r *receiver) of(callback string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var got []string
	for _, s := range r.statuses {
		if s.Callback == callback {
			got = append(got, s.Status)
		}
	}
	return got
}

// settle waits until no update is pending.
func settle(t *testing.T, s *simulator.Simulator) simulator.Stats {
	t.Helper()
	return waitFor(t, s, func(st simulator.Stats) bool { return st.WebhooksPending == 0 })
}

func waitFor(t *testing.T, s *simulator.Simulator, holds func(simulator.Stats) bool) simulator.Stats {
	t.Helper()
	return polltest.Value(t, "the statistics are as expected", func() (simulator.Stats, error) { return s.Stats(), nil }, holds)
}

func TestMessageGetsItsStatuses(t *testing.T) {
	r := newReceiver(t)
	s := start(t, r.URL, func(c *simulator.Control) { c.WebhookDelay = simulator.Duration(15 * time.Millisecond) })
	a := mustCall(t, s, textTo(to, "wp1:m1:1"))
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	st := settle(t, s)
	if got := strings.Join(r.of("wp1:m1:1"), " "); got != "sent delivered read" {
		t.Errorf("statuses %q", got)
	}
	if r.forged != 0 {
		t.Errorf("%d webhooks with a wrong signature", r.forged)
	}
	for _, status := range r.statuses {
		at, err := strconv.ParseInt(status.Timestamp, 10, 64)
		if err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Minute {
			t.Errorf("timestamp %q is not within the last second", status.Timestamp)
		}
		if !strings.Contains(string(a.body), `"id":"`+status.ID+`"`) {
			t.Errorf("status of %q, response %s", status.ID, a.body)
		}
		if status.RecipientID != "12025550143" {
			t.Errorf("recipient %q", status.RecipientID)
		}
	}
	if st.Accepted != 1 || st.Messages != 1 || st.Answers["200"] != 1 || st.UpdatesSent != 3 {
		t.Errorf("stats %+v", st)
	}
}

func TestWebhooksAreBatched(t *testing.T) {
	r := newReceiver(t)
	s := start(t, r.URL, func(c *simulator.Control) {
		c.WebhookDelay, c.WebhookLinger = simulator.Duration(time.Millisecond), simulator.Duration(300*time.Millisecond)
	})
	var calls sync.WaitGroup
	for i := range 100 {
		calls.Go(func() {
			if _, err := call(t.Context(), s, phone+strconv.Itoa(i%3), "token", textTo(to, fmt.Sprintf("wp1:m%d:1", i))); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	st := settle(t, s)
	if st.UpdatesSent != 300 || st.WebhooksSent > 60 || r.largest != 10 {
		t.Errorf("%d updates in %d webhooks, at most %d in one", st.UpdatesSent, st.WebhooksSent, r.largest)
	}
	for i := range 100 {
		if got := len(r.of(fmt.Sprintf("wp1:m%d:1", i))); got != 3 {
			t.Errorf("message %d got %d statuses", i, got)
		}
	}
}

func TestRefusedWebhookIsRepeated(t *testing.T) {
	r := newReceiver(t)
	r.answer = func(try int) int { return []int{500, 404, 200}[min(try, 3)-1] }
	s := start(t, r.URL, func(c *simulator.Control) { c.ReadRate = 0; c.WebhookBatch = 1000 })
	mustCall(t, s, textTo(to, "wp1:m1:1"))
	st := settle(t, s)
	if st.WebhooksRefused != 2 || len(r.of("wp1:m1:1")) != 2 {
		t.Errorf("stats %+v, statuses %v", st, r.of("wp1:m1:1"))
	}
}

func TestReceiverThatComesLateGetsAll(t *testing.T) {
	r := newReceiver(t)
	r.Close()
	address, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "http://"+address+"/", nil)
	for i := range 30 {
		mustCall(t, s, textTo(to, fmt.Sprintf("wp1:m%d:1", i)))
	}
	waitFor(t, s, func(st simulator.Stats) bool { return st.WebhooksRefused > 0 })
	late := httptest.NewUnstartedServer(r)
	late.Listener.Close()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	late.Listener = listener
	late.Start()
	defer late.Close()
	settle(t, s)
	for i := range 30 {
		if got := len(r.of(fmt.Sprintf("wp1:m%d:1", i))); got != 3 {
			t.Errorf("message %d got %d statuses", i, got)
		}
	}
}

func TestDuplicates(t *testing.T) {
	r := newReceiver(t)
	r.answer = func(int) int { return http.StatusServiceUnavailable }
	s := start(t, r.URL, func(c *simulator.Control) { c.DropResponseRate = 1 })
	drop := func(callback string) {
		t.Helper()
		if a, err := call(t.Context(), s, phone, "token", textTo(to, callback)); err == nil {
			t.Fatalf("got status %d", a.status)
		}
	}
	// Accepted twice while no status was received: an unavoidable duplicate.
	drop("wp1:m1:1")
	drop("wp1:m1:2")
	if st := s.Stats(); st.Messages != 1 || st.Duplicates != 1 || st.DuplicatesAfterEcho != 0 {
		t.Errorf("before any echo: %+v", st)
	}
	r.mu.Lock()
	r.answer = func(int) int { return http.StatusOK }
	r.mu.Unlock()
	drop("wp1:m2:1")
	settle(t, s)
	drop("wp1:m2:2")
	drop("wp1:m2:3")
	st := settle(t, s)
	if st.Messages != 2 || st.Accepted != 5 || st.Duplicates != 2 || st.DuplicatesAfterEcho != 1 {
		t.Errorf("after the echo: %+v", st)
	}
	if st.Answers["cut"] != 5 {
		t.Errorf("answers %v", st.Answers)
	}
}

func TestLostAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		change   func(*simulator.Control)
		silent   bool
		accepted int64
		check    func(t *testing.T, a answer, err error)
	}{
		"cut": {func(c *simulator.Control) { c.DropResponseRate = 1 }, false, 1, func(t *testing.T, a answer, err error) {
			if err == nil {
				t.Errorf("got status %d", a.status)
			}
		}},
		"timeout": {func(c *simulator.Control) { c.TimeoutRate = 1 }, true, 0, func(t *testing.T, a answer, err error) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got status %d, %v", a.status, err)
			}
		}},
		"timeout, accepted": {func(c *simulator.Control) { c.TimeoutRate, c.LostAcceptRate = 1, 1 }, true, 1, func(t *testing.T, a answer, err error) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got status %d, %v", a.status, err)
			}
		}},
		"hang": {func(c *simulator.Control) { c.HangNumbers = []string{phone} }, true, 0, func(t *testing.T, a answer, err error) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got status %d, %v", a.status, err)
			}
		}},
		"empty 5xx": {func(c *simulator.Control) { c.Empty5xxRate = 1 }, false, 0, func(t *testing.T, a answer, err error) {
			if err != nil || a.status != http.StatusBadGateway || len(a.body) != 0 {
				t.Errorf("response %d %q, %v", a.status, a.body, err)
			}
		}},
		"garbled 200": {func(c *simulator.Control) { c.Garbled200Rate = 1 }, false, 1, func(t *testing.T, a answer, err error) {
			if err != nil || a.status != http.StatusOK || len(a.body) == 0 || json.Valid(a.body) {
				t.Errorf("response %d %q, %v", a.status, a.body, err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			s := start(t, r.URL, tc.change)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tc.silent { // a second after the call is received, there is still no response
				go func() {
					polltest.Retry(ctx, func() bool { return s.Stats().Numbers[phone].Calls == 1 })
					time.AfterFunc(time.Second, cancel)
				}()
			}
			a, err := call(ctx, s, phone, "token", textTo(to, "wp1:m1:1"))
			tc.check(t, a, err)
			st := waitFor(t, s, func(st simulator.Stats) bool { return st.Calls == 1 && st.WebhooksPending == 0 })
			if st.Accepted != tc.accepted || int64(len(r.of("wp1:m1:1"))) != 3*tc.accepted {
				t.Errorf("accepted %d, statuses %v", st.Accepted, r.of("wp1:m1:1"))
			}
		})
	}
}

func TestWebhookFaults(t *testing.T) {
	const messages = 200
	for name, tc := range map[string]struct {
		change func(*simulator.Control)
		holds  func(counts map[string]int, total int) bool
	}{
		"all dropped":  {func(c *simulator.Control) { c.WebhookDropRate = 1 }, func(_ map[string]int, n int) bool { return n == 0 }},
		"half dropped": {func(c *simulator.Control) { c.WebhookDropRate = 0.5 }, func(_ map[string]int, n int) bool { return n > 200 && n < 400 }},
		"some read":    {func(c *simulator.Control) { c.ReadRate = 0.25 }, func(m map[string]int, n int) bool { return m["read"] > 20 && m["read"] < 90 && n == 400+m["read"] }},
		"some failed": {func(c *simulator.Control) { c.FailAfterAcceptRate = 0.25 }, func(m map[string]int, n int) bool {
			return m["failed"] > 20 && m["failed"] < 90 && n == 600-2*m["failed"]
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			s := start(t, r.URL, tc.change)
			for i := range messages {
				mustCall(t, s, textTo(to, fmt.Sprintf("wp1:m%d:1", i)))
			}
			settle(t, s)
			counts := map[string]int{}
			for _, status := range r.statuses {
				counts[status.Status]++
				if status.Status == "failed" && (len(status.Errors) != 1 || status.Errors[0].Code != 131026) {
					t.Errorf("failed with %+v", status.Errors)
				}
			}
			if !tc.holds(counts, len(r.statuses)) {
				t.Errorf("statuses %v", counts)
			}
		})
	}
}

func TestStatusesShuffledAndRepeated(t *testing.T) {
	r := newReceiver(t)
	s := start(t, r.URL, func(c *simulator.Control) {
		c.WebhookDelay = simulator.Duration(20 * time.Millisecond)
		c.WebhookReorder, c.WebhookDuplicateRate = 1, 0.5
	})
	for i := range 40 {
		mustCall(t, s, textTo(to, fmt.Sprintf("wp1:m%d:1", i)))
	}
	settle(t, s)
	shuffled, repeated := 0, 0
	for i := range 40 {
		got := r.of(fmt.Sprintf("wp1:m%d:1", i))
		if got[0] != "sent" {
			shuffled++
		}
		repeated += len(got) - 3
	}
	if shuffled < 10 || repeated < 30 || repeated > 90 {
		t.Errorf("%d messages shuffled, %d statuses repeated", shuffled, repeated)
	}
}

// The same seed gives each message the same fate, in whatever order the calls come.
func TestSeedDecidesFates(t *testing.T) {
	run := func(seed uint64, order []int) string {
		s := start(t, "", func(c *simulator.Control) { c.ErrorRate, c.Seed = 0.5, seed })
		fates := make([]byte, len(order))
		for _, i := range order {
			fates[i] = '.'
			if a := mustCall(t, s, textTo(to, fmt.Sprintf("wp1:m%d:1", i))); a.status != http.StatusOK {
				fates[i] = 'x'
			}
		}
		return string(fates)
	}
	var up, down []int
	for i := range 64 {
		up, down = append(up, i), append(down, 63-i)
	}
	first := run(7, up)
	if again := run(7, down); again != first {
		t.Errorf("same seed:\n%s\n%s", first, again)
	}
	if other := run(8, up); other == first {
		t.Errorf("another seed gave the same %s", other)
	}
	if failed := strings.Count(first, "x"); failed < 16 || failed > 48 {
		t.Errorf("%d of 64 failed at a rate of 0.5", failed)
	}
}

func TestRateLimit(t *testing.T) {
	s := start(t, "", func(c *simulator.Control) { c.Rate = 40 })
	throttled := 0
	begin := time.Now()
	for range 60 {
		if a := mustCall(t, s, textTo(to, "")); a.status != http.StatusOK {
			if got := a.code(t); got != 130429 {
				t.Fatalf("code %d", got)
			}
			throttled++
		}
	}
	if time.Since(begin) > 900*time.Millisecond {
		t.Skip("too slow a machine to overrun the rate")
	}
	st := s.Stats().Numbers[phone]
	if throttled != 18 || st.Accepted != 42 || st.Throttled != 18 || st.LargestSecond != 60 || st.CallsOverRate != 20 {
		t.Errorf("%d throttled; %+v", throttled, st)
	}
	if a, err := call(t.Context(), s, "another", "token", textTo(to, "")); err != nil || a.status != http.StatusOK {
		t.Errorf("another number: response %d, %v", a.status, err)
	}
}

func TestPairLimit(t *testing.T) {
	s := start(t, "", func(c *simulator.Control) { c.PairLimit = simulator.PairLimitMeta })
	for i := range 45 {
		if a := mustCall(t, s, textTo(to, "")); a.status != http.StatusOK {
			t.Fatalf("message %d: response %s", i, a.body)
		}
	}
	if got := mustCall(t, s, textTo(to, "")).code(t); got != 131056 {
		t.Errorf("code %d", got)
	}
	if a := mustCall(t, s, textTo("+12025550144", "")); a.status != http.StatusOK {
		t.Errorf("another recipient: response %s", a.body)
	}
}

func TestTokens(t *testing.T) {
	s := start(t, "", func(c *simulator.Control) { c.Tokens = []string{"good", "bad"}; c.InvalidTokens = []string{"bad"} })
	for token, want := range map[string]int{"": 104, "bad": 190, "other": 190} {
		a, err := call(t.Context(), s, phone, token, textTo(to, ""))
		if err != nil || a.status != http.StatusUnauthorized || a.code(t) != want {
			t.Errorf("token %q: response %d %s", token, a.status, a.body)
		}
	}
	if a, err := call(t.Context(), s, phone, "good", textTo(to, "")); err != nil || a.status != http.StatusOK {
		t.Errorf("the valid token: response %d %s", a.status, a.body)
	}
}

func TestFailuresByNumberRecipientAndTemplate(t *testing.T) {
	s := start(t, "", func(c *simulator.Control) {
		c.FailNumbers = map[string]int{"1001": 131042}
		c.BlockedNumbers = map[string]int{"1002": 131031}
		c.UnknownNumbers = []string{"1003"}
		c.FailRecipients = map[string]int{"12025550199": 131026}
		c.FailTemplates = map[string]int{"paused": 132015}
	})
	template := `{"messaging_product":"whatsapp","to":"+12025550143","type":"template","template":{"name":"paused","language":{"code":"en"}}}`
	for _, tc := range []struct {
		number, body string
		status, code int
	}{
		{"1001", textTo(to, ""), 400, 131042},
		{"1002", textTo(to, ""), 403, 131031},
		{"1003", textTo(to, ""), 400, 100},
		{phone, textTo("+12025550199", ""), 400, 131026},
		{phone, template, 400, 132015},
	} {
		a, err := call(t.Context(), s, tc.number, "token", tc.body)
		if err != nil || a.status != tc.status || a.code(t) != tc.code {
			t.Errorf("%s: response %d %s", tc.number, a.status, a.body)
		}
	}
	for number, want := range map[string]string{phone: "AVAILABLE", "1001": "AVAILABLE", "1002": "BLOCKED"} {
		var node struct {
			ID     string
			Health struct {
				CanSend  string `json:"can_send_message"`
				Entities []struct {
					Errors []struct {
						Code int `json:"error_code"`
					}
				}
			} `json:"health_status"`
		}
		getJSON(t, s.URL()+"/"+number+"?fields=health_status", &node)
		if node.ID != number || node.Health.CanSend != want {
			t.Errorf("health of %s: %+v", number, node)
		}
		if want == "BLOCKED" && node.Health.Entities[0].Errors[0].Code != 131031 {
			t.Errorf("health of %s: %+v", number, node)
		}
	}
}

func TestInbound(t *testing.T) {
	r := newReceiver(t)
	s := start(t, r.URL, func(c *simulator.Control) { c.InboundRate = 100 })
	mustCall(t, s, textTo(to, "wp1:m1:1"))
	waitFor(t, s, func(st simulator.Stats) bool { return st.InboundMade >= 20 })
	if err := s.SetControl(simulator.DefaultControl()); err != nil {
		t.Fatal(err)
	}
	c := s.Control()
	c.WebhookURL = r.URL
	if err := s.SetControl(c); err != nil {
		t.Fatal(err)
	}
	st := settle(t, s)
	r.mu.Lock()
	defer r.mu.Unlock()
	if int64(r.inbound) != st.InboundMade || r.forged != 0 {
		t.Errorf("%d of %d inbound messages came, %d forged", r.inbound, st.InboundMade, r.forged)
	}
}

func TestVerification(t *testing.T) {
	var mu sync.Mutex
	verifications, posted := 0, 0
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if q.Method == http.MethodPost {
			if verifications < 2 {
				t.Error("a webhook arrived before the verification")
			}
			posted++
			return
		}
		verifications++
		if query := q.URL.Query(); query.Get("hub.mode") == "subscribe" && query.Get("hub.verify_token") == "vt" && verifications == 2 {
			io.WriteString(w, query.Get("hub.challenge"))
			return
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer r.Close()
	control := simulator.DefaultControl()
	control.Latency = 0
	s, err := simulator.Start(t.Context(), simulator.Options{WebhookURL: r.URL, AppSecret: secret, VerifyToken: "vt", Control: &control})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	mustCall(t, s, textTo(to, "wp1:m1:1"))
	settle(t, s)
	mu.Lock()
	defer mu.Unlock()
	if verifications != 2 || posted == 0 {
		t.Errorf("%d verifications, %d deliveries", verifications, posted)
	}
}

func TestControlOverHTTP(t *testing.T) {
	s := start(t, "", func(c *simulator.Control) { c.Latency = simulator.Duration(20 * time.Millisecond) })
	base := "http://" + s.Addr()
	put := func(body string) (int, map[string]any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base+"/control", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		var v map[string]any
		if err := json.NewDecoder(got.Body).Decode(&v); err != nil {
			t.Fatal(err)
		}
		return got.StatusCode, v
	}
	if code, v := put(`{"rate":1000,"latency":"1ms","hang_numbers":["7"],"webhook_reorder":true,"fail_numbers":{"1":190}}`); code != 200 || v["rate"] != 1000.0 || v["latency"] != "1ms" {
		t.Errorf("response %d %v", code, v)
	}
	if code, v := put(`{"fail_numbers":{"2":131042},"webhook_reorder":0.25,"latency":null}`); code != 200 || v["rate"] != 1000.0 || v["latency"] != "20ms" || fmt.Sprint(v["fail_numbers"]) != "map[2:131042]" || v["webhook_reorder"] != 0.25 {
		t.Errorf("response %d %v", code, v)
	}
	for body, want := range map[string]string{
		`{"rate":5,"tempo":3}`:   `"tempo"`,
		`{"latency":50}`:         `"latency"`,
		`{"error_rate":1.5}`:     `"error_rate"`,
		`{"pair_limit":"maybe"}`: `"pair_limit"`,
		`[]`:                     `object`,
		`{"webhook_batch":5000}`: `"webhook_batch"`,
	} {
		if code, v := put(body); code != 400 || !strings.Contains(fmt.Sprint(v["error"]), want) {
			t.Errorf("%s: response %d %v", body, code, v)
		}
	}
	var c simulator.Control
	getJSON(t, base+"/control", &c)
	if c.Rate != 1000 || c.WebhookBatch != 10 {
		t.Errorf("a rejected update left %+v", c)
	}
}

func TestLog(t *testing.T) {
	s := start(t, "", func(c *simulator.Control) { c.FailRecipients = map[string]int{"12025550199": 0} })
	mustCall(t, s, textTo(to, "wp1:m1:1"))
	mustCall(t, s, textTo("+12025550199", "wp1:m2:1"))
	got, err := http.Get("http://" + s.Addr() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	var calls []simulator.Call
	for decoder := json.NewDecoder(got.Body); decoder.More(); {
		var c simulator.Call
		if err := decoder.Decode(&c); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, c)
	}
	if len(calls) != 2 {
		t.Fatalf("%d calls in the log", len(calls))
	}
	if c := calls[0]; c.Seq != 1 || c.Outcome != "accepted" || !c.Accepted || c.Callback != "wp1:m1:1" || c.Code != nil || c.Number != phone || c.To != "12025550143" || !strings.HasPrefix(c.Wamid, "wamid.") {
		t.Errorf("first call %+v", c)
	}
	if c := calls[1]; c.Seq != 2 || c.Outcome != "refused" || c.Accepted || c.Code == nil || *c.Code != 0 || c.Status != 401 || c.AtNanos <= calls[0].AtNanos {
		t.Errorf("second call %+v", c)
	}
}

func TestFollowedLog(t *testing.T) {
	s := start(t, "", nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr()+"/log?follow=true", nil)
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	decoder := json.NewDecoder(got.Body)
	for i := range 3 {
		mustCall(t, s, textTo(to, ""))
		var c simulator.Call
		if err := decoder.Decode(&c); err != nil || c.Seq != int64(i+1) {
			t.Fatalf("call %d of the log: %+v, %v", i+1, c, err)
		}
	}
}

// Every request that Meta documents is accepted, with a response in Meta's format.
func TestDocumentedRequests(t *testing.T) {
	s := start(t, "", nil)
	files, err := filepath.Glob("testdata/requests/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no requests", err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		a := mustCall(t, s, string(body))
		want := "success_text.json"
		switch name := filepath.Base(file); {
		case strings.HasPrefix(name, "template"):
			want = "success_template_accepted.json"
		case name == "to_bsuid.json":
			want = "success_bsuid.json"
		case strings.HasPrefix(name, "mark_read"):
			want = "success_mark_read.json"
		}
		if a.status != http.StatusOK || shape(t, a.body) != shape(t, golden(t, "responses/"+want)) {
			t.Errorf("%s: response %d %s", file, a.status, a.body)
		}
		if a.header.Get("Facebook-Api-Version") != simulator.Version || a.header.Get("X-Fb-Trace-Id") == "" {
			t.Errorf("%s: headers %v", file, a.header)
		}
	}
	a := mustCall(t, s, textTo("+5511987650143", ""))
	if !bytes.Contains(a.body, []byte(`"wa_id":"551187650143"`)) {
		t.Errorf("a Brazilian number: response %s", a.body)
	}
}

// Every error response is as Meta documents it, except for its trace ID and the words about times.
func TestDocumentedErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/responses/error_*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no errors", err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		want := golden(t, "responses/"+name)
		status, _ := strconv.Atoi(strings.Split(name, "_")[1])
		code := answer{body: want}.code(t)
		s := start(t, "", func(c *simulator.Control) {
			c.FailNumbers = map[string]int{phone: code}
			if code == 100 {
				c.FailNumbers, c.UnknownNumbers = nil, []string{phone}
			}
		})
		a := mustCall(t, s, textTo(to, ""))
		if a.status != status {
			t.Errorf("%s: got status %d", name, a.status)
		}
		got, expected := errorOf(t, a.body), errorOf(t, want)
		for _, e := range []map[string]any{got, expected} {
			if trace, _ := e["fbtrace_id"].(string); len(trace) < 10 {
				t.Errorf("%s: trace ID %q", name, trace)
			}
			delete(e, "fbtrace_id")
			if code == 190 || code == 100 {
				delete(e, "message")
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(expected) {
			t.Errorf("%s:\n got %v\nwant %v", name, got, expected)
		}
	}
}

func TestWebhookShapes(t *testing.T) {
	for file, change := range map[string]func(*simulator.Control){
		"status_sent.json":          func(*simulator.Control) {},
		"status_failed_131026.json": func(c *simulator.Control) { c.FailAfterAcceptRate = 1 },
	} {
		r := newReceiver(t)
		s := start(t, r.URL, func(c *simulator.Control) {
			c.ReadRate, c.WebhookBatch, c.WebhookDelay = 0, 1, simulator.Duration(10*time.Millisecond)
			change(c)
		})
		mustCall(t, s, textTo(to, "msg:01J9ZK3V7Q"))
		settle(t, s)
		if got, want := shape(t, r.bodies[0]), shape(t, golden(t, "webhooks/"+file)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", file, got, want)
		}
	}
}

// Since October 2026, a number's first service messages of a month are free, and templates are not.
func TestPrices(t *testing.T) {
	r := newReceiver(t)
	s := start(t, r.URL, func(c *simulator.Control) { c.FreeServiceMessages = 2 })
	const template = `{"messaging_product":"whatsapp","to":"12025550143","type":"template",` +
		`"template":{"name":"spring","language":{"code":"en"}},"biz_opaque_callback_data":"template"}`
	for _, body := range []string{textTo(to, "first"), template, textTo(to, "second"), textTo(to, "third")} {
		if a := mustCall(t, s, body); a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	settle(t, s)
	got := make(map[string]string)
	for _, status := range r.statuses {
		if status.Status == "delivered" {
			got[status.Callback] = status.Pricing.Type + " " + status.Pricing.Category
		}
	}
	want := map[string]string{
		"first": "free_customer_service service", "template": "regular utility",
		"second": "free_customer_service service", "third": "regular service",
	}
	if !maps.Equal(got, want) {
		t.Errorf("prices are %v, want %v", got, want)
	}
}

func TestInvalidRequests(t *testing.T) {
	s := start(t, "", nil)
	long := strings.Repeat("ä", 4097)
	buttons := func(list string) string {
		return `{"messaging_product":"whatsapp","to":"+12025550143","type":"interactive","interactive":{"type":"button","body":{"text":"x"},"action":{"buttons":[` + list + `]}}}`
	}
	for _, tc := range []struct {
		name, body string
		code       int
		details    string
	}{
		{"not JSON", `{`, 100, "not valid JSON"},
		{"two objects", textTo(to, "") + `{}`, 100, "one JSON object"},
		{"wrong type", `{"messaging_product":"whatsapp","to":1}`, 100, "to must not be a number"},
		{"unknown key", `{"messaging_product":"whatsapp","to":"+12025550143","type":"text","text":{"txt":"x"}}`, 100, `Unexpected key "txt" on param "text".`},
		{"unknown key in a list", buttons(`{"type":"reply","reply":{"id":"1","title":"a","x":1}}`), 100, `Unexpected key "x" on param "interactive.action.buttons[0].reply".`},
		{"no product", `{"to":"+12025550143","type":"text","text":{"body":"x"}}`, 100, "messaging_product"},
		{"no recipient", `{"messaging_product":"whatsapp","type":"text","text":{"body":"x"}}`, 131008, "to is required"},
		{"no phone number", textTo("hello", ""), 131009, "to is not"},
		{"too many digits", textTo("+1234567890123456", ""), 131009, "to is not"},
		{"itself", textTo("+"+selfOf(t, s), ""), 131021, ""},
		{"unknown type", `{"messaging_product":"whatsapp","to":"+12025550143","type":"fax"}`, 100, "Param type"},
		{"no content", `{"messaging_product":"whatsapp","to":"+12025550143","type":"image"}`, 131008, "image"},
		{"long text", `{"messaging_product":"whatsapp","to":"+12025550143","type":"text","text":{"body":"` + long + `"}}`, 100, "4096"},
		{"long callback data", textTo(to, strings.Repeat("x", 513)), 100, "512"},
		{"id and link", `{"messaging_product":"whatsapp","to":"+12025550143","type":"image","image":{"id":"1","link":"https://x.test/a"}}`, 100, "exactly one"},
		{"caption on audio", `{"messaging_product":"whatsapp","to":"+12025550143","type":"audio","audio":{"id":"1","caption":"x"}}`, 100, "caption"},
		{"latitude", `{"messaging_product":"whatsapp","to":"+12025550143","type":"location","location":{"latitude":91,"longitude":"1"}}`, 131009, "latitude"},
		{"long title", buttons(`{"type":"reply","reply":{"id":"1","title":"123456789012345678901"}}`), 131009, "Button title length invalid. Min length: 1, Max length: 20"},
		{"four buttons", buttons(strings.Repeat(`{"type":"reply","reply":{"id":"1","title":"a"}},`, 3) + `{"type":"reply","reply":{"id":"1","title":"a"}}`), 131009, "buttons count"},
		{"same title", buttons(`{"type":"reply","reply":{"id":"1","title":"a"}},{"type":"reply","reply":{"id":"2","title":"a"}}`), 131009, "Duplicated"},
		{"template without language", `{"messaging_product":"whatsapp","to":"+12025550143","type":"template","template":{"name":"x"}}`, 131008, "language"},
		{"new line in a parameter", `{"messaging_product":"whatsapp","to":"+12025550143","type":"template","template":{"name":"x","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":"a\nb"}]}]}}`, 132012, "new-line"},
		{"named and positional", `{"messaging_product":"whatsapp","to":"+12025550143","type":"template","template":{"name":"x","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":"a"},{"type":"text","parameter_name":"n","text":"a"}]}]}}`, 132018, "mixed"},
		{"reaction to nothing", `{"messaging_product":"whatsapp","to":"+12025550143","type":"reaction","reaction":{"message_id":"x","emoji":"y"}}`, 131009, "message_id"},
		{"one card", `{"messaging_product":"whatsapp","to":"+12025550143","type":"interactive","interactive":{"type":"carousel","body":{"text":"x"},"action":{"cards":[{"card_index":0}]}}}`, 131009, "card count"},
	} {
		a := mustCall(t, s, tc.body)
		if got := a.code(t); got != tc.code || a.status != http.StatusBadRequest || !strings.Contains(string(a.body), strings.ReplaceAll(tc.details, `"`, `\"`)) {
			t.Errorf("%s: response %d %s", tc.name, a.status, a.body)
		}
	}
	if st := s.Stats(); st.Accepted != 0 {
		t.Errorf("%d accepted", st.Accepted)
	}
}

func TestStartRefusesBadOptions(t *testing.T) {
	if _, err := simulator.Start(t.Context(), simulator.Options{WebhookURL: "http://127.0.0.1:1/"}); err == nil || !strings.Contains(err.Error(), "app secret") {
		t.Errorf("webhooks without a secret: %v", err)
	}
	bad := simulator.DefaultControl()
	bad.ReadRate = 2
	if _, err := simulator.Start(t.Context(), simulator.Options{Control: &bad}); err == nil || !strings.Contains(err.Error(), "read_rate") {
		t.Errorf("a read rate of 2: %v", err)
	}
}

// selfOf returns the display number of the business number.
func selfOf(t *testing.T, s *simulator.Simulator) string {
	t.Helper()
	var node struct {
		Display string `json:"display_phone_number"`
	}
	getJSON(t, s.URL()+"/"+phone+"?fields=display_phone_number", &node)
	return node.Display
}

func getJSON(t *testing.T, url string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer token")
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if err := json.NewDecoder(got.Body).Decode(into); err != nil || got.StatusCode != http.StatusOK {
		t.Fatalf("%s: got status %d, %v", url, got.StatusCode, err)
	}
}

func golden(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func errorOf(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var v struct{ Error map[string]any }
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	return v.Error
}

// shape returns JSON with each value replaced by its type, as one text for comparison.
func shape(t *testing.T, data []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	var reduce func(any) any
	reduce = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for key := range v {
				v[key] = reduce(v[key])
			}
			return v
		case []any:
			for i := range v {
				v[i] = reduce(v[i])
			}
			return v
		default:
			return fmt.Sprintf("%T", v)
		}
	}
	reduced, err := json.Marshal(reduce(v))
	if err != nil {
		t.Fatal(err)
	}
	return string(reduced)
}
