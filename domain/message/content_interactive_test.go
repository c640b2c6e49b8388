package message_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/waypost/waypost/domain/message"
)

func interactive(kind message.InteractiveKind, object string) message.Interactive {
	return message.Interactive{InteractiveKind: kind, Object: json.RawMessage(object)}
}

// object writes an interactive object of a body and an action.
func object(action string) string { return `{"body":{"text":"b"},"action":` + action + `}` }

func buttons(titles ...string) string {
	all := make([]string, len(titles))
	for i, title := range titles {
		all[i] = fmt.Sprintf(`{"type":"reply","reply":{"id":"id-%d","title":%q}}`, i, title)
	}
	return `{"buttons":[` + strings.Join(all, ",") + `]}`
}

func rows(from, to int) string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf(`{"id":"r-%d","title":"t"}`, i))
	}
	return `"rows":[` + strings.Join(all, ",") + `]`
}

func products(n int) string {
	return `"product_items":[` + strings.Repeat(`{"product_retailer_id":"p"},`, n-1) + `{"product_retailer_id":"p"}]`
}

func mediaCard(index int, kind string) string {
	return fmt.Sprintf(`{"card_index":%d,"type":"cta_url","header":{"type":%q,%q:{"id":"1"}},"body":{"text":"c"},
		"action":{"name":"cta_url","parameters":{"display_text":"Buy","url":"https://shop.example.test/1"}}}`, index, kind, kind)
}

// replyCard is a card with quick replies of these titles.
func replyCard(index int, titles ...string) string {
	all := make([]string, len(titles))
	for i, title := range titles {
		all[i] = fmt.Sprintf(`{"type":"quick_reply","quick_reply":{"id":"id-%d","title":%q}}`, i, title)
	}
	return fmt.Sprintf(`{"card_index":%d,"type":"cta_url","header":{"type":"image","image":{"id":"1"}},"action":{"buttons":[%s]}}`,
		index, strings.Join(all, ","))
}

func productCard(index int, catalog string) string {
	return fmt.Sprintf(`{"card_index":%d,"type":"product","action":{"catalog_id":%q,"product_retailer_id":"p"}}`, index, catalog)
}

func cards(list ...string) string { return `{"cards":[` + strings.Join(list, ",") + `]}` }

func parameters(name, parameters string) string {
	return `{"name":"` + name + `","parameters":` + parameters + `}`
}

func long(n int) string { return strings.Repeat("x", n) }

