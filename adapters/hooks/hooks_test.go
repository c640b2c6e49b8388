package hooks_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/hooks"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/postgres/postgrestest"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/domain/hook"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/ports/egress"
)

// patience limits every wait in the tests.
const patience = time.Minute

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// A receiver records requests and responds with the status that answer returns.
type receiver struct {
	*httptest.Server

	answer func(n int, r *http.Request) int
	mu     sync.Mutex
	got    []received
}

type received struct {
	id, signature, timestamp string
	body                     []byte
}

func receive(t *testing.T, answer func(n int, r *http.Request) int) *receiver {
	t.Helper()
	rec := &receiver{answer: answer}
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rec.mu.Lock()
		rec.got = append(rec.got, received{r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Signature"), r.Header.Get("Webhook-Timestamp"), body})
		n := len(rec.got)
		rec.mu.Unlock()
		w.WriteHeader(rec.answer(n, r))
	}))
	t.Cleanup(rec.Close)
	return rec
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// verified reports whether one of the signatures was made with secret. It follows the
// Standard Webhooks specification for receivers.
func (d received) verified(secret string) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", d.id, d.timestamp, d.body)
	return slices.Contains(strings.Fields(d.signature), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// A rig runs outgoing webhooks on real stores.
type rig struct {
	t          *testing.T
	ctx        context.Context
	log        *eventstore.Log
	logID      uuid.UUID
	places     *postgres.Checkpoints
	hooks      *command.Hooks
	deliveries *hooks.Deliveries
}

func setup(t *testing.T, disableAfter time.Duration) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	server, err := eventstored.Open(ctx, eventstored.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, server.Close(context.Background())) })
	codec, err := event.NewCodec(event.Types(), message.Types(), hook.Types(), alert.Types(), inbound.Types())
	must(t, err)
	log, err := eventstore.Open(ctx, eventstore.Options{URL: server.URL(), Codec: codec})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close(context.Background())) })
	logID, err := log.EnsureOpened(ctx, time.Now())
	must(t, err)
	url := postgrestest.Migrated(t)
	pool, err := postgres.Open(ctx, url)
	must(t, err)
	t.Cleanup(pool.Close)
	keys, err := vault.LoadOrMakeKeys(t.TempDir() + "/secret.key")
	must(t, err)
	tokens := vault.NewTokens(pool, keys, newID)
	r := &rig{t: t, ctx: ctx, log: log, logID: logID, places: postgres.NewCheckpoints(pool), deliveries: hooks.NewDeliveries(pool), hooks: command.NewHooks(log, time.Now, newID, tokens, hooks.NewSecret)}
	sender := egress.NewHooks(egress.HookOptions{
		Hooks: r.hooks.List, Client: hooks.NewClient(loopback()), Deliveries: r.deliveries,
		Secret: func(ctx context.Context, hookID, secretID string) (string, error) {
			return tokens.Get(ctx, command.SecretOwner(hookID), secretID)
		},
		GiveUp: func(ctx context.Context, hookID, reason string) error {
			_, err := r.hooks.AutoDisable(ctx, hookID, reason, cause())
			return err
		},
		Log: log, LogID: logID, Places: r.places, Process: newID(), DisableAfter: disableAfter,
		Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	running, stop := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { _ = r.hooks.Run(running) })
	parts.Go(func() { _ = sender.Run(running) })
	t.Cleanup(func() { stop(); parts.Wait() })
	return r
}

func cause() event.Cause { return event.Cause{By: domain.Platform("test")} }

// queue records a message of a sender and returns the message ID.
func (r *rig) queue(sender string) uuid.UUID {
	r.t.Helper()
	id := newID()
	_, err := r.log.Append(r.ctx, event.MessageStream(id), event.NoStream(),
		r.event(sender, message.Queued{Sender: sender, Kind: message.KindText, Personal: message.QueuedPersonal{To: "+14155550101", Content: []byte(`{"body":"Hello"}`)}}),
		r.event(sender, message.SendAttempted{Call: 1, Attempt: 1}))
	must(r.t, err)
	return id
}

func (r *rig) event(sender string, e domain.Event) event.Proposed {
	return event.Proposed{ID: newID(), Event: e, Meta: event.Meta{RecordedAt: time.Now(), Sender: sender, By: domain.Platform("test")}}
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	polltest.Until(r.t, what, ok)
}

