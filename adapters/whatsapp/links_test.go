package whatsapp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/domain/identity"
)

// What WhatsApp says about one person in one object links the person's IDs, and nothing else does.
func TestLinksInWebhooks(t *testing.T) {
	rows := table(t)
	const (
		ada, adasUser = "12025550143", "US.52044410937716250083"
		bea           = "GB.70515320811973660425"
		parent        = "GB.ENT.30998817264455120038"
	)
	both := identity.Names{Number: "+" + ada, UserID: adasUser}
	for name, c := range map[string]struct {
		field, value string
		want         []identity.Names
	}{
		"contacts":      {"messages", `"contacts":[{"profile":{"name":"Ada"},"wa_id":"` + ada + `","user_id":"` + adasUser + `"}]`, []identity.Names{both}},
		"sender":        {"messages", `"messages":[{"id":"w","type":"text","from":"` + ada + `","from_user_id":"` + adasUser + `"}]`, []identity.Names{both}},
		"hidden number": {"messages", `"contacts":[{"user_id":"` + bea + `"}],"messages":[{"id":"w","type":"text","from_user_id":"` + bea + `"}]`, nil},
		"parent": {
			"messages", `"contacts":[{"user_id":"` + bea + `","parent_user_id":"` + parent + `"}]`,
			[]identity.Names{{UserID: bea, ParentUserID: parent}},
		},
		"status": {"messages", `"statuses":[{"id":"w","status":"read","recipient_id":"` + ada + `","recipient_user_id":"` + adasUser + `"}]`, []identity.Names{both}},
		"group": {"messages", `"statuses":[{"id":"w","status":"read","recipient_id":"120363000000000000","recipient_type":"group",
			"recipient_user_id":"US.9","recipient_participant_id":"` + ada + `","recipient_participant_user_id":"` + adasUser + `"}]`, []identity.Names{both}},
		"number changed": {"messages", `"messages":[{"id":"w","type":"system","from":"` + ada + `","from_user_id":"US.1","system":{
			"type":"user_changed_number","wa_id":"12025550199","user_id":"US.2","previous_user_id":"US.1"}}]`, []identity.Names{
			{Number: "+" + ada, UserID: "US.1"},
			{Number: "+12025550199", UserID: "US.2", PreviousNumber: "+" + ada, PreviousUserID: "US.1"},
		}},
		"user ID changed": {"messages", `"messages":[{"id":"w","type":"system","from_user_id":"GB.1","system":{
			"type":"user_changed_user_id","user_id":"GB.2"}}]`, []identity.Names{{UserID: "GB.2", PreviousUserID: "GB.1"}}},
		"user ID changed, with the number": {
			"messages", `"messages":[{"id":"w","type":"system","from":"` + ada + `","system":{
			"type":"user_changed_user_id","wa_id":"` + ada + `","user_id":"US.2","previous_user_id":"US.1"}}]`,
			[]identity.Names{{Number: "+" + ada, UserID: "US.2", PreviousUserID: "US.1"}},
		},
		"requested number": {
			"messages", `"messages":[{"id":"w","type":"contacts","from_user_id":"` + bea + `","contacts":[
			{"origin":"contact_request","phones":[{"phone":"+44 7700 900123","wa_id":"447700900123"}]}]}]`,
			[]identity.Names{{Number: "+447700900123", UserID: bea}},
		},
		"requested number, as the message says": {
			"messages", `"messages":[{"id":"w","type":"contacts","origin":"contact_request",
			"from_user_id":"` + bea + `","contacts":[{"phones":[{"phone":"+44 7700 900123"}]}]}]`,
			[]identity.Names{{Number: "+447700900123", UserID: bea}},
		},
		"another person's card": {"messages", `"messages":[{"id":"w","type":"contacts","from_user_id":"` + bea + `","contacts":[
			{"origin":"other","phones":[{"phone":"+1 202-555-0187","wa_id":"12025550187"}]}]}]`, nil},
		"card without an origin": {"messages", `"messages":[{"id":"w","type":"contacts","from_user_id":"` + bea + `","contacts":[
			{"phones":[{"wa_id":"12025550187"}]}]}]`, nil},
		"choice": {"user_preferences", `"user_preferences":[{"wa_id":"` + ada + `","user_id":"` + adasUser + `","value":"stop"}]`, []identity.Names{both}},
		"relayed change": {
			"user_id_update", `"user_id_update":[{"wa_id":"` + ada + `","user_id":{"previous":"US.1","current":"US.2"}}]`,
			[]identity.Names{{Number: "+" + ada, UserID: "US.2", PreviousUserID: "US.1"}},
		},
		"no IDs": {"messages", `"contacts":[{"wa_id":"ada","user_id":"us.1"},{"wa_id":1,"user_id":{}}]`, nil},
	} {
		body := fmt.Sprintf(`{"entry":[{"id":"100","changes":[{"field":%q,"value":{%s}}]}]}`, c.field, c.value)
		var got []identity.Names
		for _, l := range rows.ParseWebhook([]byte(body)).Links {
			if l.BusinessAccountID != "100" {
				t.Errorf("%s: the account is %q", name, l.BusinessAccountID)
			}
			got = append(got, l.Names)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	repeated := strings.Repeat(`{"wa_id":"`+ada+`","user_id":"`+adasUser+`"},`, 3)
	d := rows.ParseWebhook([]byte(`{"entry":[{"id":"1","changes":[{"field":"messages","value":{"contacts":[` + strings.TrimSuffix(repeated, ",") + `]}}]}]}`))
	if len(d.Links) != 1 {
		t.Errorf("a link three times is %d links", len(d.Links))
	}
}
