package message_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

var update = flag.Bool("update", false, "rewrite the golden files of the events")

// samples returns one event of each type with every member set. The golden files are the
// shapes in users' logs: changing one is a new version of the event.
func samples() []message.Event {
	price := json.RawMessage(`{"billable":true,"pricing_model":"PMP","type":"regular","category":"utility","subtype":"paid_exempt"}`)
	entryPoint := &message.StatusPersonal{Conversation: json.RawMessage(`{"id":"c1","expiration_timestamp":"1772640000"}`)}
	fault := message.Failure{
		Code: new(131026), Subcode: new(2494010), Category: message.CategoryRecipient, Class: message.ClassPermanent,
		Message: "message undeliverable", Advice: "Check that the number has WhatsApp.", FBTraceID: "AbC123", HTTPStatus: 400,
	}
	personal := message.FailurePersonal{Details: "number not on WhatsApp", Raw: `{"error":{"code":131026}}`}
	return []message.Event{
		message.Queued{
			Sender: "support", Kind: message.KindTemplate, Priority: message.PriorityOTP,
			OnAmbiguous: message.AmbiguityResend, SendAt: at(time.Minute), ExpiresAt: at(time.Hour),
			DeliverWithinSeconds: 20.5, Template: "login_code", TemplateLanguage: "en_US", Fingerprint: "5f1c",
			OutsideWindow: message.OutsideFallback, FallbackTemplate: "reminder", FallbackLanguage: "de",
			Personal: message.QueuedPersonal{
				To: "+491701234567", ToUserID: "DE.13491208655302741918", Content: json.RawMessage(`{"name":"login_code","language":{"code":"de"}}`),
				Fallback: json.RawMessage(`{"name":"reminder","language":{"code":"de"}}`),
				ReplyTo:  "wamid.reply", IdempotencyKey: "order-1", Labels: []message.Label{{Name: "campaign", Value: "spring"}},
			},
		},
		message.SendAttempted{
			Call: 2, Attempt: 1, Probe: true, AnswerBy: at(answerAfter), ToNumber: true, Personal: &message.AttemptedPersonal{To: "+491701234567"},
		},
		message.Sent{
			Call: 1, At: at(1500 * time.Millisecond), By: message.ByStatus, Again: true, Held: "paused",
			Personal: message.SentPersonal{WhatsAppID: "wamid.1", RecipientID: "491701234567"},
		},
		message.Confirmed{Call: 1, At: at(2 * time.Second), Pricing: price, Personal: entryPoint},
		message.Delivered{Call: 1, At: at(3 * time.Second), CalledAt: at(time.Second), Pricing: price, Personal: entryPoint},
		message.Read{Call: 1, At: at(4 * time.Second), CalledAt: at(time.Second), Pricing: price, Personal: entryPoint},
		message.Failed{
			Call: 1, Attempt: 1, Failure: fault, Final: true, AfterAcceptance: true, At: at(5 * time.Second), Personal: personal,
		},
		message.RetryScheduled{Attempt: 2, DueAt: at(2 * time.Second)},
		message.DeadLettered{Attempts: 4, Failure: fault, Personal: personal},
		message.Deferred{
			Call: 1, Attempt: 1, Reason: message.DeferPair, Scope: message.ScopePair, Code: new(131056), DueAt: at(4 * time.Second),
		},
		message.OutcomeUnknown{Call: 1, Attempt: new(1), Cause: "timeout", HTTPStatus: 502, SettleBy: at(30 * time.Second)},
		message.Requeued{Reason: "number fixed"},
		message.Discarded{Reason: "customer called"},
		message.Cancelled{Reason: "order withdrawn"},
		message.Substituted{Template: "reminder", Language: "de", ClosedAt: at(-time.Hour), Call: 1, AfterAcceptance: true, DueAt: at(time.Minute)},
		message.Suppressed{OptedOutAt: at(-time.Minute)},
		message.Expired{},
		message.StatusReported{
			Call: 1, Type: "payment", Status: "captured", At: at(6 * time.Second),
			Personal: message.StatusReportedPersonal{Raw: `{"type":"payment","status":"captured"}`},
		},
		message.DeliveryOverdue{Since: at(22 * time.Second)},
	}
}

