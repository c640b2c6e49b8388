package message_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// wire pairs content with the object that the Cloud API takes for it.
func wire() map[string]struct {
	content message.Content
	json    string
} {
	raw := func(s ...string) []json.RawMessage {
		var all []json.RawMessage
		for _, p := range s {
			all = append(all, json.RawMessage(p))
		}
		return all
	}
	return map[string]struct {
		content message.Content
		json    string
	}{
		"text":         {message.Text{Body: "Your table is ready"}, `{"body":"Your table is ready"}`},
		"text preview": {message.Text{Body: "https://example.test/b/1", PreviewURL: true}, `{"body":"https://example.test/b/1","preview_url":true}`},
		"image":        {message.Image{Link: "https://cdn.example.test/a.jpg", Caption: "Front"}, `{"link":"https://cdn.example.test/a.jpg","caption":"Front"}`},
		"video":        {message.Video{ID: "1200300400", Caption: "Tour"}, `{"id":"1200300400","caption":"Tour"}`},
		"audio":        {message.Audio{ID: "1200300401", Voice: true}, `{"id":"1200300401","voice":true}`},
		"document":     {message.Document{Link: "http://cdn.example.test/i.pdf", Caption: "Invoice", Filename: "i-1.pdf"}, `{"link":"http://cdn.example.test/i.pdf","caption":"Invoice","filename":"i-1.pdf"}`},
		"sticker":      {message.Sticker{ID: "1200300402"}, `{"id":"1200300402"}`},
		"location":     {message.Location{Latitude: 52.52, Longitude: 13.405, Name: "Office"}, `{"latitude":"52.52","longitude":"13.405","name":"Office"}`},
		"contacts":     {message.Contacts{json.RawMessage(`{"name":{"formatted_name":"A B","first_name":"A"}}`)}, `[{"name":{"formatted_name":"A B","first_name":"A"}}]`},
		"reaction":     {message.Reaction{MessageID: "wamid.x", Emoji: "👍"}, `{"message_id":"wamid.x","emoji":"👍"}`},
		"interactive": {
			message.Interactive{InteractiveKind: message.InteractiveLocationRequest, Object: json.RawMessage(`{"body":{"text":"Where?"},"action":{"name":"send_location"}}`)},
			`{"type":"location_request_message","body":{"text":"Where?"},"action":{"name":"send_location"}}`,
		},
		"interactive with its type": {
			message.Interactive{InteractiveKind: message.InteractiveCatalog, Object: json.RawMessage(`{"body":{"text":"b"},"type":"catalog_message","action":{"name":"catalog_message"}}`)},
			`{"body":{"text":"b"},"type":"catalog_message","action":{"name":"catalog_message"}}`,
		},
		"template carousel": {
			message.Template{Name: "cards", Language: message.Language{Code: "en"}, Components: []message.Component{
				{Type: message.ComponentCarousel, Cards: raw(
					`{"card_index":0,"components":[{"type":"header","parameters":[{"type":"video","video":{"id":"1"}}]}]}`,
					`{"card_index":1,"components":[{"type":"header","parameters":[{"type":"video","video":{"id":"2"}}]}]}`)},
			}},
			`{"name":"cards","language":{"code":"en"},"components":[{"type":"carousel","cards":[
			  {"card_index":0,"components":[{"type":"header","parameters":[{"type":"video","video":{"id":"1"}}]}]},
			  {"card_index":1,"components":[{"type":"header","parameters":[{"type":"video","video":{"id":"2"}}]}]}]}]}`,
		},
		"template bare": {
			message.Template{Name: "hello_world", Language: message.Language{Code: "en_US"}},
			`{"name":"hello_world","language":{"code":"en_US"}}`,
		},
		"template": {
			message.Template{Name: "booking_reminder", Language: message.Language{Code: "en"}, Components: []message.Component{
				{Type: message.ComponentHeader, Parameters: raw(`{"type":"image","image":{"link":"https://cdn.example.test/h.png"}}`)},
				{Type: message.ComponentBody, Parameters: raw(
					`{"type":"text","text":"Ada"}`,
					`{"type":"currency","currency":{"fallback_value":"$1","code":"USD","amount_1000":1000}}`,
					`{"type":"date_time","date_time":{"fallback_value":"12 March"}}`)},
				{Type: message.ComponentButton, SubType: "quick_reply", Index: "0", Parameters: raw(`{"type":"payload","payload":"CONFIRM:1"}`)},
				{Type: message.ComponentButton, SubType: "url", Index: "1", Parameters: raw(`{"type":"text","text":"4471"}`)},
				{Type: message.ComponentButton, SubType: "copy_code", Index: "2", Parameters: raw(`{"type":"coupon_code","coupon_code":"A1"}`)},
				{Type: message.ComponentButton, SubType: "flow", Index: "9", Parameters: raw(`{"type":"action","action":{"flow_token":"t"}}`)},
			}},
			`{"name":"booking_reminder","language":{"code":"en"},"components":[
			  {"type":"header","parameters":[{"type":"image","image":{"link":"https://cdn.example.test/h.png"}}]},
			  {"type":"body","parameters":[{"type":"text","text":"Ada"},
			    {"type":"currency","currency":{"fallback_value":"$1","code":"USD","amount_1000":1000}},
			    {"type":"date_time","date_time":{"fallback_value":"12 March"}}]},
			  {"type":"button","sub_type":"quick_reply","index":"0","parameters":[{"type":"payload","payload":"CONFIRM:1"}]},
			  {"type":"button","sub_type":"url","index":"1","parameters":[{"type":"text","text":"4471"}]},
			  {"type":"button","sub_type":"copy_code","index":"2","parameters":[{"type":"coupon_code","coupon_code":"A1"}]},
			  {"type":"button","sub_type":"flow","index":"9","parameters":[{"type":"action","action":{"flow_token":"t"}}]}]}`,
		},
		"template named": {
			message.Template{Name: "named", Language: message.Language{Code: "fil"}, Components: []message.Component{
				{Type: message.ComponentHeader, Parameters: raw(`{"type":"location","location":{"latitude":"52.5","longitude":"13.4"}}`)},
				{Type: message.ComponentBody, Parameters: raw(`{"type":"text","parameter_name":"first_name","text":"Ada    B"}`)},
				{Type: message.ComponentButton, SubType: "url", Index: "0", Parameters: raw(`{"type":"text","text":"x"}`)},
			}},
			`{"name":"named","language":{"code":"fil"},"components":[
			  {"type":"header","parameters":[{"type":"location","location":{"latitude":"52.5","longitude":"13.4"}}]},
			  {"type":"body","parameters":[{"type":"text","parameter_name":"first_name","text":"Ada    B"}]},
			  {"type":"button","sub_type":"url","index":"0","parameters":[{"type":"text","text":"x"}]}]}`,
		},
	}
}

