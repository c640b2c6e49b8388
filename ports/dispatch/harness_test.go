package dispatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/postgres/postgrestest"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch"
)

// patience limits every wait of the tests. None should take a noticeable part of it.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

var tester = event.Cause{By: domain.Platform("test")}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// platform is everything that dispatch works with: an event store, Postgres with the work
// list, and a Cloud API.
type platform struct {
	tb       testing.TB
	ctx      context.Context
	store    eventstored.Options
	server   *eventstored.Server
	log      *eventstore.Log
	pool     *pgxpool.Pool
	api      *simulator.Simulator
	client   *whatsapp.Client
	messages *command.Messages
	senders  *command.Senders
	tokens   *tokens

	mu      sync.Mutex
	ready   func() bool
	wake    []func()
	written map[uuid.UUID][]time.Time // when the calls of each message were written
}

func newPlatform(tb testing.TB, change func(*simulator.Control)) *platform {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	tb.Cleanup(cancel)
	p := &platform{tb: tb, ctx: ctx, tokens: &tokens{byID: map[string]string{}}, written: map[uuid.UUID][]time.Time{}}

	var err error
	p.store = eventstored.Options{Dir: tb.TempDir(), Logger: slog.New(slog.DiscardHandler)}
	p.server, err = eventstored.Open(ctx, p.store)
	p.must(err)
	p.atEnd(func(ctx context.Context) error { return p.server.Close(ctx) })
	codec, err := event.NewCodec(event.Types(), message.Types(), sender.Types())
	p.must(err)
	p.log, err = eventstore.Open(ctx, eventstore.Options{URL: p.server.URL(), Codec: codec})
	p.must(err)
	p.atEnd(p.log.Close)
	logID, err := p.log.EnsureOpened(ctx, time.Now())
	p.must(err)

	url := postgrestest.New(tb)
	p.must(postgres.Up(ctx, url))
	p.pool, err = postgres.Open(ctx, url)
	p.must(err)
	tb.Cleanup(p.pool.Close)

	control := simulator.DefaultControl()
	control.Latency, control.Rate = 0, 0
	if change != nil {
		change(&control)
	}
	addr, err := loopback.FreeAddr()
	p.must(err)
	p.api, err = simulator.Start(ctx, simulator.Options{Addr: addr, AppSecret: "secret", Control: &control})
	p.must(err)
	p.atEnd(func(ctx context.Context) error { return p.api.Close(ctx) })
	table, err := whatsapp.LoadErrorTable()
	p.must(err)
	p.client, err = whatsapp.NewClient(whatsapp.Options{URL: p.api.URL(), Timeout: patience, Errors: table})
	p.must(err)
	tb.Cleanup(p.client.Close)

	p.messages = command.NewMessages(p.log, time.Now, newID, 1000)
	p.senders = command.NewSenders(p.log, time.Now, newID, p.tokens)
	p.project(logID.String())
	return p
}

// project fills the work list from the event log until the test ends, and wakes the
// dispatchers.
func (p *platform) project(logID string) {
	p.tb.Helper()
	running, stop := context.WithCancel(p.ctx)
	var projecting sync.WaitGroup
	projector, err := postgres.NewProjector(postgres.ProjectorOptions{
		Group: postgres.Worklist, Log: p.log, Pool: p.pool, LogID: logID, Logger: slog.New(slog.DiscardHandler),
		OnCommit: func(postgres.Commit) {
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, wake := range p.wake {
				wake()
			}
		},
	})
	p.must(err)
	p.ready = projector.Live
	projecting.Go(func() {
		if err := projector.Run(running); err != nil && running.Err() == nil {
			p.tb.Errorf("project: %v", err)
		}
	})
	p.tb.Cleanup(func() { stop(); projecting.Wait() })
}

func (p *platform) must(err error) {
	p.tb.Helper()
	if err != nil {
		p.tb.Fatal(err)
	}
}

func (p *platform) atEnd(end func(context.Context) error) {
	p.tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := end(ctx); err != nil {
			p.tb.Error(err)
		}
	})
}

// eventually waits until ok returns true.
func (p *platform) eventually(what string, ok func() bool) {
	p.tb.Helper()
	polltest.Until(p.tb, what, ok)
}

