package graph_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/fair"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/graph"
	"github.com/waypost/waypost/ports/httpapi"
)

const queueMany = `mutation($in: [QueueMessageInput!]!) {
	queueMessages(inputs: $in) { message { id } error { code retryAfter } }
}`

// callers queue messages over HTTP until all of them are accepted.
type callers struct {
	p *platform

	repeating sync.Mutex // held while a batch is repeated, so that they don't flood again
	tasks     sync.WaitGroup
	accepted  atomic.Int64
	refused   atomic.Int64
}

// queue begins to queue a batch with a key. Once resume is closed, refused messages are
// repeated, one batch at a time, until they are accepted.
func (c *callers) queue(key string, batch []map[string]any, resume <-chan struct{}) {
	c.tasks.Go(func() {
		batch = c.once(key, batch)
		<-resume
		c.repeating.Lock()
		defer c.repeating.Unlock()
		for len(batch) > 0 && !c.p.tb.Failed() {
			batch = c.once(key, batch)
		}
	})
}

// once makes a request and returns the refused messages.
func (c *callers) once(key string, batch []map[string]any) (left []map[string]any) {
	resp, err := http.DefaultClient.Do(c.p.request(key, queueMany, map[string]any{"in": batch}))
	if err != nil {
		c.p.tb.Error(err)
		return nil
	}
	defer resp.Body.Close()
	var body struct {
		Data struct {
			QueueMessages []struct {
				Message *struct{}
				Error   *struct {
					Code       string
					RetryAfter int
				}
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || len(body.Data.QueueMessages) != len(batch) {
		c.p.tb.Errorf("%d results for %d messages: %v", len(body.Data.QueueMessages), len(batch), err)
		return nil
	}
	for i, r := range body.Data.QueueMessages {
		switch {
		case r.Error == nil:
			c.accepted.Add(1)
			continue
		case r.Error.Code != "UNAVAILABLE" || r.Error.RetryAfter < 1:
			c.p.tb.Errorf("refused with %+v", *r.Error)
		}
		c.refused.Add(1)
		left = append(left, batch[i])
	}
	if hint, _ := strconv.Atoi(resp.Header.Get("Retry-After")); (hint > 0) != (len(left) > 0) {
		c.p.tb.Errorf("%d messages are refused, and Retry-After is %d", len(left), hint)
	}
	return left
}

// queued returns the number of messages in the event log.
func (p *platform) queued() (n int) {
	p.tb.Helper()
	live := errors.New("live")
	err := p.log.Subscribe(p.ctx, event.Subscription{Filter: event.Filter{Types: []string{"Queued"}}}, func(_ context.Context, b event.Batch) error {
		n += len(b.Events)
		if b.Live {
			return live
		}
		return nil
	})
	if !errors.Is(err, live) {
		p.tb.Fatal(err)
	}
	return n
}

// called makes a call for a message, and returns a webhook with its delivery.
func (p *platform) called(n int) string {
	p.tb.Helper()
	id, _ := p.queue(fmt.Sprintf("called-%d", n))
	wamid := fmt.Sprintf("wamid.%d", n)
	_, err := p.messages.Change(p.ctx, uuid.MustParse(id), event.Cause{By: domain.Platform("test")}, func(message.Message) ([]message.Event, error) {
		return []message.Event{
			message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: time.Now()},
			message.Sent{Call: 1, At: time.Now(), Personal: message.SentPersonal{WhatsAppID: wamid}},
		}, nil
	})
	must(p.tb, err)
	return fmt.Sprintf(`{"object":"whatsapp_business_account","entry":[{"id":"900","changes":[{"field":"messages","value":{
		"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550100100","phone_number_id":"1001"},"statuses":[
		{"id":%q,"status":"delivered","timestamp":"1772553603","recipient_id":"14155550101","biz_opaque_callback_data":%q}]}}]}]}`,
		wamid, whatsapp.CallbackData(id, 1))
}

const appSecret = "the app secret"

// webhooks serves the endpoint for webhooks on the stores of p, and returns its URL.
func (p *platform) webhooks() string {
	p.tb.Helper()
	rows, err := whatsapp.LoadErrorTable()
	must(p.tb, err)
	logger := slog.New(slog.DiscardHandler)
	server := httptest.NewServer(httpapi.NewWebhook(httpapi.WebhookOptions{
		Recorder: command.NewRecordWebhook(p.log, time.Now, p.messages, p.parts.Senders, postgres.NewReadModel(p.pool).WithVault(p.people),
			rows.ParseWebhook, nil, logger).Linking(postgres.NewReadModel(p.pool).WithVault(p.people)),
		AppSecrets: func() []string { return []string{appSecret} }, VerifyToken: func() string { return "" },
		DeliveryID: func() string { return newID().String() }, Logger: logger,
	}))
	p.tb.Cleanup(server.Close)
	return server.URL
}

// deliver posts a webhook as WhatsApp does and returns the status of the response.
func (p *platform) deliver(url, body string) int {
	p.tb.Helper()
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write([]byte(body))
	r, err := http.NewRequestWithContext(p.ctx, http.MethodPost, url, strings.NewReader(body))
	must(p.tb, err)
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(r)
	must(p.tb, err)
	must(p.tb, resp.Body.Close())
	return resp.StatusCode
}

// While webhooks are late, a flood of messages waits, bounded, and what is beyond the bounds
// is refused with a hint. Webhooks and OTP messages pass. Afterwards every message is
// accepted exactly once.
func TestWebhooksPassAFloodOfMessages(t *testing.T) {
	t.Parallel()
	const (
		atOnce, waiting        = 8, 40
		requests, each, before = 6, 20, 20
	)
	p := setup(t)
	for _, key := range []string{"one", "two"} {
		p.keys.add(key, nil, graph.ScopeSend)
	}
	endpoint := p.webhooks()
	var late []string // webhooks
	for n := range before {
		late = append(late, p.called(n))
	}
	var ahead atomic.Int64 // of the clock of the gate, which the test moves
	begun := time.Now()
	clock := func() time.Time { return begun.Add(time.Duration(ahead.Load())) }
	gate := fair.NewGate()
	intake := fair.NewIntake(gate, clock, fair.IntakeLimits{AtOnce: atOnce, OTPAtOnce: 2, Waiting: waiting, OTPWaiting: 2, Patience: patience})
	p.parts.Queue.Bounded(intake)
	slow := gate.Begin(clock())
	ahead.Store(int64(60 * time.Millisecond))

	c, resume := callers{p: p}, make(chan struct{})
	for n := range requests {
		for _, key := range []string{"one", "two"} {
			batch := make([]map[string]any, each)
			for i := range batch {
				batch[i] = text(fmt.Sprintf("%s-%d-%d", key, n, i), "hello")["input"].(map[string]any)
			}
			c.queue(key, batch, resume)
		}
	}
	polltest.Value(t, "the queue is full", func() (fair.IntakeStats, error) { return intake.Stats(), nil },
		func(s fair.IntakeStats) bool { return s.Waiting == atOnce+waiting && s.Refused > 0 })
	for _, body := range late { // delivered again, as WhatsApp does, if a busy machine takes longer than the response may
		polltest.Value(t, "the webhook is recorded", func() (int, error) { return p.deliver(endpoint, body), nil },
			func(status int) bool { return status == http.StatusOK })
	}
	otp := text("otp", "123456")
	otp["input"].(map[string]any)["priority"] = "OTP"
	p.ok("one", `mutation($input: QueueMessageInput!) { queueMessage(input: $input) { replayed } }`, otp)
	if n := p.queued(); n != before+1 || intake.Stats().Waiting > atOnce+waiting {
		t.Errorf("%d messages were accepted before the webhooks were recorded, and %d wait", n-before-1, intake.Stats().Waiting)
	}

	gate.End(slow, clock())
	close(resume)
	c.tasks.Wait()
	if n := p.queued(); n != before+1+2*requests*each || c.accepted.Load() != 2*requests*each {
		t.Errorf("the log has %d messages, and %d were accepted", n, c.accepted.Load())
	}
	if s := intake.Stats(); s.Waiting != 0 || s.Refused != c.refused.Load() {
		t.Errorf("at the end, %+v; callers saw %d refused", s, c.refused.Load())
	}
}
