package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/sender"
)

// wrote returns a webhook with a text message.
func wrote(field, wamid, from, text string) string {
	items := fmt.Sprintf(`"contacts":[{"wa_id":%q}],"messages":[{"from":%q,"from_user_id":"US.5204441","id":%q,"timestamp":"1793000000","type":"text","text":{"body":%q}}]`,
		from, from, wamid, text)
	if field == "standby" {
		items = `"standby":{` + items + `}`
	}
	return `{"object":"whatsapp_business_account","entry":[{"id":"` + accountID + `","changes":[{"field":"` + field + `","value":{"metadata":{"phone_number_id":"` +
		phoneNumberID + `"},` + items + `}}]}]}`
}

func preferred(number, who, category, value string, at int) string {
	return fmt.Sprintf(`{"object":"whatsapp_business_account","entry":[{"id":%q,"changes":[{"field":"user_preferences","value":{"metadata":{"phone_number_id":%q},
		"user_preferences":[{%s,"category":%q,"value":%q,"timestamp":%d}]}}]}]}`, accountID, number, who, category, value, at)
}

// Whatever a person uses to opt out is recorded before the webhook is acknowledged, and once.
func TestOptOutsAreRecorded(t *testing.T) {
	p := start(t)
	if _, err := p.senders.Update(t.Context(), senderID, sender.Changes{OptOutKeywords: &[]string{"Stop", "ARRÊT"}}, "", event.Cause{By: domain.Platform("test")}); err != nil {
		t.Fatal(err)
	}
	id := p.attempted()
	p.accept(id, "wamid.refused")
	refused := strings.Replace(status("failed", "wamid.refused", id), "131026", "131050", 1)
	for round := range 3 {
		if round == 2 {
			p.restart() // nothing is cached anymore
		}
		for _, body := range []string{
			wrote("messages", "wamid.1", "12025550143", " arrêt "),
			wrote("messages", "wamid.2", "12025550144", "please stop"),
			wrote("messages", "wamid.3", "12025550145", "UNSUBSCRIBE"), // not one of the sender's
			wrote("standby", "wamid.4", "12025550146", "STOP"),
			preferred(phoneNumberID, `"wa_id":"12025550147","user_id":"US.5204447"`, "marketing_messages", "stop", 1793000001),
			preferred(phoneNumberID, `"user_id":"US.5204447"`, "marketing_messages", "resume", 1793000002),
			preferred(phoneNumberID, `"wa_id":"12025550148"`, "other_messages", "stop", 1793000001),
			preferred("999", `"wa_id":"12025550149"`, "marketing_messages", "stop", 1793000001),
			preferred(phoneNumberID, `"wa_id":"nobody"`, "marketing_messages", "stop", 1793000001),
			delivery(phoneNumberID, refused),
		} {
			p.mustDeliver(body)
		}
	}
	events, err := p.log.Read(t.Context(), event.MarketingStream(senderID), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range events {
		c, _ := conversation.ChoiceIn(r.Event)
		if r.Meta.Sender != senderID || c.Sender != senderID || c.Source == conversation.FromError && c.MessageID != id.String() {
			t.Errorf("%+v of %+v", r.Meta, c)
		}
		got = append(got, fmt.Sprint(r.Type, " ", c.Source, " ", strings.Join(c.Personal.IDs(), "/"), " ", c.At.UTC().Format(time.TimeOnly), " ", c.Personal.WhatsAppID))
	}
	want := []string{
		"OptedOut keyword +12025550143/US.5204441 07:33:20 wamid.1", "OptedOut user_preferences +12025550147/US.5204447 07:33:21 ",
		"OptedIn user_preferences US.5204447 07:33:22 ", "OptedOut error_131050 +12025550143 16:00:04 ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("recorded\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if types := p.types(event.MessageStream(id)); types[len(types)-1] != "Failed" {
		t.Errorf("the message has %v", types)
	}
}
