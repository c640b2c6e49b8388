package whatsapp_test

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/domain/message"
)

// Waypost builds every documented request from content that it accepts, from the check
// of the content to the body of the call, and a Cloud API accepts it.
func TestContentBecomesTheDocumentedRequests(t *testing.T) {
	files, err := filepath.Glob("testdata/requests/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no requests", err)
	}
	sim, client := startSimulator(t, "", func(*simulator.Control) {})
	seen := coverage{}
	for _, file := range files {
		p, want := document(t, file)
		content, err := message.Decode(p.Kind, p.Content)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if err := content.Validate(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if p.Content, err = message.Encode(content); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		body, err := p.JSON()
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var got map[string]any
		if err := json.Unmarshal(body, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %s\nwant %v", file, body, want)
		}
		result := client.Send(t.Context(), whatsapp.Call{PhoneNumberID: phoneNumberID, Token: "t", Body: body})
		if _, ok := result.(message.Accepted); !ok {
			t.Errorf("%s: the simulator, which must know every type, responds %+v", file, result)
		}
		seen.add(t, content, p.ReplyTo)
	}
	if n := sim.Stats().Accepted; n != int64(len(files)) {
		t.Errorf("%d of %d were accepted", n, len(files))
	}
	seen.demandAll(t)
}

// coverage is the set of content features in the documented requests.
type coverage map[string]bool

func (c coverage) add(t *testing.T, content message.Content, replyTo string) {
	t.Helper()
	c[string(content.Kind())] = true
	c["reply"] = c["reply"] || replyTo != ""
	switch content := content.(type) {
	case message.Interactive:
		c["interactive "+string(content.InteractiveKind)] = true
	case message.Template:
		for _, part := range content.Components {
			c[strings.TrimSpace(string(part.Type)+" "+strings.ToLower(part.SubType))] = true
			for _, raw := range part.Parameters {
				var p struct {
					Type string
					Name string `json:"parameter_name"`
				}
				if err := json.Unmarshal(raw, &p); err != nil {
					t.Fatal(err)
				}
				c[string(part.Type)+" of "+p.Type] = true
				c["named"] = c["named"] || p.Name != ""
			}
		}
	}
}

func (c coverage) demandAll(t *testing.T) {
	t.Helper()
	want := []string{
		"reply", "named", "carousel", "limited_time_offer", "order_status", "tap_target_configuration",
		"header of text", "header of image", "header of video", "header of document", "header of location", "header of product",
		"body of text", "body of currency", "body of date_time",
		"button quick_reply", "button url", "button copy_code", "button flow", "button catalog", "button mpm",
		"button order_details", "button voice_call",
	}
	for _, k := range message.Kinds() {
		want = append(want, string(k))
	}
	for _, k := range message.InteractiveKinds() {
		want = append(want, "interactive "+string(k))
	}
	for _, w := range slices.Compact(want) {
		if !c[w] {
			t.Errorf("no documented request has %s; add one to testdata/requests", w)
		}
	}
}