func (p *platform) control(change func(*simulator.Control)) {
	p.tb.Helper()
	c := p.api.Control()
	change(&c)
	p.must(p.api.SetControl(c))
}

// Senders returns the senders from the event log, as the read model would have them.
func (p *platform) Senders(ctx context.Context) ([]sender.Sender, error) {
	var all []sender.Sender
	for _, id := range p.tokens.senders() {
		s, err := p.senders.Load(ctx, id)
		if domain.CodeOf(err) == domain.CodeNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (p *platform) register(id, number string, rate int) {
	p.tb.Helper()
	_, err := p.senders.Register(p.ctx, sender.Registration{
		ID: id, Name: id, PhoneNumberID: number, BusinessAccountID: "100200300400500", Rate: rate,
	}, "token-of-"+id, tester)
	p.must(err)
}

// queue records a message to the n-th recipient of the tests.
func (p *platform) queue(from string, n int, change func(*message.Queued)) uuid.UUID {
	p.tb.Helper()
	id := newID()
	q := message.Queued{
		Sender: from, Kind: message.KindText, Priority: message.PriorityTransactional, OnAmbiguous: message.AmbiguityResend,
		Personal: message.QueuedPersonal{To: recipient(n), Content: []byte(`{"body":"Hello"}`)},
	}
	if change != nil {
		change(&q)
	}
	_, err := p.log.Append(p.ctx, event.MessageStream(id), event.NoStream(), event.Proposed{
		ID: newID(), Event: q, Meta: event.Meta{RecordedAt: time.Now(), Sender: from, By: tester.By},
	})
	p.must(err)
	return id
}

func recipient(n int) string { return fmt.Sprintf("+1202555%04d", n) }

// events returns a message's events and the numbers of its calls that were not made: the
// machine stalled for a second between SendAttempted and the call, or the lane moved to
// another process. Such a message gets its turn again, so tests ignore these calls.
func (p *platform) events(id uuid.UUID) (events []event.Recorded, notMade map[int]bool) {
	p.tb.Helper()
	events, err := p.log.Read(p.ctx, event.MessageStream(id), 0, 1000)
	p.must(err)
	notMade = map[int]bool{}
	for _, e := range events {
		if d, ok := e.Event.(message.Deferred); ok && d.Reason == message.DeferNotCalled {
			notMade[d.Call] = true
		}
	}
	return events, notMade
}

// history returns the types of a message's events, without those of calls that were not
// made.
func (p *platform) history(id uuid.UUID) []string {
	p.tb.Helper()
	events, notMade := p.events(id)
	var types []string
	for _, e := range events {
		switch of := e.Event.(type) {
		case message.SendAttempted:
			if notMade[of.Call] {
				continue
			}
		case message.Deferred:
			if notMade[of.Call] {
				continue
			}
		}
		types = append(types, e.Type)
	}
	return types
}

// message returns a message without the calls that were not made.
func (p *platform) message(id uuid.UUID) message.Message {
	p.tb.Helper()
	events, notMade := p.events(id)
	records := make([]message.Record, len(events))
	for i, e := range events {
		records[i] = message.Record{Event: e.Event, At: e.Meta.RecordedAt}
	}
	m := message.Fold(records...)
	m.Calls = slices.DeleteFunc(m.Calls, func(c message.Call) bool { return notMade[c.Number] })
	return m
}

func (p *platform) reaches(id uuid.UUID, status message.Status) message.Message {
	p.tb.Helper()
	var m message.Message
	p.eventually(fmt.Sprintf("message %s is %s", id, status), func() bool {
		m = p.message(id)
		return m.Status == status
	})
	return m
}

func (p *platform) wantHistory(id uuid.UUID, want ...string) {
	p.tb.Helper()
	if got := strings.Join(p.history(id), " "); got != strings.Join(want, " ") {
		p.tb.Errorf("recorded %s, want %s", got, strings.Join(want, " "))
	}
}

// settings returns the options of the tests: the real schedule in milliseconds.
func (p *platform) settings() dispatch.Options {
	return dispatch.Options{
		Messages: p.messages, Senders: p.senders, Source: p, List: postgres.NewWorkList(p.pool), Leases: postgres.NewLeases(p.pool),
		Caller: p, Process: newID(), Roles: []string{postgres.RoleDispatch, postgres.RoleWebhook},
		Policy: message.Policy{
			RetryDelays: []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond},
			CallTimeout: patience, SettleAfter: 100 * time.Millisecond, ThrottleLimit: 20,
		},
		SettleAfterOutage: 100 * time.Millisecond, RecordingSince: func() time.Time { return longAgo },
		Ready: p.ready, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
}

// longAgo is the time since which the tests' process has recorded webhooks.
var longAgo = time.Now().Add(-time.Hour)

// dispatch starts a dispatcher, which drains when the test ends.
func (p *platform) dispatch(change func(*dispatch.Options)) *dispatch.Dispatcher {
	p.tb.Helper()
	o := p.settings()
	if change != nil {
		change(&o)
	}
	d, err := dispatch.New(o)
	p.must(err)
	p.mu.Lock()
	p.wake = append(p.wake, d.Wake)
	p.mu.Unlock()
	ended := make(chan error, 1)
	go func() { ended <- d.Run(p.ctx) }()
	p.tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		d.Drain(ctx)
		if err := <-ended; err != nil {
			p.tb.Errorf("run dispatch: %v", err)
		}
	})
	return d
}