func TestAHookIsToldWhatItWantsSigned(t *testing.T) {
	t.Parallel()
	r := setup(t, time.Hour)
	r.queue("shop") // before the webhook is registered
	rec := receive(t, func(int, *http.Request) int { return http.StatusNoContent })
	h, secret, err := r.hooks.Register(r.ctx, hook.Spec{URL: rec.URL, Types: []string{"Queued"}, Senders: []string{"shop"}}, cause())
	must(t, err)
	first := r.queue("shop")
	r.queue("other")
	r.eventually("the event is delivered", func() bool { return len(rec.all()) == 1 })
	d := rec.all()[0]
	var e egress.CloudEvent
	must(t, json.Unmarshal(d.body, &e))
	if e.Subject != first.String() || e.Type != "waypost.Queued" || e.ID != d.id || strings.Contains(string(e.Data), "personal") {
		t.Errorf("got %s with ID %s", d.body, d.id)
	}
	if !d.verified(secret) {
		t.Errorf("the signature %q was not made with the webhook's secret", d.signature)
	}

	_, newSecret, err := r.hooks.Rotate(r.ctx, h.ID, cause())
	must(t, err)
	r.eventually("deliveries have both signatures", func() bool {
		before := len(rec.all())
		r.queue("shop")
		r.eventually("the event is delivered", func() bool { return len(rec.all()) > before })
		all := rec.all()
		last := all[len(all)-1]
		return last.verified(newSecret) && last.verified(secret)
	})
	var page query.HookDeliveryPage
	r.eventually("a second delivery is recorded, which happens after the response", func() bool {
		page, err = r.deliveries.HookDeliveries(r.ctx, h.ID, false, 1, 0)
		must(t, err)
		return page.HasNextPage
	})
	if len(page.Deliveries) != 1 || page.Deliveries[0].Status != http.StatusNoContent || page.Deliveries[0].Outcome != query.HookDelivered {
		t.Errorf("got deliveries %+v", page)
	}
}

// Inbound messages arrive in the order of each conversation, even if deliveries fail.
func TestAHookIsToldInboundMessagesInOrder(t *testing.T) {
	t.Parallel()
	r := setup(t, time.Hour)
	var failed sync.Map
	rec := receive(t, func(_ int, req *http.Request) int {
		id := req.Header.Get("Webhook-Id")
		if _, again := failed.LoadOrStore(id, true); !again && id[len(id)-1] < '4' { // a quarter of them, once
			return http.StatusServiceUnavailable
		}
		return http.StatusNoContent
	})
	_, _, err := r.hooks.Register(r.ctx, hook.Spec{URL: rec.URL, Types: []string{"InboundReceived"}, Senders: []string{"shop"}, Personal: true}, cause())
	must(t, err)
	const people, each = 5, 4
	for n := range people * each {
		for _, of := range []string{"shop", "other"} {
			wamid := fmt.Sprintf("wamid.%s.%d", of, n)
			_, err := r.log.Append(r.ctx, event.InboundStream(map[string]string{"shop": "1001", "other": "1002"}[of]), event.Any(), event.Proposed{
				ID: inbound.EventID("inbound", of, wamid), Meta: event.Meta{V: 1, RecordedAt: time.Now(), Sender: of},
				Event: inbound.InboundReceived{Type: "text", Personal: inbound.InboundPersonal{
					WhatsAppID: wamid, From: fmt.Sprint("1415555010", n%people), Message: json.RawMessage(`{"type":"text"}`),
				}},
			})
			must(t, err)
		}
	}
	got := map[string][]string{} // by person, each message once
	r.eventually("all inbound messages of the sender are delivered", func() bool {
		clear(got)
		n := 0
		for _, d := range rec.all() {
			var e struct {
				Type, Subject, Sender string
				Data                  inbound.InboundReceived
			}
			must(t, json.Unmarshal(d.body, &e))
			if e.Type != "waypost.InboundReceived" || e.Sender != "shop" || !strings.HasPrefix(e.Subject, "1001-") {
				t.Fatalf("delivered %s", d.body)
			}
			if p := e.Data.Personal; !slices.Contains(got[p.From], p.WhatsAppID) {
				got[p.From] = append(got[p.From], p.WhatsAppID)
				n++
			}
		}
		return n == people*each
	})
	for person := range people {
		var want []string
		for n := person; n < people*each; n += people {
			want = append(want, fmt.Sprintf("wamid.shop.%d", n))
		}
		if from := fmt.Sprint("1415555010", person); !slices.Equal(got[from], want) {
			t.Errorf("from %s: %v, want %v", from, got[from], want)
		}
	}
}

