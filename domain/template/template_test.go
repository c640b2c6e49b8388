package template_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/template"
)

var ref = template.Ref{BusinessAccountID: "900100200300400", Name: "booking_reminder", Language: "en_US", ID: "1310000000000001"}

func at(second int) time.Time { return time.Unix(1_793_000_000+int64(second), 0).UTC() }

// record applies reports as the recorder does.
func record(t template.Template, reports ...template.Report) template.Template {
	for _, r := range reports {
		for _, e := range template.Record(t, r) {
			t = t.Apply(e)
		}
	}
	return t
}

// Webhooks can arrive late, repeatedly, and out of order: the newest report of each kind wins.
func TestReportsLeadToTheSameStateInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var reports []template.Report
		for second := range rapid.IntRange(1, 6).Draw(t, "reports") {
			r := template.Report{Ref: ref, At: at(second)}
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				r.Status = rapid.SampledFrom([]string{"APPROVED", "PAUSED", "REJECTED", "DISABLED", "DELETED", "reinstated"}).Draw(t, "status")
				r.Detail = rapid.SampledFrom([]string{"", "FIRST_PAUSE"}).Draw(t, "detail")
			case 1:
				r.PreviousCategory, r.Category = "UTILITY", rapid.SampledFrom([]string{"MARKETING", "UTILITY"}).Draw(t, "category")
			case 2:
				r.Quality = rapid.SampledFrom([]string{"GREEN", "RED"}).Draw(t, "quality")
			case 3:
				r.Announced, r.ChangesAt = "MARKETING", at(100+second)
			}
			reports = append(reports, r)
		}
		want := record(template.Template{}, reports...)
		shuffled := rapid.Permutation(append(reports, reports[0], reports[len(reports)-1])).Draw(t, "order")
		got := record(template.Template{}, shuffled...)
		for name, pair := range map[string][2]any{
			"status": {got.Status, want.Status}, "detail": {got.ReasonDetail, want.ReasonDetail}, "quality": {got.Quality, want.Quality},
			"category": {got.Category, want.Category}, "announced": {got.AnnouncedFor, want.AnnouncedFor},
		} {
			if !reflect.DeepEqual(pair[0], pair[1]) {
				t.Errorf("%s is %v, in order it is %v", name, pair[0], pair[1])
			}
		}
		if again := record(got, shuffled...); !reflect.DeepEqual(again, got) {
			t.Errorf("repeated reports change %+v to %+v", got, again)
		}
	})
}

func listing(status, components string) template.Listing {
	return template.Listing{
		Ref: ref, Status: status, Category: "UTILITY", Quality: "GREEN", Details: template.Details{Components: json.RawMessage(components)},
	}.Normalize()
}

// sync applies a listing that was requested at a time.
func sync(t template.Template, l template.Listing, second int) template.Template {
	for _, e := range template.Sync(t, l, at(second)) {
		t = t.Apply(e)
	}
	return t
}

func TestSync(t *testing.T) {
	t.Parallel()
	const body = `[{"type":"BODY","text":"See you at {{1}}.","example":{"body_text":[["10:00"]]}}]`
	known := sync(template.Template{}, listing("APPROVED", body), 100)
	if strings.Contains(string(known.Components), "10:00") {
		t.Errorf("the components have the example: %s", known.Components)
	}
	if events := template.Sync(known, listing("APPROVED", body), at(200)); events != nil {
		t.Errorf("a listing that says nothing new records %v", events)
	}
	paused := record(known, template.Report{Ref: ref, At: at(198), Status: "PAUSED", Detail: "FIRST_PAUSE"})
	if paused.Sendability() != template.Waiting || paused.ReasonDetail != "FIRST_PAUSE" {
		t.Errorf("after the webhook: %+v", paused)
	}
	if got := sync(paused, listing("APPROVED", body), 200); got.Status.Value != "PAUSED" {
		t.Errorf("a listing of the same moment undoes a webhook: %+v", got.Status)
	}
	if got := sync(paused, listing("APPROVED", body), 300); got.Status.Value != "APPROVED" || got.Sendability() != template.Sendable {
		t.Errorf("a later listing does not undo a webhook: %+v", got.Status)
	}
	changed := record(known, template.Report{Ref: ref, At: at(150), Content: json.RawMessage(`{"message_template_element":"Bye"}`)})
	if changed.Listed() {
		t.Error("the contents count as known after they changed")
	}
	if got := sync(changed, listing("APPROVED", body), 200); !got.Listed() {
		t.Error("the contents are unknown after a sync")
	}
	if events := template.Remove(paused, at(200)); events != nil {
		t.Errorf("a template that was reported at that moment is removed: %v", events)
	}
	for _, e := range template.Remove(known, at(200)) {
		known = known.Apply(e)
	}
	if !known.Removed() || known.Sendability() != template.Unsendable {
		t.Errorf("after the removal: %+v", known.Status)
	}
	if got := sync(known, listing("APPROVED", body), 300); got.Removed() {
		t.Error("a template that exists again stays removed")
	}
}

