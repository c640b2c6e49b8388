package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/identity"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
)

// about appends events with a person's data. The first names the person, and the others use
// its key.
func (b *bundle) about(stream, person string, events ...event.Proposed) event.KeyID {
	b.tb.Helper()
	var key event.KeyID
	for _, e := range events {
		e.ID, e.Subject = uuid.Must(uuid.NewV7()), event.Subject{Key: key}
		if key == "" {
			e.Subject = event.Subject{People: []string{person}}
		}
		e.Meta.RecordedAt, e.Meta.Sender = b.now, "acme"
		done, err := b.log.Append(b.ctx, stream, event.Any(), e)
		must(b.tb, err)
		if key == "" {
			key = done.Key
		}
	}
	return key
}

// dump returns every row of the read model in Postgres's text form.
func (b *bundle) dump() string {
	b.tb.Helper()
	var all bytes.Buffer
	for _, table := range []string{"message", "message_wamid", "message_exception", "message_label", "work_item", "personal_event", "identity_link", "identity_name", "conversation", "parked_event"} {
		rows, err := b.pool.Query(b.ctx, `SELECT t::text FROM `+table+` t`)
		must(b.tb, err)
		for rows.Next() {
			var row string
			must(b.tb, rows.Scan(&row))
			fmt.Fprintln(&all, row)
		}
		must(b.tb, rows.Err())
	}
	return all.String()
}

