package postgres_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/identity"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
)

// wrote records that a person wrote to acme.
func (b *bundle) wrote(person, kind, field string, at time.Time) {
	b.tb.Helper()
	b.about(event.InboundStream("1"), person, event.Proposed{Event: inbound.InboundReceived{
		PhoneNumberID: "1", Type: kind, Field: field, At: at, Personal: inbound.InboundPersonal{WhatsAppID: uuid.NewString(), From: person, Message: []byte(`{}`)},
	}})
}

// chose records a person's choice about the marketing of acme.
func (b *bundle) chose(who conversation.Person, optedOut bool, at time.Time) {
	b.tb.Helper()
	b.about(event.MarketingStream("acme"), who.IDs()[0], event.Proposed{Event: conversation.Of(conversation.Choice{
		Sender: "acme", Source: conversation.FromPreferences, At: at, Personal: conversation.ChoicePersonal{Person: who},
	}, optedOut)})
}

// called records a message to a person and the outcome of its call, which began at a time.
func (b *bundle) called(person string, at time.Time, outcome message.Event) {
	b.tb.Helper()
	q := queued("acme", uuid.NewString())
	q.Personal.To = person
	was := b.now
	b.now = at
	b.about(event.MessageStream(uuid.New()), person, event.Proposed{Event: q},
		event.Proposed{Event: message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: b.now}}, event.Proposed{Event: outcome})
	b.now = was
}

func refused(code int) message.Failed {
	f := failure()
	f.Code = &code
	return message.Failed{Call: 1, Failure: f, Final: true, Personal: message.FailurePersonal{Details: "x"}}
}

func confirmed(conversation string) message.Confirmed {
	return message.Confirmed{Call: 1, Personal: &message.StatusPersonal{Conversation: []byte(conversation)}}
}

