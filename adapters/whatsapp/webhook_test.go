package whatsapp_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/app/webhook"
	"github.com/waypost/waypost/domain/message"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// describe formats a delivery, one item per line.
func describe(d webhook.Delivery) string {
	var b strings.Builder
	at := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.Format(time.RFC3339)
	}
	for _, s := range d.Statuses {
		fmt.Fprintf(&b, "  status %s of %s for %s/%s at %s to %s", s.Kind, s.WhatsAppID, s.BusinessAccountID, s.PhoneNumberID, at(s.At), s.RecipientID)
		if s.Call != 0 {
			fmt.Fprintf(&b, " call %d of message %s", s.Call, s.MessageID)
		}
		if s.Foreign {
			b.WriteString(" with callback data of another system")
		}
		if s.Kind == message.ReportOther {
			fmt.Fprintf(&b, ": %s %s, %d bytes", s.About.Type, s.About.Status, len(s.About.Raw))
		}
		if s.Pricing != nil {
			fmt.Fprintf(&b, " pricing %s", strings.Join(strings.Fields(string(s.Pricing)), ""))
		}
		if s.Conversation != nil {
			fmt.Fprintf(&b, " conversation %s", strings.Join(strings.Fields(string(s.Conversation)), ""))
		}
		if f := s.Failure; f != nil {
			fmt.Fprintf(&b, " failure %d %s %s %q: %s", *f.Code, f.Class, f.Category, f.Message, s.Personal.Details)
		}
		b.WriteByte('\n')
	}
	for _, in := range d.Inbound {
		fmt.Fprintf(&b, "  inbound %s %s for %s/%s at %s from %s", in.Type, in.WhatsAppID, in.BusinessAccountID, in.PhoneNumberID, at(in.At), in.From)
		if in.Name != "" {
			fmt.Fprintf(&b, " (%s)", in.Name)
		}
		if in.ContextID != "" {
			fmt.Fprintf(&b, " about %s", in.ContextID)
		}
		if in.Field != "" {
			fmt.Fprintf(&b, " on %s", in.Field)
		}
		b.WriteByte('\n')
	}
	for _, e := range d.Echoes {
		fmt.Fprintf(&b, "  echo %s %s %s for %s/%s at %s to %s%s\n", e.Field, e.Type, e.WhatsAppID, e.BusinessAccountID, e.PhoneNumberID, at(e.At), e.To, e.ToUserID)
	}
	for _, c := range d.Changes {
		var value bytes.Buffer
		if err := json.Compact(&value, c.Value); err != nil {
			value.WriteString(err.Error())
		}
		fmt.Fprintf(&b, "  change %s for %s/%s at %s", c.Field, c.BusinessAccountID, c.PhoneNumberID, at(c.At))
		if c.Traffic {
			b.WriteString(" as traffic")
		}
		for _, f := range c.Failures {
			fmt.Fprintf(&b, " failure %d %s", *f.Code, f.Class)
		}
		fmt.Fprintf(&b, ": %s\n", &value)
	}
	for _, r := range d.Accounts {
		fmt.Fprintf(&b, "  report on %s/%s at %s: quality %q, throughput %d, restored %q %t", r.BusinessAccountID, r.DisplayPhoneNumber, at(r.At), r.Quality, r.Throughput, r.Restored, r.AllRestored)
		if r.Limit != nil {
			fmt.Fprintf(&b, ", limit %+v", *r.Limit)
		}
		for _, n := range r.Restrictions {
			fmt.Fprintf(&b, ", %s until %s %s", n.Type, at(n.Until), n.Remedy)
		}
		b.WriteByte('\n')
	}
	for _, p := range d.Parked {
		fmt.Fprintf(&b, "  parked for %s, %d bytes: %s\n", p.BusinessAccountID, len(p.Raw), p.Reason)
	}
	return b.String()
}

