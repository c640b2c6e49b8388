package whatsapp_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/domain/message"
)

// document returns a documented request, split as a queued message is.
func document(t testing.TB, file string) (whatsapp.Payload, map[string]any) {
	t.Helper()
	body := fixture(t, strings.TrimPrefix(file, "testdata/"))
	var parts map[string]json.RawMessage
	var whole map[string]any
	if err := json.Unmarshal(body, &parts); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &whole); err != nil {
		t.Fatal(err)
	}
	text := func(name string) string { s, _ := whole[name].(string); return s }
	p := whatsapp.Payload{To: text("to"), Kind: message.Kind(strings.ToUpper(text("type"))), Content: parts[text("type")], CallbackData: text("biz_opaque_callback_data")}
	if context, ok := whole["context"].(map[string]any); ok {
		p.ReplyTo, _ = context["message_id"].(string)
	}
	return p, whole
}

func TestPayloadQuotesWhatItIsGiven(t *testing.T) {
	p := whatsapp.Payload{To: "+12025550143", Kind: "TEXT", Content: json.RawMessage(`{"body":"x"}`), ReplyTo: `w"\`, CallbackData: "a\"\n"}
	body, err := p.JSON()
	var got struct {
		Context struct {
			MessageID string `json:"message_id"`
		}
		CallbackData string `json:"biz_opaque_callback_data"`
	}
	if err != nil || json.Unmarshal(body, &got) != nil || got.Context.MessageID != p.ReplyTo || got.CallbackData != p.CallbackData {
		t.Errorf("%s, %v", body, err)
	}
}

func TestPayloadToAUserIDHasARecipientAndNoTo(t *testing.T) {
	body, err := whatsapp.Payload{UserID: "US.13491208655302741918", Kind: "TEXT", Content: json.RawMessage(`{"body":"x"}`)}.JSON()
	const want = `{"messaging_product":"whatsapp","recipient_type":"individual","recipient":"US.13491208655302741918","type":"text","text":{"body":"x"}}`
	if err != nil || string(body) != want {
		t.Errorf("%s, %v", body, err)
	}
}

func TestPayloadRefuses(t *testing.T) {
	good := whatsapp.Payload{To: "+12025550143", Kind: "TEXT", Content: json.RawMessage(`{"body":"x"}`)}
	for name, change := range map[string]func(*whatsapp.Payload){
		"no plus":     func(p *whatsapp.Payload) { p.To = "12025550143" },
		"letters":     func(p *whatsapp.Payload) { p.To = `+1","x":"` },
		"both":        func(p *whatsapp.Payload) { p.UserID = "US.13491208655302741918" },
		"no user ID":  func(p *whatsapp.Payload) { p.To, p.UserID = "", `US.1","to":"` },
		"no kind":     func(p *whatsapp.Payload) { p.Kind = "" },
		"no content":  func(p *whatsapp.Payload) { p.Content = nil },
		"half a JSON": func(p *whatsapp.Payload) { p.Content = json.RawMessage(`{"body":`) },
		"two values":  func(p *whatsapp.Payload) { p.Content = json.RawMessage(`{},"to":"+1"`) },
	} {
		p := good
		change(&p)
		if body, err := p.JSON(); err == nil {
			t.Errorf("%s: built %s", name, body)
		} else if strings.Contains(err.Error(), "2025550143") {
			t.Errorf("%s: %v names the recipient", name, err)
		}
	}
}

func BenchmarkPayload(b *testing.B) {
	p, _ := document(b, "testdata/requests/text.json")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.JSON(); err != nil {
			b.Fatal(err)
		}
	}
}