// Send calls the simulator as Waypost calls WhatsApp.
func (p *platform) Send(ctx context.Context, r dispatch.CallRequest) message.CallResult {
	body, err := whatsapp.Payload{
		To: r.To, UserID: r.UserID, Kind: r.Kind, Content: r.Content, ReplyTo: r.ReplyTo,
		CallbackData: whatsapp.CallbackData(r.MessageID.String(), r.Call),
	}.JSON()
	if err != nil {
		return message.Refused{Failure: message.Failure{Class: message.ClassPermanent, Message: err.Error()}}
	}
	return p.client.Send(ctx, whatsapp.Call{
		PhoneNumberID: r.PhoneNumberID, Token: p.tokens.get(r.TokenID), Body: body, Written: func() {
			at := time.Now()
			p.mu.Lock()
			p.written[r.MessageID] = append(p.written[r.MessageID], at)
			p.mu.Unlock()
			r.Written(at)
		},
	})
}

// writes returns the times at which the calls of a message were written. The times of its
// events say less: SendAttempted is recorded ahead of the call, and the outcome after it.
func (p *platform) writes(id uuid.UUID) []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.written[id])
}

// wantWait checks the time from one call of a message, counted from 0, to the next.
func (p *platform) wantWait(id uuid.UUID, call int, least time.Duration) {
	p.tb.Helper()
	writes := p.writes(id)
	if len(writes) < call+2 {
		p.tb.Fatalf("%d calls of message %s were written, want at least %d", len(writes), id, call+2)
	}
	if wait := writes[call+1].Sub(writes[call]); wait < least {
		p.tb.Errorf("call %d was written %s after the one before, want at least %s", call+1, wait, least)
	}
}

// Probe queries the simulator for the health of a number.
func (p *platform) Probe(ctx context.Context, s sender.Sender) (bool, message.Failure, error) {
	h, err := p.client.Health(ctx, s.PhoneNumberID, p.tokens.get(s.TokenID))
	if err != nil || h.Failure == nil {
		return h.CanSend, message.Failure{}, err
	}
	return h.CanSend, *h.Failure, nil
}

// tokens keeps access tokens in memory.
type tokens struct {
	mu       sync.Mutex
	byID     map[string]string
	ids      []string
	fallback string // for senders without a token
}

// know adds a sender that can be without a token.
func (t *tokens) know(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ids = append(t.ids, id)
}

func (t *tokens) Put(_ context.Context, senderID, token string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := fmt.Sprintf("%s/%d", senderID, len(t.byID))
	t.byID[id] = token
	t.ids = append(t.ids, senderID)
	return id, nil
}

func (t *tokens) get(id string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id == "" {
		return t.fallback
	}
	return t.byID[id]
}

// senders returns the senders that were ever given a token: all senders of the tests.
func (t *tokens) senders() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := map[string]bool{}
	var ids []string
	for _, id := range t.ids {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}
