package graph_test

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
)

// A caller's traceparent is recorded with the message, even where nothing is traced, so
// that others who follow the event log find it. An invalid one is omitted, because it
// would be recorded forever.
func TestTheCallersTraceparentGoesOnWithTheMessage(t *testing.T) {
	t.Parallel()
	p := setup(t)
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for name, header := range map[string]string{"good": good, "bad": "+919812345670", "none": ""} {
		req := p.request("admin", queueOne, text("trace-"+name, "hello"))
		req.Header.Set("Traceparent", header)
		r := p.send(req)
		if len(r.Errors) > 0 {
			t.Fatal(r.Errors)
		}
		var data struct {
			QueueMessage struct{ Message struct{ ID uuid.UUID } }
		}
		must(t, json.Unmarshal(r.Data, &data))
		events, err := p.log.Read(t.Context(), event.MessageStream(data.QueueMessage.Message.ID), 0, 10)
		must(t, err)
		want := ""
		if name == "good" {
			want = good
		}
		if got := events[0].Meta.Traceparent; got != want {
			t.Errorf("%s: the event has %q; want %q", name, got, want)
		}
	}
}
