package graph_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/hooks"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/postgres/postgrestest"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/app"
	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/audit"
	"github.com/waypost/waypost/app/bulk"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/inbox"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	keydomain "github.com/waypost/waypost/domain/access"
	"github.com/waypost/waypost/domain/alert"
	access "github.com/waypost/waypost/domain/audit"
	"github.com/waypost/waypost/domain/campaign"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/hook"
	"github.com/waypost/waypost/domain/identity"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/operation"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
	"github.com/waypost/waypost/graph"
)

// patience limits each test, so that a hanging test is reported. A test takes seconds.
const patience = 10 * time.Minute

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// keys is an authenticator with a table of keys, which can be revoked.
type keys struct {
	log  *command.Keys
	mu   sync.Mutex
	keys map[string]graph.Viewer
}

func (k *keys) Authenticate(ctx context.Context, secret string) (graph.Session, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.keys[secret]
	if !ok {
		return k.recorded(ctx, secret)
	}
	return graph.Session{Viewer: v, CheckActive: func(ctx context.Context) error {
		_, err := k.Authenticate(ctx, secret)
		return err
	}}, nil
}

// AuthenticateView returns the session and the view of a token for one view.
func (k *keys) AuthenticateView(ctx context.Context, token string) (graph.Session, keydomain.View, error) {
	key, view, err := k.log.AuthenticateView(ctx, token)
	return k.session(key), view, err
}

// recorded returns the session of a key in the event log.
func (k *keys) recorded(ctx context.Context, secret string) (graph.Session, error) {
	key, err := k.log.Authenticate(ctx, secret)
	return k.session(key), err
}

func (k *keys) session(key keydomain.Key) graph.Session {
	return graph.Session{
		Viewer: graph.Viewer{KeyID: key.ID, Name: key.Name, Scopes: graph.ScopesOf(key.Scopes), SenderIds: key.Senders},
		Token:  key.Token, Issuer: key.Parent, ExpiresAt: key.ExpiresAt,
		CheckActive: func(ctx context.Context) error { return k.log.CheckActive(ctx, key.ID) },
	}
}

func (k *keys) add(secret string, senders []string, scopes ...graph.Scope) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[secret] = graph.Viewer{KeyID: "key-" + secret, Name: secret, Scopes: scopes, SenderIds: senders}
	return secret
}

func (k *keys) revoke(secret string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, secret)
}

// platform is the API on real stores.
type platform struct {
	tb       testing.TB
	ctx      context.Context
	url      string
	log      *eventstore.Log
	logID    uuid.UUID
	pool     *pgxpool.Pool
	people   *vault.DataKeys
	messages *command.Messages
	ahead    atomic.Int64 // lead of the messages' clock, a time.Duration
	keys     *keys
	logged   *lockedBuffer
	project  func()
	// listTemplates lists templates at WhatsApp, for the tests that sync them.
	listTemplates command.ListTemplates
	parts         app.Parts
	// person is who signed in with the browser of requests without a key, if anyone did.
	person  *keydomain.Person
	options graph.Options
	api     *graph.Handler
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// now returns the time of the messages' clock.
func (p *platform) now() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func closing(tb testing.TB, what interface{ Close(context.Context) error }) {
	tb.Helper()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(tb, what.Close(ctx))
	})
}