func TestInteractiveAtItsLimits(t *testing.T) {
	t.Parallel()
	manyCards := make([]string, 10)
	for i := range manyCards {
		manyCards[i] = mediaCard(i, "video")
	}
	for name, c := range map[string]message.Interactive{
		"three buttons, everything full": interactive("button", `{"header":{"type":"text","text":"`+long(60)+`"},
			"body":{"text":"`+long(1024)+`"},"footer":{"text":"`+long(60)+`"},"action":{"buttons":[
			{"type":"reply","reply":{"id":"`+long(256)+`","title":"`+long(20)+`"}},
			{"type":"reply","reply":{"id":"2","title":"2"}},{"type":"reply","reply":{"id":"3","title":"3"}}]}}`),
		"type repeated":     interactive("button", `{"type":"button","body":{"text":"b"},"action":`+buttons("a")+`}`),
		"members to come":   interactive("button", `{"body":{"text":"b"},"action":`+buttons("a")+`,"new":1}`),
		"media header":      interactive("button", `{"header":{"type":"document","document":{"id":"1","filename":"a.pdf"}},"body":{"text":"b"},"action":`+buttons("a")+`}`),
		"long list body":    interactive("list", `{"body":{"text":"`+long(4096)+`"},"action":{"button":"`+long(20)+`","sections":[{`+rows(0, 10)+`}]}}`),
		"flow by name":      interactive("flow", object(parameters("flow", `{"flow_message_version":"3","flow_name":"f","flow_cta":"`+long(30)+`","mode":"draft"}`))),
		"flow with data":    interactive("flow", object(parameters("flow", `{"flow_message_version":"3","flow_id":"1","flow_cta":"c","flow_action":"data_exchange"}`))),
		"product bare":      interactive("product", `{"action":{"catalog_id":"1","product_retailer_id":"p"}}`),
		"thirty products":   interactive("product_list", `{"header":{"type":"text","text":"h"},"body":{"text":"b"},"action":{"catalog_id":"1","sections":[{"title":"a",`+products(20)+`},{"title":"b",`+products(10)+`}]}}`),
		"catalog":           interactive("catalog_message", object(`{"name":"catalog_message"}`)),
		"ten cards":         interactive("carousel", object(cards(manyCards...))),
		"quick replies":     interactive("carousel", object(cards(replyCard(0, "a", long(20)), replyCard(1, "a", "b")))),
		"untyped cards":     interactive("carousel", object(strings.ReplaceAll(cards(replyCard(0, "a"), replyCard(1, "a")), `"type":"cta_url",`, ""))),
		"contact info":      interactive("request_contact_info", object(`{"name":"request_contact_info"}`)),
		"product cards":     interactive("carousel", object(cards(productCard(0, "1"), productCard(1, "1")))),
		"call":              interactive("voice_call", object(parameters("voice_call", `{"display_text":"Call us","ttl_minutes":43200,"payload":"`+long(512)+`"}`))),
		"call, bare":        interactive("voice_call", object(`{"name":"voice_call"}`)),
		"order left to it":  interactive("order_details", object(parameters("review_and_pay", `{"reference_id":"o-1"}`))),
		"permission":        interactive("call_permission_request", object(`{"name":"call_permission_request"}`)),
		"order status":      interactive("order_status", object(parameters("review_order", `{"reference_id":"o-1","order":{"status":"shipped"}}`))),
		"space around":      interactive("location_request_message", " {\n \"body\":{\"text\":\"b\"},\"action\":{\"name\":\"send_location\"}} "),
		"address":           interactive("address_message", object(parameters("address_message", `{"country":"IN","values":{"in_pin_code":"560001"}}`))),
		"header of catalog": interactive("catalog_message", `{"header":{"type":"text","text":"h"},"body":{"text":"b"},"action":{"name":"catalog_message"}}`),
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
			var back struct{ Type message.InteractiveKind }
			if err := json.Unmarshal(encoded, &back); err != nil || back.Type != c.InteractiveKind {
				t.Errorf("%s: type %q, %v", encoded, back.Type, err)
			}
			again, err := message.Decode(message.KindInteractive, encoded)
			if err != nil || again.(message.Interactive).InteractiveKind != c.InteractiveKind || again.Validate() != nil {
				t.Errorf("read again: %+v, %v", again, err)
			}
		})
	}
}