func TestACategoryChangeResetsTheTimeToLive(t *testing.T) {
	t.Parallel()
	ttl := 3600
	l := listing("APPROVED", `[]`)
	l.TTLSeconds = &ttl
	known := sync(template.Template{}, l, 100)
	announced := record(known, template.Report{Ref: ref, At: at(200), Announced: "MARKETING", ChangesAt: at(300)})
	if announced.Category.Value != "UTILITY" || announced.Announced != "MARKETING" || announced.TTLSeconds == nil {
		t.Errorf("an announcement changes the category: %+v", announced)
	}
	done := record(announced, template.Report{Ref: ref, At: at(300), PreviousCategory: "UTILITY", Category: "MARKETING"})
	if done.Category.Value != "MARKETING" || done.PreviousCategory != "UTILITY" || done.Announced != "" || done.TTLSeconds != nil {
		t.Errorf("after the change: %+v", done)
	}
}

func TestSendability(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]struct {
		sendability template.Sendability
		queueable   bool
	}{
		"APPROVED": {template.Sendable, true}, "": {template.Sendable, true}, "FLAGGED": {template.Sendable, true}, "NEW_WORD": {template.Sendable, true},
		"PAUSED": {template.Waiting, true}, "DISABLED": {template.Waiting, false}, "PENDING": {template.Waiting, false},
		"IN_APPEAL": {template.Waiting, false}, "LIMIT_EXCEEDED": {template.Waiting, false}, "ARCHIVED": {template.Waiting, false},
		"REJECTED": {template.Unsendable, false}, "DELETED": {template.Unsendable, false}, "PENDING_DELETION": {template.Unsendable, false},
	} {
		known := template.Template{Ref: ref, Status: template.Reported{Value: status}}
		if got := known.Sendability(); got != want.sendability {
			t.Errorf("%q: sendability %d, want %d", status, got, want.sendability)
		}
		if err := template.CheckStatus(known); (err == nil) != want.queueable {
			t.Errorf("%q: %v", status, err)
		}
	}
}

// parts is a template with everything that can be filled.
const parts = `[
	{"type":"HEADER","format":"IMAGE"},
	{"type":"BODY","text":"Hello {{1}}, {{2}} is ready. Ask for {{1}}."},
	{"type":"FOOTER","text":"Waypost"},
	{"type":"BUTTONS","buttons":[
		{"type":"QUICK_REPLY","text":"Yes"},
		{"type":"URL","text":"Open","url":"https://example.test/{{1}}"},
		{"type":"URL","text":"Home","url":"https://example.test/"},
		{"type":"COPY_CODE","text":"Copy"}]}]`

const (
	image = `{"type":"image","image":{"link":"https://example.test/a.png"}}`
	text  = `{"type":"text","text":"Ada"}`
)

func component(kind message.ComponentType, parameters ...string) message.Component {
	c := message.Component{Type: kind}
	for _, p := range parameters {
		c.Parameters = append(c.Parameters, json.RawMessage(p))
	}
	return c
}

func button(subType, index, parameter string) message.Component {
	c := component(message.ComponentButton, parameter)
	c.SubType, c.Index = subType, index
	return c
}

