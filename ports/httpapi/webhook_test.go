package httpapi_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/identity"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/httpapi"
)

const (
	secret        = "the app secret"
	verifyToken   = "the verify token"
	senderID      = "shop"
	phoneNumberID = "910200300400500"
	otherNumberID = "910200300400501" // belongs to another sender
	accountID     = "900100200300400"
)

// wamidIndex is a read model of the wamids in the event log, built on demand.
type wamidIndex struct {
	log         event.Log
	mu          sync.Mutex
	unavailable bool
	// hangs is set while calls do not return.
	hangs atomic.Bool
	ids   map[string]uuid.UUID
	calls int // number of calls
}

var errUnavailable = errors.New("read model is unavailable")

func (x *wamidIndex) MessagesOf(ctx context.Context, wamids []string) (map[string]uuid.UUID, error) {
	if x.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.unavailable {
		return nil, errUnavailable
	}
	x.calls++
	found := make(map[string]uuid.UUID)
	for _, wamid := range wamids {
		if id, ok := x.ids[wamid]; ok {
			found[wamid] = id
		}
	}
	return found, nil
}

// knows reports whether the wamid is projected.
func (x *wamidIndex) has(ctx context.Context, wamid string) bool {
	found, _ := x.MessagesOf(ctx, []string{wamid})
	return len(found) == 1
}

func (x *wamidIndex) set(unavailable bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.unavailable = unavailable
}

// follow projects every Sent event of the log until ctx ends.
func (x *wamidIndex) follow(ctx context.Context) error {
	return x.log.Subscribe(ctx, event.Subscription{Filter: event.Filter{Types: []string{"Sent"}}}, func(_ context.Context, b event.Batch) error {
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, e := range b.Events {
			if s, ok := e.Event.(message.Sent); ok {
				x.ids[s.Personal.WhatsAppID], _ = event.ParseMessageStream(e.Stream)
			}
		}
		return nil
	})
}