func setup(tb testing.TB) *platform {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	url := postgrestest.Migrated(tb)
	pool, err := postgres.Open(ctx, url)
	must(tb, err)
	tb.Cleanup(pool.Close)

	var fromStores lockedBuffer // the log of the stores and the projectors
	logger := slog.New(slog.NewTextHandler(&fromStores, nil))
	store, err := eventstored.Open(ctx, eventstored.Options{Dir: tb.TempDir(), Logger: logger})
	must(tb, err)
	closing(tb, store)
	codec, err := event.NewCodec(event.Types(), message.Types(), sender.Types(), inbound.Types(), identity.Types(), conversation.Types(), template.Types(), access.Types(), keydomain.Types(), operation.Types(), alert.Types(), hook.Types(), campaign.Types())
	must(tb, err)
	secret, err := vault.LoadOrMakeKeys(tb.TempDir() + "/secret.key")
	must(tb, err)
	people := vault.NewDataKeys(vault.Options{Keys: secret, Clock: time.Now, Logger: logger})
	log, err := eventstore.Open(ctx, eventstore.Options{URL: store.URL(), Codec: codec.WithVault(people), Logger: logger})
	must(tb, err)
	closing(tb, log)
	logID, err := log.EnsureOpened(ctx, time.Now())
	must(tb, err)

	must(tb, people.Start(ctx, pool, log, true))
	queries, err := postgres.OpenQueries(ctx, url)
	must(tb, err)
	tb.Cleanup(queries.Close)
	read := postgres.NewQueryModel(queries).WithVault(people)
	p := &platform{
		tb: tb, ctx: ctx, log: log, logID: logID, pool: pool, people: people, keys: &keys{keys: map[string]graph.Viewer{}},
		logged: &lockedBuffer{},
	}
	p.messages = command.NewMessages(log, p.now, newID, 1000)
	tokens := vault.NewTokens(pool, secret, newID)
	senders := command.NewSenders(log, time.Now, newID, tokens)
	var projectors []*postgres.Projector
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	tb.Cleanup(func() { stop(); wg.Wait() })
	wg.Go(func() { _ = people.Run(running) })
	for _, g := range postgres.Groups() {
		projector, err := postgres.NewProjector(postgres.ProjectorOptions{
			Group: g, Log: log, Pool: pool, LogID: logID.String(), Logger: logger, Vault: people,
		})
		must(tb, err)
		projectors = append(projectors, projector)
		wg.Go(func() {
			if err := projector.Run(running); err != nil {
				tb.Error(err)
			}
		})
	}
	p.project = func() { // waits until the read models have reached the end of the event log
		tb.Helper()
		end := lastProjected(ctx, tb, log)
		for _, projector := range projectors {
			state := readModels{projectors, &fromStores}
			polltest.Value(tb, fmt.Sprintf("the read models have reached position %d", end),
				func() (readModels, error) { return state, nil },
				func(readModels) bool { return projector.Position() >= end && projector.Live() })
		}
	}
	p.keys.log = command.NewKeys(log, time.Now, newID, rand.Reader, slog.New(slog.DiscardHandler))
	wg.Go(func() { _ = p.keys.log.Run(running, time.After) })
	operations := bulk.NewRunner(log, p.messages.Messages, time.Now, time.After, newID, slog.New(slog.DiscardHandler))
	wg.Go(func() { _ = operations.Run(running) })
	outgoing := command.NewHooks(log, time.Now, newID, tokens, hooks.NewSecret)
	wg.Go(func() { _ = outgoing.Run(running) })
	templates := repository.NewTemplates(log, time.Now, newID, logger)
	wg.Go(func() { _ = templates.Run(running) })
	campaigns := repository.NewCampaigns(log, time.Now, newID, func(l message.Label) string { return postgres.LabelIndex(people, l) }, logger)
	wg.Go(func() { _ = campaigns.Run(running, func() {}) })
	listTemplates := func(ctx context.Context, s sender.Sender, yield func([]template.Listing) error) error {
		if p.listTemplates == nil {
			return errors.New("there is no WhatsApp")
		}
		return p.listTemplates(ctx, s, yield)
	}
	p.parts = app.Parts{
		Templates: command.NewSyncTemplates(templates, postgres.NewReadModel(pool).SenderStates, listTemplates, time.Now, logger),
		Messages:  p.messages, Operations: operations, Senders: senders, Campaigns: campaigns, Keys: p.keys.log, Hooks: outgoing, Alerts: alerts.New(log, time.Now, newID),
		Queue:   command.NewQueueMessage(p.messages, senders, secret).Logged(slog.New(slog.NewTextHandler(p.logged, nil))).Knowing(read.NumberOf).Checking(templates),
		Inbound: inbox.NewCommands(log, time.Now, newID, senders, nil), Inbox: inbox.NewReader(log, senders), OptOuts: command.NewSetOptOut(log, time.Now, newID, senders),
		Erase: command.NewEraseRecipient(log, p.messages, people, read, time.Now, time.After, newID),
		Audit: audit.NewReader(log, logID, read), Reads: audit.NewReads(log, time.Now, newID),
		ReadModel: read, Ledger: read, HookDeliveries: hooks.NewDeliveryReader(queries),
	}
	p.options = graph.Options{
		Log: log, LogID: logID, IdempotencySecret: people.BlindIndex("idempotency keys", ""),
		Authenticator: p.keys, Clock: time.Now, IDs: newID, Recheck: 50 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(p.logged, nil)),
		Person: func(*http.Request) (keydomain.Person, error) {
			if p.person == nil {
				return keydomain.Person{}, &domain.Error{Code: domain.CodeUnauthenticated, Message: "no session"}
			}
			return *p.person, nil
		},
	}
	p.options.Commands, p.options.Queries = app.New(p.parts)
	p.serve(p.options)
	p.keys.add("admin", nil, graph.ScopeAdmin)
	p.ok("admin", `mutation { registerSender(input: {id: "acme", name: "Acme", phoneNumberId: "1001"}) { id } }`, nil)
	return p
}

// readModels describes the progress of the projectors and their log.
type readModels struct {
	projectors []*postgres.Projector
	logged     *lockedBuffer
}

func (r readModels) String() string {
	var s strings.Builder
	for _, p := range r.projectors {
		fmt.Fprintf(&s, "%s is at %d, live %t; ", p.Group(), p.Position(), p.Live())
	}
	return s.String() + "\n" + r.logged.String()
}