func TestDocumentedWebhooks(t *testing.T) {
	rows := table(t)
	files, err := filepath.Glob("testdata/webhooks/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no webhooks", err)
	}
	var got strings.Builder
	for _, file := range files {
		body := fixture(t, strings.TrimPrefix(file, "testdata/"))
		d := rows.ParseWebhook(body)
		fmt.Fprintf(&got, "%s\n%s", filepath.Base(file), describe(d))
		if items := len(d.Statuses) + len(d.Inbound) + len(d.Echoes) + len(d.Changes) + len(d.Parked); items == 0 {
			t.Errorf("%s brought nothing", file)
		}
		if len(d.Parked) > 0 && filepath.Base(file) != "status_unknown_value.json" {
			t.Errorf("%s was not understood: %s", file, d.Parked[0].Reason)
		}
	}
	const goldenFile = "testdata/webhooks.golden"
	if *update {
		if err := os.WriteFile(goldenFile, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		a, b := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("line %d of %s:\n got %s\nwant %s", i+1, goldenFile, a[i], b[i])
			}
		}
		t.Fatalf("%d lines, %s has %d", len(a), goldenFile, len(b))
	}
}

func TestWebhookWithFaults(t *testing.T) {
	change := func(value string) string {
		return `{"entry":[{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},` + value + `}}]}]}`
	}
	for _, tc := range []struct{ name, body, want string }{
		{"no JSON", `{"entry":`, "  parked for , 9 bytes: the webhook cannot be read: unexpected end of JSON input\n"},
		{"nothing", `{}`, "  parked for , 2 bytes: the webhook cannot be read: it has no entry\n"},
		{
			"numbers for strings", `{"entry":[{"id":1,"changes":[{"field":"messages","value":{"metadata":{"phone_number_id":2},"statuses":[{"id":"w","status":"sent","timestamp":1772553600,"recipient_id":4}]}}]}]}`,
			"  status sent of w for 1/2 at 2026-03-03T16:00:00Z to 4\n",
		},
		{
			"milliseconds", change(`"statuses":[{"id":"w","status":"sent","timestamp":"1772553600123"},{"id":"v","status":"sent","timestamp":1772553600456}]`),
			"  status sent of w for 1/2 at 2026-03-03T16:00:00Z to \n  status sent of v for 1/2 at 2026-03-03T16:00:00Z to \n",
		},
		{
			"no time", change(`"statuses":[{"id":"w","status":"sent","timestamp":"yesterday"},{"id":"v","status":"sent","timestamp":{}},{"id":"u","status":"sent"}]`),
			"  status sent of w for 1/2 at - to \n  status sent of v for 1/2 at - to \n  status sent of u for 1/2 at - to \n",
		},
		{
			"valid and invalid statuses", change(`"statuses":[{"id":"w","status":"sent"},{"status":"sent"},{"id":"v","status":"warning"}]`),
			"  status sent of w for 1/2 at - to \n  parked for 1, 17 bytes: a status cannot be read: it has no ID or an unknown status\n  parked for 1, 29 bytes: a status cannot be read: it has no ID or an unknown status\n",
		},
		{
			"valid statuses and wrong types", change(`"statuses":[{"id":"w","status":"read"},"x",{"id":"v","status":"sent","pricing":"free"}]`),
			"  status read of w for 1/2 at - to \n  status sent of v for 1/2 at - to \n  parked for 1, 3 bytes: a status cannot be read: json: cannot unmarshal string into Go value of type whatsapp.statusObject\n  parked for 1, 43 bytes: a status cannot be read: pricing is not an object\n",
		},
		{
			"prices and conversations", change(`"statuses":[{"id":"w","status":"sent","pricing":{"type":"regular","unknown":{"a":[1]}},"conversation":{"id":"c"}},` +
				`{"id":"v","status":"sent","pricing":null,"conversation":[],"recipient_id":"4"},{"id":"u","status":"sent","pricing":{"long":"` + strings.Repeat("x", 4096) + `"}}]`),
			"  status sent of w for 1/2 at - to  pricing {\"type\":\"regular\",\"unknown\":{\"a\":[1]}} conversation {\"id\":\"c\"}\n" +
				"  status sent of v for 1/2 at - to 4\n  status sent of u for 1/2 at - to \n" +
				"  parked for 1, 78 bytes: a status cannot be read: conversation is not an object\n" +
				"  parked for 1, 4144 bytes: a status cannot be read: pricing has 4107 bytes, more than 4096\n",
		},
		{
			"a payment", change(`"statuses":[{"id":"w","status":"failed","type":"payment","timestamp":"1772553600","recipient_id":"4","biz_opaque_callback_data":"order 7"},{"id":"w","status":"sent","type":"message"},{"id":"w","status":"read","type":null}]`),
			"  status other of w for 1/2 at 2026-03-03T16:00:00Z to 4 with callback data of another system: payment failed, 126 bytes\n  status sent of w for 1/2 at - to \n  status read of w for 1/2 at - to \n",
		},
		{
			"types that are no words", change(`"statuses":[{"id":"w","status":"failed","type":{}},{"id":"w","status":"failed","type":"a b","timestamp":"1772553600"},{"id":"w","status":"failed","type":"payment"}]`),
			"  parked for 1, 38 bytes: a status cannot be read: it has no ID or an unknown status\n  parked for 1, 66 bytes: a status cannot be read: it has no ID or an unknown status\n  parked for 1, 45 bytes: a status cannot be read: it has no ID or an unknown status\n",
		},
		{"changes without a value", `{"entry":[{"id":"1","changes":[{"field":"x"},{"field":"y"}]},{"id":"2","changes":[{}]}]}`, "  parked for 1, 88 bytes: a change cannot be read: it has no field or no value\n"},
		{
			"inbound without id", change(`"messages":[{"type":"text"},{"id":"w","type":"text","from":5}]`),
			"  inbound text w for 1/2 at - from 5\n  parked for 1, 15 bytes: an inbound message cannot be read: it has no ID\n",
		},
		{"no value", `{"entry":[{"id":"1","changes":[{"field":"x"}]}]}`, "  parked for 1, 48 bytes: a change cannot be read: it has no field or no value\n"},
		{"null", `{"entry":[{"id":"1","changes":[{"field":"messages","value":null}]}]}`, "  change messages for 1/ at -: null\n"},
		{
			"unknown members next to known ones", change(`"messages":[{"id":"w","type":"text"}], "odd\"one" : {"a":["}",1]} ,"n":null`),
			"  inbound text w for 1/2 at - from \n  change messages for 1/2 at -: {\"odd\\\"one\":{\"a\":[\"}\",1]},\"n\":null}\n",
		},
		{
			"unknown members on standby", `{"entry":[{"id":"1","changes":[{"field":"standby","value":{"metadata":{"phone_number_id":"2"},"x":true,"standby":{"messages":[{"id":"w","type":"text","from":"3"}],"y":-1}}}]}]}`,
			"  inbound text w for 1/2 at - from 3 on standby\n  change standby for 1/2 at -: {\"x\":true,\"y\":-1}\n",
		},
		{
			"an empty standby", `{"entry":[{"id":"1","changes":[{"field":"standby","value":{"metadata":{"phone_number_id":"2"},"standby":{}}}]}]}`,
			"  change standby for 1/2 at -: {\"metadata\":{\"phone_number_id\":\"2\"},\"standby\":{}}\n",
		},
		{
			"a status of ours on standby", `{"entry":[{"id":"1","changes":[{"field":"standby","value":{"standby":{"statuses":[{"id":"w","status":"read","biz_opaque_callback_data":"wp1:0198c3f2-7d5e-7a31-9f0a-6b1f3a5f0c11:1"}]}}}]}]}`,
			"  status read of w for 1/ at - to  call 1 of message 0198c3f2-7d5e-7a31-9f0a-6b1f3a5f0c11\n",
		},
		{
			"standby of the wrong type", `{"entry":[{"id":"1","changes":[{"field":"standby","value":{"standby":[]}}]}]}`,
			"  change standby for 1/ at -: {\"standby\":[]}\n  parked for 1, 14 bytes: standby cannot be read: json: cannot unmarshal array into Go struct field messagesValue.standby of type whatsapp.items\n",
		},
		{
			"an echo without an ID", `{"entry":[{"id":"1","changes":[{"field":"smb_message_echoes","value":{"message_echoes":[{"to":"3"}]}}]}]}`,
			"  parked for 1, 10 bytes: an echo cannot be read: it has no ID\n",
		},
		{"an entry without changes", `{"entry":[{"id":"1","messaging":[]}]}`, "  parked for 1, 37 bytes: an entry cannot be read: it has no changes\n"},
		{"nothing in it", change(`"x":1`), "  change messages for 1/2 at -: {\"metadata\":{\"phone_number_id\":\"2\"},\"x\":1}\n"},
	} {
		if got := describe(table(t).ParseWebhook([]byte(tc.body))); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, got, tc.want)
		}
	}
}