// platform is the webhook endpoint on a real event store.
type platform struct {
	*testing.T
	dir      string
	store    *eventstored.Server
	log      *eventstore.Log
	messages *command.Messages
	senders  *command.Senders
	wamids   *wamidIndex
	recorder *command.RecordWebhook
	restart  func() // replaces the recorder with a new one, as in another process
	url      string
	secrets  []string
	token    string
	inbound  map[string]int
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func start(t *testing.T) *platform {
	t.Helper()
	p := &platform{T: t, dir: t.TempDir(), secrets: []string{"the older secret", secret}, token: verifyToken, inbound: map[string]int{}}
	p.startStore()
	t.Cleanup(p.stopStore)
	codec, err := event.NewCodec(message.Types(), sender.Types(), inbound.Types(), identity.Types(), conversation.Types())
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	p.log, err = eventstore.Open(t.Context(), eventstore.Options{URL: p.store.URL(), Codec: codec, Logger: logger, CallTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	p.messages = command.NewMessages(p.log, time.Now, newID, 1000)
	p.senders = command.NewSenders(p.log, time.Now, newID, nil)
	if _, err := p.senders.Register(t.Context(), sender.Registration{
		ID: senderID, Name: "Shop", PhoneNumberID: phoneNumberID, DisplayPhoneNumber: "15550100100", BusinessAccountID: accountID, Rate: 80,
	}, "", event.Cause{By: domain.Platform("test")}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.senders.Register(t.Context(), sender.Registration{
		ID: "other", Name: "Other", PhoneNumberID: otherNumberID, DisplayPhoneNumber: "15550100101", BusinessAccountID: accountID, Rate: 80,
	}, "", event.Cause{By: domain.Platform("test")}); err != nil {
		t.Fatal(err)
	}
	p.wamids = &wamidIndex{log: p.log, ids: map[string]uuid.UUID{}}
	p.run(p.wamids.follow)
	rows, err := whatsapp.LoadErrorTable()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	p.restart = func() {
		p.recorder = command.NewRecordWebhook(p.log, time.Now, p.messages, p.senders, p.wamids, rows.ParseWebhook, func(number string, n int) {
			mu.Lock()
			defer mu.Unlock()
			p.inbound[number] += n
		}, logger).Affecting(func(ctx context.Context) ([]sender.Sender, error) {
			s, err := p.senders.Load(ctx, senderID)
			return []sender.Sender{s}, err
		})
	}
	p.restart()
	server := httptest.NewServer(httpapi.New(httpapi.Options{Logger: logger, Webhook: httpapi.NewWebhook(httpapi.WebhookOptions{
		Recorder: p, AppSecrets: func() []string { return p.secrets }, VerifyToken: func() string { return p.token },
		DeliveryID: func() string { return newID().String() }, Logger: logger,
	})}).Handler())
	t.Cleanup(server.Close)
	p.url = server.URL + "/webhooks/whatsapp"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := p.log.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Handle passes a delivery to the recorder of the current process.
func (p *platform) Handle(ctx context.Context, raw []byte, deliveryID string) error {
	return p.recorder.Handle(ctx, raw, deliveryID)
}

func (p *platform) startStore() {
	p.Helper()
	var err error
	p.store, err = eventstored.Open(p.Context(), eventstored.Options{Dir: p.dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		p.Fatal(err)
	}
}

func (p *platform) stopStore() {
	p.Helper()
	if p.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.Context()), time.Minute)
	defer cancel()
	if err := p.store.Close(ctx); err != nil {
		p.Error(err)
	}
	p.store = nil
}

// run runs f until the test ends.
func (p *platform) run(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(p.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := f(ctx); err != nil && ctx.Err() == nil {
			p.Error(err)
		}
	}()
	p.Cleanup(func() {
		cancel()
		<-ended
	})
}

// attempted returns the ID of a new message with one open call.
func (p *platform) attempted() uuid.UUID {
	p.Helper()
	id := newID()
	events, err := message.Queue(message.Request{
		Sender: senderID, To: "+12025550143", Content: message.Text{Body: "hello"}, Priority: message.PriorityTransactional,
		OnAmbiguous: message.AmbiguityResend,
	}, time.Now())
	if err != nil {
		p.Fatal(err)
	}
	if _, err := p.log.Append(p.Context(), event.MessageStream(id), event.NoStream(), event.Proposed{
		ID: newID(), Event: events[0], Meta: event.Meta{RecordedAt: time.Now(), Sender: senderID},
	}); err != nil {
		p.Fatal(err)
	}
	p.change(id, func(m message.Message) []message.Event { return message.Advance(m, policy, false, time.Now()) })
	return id
}

var policy = message.Policy{RetryDelays: []time.Duration{time.Second}, CallTimeout: 30 * time.Second, SettleAfter: 30 * time.Second, ThrottleLimit: 20}

func (p *platform) change(id uuid.UUID, decide func(message.Message) []message.Event) {
	p.Helper()
	if _, err := p.messages.Change(p.Context(), id, event.Cause{By: domain.Platform("test")}, func(m message.Message) ([]message.Event, error) {
		return decide(m), nil
	}); err != nil {
		p.Fatal(err)
	}
}

// accept records that WhatsApp accepted the call.
func (p *platform) accept(id uuid.UUID, wamid string) {
	p.Helper()
	p.change(id, func(m message.Message) []message.Event {
		return message.FinishCall(m, 1, message.Accepted{WhatsAppID: wamid}, policy, time.Now())
	})
}

func sign(key string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// deliver posts a webhook as WhatsApp does and returns the response.
func (p *platform) deliver(body []byte, signature string) *http.Response {
	p.Helper()
	r, err := http.NewRequestWithContext(p.Context(), http.MethodPost, p.url, strings.NewReader(string(body)))
	if err != nil {
		p.Fatal(err)
	}
	r.Header.Set("X-Hub-Signature-256", signature)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp
}

func (p *platform) mustDeliver(body string) {
	p.Helper()
	if resp := p.deliver([]byte(body), sign(secret, []byte(body))); resp.StatusCode != http.StatusOK {
		p.Fatal(resp.Status)
	}
}

// types returns the types of a stream's events.
func (p *platform) types(stream string) []string {
	p.Helper()
	events, err := p.log.Read(p.Context(), stream, 0, 10_000)
	if err != nil {
		p.Fatal(err)
	}
	types := make([]string, len(events))
	for i, e := range events {
		types[i] = e.Type
	}
	return types
}

func (p *platform) eventually(what string, holds func() bool) {
	p.Helper()
	polltest.Until(p, what, holds)
}

// hasty returns connections whose long deadlines are over at once, as if the peer had
// been silent for that long.
type hasty struct{ net.Listener }

func (l hasty) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return hastyConn{c}, err
}

type hastyConn struct{ net.Conn }

func (c hastyConn) SetReadDeadline(t time.Time) error {
	if now := time.Now(); t.After(now.Add(10 * time.Second)) { // longer than for headers
		t = now
	}
	return c.Conn.SetReadDeadline(t)
}

// A client that never sends the rest of a delivery doesn't keep its connection.
func TestIncompleteDelivery(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.DiscardHandler)
	server := httptest.NewUnstartedServer(httpapi.New(httpapi.Options{Logger: logger, Webhook: httpapi.NewWebhook(httpapi.WebhookOptions{
		AppSecrets: func() []string { return []string{secret} }, DeliveryID: func() string { return "1" }, Logger: logger,
	})}).Handler())
	server.Listener = hasty{server.Listener}
	server.Start()
	t.Cleanup(server.Close)
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST /webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 400 ") {
		t.Errorf("%q, %v", got, err)
	}
}

// status returns a status of a call in JSON. If id is uuid.Nil, it has no callback data.
func status(kind, wamid string, id uuid.UUID) string {
	callback := ""
	if id != uuid.Nil {
		callback = `,"biz_opaque_callback_data":"` + whatsapp.CallbackData(id.String(), 1) + `"`
	}
	failure := ""
	if kind == "failed" {
		failure = `,"errors":[{"code":131026,"title":"Message undeliverable"}]`
	}
	at := map[string]int{"sent": 1772553600, "delivered": 1772553603, "read": 1772553609, "failed": 1772553604}[kind]
	return fmt.Sprintf(`{"id":%q,"status":%q,"timestamp":"%d","recipient_id":"12025550143"%s%s}`, wamid, kind, at, callback, failure)
}

func delivery(number string, statuses ...string) string {
	return `{"object":"whatsapp_business_account","entry":[{"id":"` + accountID + `","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"` +
		number + `"},"statuses":[` + strings.Join(statuses, ",") + `]}}]}]}`
}

func TestVerification(t *testing.T) {
	p := start(t)
	get := func(query url.Values) (int, string, string) {
		resp, err := http.Get(p.url + "?" + query.Encode())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body), resp.Header.Get("Content-Type")
	}
	const challenge = "<b>1158201444</b>"
	good := url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {challenge}, "hub.verify_token": {verifyToken}}
	if code, body, kind := get(good); code != 200 || body != challenge || !strings.HasPrefix(kind, "text/plain") {
		t.Errorf("verification: %d %q %s", code, body, kind)
	}
	for name, bad := range map[string]url.Values{
		"wrong token": {"hub.mode": {"subscribe"}, "hub.challenge": {challenge}, "hub.verify_token": {verifyToken + "x"}},
		"no token":    {"hub.mode": {"subscribe"}, "hub.challenge": {challenge}},
		"wrong mode":  {"hub.mode": {"unsubscribe"}, "hub.challenge": {challenge}, "hub.verify_token": {verifyToken}},
	} {
		if code, body, _ := get(bad); code != 403 || strings.Contains(body, challenge) {
			t.Errorf("%s: %d %q", name, code, body)
		}
	}
	p.token = ""
	good.Set("hub.verify_token", "")
	if code, _, _ := get(good); code != 403 {
		t.Errorf("verified although no token is set: %d", code)
	}
}

