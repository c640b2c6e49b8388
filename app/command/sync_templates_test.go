package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
)

const account = "100200300400500" // of the simulator

// templatesWorld is a simulator, an event store, and what learns of templates.
type templatesWorld struct {
	t         *testing.T
	cloud     *simulator.Simulator
	log       *eventstore.Log
	templates *repository.Templates
	sync      *command.SyncTemplates
	record    *command.RecordWebhook
	now       func() time.Time
}

func newTemplatesWorld(t *testing.T) *templatesWorld {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), keysPatience)
	defer cancel()
	store, err := eventstored.Open(ctx, eventstored.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := event.NewCodec(event.Types(), template.Types(), inbound.Types(), sender.Types())
	if err != nil {
		t.Fatal(err)
	}
	w := &templatesWorld{t: t, now: time.Now}
	if w.log, err = eventstore.Open(ctx, eventstore.Options{URL: store.URL(), Codec: codec}); err != nil {
		t.Fatal(err)
	}
	if w.cloud, err = simulator.Start(ctx, simulator.Options{AppSecret: "secret"}); err != nil {
		t.Fatal(err)
	}
	table, err := whatsapp.LoadErrorTable()
	if err != nil {
		t.Fatal(err)
	}
	client, err := whatsapp.NewClient(whatsapp.Options{URL: w.cloud.URL(), Errors: table})
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return w.now().UTC() }
	quiet := slog.New(slog.DiscardHandler)
	w.templates = repository.NewTemplates(w.log, clock, newKeyID, quiet)
	senders := func(context.Context) ([]sender.Sender, error) {
		return []sender.Sender{{ID: "shop", BusinessAccountID: account}}, nil
	}
	w.sync = command.NewSyncTemplates(w.templates, senders, func(ctx context.Context, s sender.Sender, yield func([]template.Listing) error) error {
		return client.Templates(ctx, s.BusinessAccountID, "token", yield)
	}, clock, quiet)
	w.record = command.NewRecordWebhook(w.log, clock, command.NewMessages(w.log, clock, newKeyID, 10), command.NewSenders(w.log, clock, newKeyID, nil), nil, table.ParseWebhook, nil, quiet).ReportingTo(w.templates)
	running, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.templates.Run(running)
	}()
	t.Cleanup(func() {
		stop()
		<-done
		client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), keysPatience)
		defer cancel()
		if err := errors.Join(w.cloud.Close(ctx), w.log.Close(ctx), store.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	polltest.Until(t, "the templates are known", w.templates.Live)
	return w
}

// at makes the clock show a time from now on.
func (w *templatesWorld) at(now time.Time) { w.now = func() time.Time { return now } }

// set sets the templates at WhatsApp.
func (w *templatesWorld) set(list ...simulator.TemplateSpec) {
	w.t.Helper()
	c := w.cloud.Control()
	c.Templates = list
	if err := w.cloud.SetControl(c); err != nil {
		w.t.Fatal(err)
	}
}

func (w *templatesWorld) wantSync(want command.TemplateSync) {
	w.t.Helper()
	got, err := w.sync.Handle(w.t.Context(), account, event.Cause{By: domain.Platform("test")})
	got.Took = 0
	if err != nil || got != want {
		w.t.Errorf("a sync is %+v, %v, want %+v", got, err, want)
	}
}

