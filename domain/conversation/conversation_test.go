package conversation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/conversation"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func drawConversation(t *rapid.T, name string) conversation.Conversation {
	at := func() time.Time {
		if s := rapid.IntRange(0, 5).Draw(t, name); s > 0 {
			return noon.Add(time.Duration(s) * time.Second)
		}
		return time.Time{}
	}
	c := conversation.Conversation{InboundAt: at(), OpenedAt: at(), RefusedAt: at(), EchoedAt: at(), FreeUntil: at()}
	if c.Marketing.At = at(); !c.Marketing.At.IsZero() {
		c.Marketing.OptedOut = rapid.Bool().Draw(t, name)
		c.Marketing.Position = int64(rapid.IntRange(1, 9).Draw(t, name))
		c.Marketing.Source = conversation.Source(fmt.Sprint(c.Marketing.OptedOut)) // an event has one position
		if c.Marketing.OptedOut {
			c.Marketing.Position += 10
		}
	}
	return c
}

// Whatever order facts are learned in, and however often, the result is the same.
func TestMergeIsIndependentOfOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawConversation(t, "a"), drawConversation(t, "b"), drawConversation(t, "c")
		switch {
		case a.Merge(b) != b.Merge(a):
			t.Error("not commutative")
		case a.Merge(b).Merge(c) != a.Merge(b.Merge(c)):
			t.Error("not associative")
		case a.Merge(a) != a || a.Merge(conversation.Conversation{}) != a:
			t.Error("not idempotent")
		case a.Merge(b).Before(noon.Add(3 * time.Second)).InboundAt.After(noon.Add(2 * time.Second)):
			t.Error("a fact is from after the time")
		}
	})
}

func TestWindow(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		c    conversation.Conversation
		want time.Time
	}{
		"nothing known":                    {},
		"wrote":                            {conversation.Conversation{OpenedAt: noon}, noon.Add(24 * time.Hour)},
		"reacted":                          {conversation.Conversation{InboundAt: noon}, time.Time{}},
		"refused later":                    {conversation.Conversation{OpenedAt: noon, RefusedAt: noon.Add(time.Second)}, time.Time{}},
		"refused in the same second":       {conversation.Conversation{OpenedAt: noon, RefusedAt: noon.Add(900 * time.Millisecond)}, noon.Add(24 * time.Hour)},
		"wrote again after it was refused": {conversation.Conversation{OpenedAt: noon.Add(time.Minute), RefusedAt: noon}, noon.Add(24*time.Hour + time.Minute)},
		"free entry point only":            {conversation.Conversation{FreeUntil: noon.Add(72 * time.Hour)}, time.Time{}},
	} {
		if got := tc.c.WindowOpenUntil(); !got.Equal(tc.want) {
			t.Errorf("%s: open until %v, want %v", name, got, tc.want)
		}
	}
	for _, kind := range []string{"text", "image", "button", "interactive", "order", "location", "contacts", "sticker"} {
		if !conversation.Opens(kind) {
			t.Errorf("%s does not open the window", kind)
		}
	}
	for _, kind := range []string{"reaction", "system", "edit", "revoke", "unsupported", ""} {
		if conversation.Opens(kind) {
			t.Errorf("%q opens the window", kind)
		}
	}
}

func TestKeywords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"STOP": true, "stop": true, "  Stop\n": true, "arrêt": true, "ARRÊT": true, "STOP.": false, "please stop": false, "": false, " ": false,
	} {
		if got := conversation.IsKeyword(text, []string{"STOP", " Arrêt "}); got != want {
			t.Errorf("%q is a keyword: %t", text, got)
		}
	}
	if conversation.IsKeyword("STOP", nil) {
		t.Error("a keyword without any")
	}
}

func TestPersons(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]conversation.Person{
		"14155550101": {Number: "+14155550101"}, "+14155550101": {Number: "+14155550101"}, "US.13491208655302741918": {UserID: "US.13491208655302741918"},
		"": {}, "123": {}, "1415555010199999": {}, "group-1": {}, "4155x550101": {},
	} {
		if got := conversation.PersonOf(id); got != want {
			t.Errorf("%q is %+v", id, got)
		}
	}
}

func TestCallsAndFreeEntryPoints(t *testing.T) {
	t.Parallel()
	calls := conversation.CallsIn([]byte(`{"calls":[
		{"from":"14155550101","event":"connect","direction":"USER_INITIATED","timestamp":"1793000000"},
		{"from":"14155550102","event":"terminate","direction":"BUSINESS_INITIATED","timestamp":"1793000000"},
		{"from_user_id":"US.1","event":"terminate","direction":"USER_INITIATED","timestamp":1793000001},
		{"from":"14155550103","direction":"USER_INITIATED","timestamp":"soon"}],
		"statuses":[{"type":"call","status":"ACCEPTED","recipient_id":"14155550104","timestamp":"1793000002"},
		{"type":"call","status":"RINGING","recipient_id":"14155550105","timestamp":"1793000002"}]}`))
	var got []string
	for _, c := range calls {
		got = append(got, fmt.Sprint(c.IDs(), c.At.Unix()-1793000000))
	}
	if want := []string{"[+14155550101] 0", "[US.1] 1", "[+14155550104] 2"}; !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
	if conversation.CallsIn([]byte(`[]`)) != nil || conversation.CallsIn(nil) != nil {
		t.Error("calls in what has none")
	}
	for object, want := range map[string]int64{
		`{"expiration_timestamp":"1793603900","origin":{"type":"referral_conversion"}}`: 1793603900,
		`{"expiration_timestamp":1793603900,"origin":{"type":"referral_conversion"}}`:   1793603900,
		`{"expiration_timestamp":"1793603900","origin":{"type":"utility"}}`:             0,
		`{"origin":{"type":"referral_conversion"}}`:                                     0,
		`{"expiration_timestamp":-5,"origin":{"type":"referral_conversion"}}`:           0,
		`7`: 0, ``: 0,
	} {
		if got := conversation.FreeUntil([]byte(object)); want == 0 != got.IsZero() || want != 0 && got.Unix() != want {
			t.Errorf("%s: free until %v", object, got)
		}
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	ada := conversation.Person{Number: "+14155550101"}
	got, err := conversation.Set("acme", ada, true, " asked by phone ", noon, time.Time{})
	want := conversation.OptedOut{Choice: conversation.Choice{
		Sender: "acme", Source: conversation.FromAPI, At: noon, Personal: conversation.ChoicePersonal{Person: ada, Reason: "asked by phone"},
	}}
	if err != nil || got != domain.Event(want) {
		t.Errorf("%+v, %v", got, err)
	}
	// WhatsApp's clock can be ahead of Waypost's. The request is still the latest choice.
	got, err = conversation.Set("acme", ada, false, "asked by phone", noon, noon.Add(time.Second))
	if in, ok := got.(conversation.OptedIn); err != nil || !ok || !in.At.Equal(noon.Add(time.Second)) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, reason := range []string{"", "  ", strings.Repeat("x", domain.MaxReason+1)} {
		if _, err := conversation.Set("acme", ada, true, reason, noon, time.Time{}); domain.CodeOf(err) != domain.CodeInvalidInput {
			t.Errorf("reason of %d characters: %v", len(reason), err)
		}
	}
}