func TestRefusedDeliveries(t *testing.T) {
	p := start(t)
	body := []byte(delivery(phoneNumberID, status("sent", "wamid.x", uuid.Nil)))
	large := make([]byte, 4<<20+1)
	for name, tc := range map[string]struct {
		body      []byte
		signature string
		want      int
	}{
		"no signature":              {body, "", 403},
		"another's signature":       {body, sign("guess", body), 403},
		"signature of another body": {body, sign(secret, []byte("{}")), 403},
		"too large":                 {large, sign(secret, large), 413},
	} {
		if resp := p.deliver(tc.body, tc.signature); resp.StatusCode != tc.want {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	p.secrets = nil
	if resp := p.deliver(body, sign("", body)); resp.StatusCode != http.StatusForbidden {
		t.Errorf("accepted although no secret is set: %s", resp.Status)
	}
	if got := p.types(event.OrphanStream(phoneNumberID)); len(got) != 0 {
		t.Errorf("recorded %v", got)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, p.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, POST" {
		t.Errorf("DELETE: %s, Allow %s", resp.Status, resp.Header.Get("Allow"))
	}
}

// Every webhook that Meta documents is recorded in full, and exactly once, even if several
// processes receive it repeatedly.
func TestDocumentedWebhooks(t *testing.T) {
	p := start(t)
	rows, err := whatsapp.LoadErrorTable()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../adapters/whatsapp/testdata/webhooks/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no webhooks", err)
	}
	want, traffic := map[string]bool{}, map[string]bool{}
	for round := range 3 {
		if round == 2 {
			p.restart() // nothing is cached anymore, but the store knows the IDs
			clear(p.inbound)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p.mustDeliver(string(body))
			d := rows.ParseWebhook(body)
			for _, s := range d.Statuses {
				want["StatusOrphaned "+s.PhoneNumberID+s.WhatsAppID+string(s.Kind)+s.About.Status] = true
			}
			for _, in := range d.Inbound {
				want["InboundReceived "+in.PhoneNumberID+in.WhatsAppID] = true
				traffic[in.PhoneNumberID+in.WhatsAppID] = true
			}
			for _, e := range d.Echoes {
				want["EchoReceived "+e.PhoneNumberID+e.Field+e.WhatsAppID] = true
			}
			for _, c := range d.Changes {
				want["AccountChanged "+c.BusinessAccountID+c.PhoneNumberID+c.Field+c.At.String()+string(c.Value)] = true
				if c.Traffic {
					traffic[string(c.Value)] = true
				}
			}
			for _, pk := range d.Parked {
				want["WebhookParked "+string(pk.Raw)] = true
			}
		}
		got := p.everything()
		if len(got) != len(want) {
			t.Fatalf("round %d: %d recorded, %d received", round, len(got), len(want))
		}
		for _, e := range got {
			if e.Meta.By.Kind != domain.ActorWebhook || e.Meta.By.ID == "" || len(e.Meta.CausationID) != 32 || e.Meta.RecordedAt.IsZero() {
				t.Errorf("metadata of %s: %+v", e.Type, e.Meta)
			}
		}
	}
	total := 0
	for _, n := range p.inbound {
		total += n
	}
	if total != len(traffic) {
		t.Errorf("%d inbound messages and handovers were counted, %d received", total, len(traffic))
	}
}

// Messages that another system is to reply to, and messages that were sent without Waypost, are
// recorded as what they are.
func TestMessagesOfOtherSystems(t *testing.T) {
	p := start(t)
	for _, name := range []string{"standby_message", "standby_echo", "standby_status", "smb_message_echoes_bsuid"} {
		body, err := os.ReadFile("../../adapters/whatsapp/testdata/webhooks/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		p.mustDeliver(string(body))
	}
	var got []string
	for _, e := range p.everything() {
		switch e := e.Event.(type) {
		case inbound.InboundReceived:
			got = append(got, fmt.Sprintf("inbound %s on %s from %s", e.Type, e.Field, e.Personal.From))
		case inbound.EchoReceived:
			got = append(got, fmt.Sprintf("echo %s on %s to %s%s at %s", e.Type, e.Field, e.Personal.To, e.Personal.ToUserID, e.At.Format(time.TimeOnly)))
		case inbound.StatusOrphaned:
			got = append(got, fmt.Sprintf("status %s, foreign %t", e.Kind, e.Foreign))
		default:
			t.Errorf("recorded %+v", e)
		}
	}
	want := []string{
		"inbound text on standby from 12025550143", "echo text on standby to 12025550143 at 07:41:41",
		"status delivered, foreign true", "echo text on smb_message_echoes to GB.70515320811973660425 at 07:43:21",
	}
	if !slices.Equal(got, want) {
		t.Errorf("recorded\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := p.inbound[phoneNumberID]; n != 1 {
		t.Errorf("%d inbound messages were counted", n)
	}
}

// everything returns the events recorded for webhooks, except those of messages.
func (p *platform) everything() []event.Recorded {
	p.Helper()
	var all []event.Recorded
	done := errors.New("live")
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	err := p.log.Subscribe(ctx, event.Subscription{Filter: event.Filter{
		StreamPrefixes: []string{"orphan-", "inbound-", "echo-", "account-", "parked-"},
	}}, func(_ context.Context, b event.Batch) error {
		all = append(all, b.Events...)
		if b.Live {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		p.Fatal(err)
	}
	return all
}

// The statuses of a call lead to the same state of the message in any order and with any
// repetition, even if they arrive before the response to the call.
func TestShuffledStatuses(t *testing.T) {
	p := start(t)
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		id, wamid := p.attempted(), fmt.Sprintf("wamid.%d", round)
		early := round%2 == 0
		if !early {
			p.accept(id, wamid)
		}
		kinds := []string{"sent", "delivered", "read", "sent", "delivered", "read"}
		random.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		for len(kinds) > 0 {
			n := 1 + random.IntN(len(kinds))
			var statuses []string
			for _, kind := range kinds[:n] {
				statuses = append(statuses, status(kind, wamid, id))
			}
			kinds = kinds[n:]
			p.mustDeliver(delivery(phoneNumberID, statuses...))
		}
		if early {
			p.accept(id, wamid)
		}
		l, err := p.messages.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if l.Message.Status != message.StatusRead || l.Message.WhatsAppID != wamid || l.Message.DeliveredAt.Unix() != 1772553603 {
			t.Errorf("round %d: %s, %s, delivered at %s", round, l.Message.Status, l.Message.WhatsAppID, l.Message.DeliveredAt)
		}
		got := p.types(event.MessageStream(id))
		slices.Sort(got)
		if want := []string{"Confirmed", "Delivered", "Queued", "Read", "SendAttempted", "Sent"}; !slices.Equal(got, want) {
			t.Errorf("round %d: %v", round, got)
		}
	}
	if orphans := p.types(event.OrphanStream(phoneNumberID)); len(orphans) != 0 {
		t.Errorf("orphans %v", orphans)
	}
}

// The statuses of one message in one delivery are recorded with one append.
func TestOneAppendForAMessage(t *testing.T) {
	p := start(t)
	id := p.attempted()
	p.mustDeliver(delivery(phoneNumberID, status("read", "wamid.1", id), status("sent", "wamid.1", id), status("delivered", "wamid.1", id)))
	events, err := p.log.Read(t.Context(), event.MessageStream(id), 2, 10)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.types(event.MessageStream(id))[2:], []string{"Sent", "Confirmed", "Delivered", "Read"}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for _, e := range events[1:] {
		if !e.Meta.RecordedAt.Equal(events[0].Meta.RecordedAt) {
			t.Errorf("%s was recorded separately", e.Type)
		}
	}
}

func TestWhoseStatus(t *testing.T) {
	p := start(t)
	mine, byWamid := p.attempted(), p.attempted()
	p.accept(byWamid, "wamid.known")
	p.eventually("the wamid is projected", func() bool { return p.wamids.has(t.Context(), "wamid.known") })
	p.mustDeliver(delivery(phoneNumberID,
		status("delivered", "wamid.known", uuid.Nil), // found by its wamid
		status("sent", "wamid.foreign", uuid.Nil),    // from another system
		status("read", "wamid.known", newID()),       // callback data of an unknown message
		other("failed", "wamid.known", `"biz_opaque_callback_data":"order 7"`),
	))
	for _, number := range []string{"1", otherNumberID, ""} {
		p.mustDeliver(delivery(number, status("sent", "wamid.made-up", mine), status("read", "wamid.known", uuid.Nil)))
	}
	join := func() {
		p.run(process.NewJoinOrphans(p.log, command.NewReports(p.messages, p.senders), p.wamids, time.Now, time.After, slog.New(slog.DiscardHandler)).Run)
	}
	join()
	last := p.attempted()
	p.mustDeliver(delivery(phoneNumberID, status("delivered", "wamid.last", uuid.Nil)))
	p.accept(last, "wamid.last")
	p.eventually("the last status is joined", func() bool { return len(p.types(event.MessageStream(last))) == 4 }) // and all earlier statuses were tried
	if got := p.types(event.MessageStream(byWamid))[3:]; !slices.Equal(got, []string{"Delivered"}) {
		t.Errorf("found by wamid: %v", got)
	}
	if got := p.types(event.MessageStream(mine)); len(got) != 2 {
		t.Errorf("a status of another number was recorded: %v", got)
	}
	for number, want := range map[string]int{phoneNumberID: 4, "1": 2, otherNumberID: 2, "unknown": 2} {
		if got := p.types(event.OrphanStream(number)); len(got) != want {
			t.Errorf("orphans of number %s: %v, want %d", number, got, want)
		}
	}
}

// other returns a status that can be about anything, with the given members.
func other(word, wamid, members string) string {
	return fmt.Sprintf(`{"id":%q,"status":%q,"timestamp":"1772553700","recipient_id":"12025550143",%s}`, wamid, word, members)
}

// A status that is not of a message is recorded and changes nothing.
func TestStatusesOfPayments(t *testing.T) {
	p := start(t)
	sent, early := p.attempted(), p.attempted()
	p.accept(sent, "wamid.order")
	p.eventually("the wamid is projected", func() bool { return p.wamids.has(t.Context(), "wamid.order") })
	echo := `,"biz_opaque_callback_data":"` + whatsapp.CallbackData(sent.String(), 1) + `"`
	body := delivery(phoneNumberID,
		other("pending", "wamid.order", `"type":"payment"`), other("failed", "wamid.order", `"type":"payment"`+echo),
		other("failed", "wamid.early", `"type":"payment"`), other("sent", "wamid.order", `"type":"message"`))
	p.mustDeliver(body)
	p.run(process.NewJoinOrphans(p.log, command.NewReports(p.messages, p.senders), p.wamids, time.Now, time.After, slog.New(slog.DiscardHandler)).Run)
	p.accept(early, "wamid.early")
	p.eventually("the early status is joined", func() bool { return len(p.types(event.MessageStream(early))) == 4 })
	p.mustDeliver(body) // adds nothing
	p.restart()
	p.mustDeliver(body)
	for id, want := range map[uuid.UUID][]string{
		sent:  {"Queued", "SendAttempted", "Sent", "Confirmed", "StatusReported", "StatusReported"},
		early: {"Queued", "SendAttempted", "Sent", "StatusReported"},
	} {
		l, err := p.messages.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if l.Message.Status != message.StatusSent || l.Message.Failure != nil {
			t.Errorf("message is %s, failure %+v", l.Message.Status, l.Message.Failure)
		}
		got := p.types(event.MessageStream(id))
		slices.Sort(got[3:])
		if !slices.Equal(got, want) {
			t.Errorf("history %v, want %v", got, want)
		}
	}
}

// The statuses of a message and the response to its call, all at the same time, cost one
// append each in one process. In two processes, the expected revision decides.
func TestStatusesOfOneMessageAtTheSameTime(t *testing.T) {
	for _, processes := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d processes", processes), func(t *testing.T) {
			p := start(t)
			rows, err := whatsapp.LoadErrorTable()
			if err != nil {
				t.Fatal(err)
			}
			messages := []*command.Messages{p.messages}
			recorders := []*command.RecordWebhook{p.recorder}
			for len(messages) < processes {
				other := command.NewMessages(p.log, time.Now, newID, 1000)
				messages = append(messages, other)
				recorders = append(recorders, command.NewRecordWebhook(p.log, time.Now, other, p.senders, p.wamids, rows.ParseWebhook, nil, slog.New(slog.DiscardHandler)))
			}
			var ids []uuid.UUID
			for range 20 {
				ids = append(ids, p.attempted())
			}
			var all sync.WaitGroup
			start := make(chan struct{})
			for i, id := range ids {
				wamid := fmt.Sprintf("wamid.race.%d", i)
				all.Go(func() {
					<-start
					p.accept(id, wamid)
				})
				for k, kind := range []string{"sent", "delivered", "read"} {
					recorder, body := recorders[k%processes], delivery(phoneNumberID, status(kind, wamid, id))
					all.Go(func() {
						<-start
						if err := recorder.Handle(t.Context(), []byte(body), newID().String()); err != nil {
							t.Error(err)
						}
					})
				}
			}
			close(start)
			all.Wait()
			for _, id := range ids {
				got := p.types(event.MessageStream(id))
				for _, once := range []string{"SendAttempted", "Read"} {
					if n := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s != once })); n != 1 {
						t.Errorf("%s is %d times in %v", once, n, got)
					}
				}
				if l, err := p.messages.Load(t.Context(), id); err != nil || l.Message.Status != message.StatusRead {
					t.Errorf("message is %s with %v, %v", l.Message.Status, got, err)
				}
			}
			var conflicts int64
			for _, m := range messages {
				conflicts += m.Conflicts()
			}
			if processes == 1 && conflicts > 0 {
				t.Errorf("%d conflicts in one process", conflicts)
			}
			t.Logf("%d conflicts", conflicts)
		})
	}
}