func TestAHookThatFailsIsToldAgainInOrder(t *testing.T) {
	t.Parallel()
	r := setup(t, time.Hour)
	rec := receive(t, func(n int, _ *http.Request) int {
		if n <= 2 {
			return http.StatusBadGateway
		}
		return http.StatusOK
	})
	h, _, err := r.hooks.Register(r.ctx, hook.Spec{URL: rec.URL}, cause())
	must(t, err)
	r.queue("shop")
	r.eventually("both events are delivered", func() bool { return len(rec.all()) == 4 })
	all := rec.all()
	if all[0].id != all[1].id || all[1].id != all[2].id || all[3].id == all[0].id {
		t.Errorf("got %v", all)
	}
	page, err := r.deliveries.HookDeliveries(r.ctx, h.ID, true, 10, 0)
	must(t, err)
	if len(page.Deliveries) != 2 || page.Deliveries[0].Attempt != 2 || page.Deliveries[0].Outcome != query.HookRetried {
		t.Errorf("got failed deliveries %+v", page.Deliveries)
	}
}

func TestARefusedEventHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	r := setup(t, time.Hour)
	var poison atomic.Value
	rec := receive(t, func(_ int, req *http.Request) int {
		poison.CompareAndSwap(nil, req.Header.Get("Webhook-Id"))
		if req.Header.Get("Webhook-Id") == poison.Load() {
			return http.StatusUnprocessableEntity
		}
		return http.StatusOK
	})
	h, _, err := r.hooks.Register(r.ctx, hook.Spec{URL: rec.URL}, cause())
	must(t, err)
	r.queue("shop")
	r.eventually("the next event is delivered", func() bool {
		all := rec.all()
		return len(all) > 0 && all[len(all)-1].id != poison.Load()
	})
	page, err := r.deliveries.HookDeliveries(r.ctx, h.ID, true, 10, 0)
	must(t, err)
	if len(page.Deliveries) != 4 || page.Deliveries[0].Outcome != query.HookGivenUp {
		t.Errorf("got failed deliveries %+v", page.Deliveries)
	}
}

func TestAHookIsDisabledAfterLongFailureAndMissesNothing(t *testing.T) {
	t.Parallel()
	r := setup(t, time.Second)
	var up atomic.Bool
	rec := receive(t, func(int, *http.Request) int {
		if up.Load() {
			return http.StatusOK
		}
		return http.StatusInternalServerError
	})
	h, _, err := r.hooks.Register(r.ctx, hook.Spec{URL: rec.URL, Types: []string{"Queued"}}, cause())
	must(t, err)
	r.queue("shop")
	r.eventually("the webhook is disabled", func() bool { return r.hooks.List()[0].Disabled() })
	if reason := r.hooks.List()[0].DisabledReason; !strings.Contains(reason, "500") {
		t.Errorf("the webhook was disabled because of %q", reason)
	}
	if given := r.hooks.AutoDisabled(); len(given) != 1 || given[0].ID != h.ID {
		t.Errorf("got disabled webhooks %+v, want only this one", given)
	}
	r.queue("shop")
	up.Store(true)
	before := len(rec.all())
	_, err = r.hooks.Enable(r.ctx, h.ID, cause())
	must(t, err)
	if given := r.hooks.AutoDisabled(); len(given) != 0 {
		t.Errorf("%+v is still disabled after Enable", given)
	}
	r.eventually("the missed events are delivered", func() bool {
		seen := map[string]bool{}
		for _, d := range rec.all()[before:] {
			seen[d.id] = true
		}
		return len(seen) == 2
	})
}

