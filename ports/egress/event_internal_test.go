package egress

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
)

func delivered() event.Recorded {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return event.Recorded{
		ID: uuid.MustParse("018f0000-0000-7000-8000-000000000001"), Stream: "message-018f0000-0000-7000-8000-000000000002",
		Revision: 3, Position: 1 << 40, Type: "Sent",
		Event: message.Sent{Call: 1, At: at, By: message.ByAnswer, Personal: message.SentPersonal{WhatsAppID: "wamid.1"}},
		Data:  []byte(`{"call":1,"at":"2026-01-02T03:04:05Z","by":"answer","personal":"sealed"}`),
		Meta:  event.Meta{V: 1, RecordedAt: at.Add(time.Second), Sender: "shop", CausationID: "cause"},
	}
}

func TestCloudEvent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		personal bool
		data     string
	}{
		{"without personal data", false, `{"at":"2026-01-02T03:04:05Z","by":"answer","call":1}`},
		{"with personal data, as decoded by the codec", true, `{"call":1,"at":"2026-01-02T03:04:05Z","by":"answer","personal":{"whatsappId":"wamid.1"}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := newCloudEvent("018f0000-0000-7000-8000-00000000000f", delivered(), "018f0000-0000-7000-8000-000000000002", c.personal)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(out)
			if err != nil {
				t.Fatal(err)
			}
			want := `{"specversion":"1.0","id":"018f0000-0000-7000-8000-000000000001",` +
				`"source":"urn:uuid:018f0000-0000-7000-8000-00000000000f","type":"waypost.Sent",` +
				`"subject":"018f0000-0000-7000-8000-000000000002","time":"2026-01-02T03:04:06Z","datacontenttype":"application/json",` +
				`"sender":"shop","revision":3,"position":"1099511627776","dataversion":1,"recordedat":"2026-01-02T03:04:06Z",` +
				`"causationid":"cause","data":` + c.data + `}`
			if string(got) != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// Personal data that don't fit into a message of the broker are left out, and the event is still published.
func TestPersonalDataThatDoNotFit(t *testing.T) {
	t.Parallel()
	e := delivered()
	e.Event = message.Sent{Call: 1, Personal: message.SentPersonal{WhatsAppID: strings.Repeat("w", 1000)}}
	for limit, personal := range map[int]bool{0: true, 1000: false, 2000: true} {
		p := New(Options{MaxMessage: limit, Personal: true, Logger: slog.New(slog.DiscardHandler)})
		m, _, err := p.cloudEvent(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if m == nil || limit > 0 && len(m.Payload) > limit || strings.Contains(string(m.Payload), "www") != personal {
			t.Errorf("with a limit of %d, the message is %v", limit, m)
		}
	}
}

// An inbound message is published under its public ID. The name of its group is not personal.
func TestInboundCloudEvent(t *testing.T) {
	t.Parallel()
	e := delivered()
	e.Stream, e.Type, e.Revision = "inbound-910200300400500", "InboundReceived", 17
	e.Event = inbound.InboundReceived{PhoneNumberID: "910200300400500", Type: "text", Personal: inbound.InboundPersonal{
		WhatsAppID: "wamid.2", From: "14155550101", Message: []byte(`{"text":{"body":"Hi"}}`),
	}}
	e.Data = []byte(`{"phoneNumberId":"910200300400500","type":"text","personal":"sealed"}`)
	of, ok := subjectOf(e)
	if !ok || of.id != "910200300400500-17-018f0000" || of.group != e.Stream || of.order != e.Stream+"\n14155550101" {
		t.Errorf("subject %+v, %t", of, ok)
	}
	for personal, want := range map[bool]string{
		false: `{"phoneNumberId":"910200300400500","type":"text"}`,
		true:  `{"phoneNumberId":"910200300400500","type":"text","personal":{"whatsappId":"wamid.2","from":"14155550101","message":{"text":{"body":"Hi"}}}}`,
	} {
		out, err := newCloudEvent("018f0000-0000-7000-8000-00000000000f", e, of.id, personal)
		if err != nil || out.Type != "waypost.InboundReceived" || out.Subject != of.id || out.Revision != 17 || string(out.Data) != want {
			t.Errorf("%+v %s: %v", out, out.Data, err)
		}
	}
	e.Type = "InboundMentioned" // of a later version
	if _, ok := subjectOf(e); ok {
		t.Error("another event of the stream is published")
	}
	e.Stream = "echo-910200300400500"
	if _, ok := subjectOf(e); ok {
		t.Error("an event of another stream is published")
	}
}

// A choice about marketing is published in the order of its sender, without the person.
func TestOptOutCloudEvent(t *testing.T) {
	t.Parallel()
	e := delivered()
	e.Stream, e.Type = event.MarketingStream("shop"), "OptedOut"
	e.Event = conversation.OptedOut{Choice: conversation.Choice{Sender: "shop", Source: conversation.FromKeyword, Personal: conversation.ChoicePersonal{
		Person: conversation.Person{Number: "+14155550101"},
	}}}
	e.Data = []byte(`{"sender":"shop","source":"keyword","personal":"sealed"}`)
	of, ok := subjectOf(e)
	if want := (subject{id: "marketing-shop", group: "marketing-shop", order: "marketing-shop"}); !ok || of != want {
		t.Errorf("subject %+v, %t", of, ok)
	}
	out, err := newCloudEvent("018f0000-0000-7000-8000-00000000000f", e, of.id, false)
	if err != nil || out.Type != "waypost.OptedOut" || string(out.Data) != `{"sender":"shop","source":"keyword"}` {
		t.Errorf("%+v %s: %v", out, out.Data, err)
	}
}

func TestUnknownEventsLeaveWithoutWhatIsPersonal(t *testing.T) {
	t.Parallel()
	e := delivered()
	e.Event = nil
	data, err := dataOf(e, true)
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != `{"at":"2026-01-02T03:04:05Z","by":"answer","call":1}` {
		t.Errorf("got %s", data)
	}
}