// A delivery with many statuses of unknown messages needs only a few lookups and appends,
// and repeating it needs none. If recording is interrupted, repeating the delivery
// continues where it stopped.
func TestManyUnknownStatuses(t *testing.T) {
	if testing.Short() {
		t.Skip("parses 4,000 statuses five times")
	}
	p := start(t)
	counted := &countingLog{Log: p.log}
	p.restart = func() {
		rows, err := whatsapp.LoadErrorTable()
		if err != nil {
			t.Fatal(err)
		}
		p.recorder = command.NewRecordWebhook(counted, time.Now, p.messages, p.senders, p.wamids, rows.ParseWebhook, nil, slog.New(slog.DiscardHandler))
	}
	p.restart()
	const n = 4000
	var statuses []string
	for i := range n {
		statuses = append(statuses, status("sent", fmt.Sprintf("wamid.unknown.%d", i), uuid.Nil))
	}
	body := delivery(phoneNumberID, statuses...)
	counted.left.Store(25) // appends succeed, and the following ones fail
	if resp := p.deliver([]byte(body), sign(secret, []byte(body))); resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatal(resp.Status)
	}
	cut := len(p.types(event.OrphanStream(phoneNumberID)))
	if cut == 0 || cut == n {
		t.Fatalf("%d of %d statuses are recorded after the interruption", cut, n)
	}
	counted.appends.Store(0)
	counted.left.Store(1 << 20)
	p.mustDeliver(body)
	if got := len(p.types(event.OrphanStream(phoneNumberID))); got != n {
		t.Errorf("%d orphans, want %d", got, n)
	}
	if got := int(counted.appends.Load()); got > (n-cut)/50 {
		t.Errorf("%d appends for %d statuses", got, n-cut)
	}
	if p.wamids.calls > 10 {
		t.Errorf("%d lookups in the read model", p.wamids.calls)
	}
	counted.appends.Store(0)
	calls := p.wamids.calls
	p.mustDeliver(body)
	if counted.appends.Load() != 0 || p.wamids.calls != calls {
		t.Errorf("a repeat made %d appends and %d lookups", counted.appends.Load(), p.wamids.calls-calls)
	}
	p.restart()
	p.mustDeliver(body)
	if got := len(p.types(event.OrphanStream(phoneNumberID))); got != n {
		t.Errorf("%d orphans after a restart, want %d", got, n)
	}
	// Statuses of a phone number that no sender has are not looked up at all.
	counted.reads.Store(0)
	calls = p.wamids.calls
	for i := range statuses {
		statuses[i] = status("sent", fmt.Sprintf("wamid.unknown.%d", i), newID())
	}
	p.mustDeliver(delivery("1", statuses...))
	if counted.reads.Load() != 0 || p.wamids.calls != calls {
		t.Errorf("statuses of a number without a sender: %d reads, %d lookups", counted.reads.Load(), p.wamids.calls-calls)
	}
}