func TestContentIsTheCloudAPIsObject(t *testing.T) {
	t.Parallel()
	missing := message.Kinds()
	for name, c := range wire() {
		missing = slices.DeleteFunc(missing, func(k message.Kind) bool { return k == c.content.Kind() })
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.content.Validate(); err != nil {
				t.Fatalf("Validate: %v", err)
			}
			got, err := message.Encode(c.content)
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if err := json.Compact(&want, []byte(c.json)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want.Bytes()) {
				t.Errorf("Encode:\n got %s\nwant %s", got, want.Bytes())
			}
			back, err := message.Decode(c.content.Kind(), got)
			if err != nil {
				t.Fatal(err)
			}
			again, err := message.Encode(back)
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("Encode after Decode: %s, %v; want %s", again, err, got)
			}
		})
	}
	for _, k := range missing {
		t.Errorf("%s is not in wire", k)
	}
}

func TestKindsHaveTheirAPIName(t *testing.T) {
	t.Parallel()
	want := []string{"text", "template", "image", "video", "audio", "document", "sticker", "location", "contacts", "reaction", "interactive"}
	var got []string
	for _, k := range message.Kinds() {
		got = append(got, k.APIName())
	}
	if !slices.Equal(got, want) {
		t.Errorf("names are %v, want %v", got, want)
	}
}

func TestContentAtItsLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]message.Content{
		"body of 4096":         message.Text{Body: strings.Repeat("x", 4096)},
		"body of 4096 emoji":   message.Text{Body: strings.Repeat("🎉", 4096)},
		"caption of 1024":      message.Image{ID: "1", Caption: strings.Repeat("é", 1024)},
		"link of 2048":         message.Sticker{Link: "https://h.test/" + strings.Repeat("x", 2033)},
		"template name of 512": message.Template{Name: strings.Repeat("a", 512), Language: message.Language{Code: "zh_CN"}},
		"header text of 60": template(message.Component{Type: message.ComponentHeader, Parameters: []json.RawMessage{
			json.RawMessage(`{"type":"text","text":"` + strings.Repeat("x", 60) + `"}`),
		}}),
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func template(components ...message.Component) message.Template {
	return message.Template{Name: "t", Language: message.Language{Code: "en"}, Components: components}
}

func part(kind message.ComponentType, parameters ...string) message.Component {
	c := message.Component{Type: kind}
	for _, p := range parameters {
		c.Parameters = append(c.Parameters, json.RawMessage(p))
	}
	return c
}

func button(subType, index string, parameters ...string) message.Component {
	c := part(message.ComponentButton, parameters...)
	c.SubType, c.Index = subType, index
	return c
}

func TestContentRejected(t *testing.T) {
	t.Parallel()
	const (
		header, body = message.ComponentHeader, message.ComponentBody
		text         = `{"type":"text","text":"a"}`
		named        = `{"type":"text","parameter_name":"n","text":"a"}`
	)
	en := message.Language{Code: "en"}
	for name, c := range map[string]struct {
		content message.Content
		field   string
		want    string
	}{
		"empty body":          {message.Text{}, "text.body", "1 to 4096"},
		"long body":           {message.Text{Body: strings.Repeat("x", 4097)}, "text.body", "4097"},
		"no UTF-8":            {message.Text{Body: "\xff"}, "text.body", "UTF-8"},
		"no source":           {message.Image{}, "image", "neither"},
		"two sources":         {message.Video{ID: "1", Link: "https://h.test/a"}, "video", "both"},
		"long id":             {message.Video{ID: strings.Repeat("1", 256)}, "video.id", "256"},
		"ftp link":            {message.Image{Link: "ftp://h.test/a"}, "image.link", `"ftp"`},
		"relative link":       {message.Image{Link: "/a.png"}, "image.link", "http"},
		"link without a host": {message.Image{Link: "https:///a.png"}, "image.link", "host"},
		"broken link":         {message.Image{Link: "https://h.test/%zz"}, "image.link", "URL"},
		"long link":           {message.Image{Link: "https://h.test/" + strings.Repeat("x", 2034)}, "image.link", "2049"},
		"long caption":        {message.Document{ID: "1", Caption: strings.Repeat("x", 1025)}, "document.caption", "1025"},
		"caption of audio":    {message.Audio{ID: "1", Caption: "x"}, "audio.caption", "no caption"},
		"caption of sticker":  {message.Sticker{ID: "1", Caption: "x"}, "sticker.caption", "no caption"},
		"filename of image":   {message.Image{ID: "1", Filename: "a"}, "image.filename", "documents"},
		"long filename":       {message.Document{ID: "1", Filename: strings.Repeat("x", 256)}, "document.filename", "256"},
		"voice of video":      {message.Video{ID: "1", Voice: true}, "video.voice", "audio"},

		"no template name":     {message.Template{Language: en}, "template.name", "empty"},
		"long template name":   {message.Template{Name: strings.Repeat("a", 513), Language: en}, "template.name", "513"},
		"upper template name":  {message.Template{Name: "Hello", Language: en}, "template.name", "byte 0"},
		"no language":          {message.Template{Name: "t"}, "template.language", "en_US"},
		"language with hyphen": {message.Template{Name: "t", Language: message.Language{Code: "en-US"}}, "template.language", "en-US"},
		"lower country":        {message.Template{Name: "t", Language: message.Language{Code: "en_us"}}, "template.language", "en_us"},
		"dangling underscore":  {message.Template{Name: "t", Language: message.Language{Code: "en_"}}, "template.language", "en_"},

		"unknown component":  {template(part("footer")), "template.components.0.type", "footer"},
		"second body":        {template(part(body, text), part(body, text)), "template.components.1", "second time"},
		"second button 0":    {template(button("url", "0", text), button("url", "0", text)), "template.components.1", "button 0"},
		"two in a header":    {template(part(header, text, text)), "template.components.0.parameters", "2"},
		"sub type of body":   {template(message.Component{Type: body, SubType: "url"}), "template.components.0.subType", "only buttons"},
		"index of body":      {template(message.Component{Type: body, Index: "0"}), "template.components.0.index", "only buttons"},
		"unknown sub type":   {template(button("link", "0", text)), "template.components.0.subType", "link"},
		"no index":           {template(button("url", "", text)), "template.components.0.index", "0 to 9"},
		"index 10":           {template(button("url", "10", text)), "template.components.0.index", "10"},
		"button without one": {template(button("url", "0")), "template.components.0.parameters", "exactly 1"},

		"parameter null":        {template(part(body, text, `null`)), "template.components.0.parameters.1", "object"},
		"parameter a string":    {template(part(body, `"a"`)), "template.components.0.parameters.0", "object"},
		"parameter no JSON":     {template(part(body, `{`)), "template.components.0.parameters.0", "object"},
		"parameter unknown":     {template(part(body, `{"type":"emoji"}`)), "template.components.0.parameters.0", "emoji"},
		"image in body":         {template(part(body, `{"type":"image","image":{"id":"1"}}`)), "template.components.0.parameters.0", "image"},
		"payload for url":       {template(button("url", "0", `{"type":"payload","payload":"x"}`)), "template.components.0.parameters.0", "payload"},
		"text without text":     {template(part(body, `{"type":"text"}`)), "template.components.0.parameters.0.text", "missing"},
		"empty text":            {template(part(body, `{"type":"text","text":""}`)), "template.components.0.parameters.0.text", "empty"},
		"new line":              {template(part(body, text, `{"type":"text","text":"a\nb"}`)), "template.components.0.parameters.1.text", "new line"},
		"tab":                   {template(part(body, `{"type":"text","text":"a\tb"}`)), "template.components.0.parameters.0.text", "tab"},
		"five spaces":           {template(part(body, `{"type":"text","text":"a     b"}`)), "template.components.0.parameters.0.text", "4 spaces"},
		"five spaces of a date": {template(part(body, `{"type":"date_time","date_time":{"fallback_value":"a     b"}}`)), "template.components.0.parameters.0.date_time", "4 spaces"},
		"long header text":      {template(part(header, `{"type":"text","text":"`+strings.Repeat("x", 61)+`"}`)), "template.components.0.parameters.0.text", "61"},
		"currency bare":         {template(part(body, `{"type":"currency"}`)), "template.components.0.parameters.0.currency", "amount_1000"},
		"date bare":             {template(part(body, `{"type":"date_time","date_time":{}}`)), "template.components.0.parameters.0.date_time", "fallback_value"},
		"image bare":            {template(part(header, `{"type":"image"}`)), "template.components.0.parameters.0.image", "missing"},
		"image without source":  {template(part(header, `{"type":"image","image":{}}`)), "template.components.0.parameters.0.image", "neither"},
		"image with bad link":   {template(part(header, `{"type":"image","image":{"link":"x"}}`)), "template.components.0.parameters.0.image.link", "http"},
		"location a string":     {template(part(header, `{"type":"location","location":"x"}`)), "template.components.0.parameters.0.location", "object"},
		"action bare":           {template(button("flow", "0", `{"type":"action"}`)), "template.components.0.parameters.0.action", "object"},
		"coupon bare":           {template(button("copy_code", "0", `{"type":"coupon_code"}`)), "template.components.0.parameters.0.coupon_code", "missing"},
		"payload empty":         {template(button("quick_reply", "0", `{"type":"payload","payload":""}`)), "template.components.0.parameters.0.payload", "empty"},

		"named and positional":  {template(part(body, named, text)), "template.components.0.parameters.1", "mixes"},
		"mixed over components": {template(part(header, text), part(body, named)), "template.components.1.parameters.0", "mixes"},
		"name twice":            {template(part(body, named, named)), "template.components.0.parameters.1.parameter_name", "twice"},
		"name empty":            {template(part(body, `{"type":"text","parameter_name":"","text":"a"}`)), "template.components.0.parameters.0.parameter_name", "no name"},
		"named button":          {template(button("url", "0", named)), "template.components.0.parameters.0.parameter_name", "header's or body's"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rejects(t, c.content.Validate(), c.field, c.want)
		})
	}
}