// The read model knows of each person what all events say, under whichever ID they name the
// person, and a rebuild knows the same.
func TestConversations(t *testing.T) {
	t.Parallel()
	b := setupSealed(t)
	at := b.now.Truncate(time.Second)
	const ada, adasUser, ben, cleo, dora, eve = "+14155550101", "US.13491208655302741918", "+14155550102", "+14155550103", "+14155550104", "+14155550105"

	b.wrote(ada[1:], "text", "", at)
	b.wrote(ada[1:], "reaction", "", at.Add(time.Minute))
	b.wrote(ada[1:], "system", "", at.Add(2*time.Minute))
	b.wrote(ben[1:], "text", "standby", at.Add(time.Second))
	b.wrote(ben[1:], "text", "", at) // late
	b.wrote(cleo[1:], "text", "", at)
	b.called(cleo, at.Add(time.Minute), refused(131047))
	b.called(cleo, at.Add(2*time.Minute), refused(131026))
	b.wrote(dora[1:], "text", "", at.Add(2*time.Minute))
	b.called(dora, at.Add(time.Minute), refused(131047))
	b.called(dora, at, confirmed(`{"expiration_timestamp":"1793603900","origin":{"type":"referral_conversion"}}`))
	b.about(event.EchoStream("1"), dora, event.Proposed{Event: inbound.EchoReceived{
		PhoneNumberID: "1", At: at.Add(time.Hour), Personal: inbound.EchoPersonal{WhatsAppID: "wamid.e", To: dora[1:], Message: []byte(`{}`)},
	}})
	b.about(event.AccountStream("1"), eve, event.Proposed{Event: inbound.AccountChanged{
		PhoneNumberID: "1", Field: "calls", Personal: inbound.AccountPersonal{Value: fmt.Appendf(nil,
			`{"calls":[{"from":%q,"direction":"USER_INITIATED","timestamp":"%d"}]}`, eve[1:], at.Unix())},
	}})
	b.chose(conversation.Person{Number: ben}, true, at)
	b.chose(conversation.Person{Number: ben}, false, at.Add(-time.Second)) // repeated late
	b.chose(conversation.Person{Number: cleo}, true, at)
	b.chose(conversation.Person{Number: cleo}, false, at) // the second one of the same second
	b.chose(conversation.Person{UserID: adasUser}, true, at.Add(3*time.Second))

	check := func(when string, of work.Recipient, want conversation.Conversation) {
		t.Helper()
		list, position, err := b.model().Conversations(b.ctx, []work.Recipient{{Sender: "other", To: ada}, of})
		must(t, err)
		got := list[1]
		got.Marketing.Position = 0
		for _, x := range []*time.Time{&got.InboundAt, &got.OpenedAt, &got.RefusedAt, &got.EchoedAt, &got.FreeUntil, &got.Marketing.At} {
			if !x.IsZero() {
				*x = x.UTC()
			}
		}
		if list[0] != (conversation.Conversation{}) || got != want || position == 0 {
			t.Errorf("%s, %+v at %d:\n got %+v\nwant %+v", when, of, position, got, want)
		}
	}
	to := func(number string) work.Recipient { return work.Recipient{Sender: "acme", To: number} }
	user := work.Recipient{Sender: "acme", ToUserID: adasUser}
	out := func(at time.Time) conversation.Marketing {
		return conversation.Marketing{OptedOut: true, At: at, Source: conversation.FromPreferences}
	}
	must(t, b.vault.FlushAllProcesses(b.ctx))
	b.project()
	adas := conversation.Conversation{InboundAt: at.Add(time.Minute), OpenedAt: at}
	check("not linked", to(ada), adas)
	check("not linked", user, conversation.Conversation{Marketing: out(at.Add(3 * time.Second))})
	_, err := b.log.Append(b.ctx, event.IdentityStream("1"), event.Any(), event.Proposed{
		ID: uuid.New(), Event: identity.IdentityLinked{BusinessAccountID: "1", At: at, Personal: identity.Names{Number: ada, UserID: adasUser}},
		Subject: event.Subject{People: []string{ada, adasUser}, Same: true}, Meta: event.Meta{RecordedAt: b.now},
	})
	must(t, err)
	must(t, b.vault.FlushAllProcesses(b.ctx))
	b.project()
	adas.Marketing = out(at.Add(3 * time.Second))
	for when, rebuilt := range map[string]bool{"projected": false, "rebuilt": true} {
		if rebuilt {
			b.rebuild()
		}
		check(when, to(ada), adas)
		check(when, user, adas)
		check(when, to(ben), conversation.Conversation{InboundAt: at.Add(time.Second), OpenedAt: at.Add(time.Second), Marketing: out(at)})
		check(when, to(cleo), conversation.Conversation{
			InboundAt: at, OpenedAt: at, RefusedAt: at.Add(time.Minute), Marketing: conversation.Marketing{At: at, Source: conversation.FromPreferences},
		})
		check(when, to(dora), conversation.Conversation{
			InboundAt: at.Add(2 * time.Minute), OpenedAt: at.Add(2 * time.Minute), RefusedAt: at.Add(time.Minute), EchoedAt: at.Add(time.Hour),
			FreeUntil: time.Unix(1793603900, 0).UTC(),
		})
		check(when, to(eve), conversation.Conversation{OpenedAt: at})
		check(when, to("+14155550109"), conversation.Conversation{})
		yes := true // Ada wrote under one ID and opted out under another
		found, err := b.model().ListConversations(b.ctx, query.ConversationFilter{OptedOut: &yes, WindowOpen: &yes, Now: at.Add(time.Hour)}, query.Page{First: 10})
		must(t, err)
		var listed []string
		for _, c := range found.Conversations {
			listed = append(listed, c.Person.Number)
		}
		if want := []string{ada, ben}; !slices.Equal(listed, want) {
			t.Errorf("%s, opted out with an open window: %v; want %v", when, listed, want)
		}
	}
	if v, found := b.verify(); v.Differences > 0 {
		t.Errorf("differences: %v", found)
	}

	// Nothing is left of a person who is erased, under any ID.
	keys := map[event.KeyID]bool{}
	for _, id := range []string{ada, adasUser} {
		of, err := b.vault.KeysOf(b.ctx, id, time.Time{})
		must(t, err)
		for _, k := range of {
			keys[k] = true
		}
	}
	var erased []event.KeyID
	for k := range keys {
		erased = append(erased, k)
	}
	b.append(event.ErasureStream(uuid.New()), domain.Event(event.PersonalErased{Keys: erased, Cause: event.ErasedOnRequest}))
	must(t, b.vault.Destroy(b.ctx, erased, b.now))
	b.project()
	for _, when := range []string{"erased", "erased and rebuilt"} {
		check(when, to(ada), conversation.Conversation{})
		check(when, user, conversation.Conversation{})
		check(when, to(eve), conversation.Conversation{OpenedAt: at})
		b.rebuild()
	}
}
