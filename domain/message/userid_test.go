package message_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

const aUserID = "US.13491208655302741918"

func TestARecipientIsANumberOrAUserID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ to, user, number, id, field string }{
		{"+1 415 555 0101", "", "+14155550101", "", ""},
		{"", " US.13491208655302741918\n", "", aUserID, ""},
		{"", "GB.ENT.30998817264455120038", "", "GB.ENT.30998817264455120038", ""},
		{"", "", "", "", "to"},
		{"+14155550101", aUserID, "", "", "to"},
		{aUserID, "", "", "", "to"},
		{"", "+14155550101", "", "", "toUserId"},
		{"", "us.1", "", "", "toUserId"},
		{"", "US.", "", "", "toUserId"},
		{"", "US.a b", "", "", "toUserId"},
		{"", "US." + strings.Repeat("1", 129), "", "", "toUserId"},
		{"", "US.ENT.", "", "", "toUserId"},
	} {
		number, id, err := message.ParseRecipient(c.to, c.user)
		var invalid *domain.Error
		errors.As(err, &invalid)
		if number != c.number || id != c.id || (err == nil) != (c.field == "") || invalid != nil && invalid.Field != c.field {
			t.Errorf("%q and %q: %q, %q, %v", c.to, c.user, number, id, err)
		}
	}
	_, err := message.ParseNumber(aUserID)
	if err == nil || !strings.Contains(err.Error(), "toUserId") {
		t.Errorf("a user ID as a number: %v", err)
	}
}

// A masked user ID never has more than a third of what identifies the person.
func TestMaskedUserIDsHideThePerson(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rest := rapid.StringMatching(`[A-Za-z0-9]{1,128}`).Draw(t, "rest")
		masked := message.MaskUserID("US." + rest)
		shown := strings.TrimPrefix(masked, "US.•••")
		if !strings.HasPrefix(masked, "US.•••") || 3*len(shown) > len(rest) || !strings.HasSuffix(rest, shown) {
			t.Fatalf("%q is shown as %q", rest, masked)
		}
	})
	if got := message.MaskUserID("+14155550101"); got != "•••" {
		t.Errorf("what is no user ID is shown as %q", got)
	}
	if !message.NamesRecipient("order-"+aUserID, aUserID) || message.NamesRecipient("order-1", aUserID) {
		t.Error("a key with a user ID is not recognized")
	}
}

func TestOneTimeCodesAreNotSentToAUserID(t *testing.T) {
	t.Parallel()
	template := func(body, button string) message.Template {
		text := func(s string) []json.RawMessage {
			raw, err := json.Marshal(map[string]string{"type": "text", "text": s})
			if err != nil {
				t.Fatal(err)
			}
			return []json.RawMessage{raw}
		}
		return message.Template{Name: "login", Language: message.Language{Code: "en"}, Components: []message.Component{
			{Type: message.ComponentBody, Parameters: text(body)},
			{Type: message.ComponentButton, SubType: "url", Index: "0", Parameters: text(button)},
		}}
	}
	for _, c := range []struct {
		content  message.Content
		priority message.Priority
		refused  bool
	}{
		{template("482913", "482913"), message.PriorityTransactional, true},
		{template("AB12", "AB12"), message.PriorityOTP, true},
		{template("AB12", "AB12"), message.PriorityTransactional, false},
		{template("482913", "orders/482913"), message.PriorityOTP, false},
		{message.Template{Name: "hello", Language: message.Language{Code: "en"}}, message.PriorityOTP, false},
		{message.Text{Body: "482913"}, message.PriorityOTP, false},
	} {
		r := message.Request{Sender: "shop", ToUserID: aUserID, Content: c.content, Priority: c.priority, OnAmbiguous: message.AmbiguityResend}
		_, err := message.Queue(r, at(0))
		var invalid *domain.Error
		if refused := errors.As(err, &invalid); refused != c.refused || refused && invalid.Field != "toUserId" {
			t.Errorf("%+v as %s: %v", c.content, c.priority, err)
		}
		r.To, r.ToUserID = "+14155550101", ""
		if _, err := message.Queue(r, at(0)); err != nil {
			t.Errorf("to a number: %v", err)
		}
	}
}