func TestFailedWithoutReason(t *testing.T) {
	d := table(t).ParseWebhook([]byte(`{"entry":[{"id":"1","changes":[{"field":"messages","value":{"statuses":[{"id":"w","status":"failed","errors":[{"title":"?"}]}]}}]}]}`))
	if len(d.Statuses) != 1 {
		t.Fatal(describe(d))
	}
	s := d.Statuses[0]
	if s.Failure == nil || s.Failure.Code != nil || s.Failure.Class != message.ClassTransient || s.Failure.Category != message.CategoryUnknown || s.Personal.Raw != `[{"title":"?"}]` {
		t.Errorf("%+v %+v", s.Failure, s.Personal)
	}
}

func TestFailedWithUnknownCode(t *testing.T) {
	d := table(t).ParseWebhook([]byte(`{"entry":[{"id":"1","changes":[{"field":"messages","value":{"statuses":[{"id":"w","status":"failed","errors":[{"code":139999,"title":"New","message":"New"}]}]}}]}]}`))
	f := d.Statuses[0].Failure
	if f.Class != message.ClassTransient || f.Message != "unknown error code 139999" || d.Statuses[0].Personal.Details != "New" {
		t.Errorf("%+v %+v", f, d.Statuses[0].Personal)
	}
}

// Whatever WhatsApp adds to a webhook is in the delivery: unknown fields, unknown members next to the lists of items, and
// unknown members of messages and echoes.
func TestNothingUnknownIsLost(t *testing.T) {
	rows := table(t)
	rapid.Check(t, func(t *rapid.T) {
		var marks []string
		mark := func() string {
			marks = append(marks, fmt.Sprintf("mark-%d;", len(marks)))
			return marks[len(marks)-1]
		}
		unknown := func() any {
			return rapid.SampledFrom([]any{mark(), []any{mark(), 1, nil}, map[string]any{"a": map[string]any{"}\"": mark()}}}).Draw(t, "unknown")
		}
		items := func() map[string]any {
			value := map[string]any{}
			for _, list := range []string{"messages", "message_echoes", "statuses", "contacts", "errors", "new_list"} {
				n := rapid.IntRange(0, 2).Draw(t, list)
				for i := range n {
					one := map[string]any{"id": fmt.Sprintf("w%d", i), "type": "text", "status": "read"}
					switch list {
					case "statuses", "contacts": // only their known members are recorded
						one["type"] = "message"
					default:
						one["new_member"] = unknown()
					}
					all, _ := value[list].([]any)
					value[list] = append(all, one)
				}
			}
			if rapid.Bool().Draw(t, "a member") {
				value["new_member"] = unknown()
			}
			return value
		}
		var changes []any
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			field := rapid.SampledFrom([]string{"messages", "standby", "smb_message_echoes", "messaging_handovers", "new_field"}).Draw(t, "field")
			value := items()
			if field == "standby" && rapid.Bool().Draw(t, "an object") {
				value = map[string]any{"standby": value, "new_member": unknown()}
			}
			value["metadata"] = map[string]any{"phone_number_id": "2"}
			changes = append(changes, map[string]any{"field": field, "value": value})
		}
		body, err := json.Marshal(map[string]any{"entry": []any{map[string]any{"id": "1", "changes": changes}}})
		if err != nil {
			t.Fatal(err)
		}
		var kept bytes.Buffer
		d := rows.ParseWebhook(body)
		for _, in := range d.Inbound {
			kept.Write(in.Raw)
		}
		for _, e := range d.Echoes {
			kept.Write(e.Raw)
		}
		for _, c := range d.Changes {
			if !json.Valid(c.Value) {
				t.Fatalf("a change has the value %s", c.Value)
			}
			kept.Write(c.Value)
		}
		for _, p := range d.Parked {
			kept.Write(p.Raw)
		}
		for _, m := range marks {
			if bytes.Contains(body, []byte(m)) && !bytes.Contains(kept.Bytes(), []byte(m)) {
				t.Fatalf("%s of %s is lost:\n%s", m, body, describe(d))
			}
		}
	})
}