func TestNoDeliveryReachesInternalAddresses(t *testing.T) {
	t.Parallel()
	rec := receive(t, func(int, *http.Request) int { return http.StatusOK })
	redirect := httptest.NewServer(http.RedirectHandler(rec.URL, http.StatusFound))
	t.Cleanup(redirect.Close)
	closed := hooks.NewClient(nil)
	t.Cleanup(closed.Close)
	for _, url := range []string{rec.URL, strings.Replace(rec.URL, "127.0.0.1", "localhost", 1), strings.Replace(rec.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1), "http://169.254.169.254/", "http://10.0.0.1/", "http://[fd00::1]/", "http://[64:ff9b::7f00:1]/", "http://100.100.100.200/", "http://0.0.0.0/"} {
		_, err := closed.Deliver(t.Context(), url, []string{hooks.NewSecret()}, "id", "application/json", time.Now(), nil)
		var forbidden *hooks.ForbiddenAddressError
		if !errors.As(err, &forbidden) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if n := len(rec.all()); n != 0 {
		t.Errorf("%d deliveries reached the server", n)
	}
	open := hooks.NewClient(loopback())
	t.Cleanup(open.Close)
	if status, err := open.Deliver(t.Context(), redirect.URL, []string{hooks.NewSecret()}, "id", "application/json", time.Now(), nil); err != nil || status != http.StatusFound || len(rec.all()) != 0 {
		t.Errorf("the redirect returned %d, %v, and caused %d deliveries", status, err, len(rec.all()))
	}
}

func TestForwardPassesWebhooksOnAsTheyCame(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	got := map[string]string{}
	var tries atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got[string(body)] = r.Header.Get("X-Hub-Signature-256")
	}))
	t.Cleanup(server.Close)
	client := hooks.NewClient(loopback())
	t.Cleanup(client.Close)
	f := egress.NewForward(client, server.URL, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = f.Run(ctx) })
	for n := range 20 {
		f.Add(fmt.Appendf(nil, `{"n":%d}`, n), fmt.Sprint("sha256=", n))
	}
	passedOn := func() (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return len(got), nil
	}
	polltest.Value(t, "all webhooks are forwarded", passedOn, func(n int) bool { return n == 20 })
	cancel()
	running.Wait()
	if got[`{"n":7}`] != "sha256=7" || f.Dropped() != 0 {
		t.Errorf("webhook 7 was forwarded with signature %q, and %d webhooks were dropped", got[`{"n":7}`], f.Dropped())
	}
}

func TestForwardNeverWaits(t *testing.T) {
	t.Parallel()
	f := egress.NewForward(hooks.NewClient(nil), "http://127.0.0.1:9/", slog.New(slog.DiscardHandler))
	large := make([]byte, 4<<20)
	for range 20 {
		f.Add(large, "sha256=x") // Run is not running, so the queue fills up
	}
	if n := f.Dropped(); n != 4 {
		t.Errorf("%d of 20 webhooks of 4 MiB were dropped, want 4", n)
	}
}

// Records of deliveries are kept for a week, even if more than one statement deletes expire at once.
func TestOldDeliveriesAreCleared(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pool, err := postgres.Open(ctx, postgrestest.Migrated(t))
	must(t, err)
	defer pool.Close()
	now := time.Now()
	const old, recent = 10_001, 7
	_, err = pool.Exec(ctx, `INSERT INTO waypost_egress.hook_delivery (hook, event, event_type, message, attempt, at, took_us, status, error, outcome)
		SELECT 'h', gen_random_uuid(), 'Sent', gen_random_uuid(), 1, CASE WHEN n <= $1 THEN $3::timestamptz - interval '8 days' ELSE $3 END, 1, 200, '', 'DELIVERED'
		FROM generate_series(1, $1::integer + $2) AS n`, old, recent, now)
	must(t, err)
	deliveries := hooks.NewDeliveries(pool)
	for _, expected := range []struct {
		more bool
		left int
	}{{true, 1 + recent}, {false, recent}} {
		more, err := deliveries.Clear(ctx, now)
		must(t, err)
		var left int
		must(t, pool.QueryRow(ctx, `SELECT count(*) FROM waypost_egress.hook_delivery`).Scan(&left))
		if more != expected.more || left != expected.left {
			t.Errorf("more is %v and %d are left, want %v and %d", more, left, expected.more, expected.left)
		}
	}
}