func TestRowsHoldNothingPersonalAndForgetWithTheLog(t *testing.T) {
	t.Parallel()
	b := setupSealed(t)
	const anna, ben = "+14155550101", "+447700900123"
	write := func(person, key string) (uuid.UUID, event.KeyID) {
		id := uuid.Must(uuid.NewV7())
		q := queued("acme", key)
		q.Personal.To, q.Personal.Labels = person, []message.Label{{Name: "campaign", Value: "for " + person}}
		f := message.FailurePersonal{Details: "number " + person + " is not on WhatsApp"}
		dataKey := b.about(event.MessageStream(id), person,
			event.Proposed{Event: q}, event.Proposed{Event: message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: b.now}},
			event.Proposed{Event: message.Sent{Call: 1, At: b.now, Personal: message.SentPersonal{WhatsAppID: "wamid." + person}}},
			event.Proposed{Event: message.Failed{Call: 1, Failure: failure(), AfterAcceptance: true, Final: true, At: b.now, Personal: f}})
		return id, dataKey
	}
	toAnna, annasKey := write(anna, "order-of-anna")
	toBen, _ := write(ben, "order-of-ben")
	b.about(event.InboundStream("1"), anna, event.Proposed{Event: inbound.InboundReceived{
		PhoneNumberID: "1", At: b.now, Personal: inbound.InboundPersonal{WhatsAppID: "wamid.in", From: anna, Message: []byte(`{}`)},
	}})
	const annasUser, bensUser = "US.13491208655302741918", "GB.70515320811973660425"
	for user, person := range map[string]string{annasUser: anna, bensUser: ben} {
		names := identity.Names{Number: person, UserID: user}
		_, err := b.log.Append(b.ctx, event.IdentityStream("1"), event.Any(), event.Proposed{
			ID: uuid.Must(uuid.NewV7()), Event: identity.IdentityLinked{BusinessAccountID: "1", At: b.now, Personal: names},
			Subject: event.Subject{People: names.All(), Same: true}, Meta: event.Meta{RecordedAt: b.now},
		})
		must(t, err)
	}
	must(t, b.vault.FlushAllProcesses(b.ctx))
	b.project()
	for _, word := range []string{anna[1:], ben[1:], annasUser[3:], bensUser[3:], "order-of", "campaign", "wamid.", "not on WhatsApp"} {
		if strings.Contains(b.dump(), word) {
			t.Errorf("%q is in the read model", word)
		}
	}
	model := b.model()
	one := func(id uuid.UUID) query.Message {
		list, err := model.MessagesByID(b.ctx, []uuid.UUID{id})
		must(t, err)
		return list[0]
	}
	if m := one(toAnna); *m.To != anna || *m.IdempotencyKey != "order-of-anna" || *m.WhatsAppID != "wamid."+anna ||
		m.Labels[0].Value != "for "+anna || m.Failure.Details == "" || m.ErasedAt != nil {
		t.Errorf("before: %+v, %+v", m, m.Failure)
	}
	labels := []message.Label{{Name: "campaign", Value: "for " + anna}}
	expect := func(when string, n int) {
		for name, f := range map[string]query.MessageFilter{
			"number": {To: new(anna)}, "user ID": {ToUserID: new(annasUser)}, "idempotency key": {IdempotencyKey: new("order-of-anna")}, "whatsapp id": {WhatsAppID: new("wamid." + anna)},
			"label": {Labels: labels}, "label of what failed": {Labels: labels, Status: []message.Status{message.StatusFailed}},
		} {
			page, err := model.Messages(b.ctx, f, query.Page{First: 10})
			must(t, err)
			if len(page.Messages) != n {
				t.Errorf("%s: by its %s %d messages are found, want %d", when, name, len(page.Messages), n)
			}
		}
	}
	expect("before", 1)
	numbers := func(want map[string]string) {
		for user, number := range want {
			if got, err := model.NumberOf(b.ctx, user); err != nil || got != number {
				t.Errorf("the number of %s is %q, %v; want %q", user, got, err, number)
			}
		}
	}
	numbers(map[string]string{annasUser: anna, bensUser: ben, "US.1": ""})
	messages, events, err := model.CountSealed(b.ctx, []event.KeyID{annasKey})
	must(t, err)
	if messages != 1 || events != 4 { // Queued, Sent, Failed, InboundReceived
		t.Errorf("%d messages and %d events are Anna's, want 1 and 4", messages, events)
	}

	keys, err := b.vault.KeysOf(b.ctx, anna, time.Time{})
	must(t, err)
	b.append(event.ErasureStream(uuid.Must(uuid.NewV7())), event.PersonalErased{Keys: keys, Cause: event.ErasedOnRequest})
	erasedAt := b.now
	must(t, b.vault.Destroy(b.ctx, keys, erasedAt))
	b.project()
	if m := one(toAnna); m.To != nil || m.IdempotencyKey != nil || m.WhatsAppID != nil || m.Labels != nil ||
		m.Failure.Details != "" || m.ErasedAt == nil || !m.ErasedAt.Equal(erasedAt) || m.Status != message.StatusFailed {
		t.Errorf("after: %+v, %+v", m, m.Failure)
	}
	if m := one(toBen); *m.To != ben {
		t.Errorf("Ben was forgotten too: %+v", m)
	}
	expect("after", 0)
	numbers(map[string]string{annasUser: "", bensUser: ben})
	// Rebuilt from a log that can only be read in part, it is the same.
	whole := postgres.RebuildOptions{URL: b.url, Log: b.log, LogID: b.logID, Logger: discard(), Vault: b.vault}
	for _, o := range []postgres.RebuildOptions{whole, whole.InSmallSteps()} {
		done, err := postgres.Rebuild(b.ctx, o)
		must(t, err)
		if len(done.Before) == 0 || !slices.Equal(done.Before, done.After) {
			t.Errorf("digests before the rebuild %v, after it %v", done.Before, done.After)
		}
	}
}