// webhook records a webhook that WhatsApp sends at a time.
func (w *templatesWorld) webhook(at time.Time, field string, value map[string]any) {
	w.t.Helper()
	value["message_template_id"], value["message_template_name"], value["message_template_language"] = 7, "sale", "en-US"
	body, err := json.Marshal(map[string]any{"object": "whatsapp_business_account", "entry": []any{map[string]any{
		"id": account, "time": at.Unix(), "changes": []any{map[string]any{"field": field, "value": value}},
	}}})
	if err == nil {
		err = w.record.Handle(w.t.Context(), body, "delivery")
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *templatesWorld) wantSendability(want template.Sendability) {
	w.t.Helper()
	if got := w.templates.Sendability(account, "sale/en_US"); got != want {
		w.t.Errorf("the sendability is %d, want %d", got, want)
	}
}

func sale(body string) simulator.TemplateSpec {
	return simulator.TemplateSpec{Name: "sale", Language: "en_US", Category: "MARKETING", Components: json.RawMessage(`[{"type":"BODY","text":"` + body + `"}]`)}
}

func TestTemplatesAreLearnedFromListsAndWebhooks(t *testing.T) {
	t.Parallel()
	w := newTemplatesWorld(t)
	start := time.Now().Truncate(time.Second)
	w.at(start)
	one := message.Template{Name: "sale", Language: message.Language{Code: "en_US"}, Components: []message.Component{
		{Type: message.ComponentBody, Parameters: []json.RawMessage{json.RawMessage(`{"type":"text","text":"Ada"}`)}},
	}}
	unknown := message.Template{Name: "sael", Language: message.Language{Code: "en_US"}}
	if err := w.templates.Check(account, unknown); err != nil {
		t.Errorf("a template is refused before the account is known: %v", err)
	}
	if _, err := w.sync.Handle(t.Context(), account, event.Cause{}); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("a sync of an account that WhatsApp doesn't show: %v", err)
	}
	if _, err := w.sync.Handle(t.Context(), "1", event.Cause{}); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("a sync of an account without a sender: %v", err)
	}
	// Three pages.
	all := []simulator.TemplateSpec{sale("Hello {{1}}")}
	for i := range 450 {
		all = append(all, simulator.TemplateSpec{Name: "other_" + strings.Repeat("x", i), Language: "de"})
	}
	w.set(all...)
	w.wantSync(command.TemplateSync{Count: 451, Changed: 451})
	w.wantSync(command.TemplateSync{Count: 451})
	for name, c := range map[string]struct {
		message message.Template
		field   string
	}{
		"it fits":          {one, ""},
		"unknown":          {unknown, "name"},
		"another language": {message.Template{Name: "sale", Language: message.Language{Code: "de"}}, "language"},
		"no parameters":    {message.Template{Name: "sale", Language: message.Language{Code: "en_US"}}, "components"},
	} {
		var e *domain.Error
		if err := w.templates.Check(account, c.message); errors.As(err, &e) != (c.field != "") || e != nil && e.Field != c.field {
			t.Errorf("%s: %v, want an error of %q", name, err, c.field)
		}
	}
	if !w.templates.IsMarketing(account, "sale", "en_US") || w.templates.IsMarketing(account, "other_", "de") {
		t.Error("the categories are wrong")
	}

	w.wantSendability(template.Sendable)
	paused := map[string]any{"event": "PAUSED", "reason": "NONE"}
	w.webhook(start.Add(time.Minute), "message_template_status_update", paused)
	w.wantSendability(template.Waiting)
	if err := w.templates.Check(account, one); err != nil {
		t.Errorf("a message of a paused template is refused: %v", err)
	}
	w.webhook(start.Add(2*time.Minute), "message_template_status_update", map[string]any{"event": "APPROVED"})
	w.wantSendability(template.Sendable)
	w.webhook(start.Add(time.Minute), "message_template_status_update", paused)
	w.wantSendability(template.Sendable) // it was repeated
	w.webhook(start.Add(3*time.Minute), "message_template_status_update", map[string]any{"event": "REJECTED"})
	w.wantSendability(template.Unsendable)
	if domain.CodeOf(w.templates.Check(account, one)) != domain.CodeInvalidInput {
		t.Error("a message of a rejected template is accepted")
	}
	w.webhook(start.Add(4*time.Minute), "message_template_components_update", map[string]any{"message_template_element": "Bye {{1}}, {{2}}"})
	if !w.templates.NeedsSync(account) {
		t.Error("the contents changed, and no sync is needed")
	}

	w.at(start.Add(time.Hour))
	w.set(sale("Bye {{1}}, {{2}}"))
	w.wantSync(command.TemplateSync{Count: 1, Changed: 1, Removed: 450})
	w.wantSendability(template.Sendable)
	if w.templates.NeedsSync(account) || domain.CodeOf(w.templates.Check(account, one)) != domain.CodeInvalidInput {
		t.Error("the new contents are not known")
	}

	// A process that starts now learns the same.
	other := repository.NewTemplates(w.log, time.Now, newKeyID, slog.New(slog.DiscardHandler))
	if other.Sendability(account, "sale/en_US") != template.Waiting {
		t.Error("templates are sendable before the log was read")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = other.Run(ctx) }()
	polltest.Until(t, "the log was followed", other.Live)
	if other.Sendability(account, "sale/en_US") != template.Sendable || domain.CodeOf(other.Check(account, one)) != domain.CodeInvalidInput {
		t.Error("another process knows something else")
	}
}

// The simulator reports changes of its templates as Meta does.
func TestChangesOfTemplatesAreReportedByWebhooks(t *testing.T) {
	t.Parallel()
	w := newTemplatesWorld(t)
	receiver := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = w.record.Handle(r.Context(), body, "delivery")
		}
		if err != nil {
			answer.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(receiver.Close)
	c := w.cloud.Control()
	c.WebhookURL = receiver.URL
	if err := w.cloud.SetControl(c); err != nil {
		t.Fatal(err)
	}
	is := func(want template.Sendability) func() bool {
		return func() bool { return w.templates.Sendability(account, "sale/en_US") == want }
	}
	offer := sale("Hello")
	w.set(offer)
	for status, want := range map[string]template.Sendability{"PAUSED": template.Waiting, "REJECTED": template.Unsendable} {
		offer.Status = status
		w.set(offer)
		polltest.Until(t, "the template is "+status, is(want))
		offer.Status = "APPROVED"
		w.set(offer)
		polltest.Until(t, "the template is approved", is(template.Sendable))
	}
	w.wantSync(command.TemplateSync{Count: 1, Changed: 1})
	offer.Category = "UTILITY"
	w.set(offer)
	polltest.Until(t, "the category changed", func() bool { return !w.templates.IsMarketing(account, "sale", "en_US") })
	w.set(simulator.TemplateSpec{Name: "other", Language: "en_US"})
	polltest.Until(t, "the template is deleted", is(template.Unsendable))
}
