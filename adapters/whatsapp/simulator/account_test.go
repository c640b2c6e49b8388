package simulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/whatsapp/simulator"
)

// change is a change of the business account as a webhook reports it.
type change struct {
	Field string
	Value struct {
		Event        string
		Display      string `json:"display_phone_number"`
		Limit        any    `json:"max_daily_conversations_per_business"`
		Restrictions []struct {
			Type string `json:"restriction_type"`
		} `json:"restriction_info"`
	}
}

func (r *receiver) changes(t *testing.T) []change {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []change
	for _, body := range r.bodies {
		var hook struct{ Entry []struct{ Changes []change } }
		if err := json.Unmarshal(body, &hook); err != nil {
			t.Fatal(err)
		}
		for _, entry := range hook.Entry {
			for _, c := range entry.Changes {
				if c.Field != "messages" {
					all = append(all, c)
				}
			}
		}
	}
	return all
}

// Each change of the business account's settings is reported once, as Meta does.
func TestAccountChangesAreReported(t *testing.T) {
	r := newReceiver(t)
	s := start(t, r.URL, nil)
	var want []string
	for _, step := range []struct{ settings, report string }{
		{`{"messaging_limit": 250}`, "business_capability_update    250 []"},
		{`{"qualities": {"1": "YELLOW"}}`, ""},
		{`{"qualities": {"1": "RED"}}`, "phone_number_quality_update FLAGGED 15550104444  TIER_250 []"},
		{`{"qualities": null}`, "phone_number_quality_update UNFLAGGED 15550104444  TIER_250 []"},
		{`{"high_throughput": ["1"]}`, "phone_number_quality_update THROUGHPUT_UPGRADE 15550104444  TIER_250 []"},
		{`{"restrictions": ["RESTRICTED_UTILITY_TEMPLATES"]}`, "account_update ACCOUNT_RESTRICTION   <nil> [{RESTRICTED_UTILITY_TEMPLATES}]"},
		{`{"restrictions": null}`, "account_update ACCOUNT_RESTRICTION   <nil> []"},
		{`{"messaging_limit": 0}`, "business_capability_update    -1 []"},
	} {
		if _, err := s.UpdateControl([]byte(step.settings)); err != nil {
			t.Fatal(err)
		}
		if step.report != "" {
			want = append(want, step.report)
		}
	}
	polltest.AtLeast(t, "all changes are reported", len(want), func() int { return len(r.changes(t)) })
	var got []string
	for _, c := range r.changes(t) {
		got = append(got, fmt.Sprintf("%s %s %s  %v %v", c.Field, c.Value.Event, c.Value.Display, c.Value.Limit, c.Value.Restrictions))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
	for _, wrong := range []string{`{"messaging_limit": -1}`, `{"qualities": {"1": "BLUE"}}`, `{"restrictions": ["ALL"]}`} {
		if _, err := s.UpdateControl([]byte(wrong)); err == nil {
			t.Errorf("%s was accepted", wrong)
		}
	}
}

// The messaging limit is about people, over all numbers, and not about those who wrote.
func TestMessagingLimit(t *testing.T) {
	r := newReceiver(t)
	s := start(t, r.URL, func(c *simulator.Control) { c.MessagingLimit = 2 })
	send := func(number, to string) int {
		t.Helper()
		body := fmt.Sprintf(`{"messaging_product":"whatsapp","to":%q,"type":"template","template":{"name":"hello","language":{"code":"en"}}}`, to)
		a, err := call(t.Context(), s, number, "token", body)
		if err != nil {
			t.Fatal(err)
		}
		if a.status == http.StatusOK {
			return 0
		}
		return a.code(t)
	}
	inbound := `{"phone_number_id":"1","from":"4915550000009","text":"hi"}`
	if a := request(t, http.MethodPost, "http://"+s.Addr()+"/inbound", "", inbound); a.status != http.StatusOK {
		t.Fatalf("%s", a.body)
	}
	for _, step := range []struct {
		number, to string
		code       int
	}{
		{"1", "4915550000001", 0},
		{"2", "4915550000002", 0},
		{"1", "4915550000002", 0},
		{"2", "4915550000003", 131048},
		{"1", "4915550000009", 0},
		{"2", "4915550000009", 131048}, // they wrote to the other number
	} {
		if code := send(step.number, step.to); code != step.code {
			t.Errorf("%s to %s: code %d, want %d", step.number, step.to, code, step.code)
		}
	}
	if _, err := s.UpdateControl([]byte(`{"restrictions": ["RESTRICTED_BIZ_INITIATED_MESSAGING"]}`)); err != nil {
		t.Fatal(err)
	}
	if code := send("1", "4915550000001"); code != 368 {
		t.Errorf("a restricted template has code %d", code)
	}
	if a := mustCall(t, s, textTo("4915550000001", "")); a.status != http.StatusOK {
		t.Errorf("text: %s", a.body)
	}
}