// rejects checks that err is INVALID_INPUT, names the field and says that much.
func rejects(t *testing.T, err error, field, want string) {
	t.Helper()
	var e *domain.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want a *domain.Error", err)
	}
	if e.Code != domain.CodeInvalidInput || e.Field != field || !strings.Contains(e.Message, want) {
		t.Errorf("error is %s at %q: %s; want it at %q, saying %q", e.Code, e.Field, e.Message, field, want)
	}
}

func TestDecodeRefusesWhatIsNoContent(t *testing.T) {
	t.Parallel()
	if c, err := message.Decode("POEM", json.RawMessage(`{}`)); err == nil {
		t.Errorf("unknown kind gave %v", c)
	}
	if c, err := message.Decode(message.KindText, json.RawMessage(`{"body":1}`)); err == nil {
		t.Errorf("body of a number gave %v", c)
	}
	if raw, err := message.Encode(template(part(message.ComponentBody, `{`))); err == nil {
		t.Errorf("a parameter that is no JSON gave %s", raw)
	}
}

// What can be read and is valid can be written and reads the same.
func FuzzDecode(f *testing.F) {
	for _, c := range wire() {
		f.Add(string(c.content.Kind()), []byte(c.json))
	}
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		c, err := message.Decode(message.Kind(kind), data)
		if err != nil {
			return
		}
		if c.Kind() != message.Kind(kind) {
			t.Fatalf("kind %s became %s", kind, c.Kind())
		}
		if err := c.Validate(); err != nil {
			var e *domain.Error
			if !errors.As(err, &e) || !strings.HasPrefix(e.Field, c.Kind().APIName()) {
				t.Fatalf("error %v names no field of %s", err, kind)
			}
			return
		}
		first, err := message.Encode(c)
		if err != nil {
			t.Fatalf("valid content is not encoded: %v", err)
		}
		back, err := message.Decode(message.Kind(kind), first)
		if err != nil {
			t.Fatalf("encoded content is not read: %v", err)
		}
		if err := back.Validate(); err != nil {
			t.Fatalf("valid content is not valid when read again: %v", err)
		}
		second, err := message.Encode(back)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%s became %s (%v)", first, second, err)
		}
	})
}

func BenchmarkValidateEncode(b *testing.B) {
	for _, name := range []string{"text", "image", "template"} {
		c := wire()[name].content
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Validate(); err != nil {
					b.Fatal(err)
				}
				if _, err := message.Encode(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