// countingLog counts appends and reads. Appends fail when left reaches zero.
type countingLog struct {
	event.Log

	appends, reads, left atomic.Int64
}

func (l *countingLog) Append(ctx context.Context, stream string, expected event.Expected, events ...event.Proposed) (event.Appended, error) {
	l.appends.Add(1)
	if l.left.Add(-1) < 0 {
		return event.Appended{}, event.ErrUnavailable
	}
	return l.Log.Append(ctx, stream, expected, events...)
}

func (l *countingLog) Read(ctx context.Context, stream string, from event.Revision, limit int) ([]event.Recorded, error) {
	l.reads.Add(1)
	return l.Log.Read(ctx, stream, from, limit)
}

// A status that arrives while the read model is unavailable, or before the response that
// contains its wamid, is recorded and joined later, even by another process.
func TestOrphansAreJoined(t *testing.T) {
	p := start(t)
	join := func() *process.JoinOrphans {
		return process.NewJoinOrphans(p.log, command.NewReports(p.messages, p.senders), p.wamids, time.Now, time.After, slog.New(slog.DiscardHandler))
	}
	early, outage := p.attempted(), p.attempted()
	p.mustDeliver(delivery(phoneNumberID, status("delivered", "wamid.early", uuid.Nil), status("sent", "wamid.never", uuid.Nil)))
	p.accept(outage, "wamid.away")
	p.wamids.set(true)
	p.mustDeliver(delivery(phoneNumberID, status("failed", "wamid.away", uuid.Nil)))
	if got := p.types(event.OrphanStream(phoneNumberID)); len(got) != 3 {
		t.Fatalf("orphans %v", got)
	}
	p.run(join().Run)
	p.wamids.set(false)
	p.accept(early, "wamid.early")
	hasStatus := func(id uuid.UUID, want message.Status) func() bool {
		return func() bool {
			l, err := p.messages.Load(t.Context(), id)
			return err == nil && l.Message.Status == want
		}
	}
	p.eventually("the early status is joined", hasStatus(early, message.StatusDelivered))
	p.eventually("the status of the outage is joined", hasStatus(outage, message.StatusFailed))
	before := len(p.types(event.MessageStream(early)))
	p.run(join().Run) // processes everything again
	last := p.attempted()
	p.mustDeliver(delivery(phoneNumberID, status("delivered", "wamid.last", uuid.Nil)))
	p.accept(last, "wamid.last")
	p.eventually("the last status is joined", hasStatus(last, message.StatusDelivered))
	if after := len(p.types(event.MessageStream(early))); after != before {
		t.Errorf("%d events of the message, and %d after a restart", before, after)
	}
}

