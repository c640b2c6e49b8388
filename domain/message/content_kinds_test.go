package message_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/domain/message"
)

const answered = "wamid.HBgLMTIwMjU1NTAxNDMVAgASGBQzRUIwRjAwRENBRkUwQTFCMkMzRAA="

func contacts(objects ...string) message.Contacts {
	c := message.Contacts{}
	for _, o := range objects {
		c = append(c, json.RawMessage(o))
	}
	return c
}

const grace = `{"name":{"formatted_name":"Grace Example","first_name":"Grace"}}`

func TestPlacesContactsAndReactionsAtTheirLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		content message.Content
		json    string
	}{
		"the pole":  {message.Location{Latitude: 90, Longitude: -180}, `{"latitude":"90","longitude":"-180"}`},
		"a mite":    {message.Location{Latitude: 0.0000001, Longitude: 13.405}, `{"latitude":"0.0000001","longitude":"13.405"}`},
		"a place":   {message.Location{Name: strings.Repeat("x", 1024), Address: "1"}, `{"latitude":"0","longitude":"0","name":"` + strings.Repeat("x", 1024) + `","address":"1"}`},
		"contacts":  {contacts(grace, grace, grace, grace, grace), `[` + strings.Repeat(grace+",", 4) + grace + `]`},
		"take back": {message.Reaction{MessageID: answered}, `{"message_id":"` + answered + `","emoji":""}`},
		"thumb":     {message.Reaction{MessageID: answered, Emoji: "👍🏽"}, `{"message_id":"` + answered + `","emoji":"👍🏽"}`},
		"family":    {message.Reaction{MessageID: answered, Emoji: "👩‍👩‍👧‍👦"}, `{"message_id":"` + answered + `","emoji":"👩‍👩‍👧‍👦"}`},
		"keycap":    {message.Reaction{MessageID: answered, Emoji: "1️⃣"}, `{"message_id":"` + answered + `","emoji":"1️⃣"}`},
		"flag":      {message.Reaction{MessageID: answered, Emoji: "🏴󠁧󠁢󠁥󠁮󠁧󠁿"}, `{"message_id":"` + answered + `","emoji":"🏴󠁧󠁢󠁥󠁮󠁧󠁿"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.content.Validate(); err != nil {
				t.Fatal(err)
			}
			got, err := message.Encode(c.content)
			if err != nil || string(got) != c.json {
				t.Fatalf("Encode: %s, %v; want %s", got, err, c.json)
			}
			back, err := message.Decode(c.content.Kind(), got)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := message.Encode(back); err != nil || string(again) != c.json {
				t.Errorf("Encode after Decode: %s, %v", again, err)
			}
		})
	}
	if l, err := message.Decode(message.KindLocation, json.RawMessage(`{"latitude":52.5,"longitude":"13.4"}`)); err != nil || l != (message.Location{Latitude: 52.5, Longitude: 13.4}) {
		t.Errorf("a coordinate as a number: %+v, %v", l, err)
	}
}

func TestPlacesContactsAndReactionsRejected(t *testing.T) {
	t.Parallel()
	react := func(emoji string) message.Reaction { return message.Reaction{MessageID: answered, Emoji: emoji} }
	for name, c := range map[string]struct {
		content message.Content
		field   string
		want    string
	}{
		"above the pole":  {message.Location{Latitude: 90.1}, "location.latitude", "-90 to 90"},
		"no latitude":     {message.Location{Latitude: message.Degrees(math.NaN())}, "location.latitude", "-90 to 90"},
		"around the date": {message.Location{Longitude: -180.5}, "location.longitude", "-180 to 180"},
		"long name":       {message.Location{Name: strings.Repeat("x", 1025)}, "location.name", "0 to 1024"},
		"long address":    {message.Location{Address: strings.Repeat("x", 1025)}, "location.address", "0 to 1024"},

		"no contacts":       {message.Contacts{}, "contacts", "1 to 5"},
		"six contacts":      {contacts(grace, grace, grace, grace, grace, grace), "contacts", "6 contacts, 1 to 5"},
		"contact a string":  {contacts(`"Grace"`), "contacts.0.contact", "no object"},
		"no name":           {contacts(grace, `{}`), "contacts.1.contact.name", "formatted_name"},
		"no formatted name": {contacts(`{"name":{"first_name":"Grace"}}`), "contacts.0.contact.name.formatted_name", "empty"},
		"formatted alone":   {contacts(`{"name":{"formatted_name":"Grace"}}`), "contacts.0.contact.name", "first_name"},
		"long first name":   {contacts(`{"name":{"formatted_name":"G","first_name":"` + strings.Repeat("x", 513) + `"}}`), "contacts.0.contact.name.first_name", "0 to 512"},
		"birthday":          {contacts(strings.Replace(grace, `{`, `{"birthday":"13.02.1999",`, 1)), "contacts.0.contact.birthday", "YYYY-MM-DD"},
		"empty phone":       {contacts(strings.Replace(grace, `{`, `{"phones":[{"type":"WORK"}],`, 1)), "contacts.0.contact.phones.0", "one of them"},
		"wa_id with a plus": {contacts(strings.Replace(grace, `{`, `{"phones":[{"wa_id":"+12025550187"}],`, 1)), "contacts.0.contact.phones.0.wa_id", "15 digits"},
		"phones no list":    {contacts(strings.Replace(grace, `{`, `{"phones":{},`, 1)), "contacts.0.contact.phones", "object"},

		"no message":     {message.Reaction{Emoji: "👍"}, "reaction.messageId", "wamid."},
		"foreign id":     {message.Reaction{MessageID: "1234", Emoji: "👍"}, "reaction.messageId", "wamid."},
		"id with spaces": {message.Reaction{MessageID: "wamid. x", Emoji: "👍"}, "reaction.messageId", "wamid."},
		"long id":        {message.Reaction{MessageID: "wamid." + strings.Repeat("x", 600), Emoji: "👍"}, "reaction.messageId", "512"},
		"word":           {react("ok"), "reaction.emoji", "no emoji"},
		"emoji and word": {react("👍 yes"), "reaction.emoji", "no emoji"},
		"digit":          {react("1"), "reaction.emoji", "no emoji"},
		"many":           {react(strings.Repeat("👍", 21)), "reaction.emoji", "0 to 20"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rejects(t, c.content.Validate(), c.field, c.want)
		})
	}
}

func TestReplies(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	queue := func(replyTo string, c message.Content) error {
		_, err := message.Queue(message.Request{
			Sender: "s", To: "+12025550143", Content: c, ReplyTo: replyTo,
			Priority: message.PriorityTransactional, OnAmbiguous: message.AmbiguityResend,
		}, now)
		return err
	}
	for _, c := range []message.Content{message.Text{Body: "x"}, message.Location{}, interactive("location_request_message", object(`{"name":"send_location"}`))} {
		if err := queue(answered, c); err != nil {
			t.Errorf("%s: %v", c.Kind(), err)
		}
	}
	rejects(t, queue("4711", message.Text{Body: "x"}), "replyTo", "wamid.")
	rejects(t, queue(answered, message.Reaction{MessageID: answered, Emoji: "👍"}), "replyTo", "reaction")
}

func carousel(cards ...string) message.Component {
	c := message.Component{Type: message.ComponentCarousel}
	for _, card := range cards {
		c.Cards = append(c.Cards, json.RawMessage(card))
	}
	return c
}

func templateCard(index, components string) string {
	return `{"card_index":` + index + `,"components":[` + components + `]}`
}

const (
	cardHeader  = `{"type":"header","parameters":[{"type":"image","image":{"id":"1"}}]}`
	cardProduct = `{"type":"HEADER","parameters":[{"type":"product","product":{"catalog_id":"1","product_retailer_id":"p"}}]}`
	cardButton  = `{"type":"button","sub_type":"quick_reply","index":0,"parameters":[{"type":"payload","payload":"x"}]}`
)

const (
	offer     = `{"type":"limited_time_offer","limited_time_offer":{"expiration_time_ms":1798000000000}}`
	order     = `{"type":"order_status","order_status":{"reference_id":"o-1","order":{"status":"shipped"}}}`
	tapTarget = `{"type":"tap_target_configuration","tap_target_configuration":[{"url":"https://h.test","title":"Offer"}]}`
)

func mpm(sections string) string {
	return `{"type":"action","action":{"thumbnail_product_retailer_id":"p","sections":[` + sections + `]}}`
}

func coupon(code string) string { return `{"type":"coupon_code","coupon_code":"` + code + `"}` }

func TestTemplatePartsAtTheirLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]message.Template{
		"offer":             template(part("limited_time_offer", offer), button("copy_code", "0", coupon(long(15)))),
		"long coupon":       template(button("COPY_CODE", "0", coupon(long(20)))),
		"order status":      template(part("order_status", order)),
		"tap target":        template(part("tap_target_configuration", tapTarget)),
		"product header":    template(part("header", `{"type":"product","product":{"catalog_id":"1","product_retailer_id":"p"}}`)),
		"named header":      template(part("header", `{"type":"text","parameter_name":"n","text":"a"}`)),
		"catalog":           template(button("CATALOG", "0", `{"type":"action","action":{}}`)),
		"thirty products":   template(button("mpm", "0", mpm(`{"title":"a",`+products(30)+`}`))),
		"flow":              template(button("flow", "0", `{"type":"action","action":{"flow_token":"t","flow_action_data":{"a":1}}}`)),
		"order details":     template(button("order_details", "0", `{"type":"action","action":{"order_details":{"reference_id":"o"}}}`)),
		"call":              template(button("voice_call", "", `{"type":"ttl_minutes","ttl_minutes":100}`, `{"type":"payload","payload":"x"}`)),
		"carousel":          template(carousel(templateCard("0", cardHeader+","+cardButton), templateCard("1", cardButton+","+cardHeader))),
		"product carousel":  template(part("body", `{"type":"text","text":"a"}`), carousel(templateCard("0", cardProduct), templateCard("1", cardProduct))),
		"url suffix of2000": template(button("url", "0", `{"type":"text","text":"`+long(2000)+`"}`)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			encoded, err := message.Encode(c)
			if err != nil {
				t.Fatal(err)
			}
			back, err := message.Decode(message.KindTemplate, encoded)
			if err != nil || back.Validate() != nil {
				t.Fatalf("read again: %+v, %v, %v", back, err, back.Validate())
			}
			if again, err := message.Encode(back); err != nil || string(again) != string(encoded) {
				t.Errorf("%s became %s, %v", encoded, again, err)
			}
		})
	}
}

func TestTemplatePartsRejected(t *testing.T) {
	t.Parallel()
	eleven := make([]string, 11)
	for i := range eleven {
		eleven[i] = templateCard("0", cardHeader)
	}
	const first = "template.components.0."
	for name, c := range map[string]struct {
		template    message.Template
		field, want string
	}{
		"otp":             {template(button("otp", "0", `{"type":"text","text":"1"}`)), first + "subType", "given to it as url"},
		"contact info":    {template(button("request_contact_info", "0", `{"type":"payload","payload":"1"}`)), first + "subType", "leave out the component"},
		"coupon hyphen":   {template(button("copy_code", "0", coupon("A-1"))), first + "parameters.0.coupon_code", "no letter and no digit"},
		"long coupon":     {template(button("copy_code", "0", coupon(long(21)))), first + "parameters.0.coupon_code", "21 characters, 1 to 20"},
		"long offer code": {template(button("copy_code", "0", coupon(long(16))), part("limited_time_offer", offer)), first + "parameters.0.coupon_code", "1 to 15"},
		"long url suffix": {template(button("url", "0", `{"type":"text","text":"`+long(2001)+`"}`)), first + "parameters.0.text", "1 to 2000"},
		"offer bare":      {template(part("limited_time_offer")), first + "parameters", "exactly 1"},
		"offer no object": {template(part("limited_time_offer", `{"type":"limited_time_offer"}`)), first + "parameters.0.limited_time_offer", "missing"},
		"offer no time":   {template(part("limited_time_offer", `{"type":"limited_time_offer","limited_time_offer":{}}`)), first + "parameters.0.limited_time_offer.expiration_time_ms", "milliseconds"},
		"offer a string":  {template(part("limited_time_offer", `{"type":"limited_time_offer","limited_time_offer":{"expiration_time_ms":"soon"}}`)), first + "parameters.0.limited_time_offer.expiration_time_ms", "string"},
		"order no ref":    {template(part("order_status", `{"type":"order_status","order_status":{}}`)), first + "parameters.0.order_status.reference_id", "missing"},
		"order no status": {template(part("order_status", `{"type":"order_status","order_status":{"reference_id":"o"}}`)), first + "parameters.0.order_status.order.status", "missing"},
		"no tap targets":  {template(part("tap_target_configuration", `{"type":"tap_target_configuration"}`)), first + "parameters.0.tap_target_configuration", "missing"},
		"tap target url":  {template(part("tap_target_configuration", `{"type":"tap_target_configuration","tap_target_configuration":[{"title":"a","url":"x"}]}`)), first + "parameters.0.tap_target_configuration.0.url", "absolute"},
		"product bare":    {template(part("header", `{"type":"product","product":{"catalog_id":"1"}}`)), first + "parameters.0.product.product_retailer_id", "missing"},
		"location bare":   {template(part("header", `{"type":"location","location":{}}`)), first + "parameters.0.location", "latitude and longitude"},
		"location beyond": {template(part("header", `{"type":"location","location":{"latitude":"91","longitude":"0"}}`)), first + "parameters.0.location.latitude", "-90 to 90"},
		"location words":  {template(part("header", `{"type":"location","location":{"latitude":"north","longitude":"0"}}`)), first + "parameters.0.location", "degrees"},
		"mpm thumbnail":   {template(button("mpm", "0", `{"type":"action","action":{}}`)), first + "parameters.0.action.thumbnail_product_retailer_id", "missing"},
		"mpm sections":    {template(button("mpm", "0", mpm(``))), first + "parameters.0.action.sections", "1 to 10"},
		"mpm products":    {template(button("mpm", "0", mpm(`{"title":"a",`+products(31)+`}`))), first + "parameters.0.action.sections", "at most 30"},
		"catalog empty":   {template(button("catalog", "0", `{"type":"action","action":{"thumbnail_product_retailer_id":""}}`)), first + "parameters.0.action.thumbnail_product_retailer_id", "empty"},
		"flow data":       {template(button("flow", "0", `{"type":"action","action":{"flow_action_data":1}}`)), first + "parameters.0.action.flow_action_data", "object"},
		"order details":   {template(button("order_details", "0", `{"type":"action","action":{}}`)), first + "parameters.0.action.order_details", "missing"},
		"call ttl":        {template(button("voice_call", "0", `{"type":"ttl_minutes","ttl_minutes":0}`)), first + "parameters.0.ttl_minutes", "1 to 43200"},
		"call no ttl":     {template(button("voice_call", "0", `{"type":"ttl_minutes"}`)), first + "parameters.0.ttl_minutes", "missing"},

		"cards of a body":    {template(message.Component{Type: "body", Cards: []json.RawMessage{json.RawMessage(`{}`)}}), first + "cards", "only a carousel"},
		"one card":           {template(carousel(templateCard("0", cardHeader))), first + "cards", "1 cards, 2 to 10"},
		"eleven cards":       {template(carousel(eleven...)), first + "cards", "11 cards, 2 to 10"},
		"card index":         {template(carousel(templateCard("0", cardHeader), templateCard("0", cardHeader))), first + "cards.1.card_index", "must be 1"},
		"card a string":      {template(carousel(`"x"`, templateCard("1", cardHeader))), first + "cards.0", "no object"},
		"card no header":     {template(carousel(templateCard("0", cardButton), templateCard("1", cardButton))), first + "cards.0.components", "no header"},
		"card in a card":     {template(carousel(templateCard("0", `{"type":"carousel"}`), templateCard("1", cardHeader))), first + "cards.0.components.0.type", "header, body and button"},
		"cards differ":       {template(carousel(templateCard("0", cardHeader), templateCard("1", cardHeader+","+cardButton))), first + "cards.1.components", "same parts"},
		"card parameter":     {template(carousel(templateCard("0", `{"type":"header","parameters":[{"type":"image"}]}`), templateCard("1", cardHeader))), first + "cards.0.components.0.parameters.0.image", "missing"},
		"carousel parameter": {template(part("carousel", `{"type":"text","text":"a"}`)), first + "parameters", "has cards"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rejects(t, c.template.Validate(), c.field, c.want)
		})
	}
}