func TestEventsAreWrittenAsInTheGoldenFiles(t *testing.T) {
	byName := map[string]domain.Type{}
	for _, typ := range message.Types() {
		byName[typ.Name] = typ
	}
	var history []message.Record
	for _, e := range samples() {
		typ, ok := byName[e.EventType()]
		if !ok {
			t.Fatalf("%s is not among Types, or has two samples", e.EventType())
		}
		delete(byName, e.EventType())
		t.Run(typ.Name, func(t *testing.T) {
			if typ.Version != 1 {
				t.Fatalf("version is %d; keep the golden file of version 1 and add one of the new version", typ.Version)
			}
			path := filepath.Join("testdata", "events", typ.Name+".v1.json")
			written := indented(t, e)
			if *update {
				if err := os.WriteFile(path, written, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v; write it with go test -run Events -update", err)
			}
			if !bytes.Equal(written, golden) {
				t.Errorf("written as\n%s\nthe log has\n%s", written, golden)
			}
			back, err := typ.Decode(golden)
			if err != nil {
				t.Fatal(err)
			}
			if round := indented(t, back); !bytes.Equal(round, golden) {
				t.Errorf("read and written again it is\n%s\nthe log has\n%s", round, golden)
			}
			history = append(history, message.Record{Event: back, At: start})
			m := message.Fold(append([]message.Record{{Event: queued(), At: start}}, history[len(history)-1])...)
			if want := message.Next(message.StatusQueued, back.(message.Event)); m.Status != want {
				t.Errorf("folds to %s, want %s", m.Status, want)
			}
		})
	}
	for name := range byName {
		t.Errorf("%s has no sample: add one to samples", name)
	}
	if m := message.Fold(history...); m.Status != message.StatusExpired || m.To != "+491701234567" || m.WhatsAppID != "wamid.1" {
		t.Errorf("all golden files fold to %+v", m)
	}
}

// Older events have three members of the price, one of them renamed. They fold to WhatsApp's
// own members, and the price of the last status that had one counts.
func TestPricesOfOldAndNewEvents(t *testing.T) {
	fold := func(events ...string) string {
		records := []message.Record{{Event: queued(), At: start}}
		for _, data := range events {
			name, data, _ := strings.Cut(data, " ")
			for _, typ := range message.Types() {
				if typ.Name == name {
					e, err := typ.Decode([]byte(data))
					if err != nil {
						t.Fatal(err)
					}
					records = append(records, message.Record{Event: e, At: start})
				}
			}
		}
		return string(message.Fold(records...).Pricing)
	}
	old := `Confirmed {"call":1,"at":"2026-03-01T12:00:03Z","pricing":{"model":"PMP","type":"regular","category":"utility"}}`
	for name, c := range map[string]struct{ got, want string }{
		"none":            {fold(`Confirmed {"call":1}`), ""},
		"null":            {fold(`Confirmed {"call":1,"pricing":null}`), ""},
		"of an old event": {fold(old), `{"pricing_model":"PMP","type":"regular","category":"utility"}`},
		"as received":     {fold(old, `Delivered {"call":1,"pricing":{"type":"x","new":[1]}}`, `Read {"call":1}`), `{"type":"x","new":[1]}`},
		"a new member of that name": {
			fold(`Read {"call":1,"pricing":{"model":"a","pricing_model":"PMP"}}`), `{"model":"a","pricing_model":"PMP"}`,
		},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
}

// All personal data is in the member "personal", so that erasing that member leaves nothing.
func TestPersonalDataStandsUnderPersonalOnly(t *testing.T) {
	for _, e := range samples() {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(indented(t, e), &members); err != nil {
			t.Fatal(err)
		}
		delete(members, "personal")
		rest, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"4917", "wamid.", "order-1", "spring", "number not on", `"to"`, `"content"`, `"raw"`} {
			if strings.Contains(string(rest), secret) {
				t.Errorf("%s has %q outside of personal: %s", e.EventType(), secret, rest)
			}
		}
	}
}

func TestOccurredAt(t *testing.T) {
	answered, byStatus := sent(1), settled(1)
	refusal, reported := failed(1, 1, message.ClassPermanent), afterAcceptance(failed(1, 1, message.ClassPermanent))
	for name, c := range map[string]struct {
		event domain.Occurred
		want  time.Time
	}{
		"confirmed":           {confirmed(1), start},
		"delivered":           {delivered(1), start},
		"read":                {read(1), start},
		"accepted by answer":  {answered, time.Time{}},
		"accepted by status":  {byStatus, start},
		"refused":             {refusal, time.Time{}},
		"failure by a status": {reported, start},
	} {
		if got := c.event.OccurredAt(); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func indented(t *testing.T, e any) []byte {
	t.Helper()
	data, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

// FuzzFold feeds any stored history to the fold and to every decision: a line
// is the name of an event type, a space and the event's JSON.
func FuzzFold(f *testing.F) {
	var all strings.Builder
	for _, e := range samples() {
		data, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		line := e.EventType() + " " + string(data) + "\n"
		all.WriteString(line)
		f.Add(line)
	}
	f.Add(all.String())
	f.Add("SendAttempted {\"call\":-3}\nSent {\"call\":99}\nFailed {\"call\":0}\nDeferred {\"call\":1,\"attempt\":-9}\n")
	types := map[string]domain.Type{}
	for _, typ := range message.Types() {
		types[typ.Name] = typ
	}
	f.Fuzz(func(t *testing.T, stored string) {
		var history []message.Record
		for line := range strings.Lines(stored) {
			name, data, _ := strings.Cut(strings.TrimSpace(line), " ")
			typ, ok := types[name]
			if !ok {
				continue
			}
			e, err := typ.Decode([]byte(data))
			if err != nil {
				continue
			}
			history = append(history, message.Record{Event: e, At: start})
		}
		m := message.Fold(history...)
		if m.Exists() && m.Status.Column() == "" {
			t.Errorf("the status %q is in no column", m.Status)
		}
		p, now := policy(), at(time.Hour)
		decisions := [][]message.Event{message.Advance(m, p, false, now), message.Advance(m, p, true, now)}
		for _, call := range []int{-1, 0, 1, len(m.Calls), len(m.Calls) + 1} {
			for _, r := range results() {
				decisions = append(decisions, message.FinishCall(m, call, r, p, now))
			}
			for _, k := range reportKinds() {
				events, known := message.RecordStatusUpdate(m, report(k, call, message.ClassTransient))
				if !known && len(events) > 0 {
					t.Errorf("a status that fits no call gives %s", show(events))
				}
				decisions = append(decisions, events)
			}
		}
		for _, events := range decisions {
			if after := m.Apply(recorded(now, events)...); after.Exists() && after.Status.Column() == "" {
				t.Errorf("%s leads to no column", show(events))
			}
		}
	})
}

func TestCutKeepsFourKiB(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"short", "short"},
		{strings.Repeat("x", 4096), strings.Repeat("x", 4096)},
		{strings.Repeat("x", 4097), strings.Repeat("x", 4096)},
		{strings.Repeat("x", 4095) + "é", strings.Repeat("x", 4095)},
	} {
		if got := message.TruncateRaw(c.raw); got != c.want {
			t.Errorf("%d bytes are cut to %d, want %d", len(c.raw), len(got), len(c.want))
		}
	}
}

// WhatsApp's word on a held template is in the answer to the call. The next status ends it.
func TestHeldForQuality(t *testing.T) {
	held := func(events ...message.Event) bool {
		records := []message.Record{{Event: queued(), At: start}, {Event: message.SendAttempted{Call: 1, Attempt: 1}, At: start}}
		for _, e := range events {
			records = append(records, message.Record{Event: e, At: start})
		}
		return message.Fold(records...).HeldForQuality
	}
	accepted := message.FinishCall(message.Fold(message.Record{Event: queued(), At: start}, message.Record{
		Event: message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: at(time.Minute)}, At: start,
	}), 1, message.Accepted{WhatsAppID: "w", Held: "held_for_quality_assessment"}, message.Policy{}, start)
	if !held(accepted...) {
		t.Errorf("%+v does not fold to a held message", accepted)
	}
	if held(message.Sent{Call: 1, Held: "paused"}) || held(message.Sent{Call: 1}) {
		t.Error("a message is held that WhatsApp does not hold for its quality")
	}
	for _, e := range []message.Event{
		message.Confirmed{Call: 1},
		message.Delivered{Call: 1},
		message.Read{Call: 1},
		message.Failed{Call: 1, Final: true, AfterAcceptance: true, Failure: message.Failure{Code: new(132015)}},
	} {
		if held(append(slices.Clone(accepted), e)...) {
			t.Errorf("it is still held after %s", e.EventType())
		}
	}
}

func TestPolicyCap(t *testing.T) {
	for code, want := range map[int]bool{131049: true, 130472: true, 131050: true, 131026: false, 0: false} {
		if got := (message.Failure{Code: &code}).PolicyCap(); got != want {
			t.Errorf("%d: %t, want %t", code, got, want)
		}
	}
	if (message.Failure{}).PolicyCap() {
		t.Error("a failure without a code is no policy cap")
	}
}