// A read model that hangs doesn't prevent recording.
func TestReadModelHangs(t *testing.T) {
	p := start(t)
	p.wamids.hangs.Store(true)
	id := p.attempted()
	statuses := []string{status("delivered", "wamid.1", id)}
	for i := range 40 {
		statuses = append(statuses, status("sent", fmt.Sprintf("wamid.foreign.%d", i), uuid.Nil))
	}
	p.mustDeliver(delivery(phoneNumberID, statuses...))
	if got := p.types(event.MessageStream(id))[2:]; !slices.Equal(got, []string{"Sent", "Delivered"}) {
		t.Errorf("recorded %v", got)
	}
	if got := p.types(event.OrphanStream(phoneNumberID)); len(got) != 40 {
		t.Errorf("%d orphans", len(got))
	}
}

func TestManyStatuses(t *testing.T) {
	p := start(t)
	var ids []uuid.UUID
	for range 50 {
		ids = append(ids, p.attempted())
	}
	var statuses []string
	for i := range 1000 {
		switch i % 2 {
		case 0:
			id := ids[i/2%len(ids)]
			statuses = append(statuses, status([]string{"sent", "delivered", "read"}[i/2%3], "wamid."+id.String(), id))
		default:
			statuses = append(statuses, status("sent", fmt.Sprintf("wamid.foreign.%d", i), uuid.Nil))
		}
	}
	p.mustDeliver(delivery(phoneNumberID, statuses...))
	for _, id := range ids {
		l, err := p.messages.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if l.Message.Status != message.StatusRead {
			t.Errorf("message %s is %s", id, l.Message.Status)
		}
	}
	if got := len(p.types(event.OrphanStream(phoneNumberID))); got != 500 {
		t.Errorf("%d orphans", got)
	}
}

