package demo

import (
	"encoding/json"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
)

// demoTemplates returns the message templates of the demo's business account: those in the documentation's examples, in
// each category. The simulator rejects messages with other templates.
func demoTemplates() []simulator.TemplateSpec {
	spec := func(name, language, category, quality, components string) simulator.TemplateSpec {
		return simulator.TemplateSpec{Name: name, Language: language, Category: category, Quality: quality, Components: json.RawMessage(components)}
	}
	return []simulator.TemplateSpec{
		spec("hello_world", "en_US", "UTILITY", "GREEN", `[
			{"type": "HEADER", "format": "TEXT", "text": "Hello World"},
			{"type": "BODY", "text": "Welcome and congratulations! This message demonstrates your ability to send a message from the Cloud API."},
			{"type": "FOOTER", "text": "WhatsApp Business Platform sample message"}]`),
		spec("order_update", "en", "UTILITY", "GREEN", `[
			{"type": "BODY", "text": "Hello {{1}}, your order {{2}} is on its way.", "example": {"body_text": [["Ada", "1042"]]}},
			{"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Where is it?"}]}]`),
		spec("order_update", "de", "UTILITY", "GREEN", `[
			{"type": "BODY", "text": "Hallo {{1}}, deine Bestellung {{2}} ist unterwegs.", "example": {"body_text": [["Ada", "1042"]]}},
			{"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Wo ist sie?"}]}]`),
		spec("login_code", "en", "AUTHENTICATION", "UNKNOWN", `[
			{"type": "BODY", "text": "*{{1}}* is your verification code. For your security, do not share this code.", "example": {"body_text": [["123456"]]}},
			{"type": "FOOTER", "text": "This code expires in 10 minutes."},
			{"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Copy code", "url": "https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp{{1}}"}]}]`),
		spec("spring_sale", "en", "MARKETING", "YELLOW", `[
			{"type": "BODY", "text": "Hello {{1}}, everything for the garden is 20% off until Sunday.", "example": {"body_text": [["Ada"]]}},
			{"type": "FOOTER", "text": "Reply STOP to opt out"}]`),
	}
}