// lastProjected returns the position of the last event that the read models project.
// The event log continues after it: keys, reads, and operations are not projected.
func lastProjected(ctx context.Context, tb testing.TB, log *eventstore.Log) event.Position {
	tb.Helper()
	end, live := event.Position(0), errors.New("live")
	err := log.Subscribe(ctx, event.Subscription{Filter: event.Filter{
		StreamPrefixes: []string{event.MessageStreams, event.SenderStreams, event.IdentityStreams, event.TemplateStreams, event.InboundStreams, event.MarketingStreams},
	}}, func(_ context.Context, b event.Batch) error {
		if n := len(b.Events); n > 0 {
			end = b.Events[n-1].Position
		}
		if b.Live {
			return live
		}
		return nil
	})
	if !errors.Is(err, live) {
		tb.Fatal(err)
	}
	return end
}

// serve starts another API on the same stores and uses it from now on.
func (p *platform) serve(opts graph.Options, change ...func(*httptest.Server)) {
	p.tb.Helper()
	api := graph.New(p.ctx, opts)
	server := httptest.NewUnstartedServer(api)
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { // like ports/httpapi
		if tcp, ok := c.(interface{ SetWriteBuffer(bytes int) error }); ok {
			must(p.tb, tcp.SetWriteBuffer(256<<10))
		}
		return ctx
	}
	for _, c := range change {
		c(server)
	}
	server.Start()
	p.tb.Cleanup(server.Close)
	closing(p.tb, api)
	p.url, p.api = server.URL, api
}

type reply struct {
	Status int             `json:"-"`
	Data   json.RawMessage `json:"data"`
	Errors []struct {
		Message    string         `json:"message"`
		Path       []any          `json:"path"`
		Extensions map[string]any `json:"extensions"`
	} `json:"errors"`
}

func (r reply) code() string {
	if len(r.Errors) == 0 {
		return ""
	}
	code, _ := r.Errors[0].Extensions["code"].(string)
	return code
}

func (p *platform) request(key, query string, variables map[string]any) *http.Request {
	p.tb.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	must(p.tb, err)
	req, err := http.NewRequestWithContext(p.ctx, http.MethodPost, p.url, bytes.NewReader(body))
	must(p.tb, err)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	return req
}

func (p *platform) send(req *http.Request) reply {
	p.tb.Helper()
	resp, err := http.DefaultClient.Do(req)
	must(p.tb, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(p.tb, err)
	r := reply{Status: resp.StatusCode}
	if err := json.Unmarshal(body, &r); err != nil {
		p.tb.Fatalf("%d %s: %v", resp.StatusCode, body, err)
	}
	return r
}

func (p *platform) ask(key, query string, variables map[string]any) reply {
	p.tb.Helper()
	return p.send(p.request(key, query, variables))
}

// ok returns the data of a request that succeeds.
func (p *platform) ok(key, query string, variables map[string]any) map[string]any {
	p.tb.Helper()
	r := p.ask(key, query, variables)
	if len(r.Errors) > 0 {
		p.tb.Fatalf("%s\n%+v", query, r.Errors)
	}
	var data map[string]any
	must(p.tb, json.Unmarshal(r.Data, &data))
	return data
}

// at returns the value in decoded JSON at a path of names and indexes.
func at(tb testing.TB, v any, path ...any) any {
	tb.Helper()
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				tb.Fatalf("%v: no object at %v", path, step)
			}
			v = m[s]
		case int:
			l, ok := v.([]any)
			if !ok || s >= len(l) {
				tb.Fatalf("%v: no entry %d", path, s)
			}
			v = l[s]
		}
	}
	return v
}

const queueOne = `mutation Queue($input: QueueMessageInput!) {
	queueMessage(input: $input) { replayed cursor message { id status to content cursor } }
}`

func text(key, body string) map[string]any {
	return map[string]any{"input": map[string]any{
		"senderId": "acme", "to": "+1 415 555 0101", "idempotencyKey": key, "content": map[string]any{"text": map[string]any{"body": body}},
	}}
}

func (p *platform) queue(key string) (id, cursor string) {
	p.tb.Helper()
	data := p.ok("admin", queueOne, text(key, "hello"))
	return at(p.tb, data, "queueMessage", "message", "id").(string), at(p.tb, data, "queueMessage", "cursor").(string)
}

// deadLetter makes a queued message a dead letter.
func (p *platform) deadLetter(id string) {
	p.tb.Helper()
	_, err := p.messages.Change(p.ctx, uuid.MustParse(id), event.Cause{By: domain.Platform("test")},
		func(message.Message) ([]message.Event, error) {
			f := message.Failure{Category: message.CategoryNetwork, Class: message.ClassTransient, Message: "no route", Advice: "Requeue it."}
			return []message.Event{
				message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: time.Now()},
				message.Failed{Call: 1, Attempt: 1, Failure: f, At: time.Now(), Personal: message.FailurePersonal{Details: "+14155550101 said no"}},
				message.DeadLettered{Attempts: 1, Failure: f},
			}, nil
		})
	must(p.tb, err)
}

func contains(tb testing.TB, s, part string) {
	tb.Helper()
	if !strings.Contains(s, part) {
		tb.Errorf("%q is not in %s", part, s)
	}
}