func TestCheckParameters(t *testing.T) {
	t.Parallel()
	header, body := component("header", image), component("body", text, text)
	url, code := button("url", "1", text), button("copy_code", "3", `{"type":"coupon_code","coupon_code":"A1"}`)
	list := func(c ...message.Component) []message.Component { return c }
	named := func(name string) string { return `{"type":"text","text":"Ada","parameter_name":"` + name + `"}` }
	long := `{"type":"text","text":"` + strings.Repeat("x", 1020) + `"}`
	for name, c := range map[string]struct {
		format, category, components string
		given                        []message.Component
		field                        string // empty if it fits
	}{
		"all":                   {components: parts, given: list(header, body, url, code)},
		"quick reply":           {components: parts, given: list(header, body, button("quick_reply", "0", `{"type":"payload","payload":"x"}`), url, code)},
		"no header":             {components: parts, given: list(body, url, code), field: "components"},
		"another header":        {components: parts, given: list(component("header", `{"type":"video","video":{"id":"1"}}`), body, url, code), field: "components.0.parameters.0"},
		"one of two":            {components: parts, given: list(header, component("body", text), url, code), field: "components.1.parameters"},
		"no body":               {components: parts, given: list(header, url, code), field: "components"},
		"no URL":                {components: parts, given: list(header, body, code), field: "components"},
		"no code":               {components: parts, given: list(header, body, url), field: "components"},
		"a fixed URL":           {components: parts, given: list(header, body, url, button("url", "2", text), code), field: "components.3"},
		"another kind":          {components: parts, given: list(header, body, button("quick_reply", "1", `{"type":"payload","payload":"x"}`), code), field: "components.2.subType"},
		"no such button":        {components: parts, given: list(header, body, url, code, button("url", "4", text)), field: "components.4.index"},
		"names":                 {components: parts, given: list(header, component("body", named("a"), named("b")), url, code), field: "components.1.parameters.0.parameter_name"},
		"too long":              {components: parts, given: list(header, component("body", text, long), url, code), field: "components.1.parameters"},
		"only a body":           {components: `[{"type":"BODY","text":"{{1}} and {{2}}"}]`, given: list(component("body", text, long))},
		"no variables":          {components: `[{"type":"BODY","text":"Hello"}]`},
		"none wanted":           {components: `[{"type":"BODY","text":"Hello"}]`, given: list(component("body", text)), field: "components.0.parameters"},
		"no header wanted":      {components: `[{"type":"BODY","text":"Hello"}]`, given: list(header), field: "components.0"},
		"no buttons":            {components: `[{"type":"BODY","text":"Hello"}]`, given: list(button("url", "0", text)), field: "components.0.index"},
		"named":                 {format: "NAMED", components: `[{"type":"BODY","text":"Hi {{name}}"}]`, given: list(component("body", named("name")))},
		"not named":             {format: "NAMED", components: `[{"type":"BODY","text":"Hi {{name}}"}]`, given: list(component("body", text)), field: "components.0.parameters.0.parameter_name"},
		"another name":          {format: "NAMED", components: `[{"type":"BODY","text":"Hi {{name}}"}]`, given: list(component("body", named("nam"))), field: "components.0.parameters.0.parameter_name"},
		"text header":           {components: `[{"type":"HEADER","format":"TEXT","text":"Hi {{1}}"},{"type":"BODY","text":"Bye"}]`, given: list(component("header", text))},
		"image for text":        {components: `[{"type":"HEADER","format":"TEXT","text":"Hi {{1}}"},{"type":"BODY","text":"Bye"}]`, given: list(header), field: "components.0.parameters.0"},
		"one-time code":         {category: "AUTHENTICATION", components: `[{"type":"BODY"},{"type":"BUTTONS","buttons":[{"type":"OTP","otp_type":"COPY_CODE"}]}]`, given: list(component("body", text), button("url", "0", text))},
		"code without a button": {category: "AUTHENTICATION", components: `[{"type":"BODY"},{"type":"BUTTONS","buttons":[{"type":"OTP"}]}]`, given: list(component("body", text)), field: "components"},
		"carousel":              {components: `[{"type":"BODY","text":"x"},{"type":"CAROUSEL","cards":[{"components":[{"type":"HEADER","format":"IMAGE"}]}]}]`, field: "components"},
		"unknown parts":         {components: `[{"type":"NEW"},{"type":"BODY","text":"x"},{"type":"BUTTONS","buttons":[{"type":"NEW"}]}]`, given: list(button("url", "0", text))},
		"unknown contents":      {given: list(body, url)},
	} {
		l := listing("APPROVED", c.components)
		if c.category != "" {
			l.Category = c.category
		}
		l.ParameterFormat = c.format
		known := sync(template.Template{}, l, 100)
		m := message.Template{Name: ref.Name, Language: message.Language{Code: ref.Language}, Components: c.given}
		if err := m.Validate(); err != nil {
			t.Errorf("%s: the message is invalid: %v", name, err)
		}
		err := template.CheckParameters(known, template.ShapeOf(known.Details), m)
		var field string
		if e, ok := err.(*domain.Error); ok { //nolint:errorlint // it is not wrapped
			field = e.Field
		}
		if (err == nil) != (c.field == "") || field != c.field {
			t.Errorf("%s: %v, want an error of %q", name, err, c.field)
		}
	}
}

// WhatsApp's components and a caller's parameters can be anything: a check never panics.
func FuzzCheckParameters(f *testing.F) {
	f.Add(parts, `[{"type":"body","parameters":[`+text+`]}]`)
	f.Add(`[{"type":"BODY","text":"{{"},{"type":"CAROUSEL","cards":[{"components":null}]}]`, `[{"type":"carousel","cards":[{"components":[{"type":"button","index":0}]}]}]`)
	f.Fuzz(func(t *testing.T, components, given string) {
		var m message.Template
		if json.Unmarshal([]byte(given), &m.Components) != nil {
			return
		}
		known := sync(template.Template{}, listing("APPROVED", components), 100)
		shape := template.ShapeOf(known.Details)
		if err := template.CheckParameters(known, shape, m); err != nil && domain.CodeOf(err) != domain.CodeInvalidInput {
			t.Errorf("%v is not an error that a caller can fix", err)
		}
		if events := template.Sync(known, listing("APPROVED", components), at(200)); events != nil {
			t.Errorf("the same listing records %v", events)
		}
	})
}

func BenchmarkCheckParameters(b *testing.B) {
	known := sync(template.Template{}, listing("APPROVED", parts), 100)
	shape := template.ShapeOf(known.Details)
	m := message.Template{Name: ref.Name, Language: message.Language{Code: ref.Language}, Components: []message.Component{
		component("header", image), component("body", text, text), button("url", "1", text), button("copy_code", "3", `{"type":"coupon_code","coupon_code":"A1"}`),
	}}
	b.ReportAllocs()
	for b.Loop() {
		if err := template.CheckParameters(known, shape, m); err != nil {
			b.Fatal(err)
		}
	}
}