func TestInteractiveRejected(t *testing.T) {
	t.Parallel()
	button := buttons("a")
	link := parameters("cta_url", `{"display_text":"Open","url":"https://h.test"}`)
	withTexts := func(texts string) string { return `{` + texts + `,"action":` + button + `}` }
	list := func(sections string) string { return object(`{"button":"Show","sections":[` + sections + `]}`) }
	flow := func(members string) string {
		return object(parameters("flow", `{"flow_message_version":"3","flow_id":"1","flow_cta":"c",`+members+`}`))
	}
	productList := func(sections string) string {
		return `{"header":{"type":"text","text":"h"},"body":{"text":"b"},"action":{"catalog_id":"1","sections":[` + sections + `]}}`
	}
	eleven := make([]string, 11)
	for i := range eleven {
		eleven[i] = mediaCard(i, "image")
	}
	for name, c := range map[string]struct {
		kind                message.InteractiveKind
		object, field, want string
	}{
		"no object":     {"button", `[]`, "object", "no object"},
		"no JSON":       {"button", `{`, "object", "no object"},
		"null":          {"button", `null`, "object", "no object"},
		"type differs":  {"button", `{"type":"list","body":{"text":"b"},"action":` + button + `}`, "object.type", "button"},
		"wrong type":    {"button", `{"body":{"text":7},"action":` + button + `}`, "object.body.text", "number"},
		"no body":       {"button", `{"action":` + button + `}`, "object.body", "missing"},
		"empty body":    {"button", withTexts(`"body":{"text":""}`), "object.body.text", "1 to 1024"},
		"long body":     {"button", withTexts(`"body":{"text":"` + long(1025) + `"}`), "object.body.text", "1025 characters, 1 to 1024"},
		"long list":     {"list", `{"body":{"text":"` + long(4097) + `"},"action":{}}`, "object.body.text", "1 to 4096"},
		"no action":     {"button", `{"body":{"text":"b"}}`, "object.action", "missing"},
		"long footer":   {"button", withTexts(`"body":{"text":"b"},"footer":{"text":"` + long(61) + `"}`), "object.footer.text", "1 to 60"},
		"empty footer":  {"button", withTexts(`"body":{"text":"b"},"footer":{}`), "object.footer.text", "empty"},
		"long header":   {"button", withTexts(`"body":{"text":"b"},"header":{"type":"text","text":"` + long(61) + `"}`), "object.header.text", "1 to 60"},
		"header kind":   {"button", withTexts(`"body":{"text":"b"},"header":{"type":"audio"}`), "object.header.type", "text, image, video, document"},
		"header bare":   {"button", withTexts(`"body":{"text":"b"},"header":{"type":"image"}`), "object.header.image", "missing"},
		"header twice":  {"button", withTexts(`"body":{"text":"b"},"header":{"type":"image","image":{"id":"1","link":"https://h.test"}}`), "object.header.image", "both"},
		"list header":   {"list", `{"header":{"type":"image","image":{"id":"1"}},"body":{"text":"b"},"action":{}}`, "object.header.type", "text is allowed"},
		"product head":  {"product", `{"header":{"type":"text","text":"h"},"action":{}}`, "object.header", "has none"},
		"location head": {"location_request_message", `{"header":{"type":"text","text":"h"},"body":{"text":"b"},"action":{}}`, "object.header", "has none"},

		"no buttons":     {"button", object(`{}`), "object.action.buttons", "0 buttons, 1 to 3"},
		"four buttons":   {"button", object(buttons("a", "b", "c", "d")), "object.action.buttons", "4 buttons, 1 to 3"},
		"button type":    {"button", object(`{"buttons":[{"type":"url"}]}`), "object.action.buttons.0.type", "reply"},
		"no button id":   {"button", object(`{"buttons":[{"type":"reply","reply":{"title":"a"}}]}`), "object.action.buttons.0.reply.id", "1 to 256"},
		"long button id": {"button", object(`{"buttons":[{"type":"reply","reply":{"id":"` + long(257) + `","title":"a"}}]}`), "object.action.buttons.0.reply.id", "257 characters, 1 to 256"},
		"long title":     {"button", object(buttons(long(21))), "object.action.buttons.0.reply.title", "21 characters, 1 to 20"},
		"title twice":    {"button", object(buttons("a", "a")), "object.action.buttons.1.reply.title", "twice"},
		"id twice":       {"button", object(`{"buttons":[{"type":"reply","reply":{"id":"1","title":"a"}},{"type":"reply","reply":{"id":"1","title":"b"}}]}`), "object.action.buttons.1.reply.id", "twice"},

		"list label":        {"list", object(`{"button":"` + long(21) + `","sections":[{` + rows(0, 1) + `}]}`), "object.action.button", "1 to 20"},
		"no sections":       {"list", list(``), "object.action.sections", "1 to 10"},
		"eleven sections":   {"list", list(strings.TrimSuffix(strings.Repeat(`{"title":"s",`+rows(0, 1)+`},`, 11), ",")), "object.action.sections", "11 sections, 1 to 10"},
		"untitled section":  {"list", list(`{"title":"a",` + rows(0, 1) + `},{` + rows(1, 2) + `}`), "object.action.sections.1.title", "1 to 24"},
		"long section":      {"list", list(`{"title":"` + long(25) + `",` + rows(0, 1) + `}`), "object.action.sections.0.title", "0 to 24"},
		"no rows":           {"list", list(`{"title":"a"}`), "object.action.sections.0.rows", "at least 1"},
		"eleven rows":       {"list", list(`{"title":"a",` + rows(0, 6) + `},{"title":"b",` + rows(6, 11) + `}`), "object.action.sections", "11 rows in all, at most 10"},
		"row without id":    {"list", list(`{"rows":[{"title":"t"}]}`), "object.action.sections.0.rows.0.id", "1 to 200"},
		"long row id":       {"list", list(`{"rows":[{"id":"` + long(201) + `","title":"t"}]}`), "object.action.sections.0.rows.0.id", "1 to 200"},
		"long row title":    {"list", list(`{"rows":[{"id":"1","title":"` + long(25) + `"}]}`), "object.action.sections.0.rows.0.title", "1 to 24"},
		"long description":  {"list", list(`{"rows":[{"id":"1","title":"t","description":"` + long(73) + `"}]}`), "object.action.sections.0.rows.0.description", "0 to 72"},
		"row twice":         {"list", list(`{"title":"a",` + rows(0, 1) + `},{"title":"b",` + rows(0, 1) + `}`), "object.action.sections.1.rows.0.id", "twice"},
		"action name":       {"cta_url", object(`{"name":"url"}`), "object.action.name", `"cta_url"`},
		"no parameters":     {"cta_url", object(`{"name":"cta_url"}`), "object.action.parameters", "no object"},
		"long display text": {"cta_url", object(parameters("cta_url", `{"display_text":"`+long(21)+`","url":"https://h.test"}`)), "object.action.parameters.display_text", "1 to 20"},
		"relative url":      {"cta_url", object(parameters("cta_url", `{"display_text":"a","url":"/x"}`)), "object.action.parameters.url", "absolute"},
		"long url":          {"cta_url", object(parameters("cta_url", `{"display_text":"a","url":"https://h.test/`+long(2000)+`"}`)), "object.action.parameters.url", "1 to 2000"},

		"flow version":  {"flow", object(parameters("flow", `{"flow_id":"1","flow_cta":"c"}`)), "object.action.parameters.flow_message_version", `"3"`},
		"two flows":     {"flow", flow(`"flow_name":"f"`), "object.action.parameters.flow_id", "exactly one"},
		"no flow":       {"flow", object(parameters("flow", `{"flow_message_version":"3","flow_cta":"c"}`)), "object.action.parameters.flow_id", "exactly one"},
		"flow mode":     {"flow", flow(`"mode":"live"`), "object.action.parameters.mode", "draft or published"},
		"flow action":   {"flow", flow(`"flow_action":"open"`), "object.action.parameters.flow_action", "navigate or data_exchange"},
		"flow payload":  {"flow", flow(`"flow_action_payload":"x"`), "object.action.parameters.flow_action_payload", "no object"},
		"payload alone": {"flow", flow(`"flow_action":"data_exchange","flow_action_payload":{}`), "object.action.parameters.flow_action_payload", "navigate"},
		"long flow cta": {"flow", object(parameters("flow", `{"flow_message_version":"3","flow_id":"1","flow_cta":"`+long(31)+`"}`)), "object.action.parameters.flow_cta", "1 to 30"},

		"no catalog":       {"product", `{"action":{"product_retailer_id":"p"}}`, "object.action.catalog_id", "missing"},
		"no product":       {"product", `{"action":{"catalog_id":"1"}}`, "object.action.product_retailer_id", "missing"},
		"list no header":   {"product_list", object(`{"catalog_id":"1"}`), "object.header", "missing"},
		"list no catalog":  {"product_list", `{"header":{"type":"text","text":"h"},"body":{"text":"b"},"action":{}}`, "object.action.catalog_id", "missing"},
		"product sections": {"product_list", productList(``), "object.action.sections", "1 to 10"},
		"no products":      {"product_list", productList(`{"title":"a"}`), "object.action.sections.0.product_items", "at least 1"},
		"product unnamed":  {"product_list", productList(`{"product_items":[{}]}`), "object.action.sections.0.product_items.0.product_retailer_id", "missing"},
		"31 products":      {"product_list", productList(`{"title":"a",` + products(31) + `}`), "object.action.sections", "31 products in all, at most 30"},
		"long product sec": {"product_list", productList(`{"title":"` + long(25) + `",` + products(1) + `}`), "object.action.sections.0.title", "24"},
		"catalog action":   {"catalog_message", object(`{}`), "object.action.name", `"catalog_message"`},
		"empty thumbnail":  {"catalog_message", object(parameters("catalog_message", `{"thumbnail_product_retailer_id":""}`)), "object.action.parameters.thumbnail_product_retailer_id", "empty"},
		"location action":  {"location_request_message", object(`{"name":"location"}`), "object.action.name", `"send_location"`},
		"address abroad":   {"address_message", object(parameters("address_message", `{"country":"DE"}`)), "object.action.parameters.country", `"IN"`},
		"long pin code":    {"address_message", object(parameters("address_message", `{"country":"IN","values":{"in_pin_code":"1234567"}}`)), "object.action.parameters.values.in_pin_code", "0 to 6"},

		"carousel footer":  {"carousel", `{"body":{"text":"b"},"footer":{"text":"f"},"action":{}}`, "object.footer", "none outside"},
		"carousel header":  {"carousel", `{"header":{"type":"text","text":"f"},"body":{"text":"b"},"action":{}}`, "object.header", "has none"},
		"one card":         {"carousel", object(cards(mediaCard(0, "image"))), "object.action.cards", "1 cards, 2 to 10"},
		"eleven cards":     {"carousel", object(cards(eleven...)), "object.action.cards", "11 cards, 2 to 10"},
		"card index":       {"carousel", object(cards(mediaCard(0, "image"), mediaCard(2, "image"))), "object.action.cards.1.card_index", "must be 1"},
		"mixed headers":    {"carousel", object(cards(mediaCard(0, "image"), mediaCard(1, "video"))), "object.action.cards.1.header.type", "same"},
		"mixed cards":      {"carousel", object(cards(mediaCard(0, "image"), productCard(1, "1"))), "object.action.cards.1.type", "same"},
		"mixed catalogs":   {"carousel", object(cards(productCard(0, "1"), productCard(1, "2"))), "object.action.cards.1.action.catalog_id", "same"},
		"text card":        {"carousel", object(cards(mediaCard(0, "audio"), mediaCard(1, "audio"))), "object.action.cards.0.header.type", "image, video"},
		"card type":        {"carousel", object(cards(`{"card_index":0,"type":"reply","action":{}}`, productCard(1, "1"))), "object.action.cards.0.type", "cta_url or product"},
		"untyped card":     {"carousel", object(cards(strings.Replace(mediaCard(0, "image"), `"type":"cta_url",`, "", 1), mediaCard(1, "image"))), "object.action.cards.0.type", "cta_url or product"},
		"no quick reply":   {"carousel", object(cards(replyCard(0), replyCard(1))), "object.action.cards.0.action.buttons", "is empty"},
		"more replies":     {"carousel", object(cards(replyCard(0, "a"), replyCard(1, "a", "b"))), "object.action.cards.1.action.buttons", "first card has 1"},
		"mixed buttons":    {"carousel", object(cards(replyCard(0, "a"), mediaCard(1, "image"))), "object.action.cards.1.action.buttons", "first card has 1"},
		"reply and URL":    {"carousel", object(cards(strings.Replace(replyCard(0, "a"), `"action":{`, `"action":{"name":"cta_url",`, 1), replyCard(1, "a"))), "object.action.cards.0.action.buttons", "one or the other"},
		"long quick reply": {"carousel", object(cards(replyCard(0, long(21)), replyCard(1, "a"))), "object.action.cards.0.action.buttons.0.quick_reply.title", "1 to 20"},
		"reply of a card":  {"carousel", object(cards(strings.ReplaceAll(replyCard(0, "a"), "quick_reply", "reply"), replyCard(1, "a"))), "object.action.cards.0.action.buttons.0.type", "quick_reply"},
		"contact action":   {"request_contact_info", object(`{"name":"contact_request"}`), "object.action.name", `"request_contact_info"`},
		"contact header":   {"request_contact_info", `{"header":{"type":"text","text":"h"},"body":{"text":"b"},"action":{"name":"request_contact_info"}}`, "object.header", "has none"},
		"contact body":     {"request_contact_info", `{"action":{"name":"request_contact_info"}}`, "object.body", "missing"},
		"card action":      {"carousel", object(cards(`{"card_index":0,"type":"product"}`, productCard(1, "1"))), "object.action.cards.0.action", "missing"},
		"card header":      {"carousel", object(cards(`{"card_index":0,"type":"cta_url","action":`+link+`}`, mediaCard(1, "image"))), "object.action.cards.0.header", "missing"},
		"card body":        {"carousel", object(cards(strings.Replace(mediaCard(0, "image"), `"c"`, `"`+long(161)+`"`, 1), mediaCard(1, "image"))), "object.action.cards.0.body.text", "1 to 160"},
		"card breaks":      {"carousel", object(cards(strings.Replace(mediaCard(0, "image"), `"c"`, `"1\n2\n3\n4"`, 1), mediaCard(1, "image"))), "object.action.cards.0.body.text", "3 line breaks, at most 2"},
		"call text":        {"voice_call", object(parameters("voice_call", `{"display_text":"`+long(21)+`"}`)), "object.action.parameters.display_text", "0 to 20"},
		"call ttl":         {"voice_call", object(parameters("voice_call", `{"ttl_minutes":43201}`)), "object.action.parameters.ttl_minutes", "1 to 43200"},
		"call payload":     {"voice_call", object(parameters("voice_call", `{"payload":"`+long(513)+`"}`)), "object.action.parameters.payload", "0 to 512"},
		"unknown kind":     {"poll", object(`{}`), "kind", "location_request_message"},
		"no kind":          {"", object(`{}`), "kind", "button"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rejects(t, interactive(c.kind, c.object).Validate(), "interactive."+c.field, c.want)
		})
	}
}