// Events of a message after its recipient was erased restore nothing, even if the projector
// remembers its row and the erasure is projected only later.
func TestForgottenRowsStayForgotten(t *testing.T) {
	t.Parallel()
	for name, parked := range map[string]bool{"at once": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupSealed(t)
			const anna = "+14155550101"
			id := uuid.Must(uuid.NewV7())
			q := queued("acme", "order-of-anna")
			q.Personal.To = anna
			key := b.about(event.MessageStream(id), anna,
				event.Proposed{Event: q}, event.Proposed{Event: message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: b.now}},
				event.Proposed{Event: message.Sent{Call: 1, At: b.now, Personal: message.SentPersonal{WhatsAppID: "wamid.anna"}}})
			must(t, b.vault.FlushAllProcesses(b.ctx))
			p := b.views(10)
			b.projectWith(p)
			if parked {
				_, err := b.pool.Exec(b.ctx, `ALTER TABLE message ADD CONSTRAINT lasting CHECK (erased_at IS NULL)`)
				must(t, err)
			}
			b.append(event.ErasureStream(uuid.Must(uuid.NewV7())), event.PersonalErased{Keys: []event.KeyID{key}, Cause: event.ErasedOnRequest})
			b.projectWith(p)
			for _, e := range []message.Event{message.Confirmed{Call: 1, At: b.now}, message.Delivered{Call: 1, At: b.now, CalledAt: b.now}} {
				b.append(event.MessageStream(id), e)
				b.projectWith(p)
			}
			if parked {
				_, err := b.pool.Exec(b.ctx, `ALTER TABLE message DROP CONSTRAINT lasting`)
				must(t, err)
				projected, err := p.RetryParked(b.ctx)
				must(t, err)
				if projected != 1 {
					t.Fatalf("%d streams were projected, want the erasure's", projected)
				}
			}
			b.append(event.MessageStream(id), message.Read{Call: 1, At: b.now, CalledAt: b.now})
			b.projectWith(p)
			var read, blank bool
			must(t, b.pool.QueryRow(b.ctx, `SELECT status = 'READ', personal IS NULL AND whatsapp_id IS NULL AND wamid_hashes IS NULL
				AND label_hashes IS NULL AND idempotency_hash IS NULL AND erased_at IS NOT NULL FROM message WHERE id = $1`, id).Scan(&read, &blank))
			if !read || !blank {
				t.Errorf("read: %v, nothing personal: %v", read, blank)
			}
		})
	}
}

// unscrubbed is a vault that leaves the files of Postgres alone. Cleaning those of all tests takes seconds.
type unscrubbed struct{ *vault.DataKeys }

func (unscrubbed) PurgeFiles(context.Context) error { return nil }

// Retention erases nothing that a message needs that is still to be sent, also if the read model
// doesn't know the message yet, comes from another log, or omits the message.
func TestRetentionKeepsWhatIsStillToBeSent(t *testing.T) {
	t.Parallel()
	b := setupSealed(t)
	queue := func(to string, then ...event.Proposed) (string, event.KeyID) {
		q := queued("acme", to)
		q.Personal.To = to
		stream := event.MessageStream(uuid.New())
		return stream, b.about(stream, to, append([]event.Proposed{{Event: q}}, then...)...)
	}
	_, open := queue("+14155550101")
	omitted, parked := queue("+14155550102")
	_, closed := queue("+14155550103", event.Proposed{Event: message.Cancelled{}})
	must(t, b.vault.FlushAllProcesses(b.ctx))

	now := time.Now()
	after := func(d time.Duration) <-chan time.Time {
		now = now.Add(d)
		fired := make(chan time.Time, 1)
		fired <- now
		return fired
	}
	clock := func() time.Time { return now }
	sweep := func(logID string) error {
		retain := process.NewRetain(process.RetainOptions{
			Log: b.log, LogID: uuid.MustParse(logID), Keys: unscrubbed{b.vault}, Open: b.model(), Lag: process.NewMeasureLag(b.log, b.log, b.model(), clock),
			Messages: command.NewMessages(b.log, clock, uuid.New, 10), Keep: -100_000 * time.Hour, // everything is old enough
			Clock: clock, After: after, IDs: uuid.New, Logger: discard(),
		})
		return retain.Sweep(b.ctx)
	}
	expect := func(when string, want ...event.KeyID) {
		t.Helper()
		alive, err := b.vault.Alive(b.ctx, []event.KeyID{open, parked, closed})
		must(t, err)
		slices.Sort(alive)
		slices.Sort(want)
		if !slices.Equal(alive, want) {
			t.Errorf("%s, %v are alive of open %s, parked %s, and closed %s", when, alive, open, parked, closed)
		}
	}

	if err := sweep(b.logID); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("before anything is projected: %v", err)
	}
	expect("before anything is projected", open, parked, closed)
	b.project()
	if err := sweep(uuid.NewString()); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("with the read models of another log: %v", err)
	}
	expect("with the read models of another log", open, parked, closed)
	b.parkAsBefore(omitted, 0, message.Queued{}.EventType())
	_, err := b.pool.Exec(b.ctx, `DELETE FROM message WHERE data_key = $1`, parked)
	must(t, err)
	must(t, sweep(b.logID))
	expect("at last", open, parked)
}