// A webhook that cannot be parsed and exceeds the maximum size of an event is recorded in
// pieces.
func TestLargeUnreadableWebhook(t *testing.T) {
	p := start(t)
	body := strings.Repeat("no JSON \xff", 300_000)
	p.mustDeliver(body)
	var kept strings.Builder
	for i, e := range p.parkedInOrder() {
		if e.Part != i+1 {
			t.Errorf("piece %d has number %d", i+1, e.Part)
		}
		kept.Write(e.Personal.Raw)
	}
	if kept.String() != body {
		t.Errorf("%d bytes received, %d recorded", len(body), kept.Len())
	}
}

func (p *platform) parkedInOrder() []inbound.WebhookParked {
	p.Helper()
	var parts []inbound.WebhookParked
	for _, e := range p.everything() {
		if part, ok := e.Event.(inbound.WebhookParked); ok {
			parts = append(parts, part)
		}
	}
	slices.SortFunc(parts, func(a, b inbound.WebhookParked) int { return a.Part - b.Part })
	return parts
}

// While the event store is unavailable, no response is 200. A delivery that is repeated
// afterward is recorded in full.
func TestStoreAway(t *testing.T) {
	p := start(t)
	id := p.attempted()
	before := p.recorder.RecordingSince()
	body := delivery(phoneNumberID, status("delivered", "wamid.1", id), status("sent", "wamid.foreign", uuid.Nil))
	p.stopStore()
	resp := p.deliver([]byte(body), sign(secret, []byte(body)))
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("store unavailable: %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	asked := time.Now()
	if since := p.recorder.RecordingSince(); since.Before(asked) {
		t.Errorf("recording since %s at %s, while nothing can be recorded", since, asked)
	}
	p.startStore()
	restarted := time.Now()
	p.eventually("the delivery is accepted", func() bool {
		return p.deliver([]byte(body), sign(secret, []byte(body))).StatusCode == http.StatusOK
	})
	if got := p.types(event.MessageStream(id))[2:]; !slices.Equal(got, []string{"Sent", "Delivered"}) {
		t.Errorf("recorded %v", got)
	}
	if got := p.types(event.OrphanStream(phoneNumberID)); len(got) != 1 {
		t.Errorf("orphans %v", got)
	}
	if since := p.recorder.RecordingSince(); since.Before(restarted) || !since.After(before) {
		t.Errorf("recording since %s, restarted at %s", since, restarted)
	}
}
