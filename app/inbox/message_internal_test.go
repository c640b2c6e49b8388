package inbox

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/inbound"
)

// The public ID of an event leads back to the event, and nothing else is one.
func TestIDsLeadToTheirEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`[0-9]{1,32}`).Draw(t, "number")
		e := event.Recorded{
			Stream: event.InboundStream(number), Revision: event.Revision(rapid.Uint64Range(0, 1<<62).Draw(t, "revision")),
			ID: uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
		}
		at, ok := parseID(ID(e))
		if !ok || at.phoneNumberID != number || at.revision != e.Revision || ID(e) != at.phoneNumberID+ID(e)[len(number):] {
			t.Fatalf("%s is parsed as %+v, %t", ID(e), at, ok)
		}
	})
	for _, bad := range []string{"", "1", "1-2", "1-2-3", "1-2-0000000", "1-x-00000000", "1--1-00000000", "a-1-00000000", "1-2-00000000-", "../1-2-00000000", "1-99999999999999999999-00000000"} {
		if ValidID(bad) {
			t.Errorf("%q has the form of an ID", bad)
		}
	}
}

func TestContentsAndFiles(t *testing.T) {
	for _, tc := range []struct{ kind, message, content, mediaID, name string }{
		{"text", `{"type":"text","text":{"body":"Hi"},"context":{}}`, `{"body":"Hi"}`, "", ""},
		{"image", `{"image":{"id":"77"}}`, `{"id":"77"}`, "77", ""},
		{"document", `{"document":{"id":"7-7","filename":"a.pdf"}}`, `{"id":"7-7","filename":"a.pdf"}`, "7-7", "a.pdf"},
		{"image", `{"image":{"id":"../1"}}`, `{"id":"../1"}`, "", ""},
		{"image", `{"image":{"id":5}}`, `{"id":5}`, "", ""},
		{"text", `{"text":{"id":"77"}}`, `{"id":"77"}`, "", ""},
		{"unsupported", `{"errors":[{"code":131051}]}`, `{"errors":[{"code":131051}]}`, "", ""},
		{"text", ``, ``, "", ""}, // erased
	} {
		m := Message{InboundReceived: inbound.InboundReceived{
			Type: tc.kind, Personal: inbound.InboundPersonal{Message: json.RawMessage(tc.message)},
		}}
		if got := string(m.Content()); got != tc.content {
			t.Errorf("%s: content %s", tc.message, got)
		}
		if f, has := m.File(); has != (tc.mediaID != "") || f.MediaID != tc.mediaID || f.Name != tc.name {
			t.Errorf("%s: file %+v, %t", tc.message, f, has)
		}
	}
}