// Parsing ends for any input, and the parts of its result are consistent.
func FuzzParseWebhook(f *testing.F) {
	files, err := filepath.Glob("testdata/webhooks/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	rows := table(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		d := rows.ParseWebhook(body)
		for _, s := range d.Statuses {
			if s.WhatsAppID == "" || s.Kind == "" || (s.Kind == message.ReportFailed) != (s.Failure != nil) {
				t.Errorf("status %+v", s)
			}
			if s.Failure != nil && (s.Failure.Class == "" || s.Failure.Category == "" || s.Failure.Message == "") {
				t.Errorf("failure %+v", s.Failure)
			}
			if !s.At.IsZero() && (s.At.Year() < 1970 || s.At.Year() > 9999) {
				t.Errorf("time %s", s.At)
			}
		}
		for _, in := range d.Inbound {
			if in.WhatsAppID == "" || !json.Valid(in.Raw) {
				t.Errorf("inbound %+v", in)
			}
		}
		for _, c := range d.Changes {
			if c.Field == "" || !json.Valid(c.Value) {
				t.Errorf("change %+v", c)
			}
		}
		for _, p := range d.Parked {
			if p.Reason == "" {
				t.Errorf("parked %+v", p)
			}
		}
		if !json.Valid(body) && len(d.Parked) == 0 {
			t.Error("no JSON, and nothing parked")
		}
		for _, e := range d.Echoes {
			if e.WhatsAppID == "" || !json.Valid(e.Raw) {
				t.Errorf("echo %+v", e)
			}
		}
		if len(d.Statuses)+len(d.Inbound)+len(d.Echoes)+len(d.Changes)+len(d.Parked) == 0 {
			t.Error("nothing of it is recorded")
		}
	})
}

func BenchmarkParseWebhook(b *testing.B) {
	rows := table(b)
	for _, count := range []int{1, 10} {
		var statuses []string
		for i := range count {
			statuses = append(statuses, fmt.Sprintf(`{"id":"wamid.HBgLMTIwMjU1NTAxNDMVAgARGBI3RDMxQTkwQzU1RTJGMDRCMU%02d","status":"sent","timestamp":"1772553600","recipient_id":"12025550143","biz_opaque_callback_data":"wp1:0198c3f2-7d5e-7a31-9f0a-6b1f3a5f0c11:1","pricing":{"billable":true,"pricing_model":"PMP","type":"regular","category":"utility"}}`, i))
		}
		body := []byte(`{"object":"whatsapp_business_account","entry":[{"id":"900100200300400","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550100100","phone_number_id":"910200300400500"},"statuses":[` + strings.Join(statuses, ",") + `]},"field":"messages"}]}]}`)
		b.Run(fmt.Sprintf("%d statuses", count), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if d := rows.ParseWebhook(body); len(d.Statuses) != count {
					b.Fatal("statuses are missing")
				}
			}
		})
	}
}
