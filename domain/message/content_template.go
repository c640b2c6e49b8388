package message

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/waypost/waypost/domain"
)

// Limits of templates. Source: Meta's page on template messages and its Cloud
// API reference.
const (
	maxTemplateName = 512
	// maxHeaderText is that of a whole text header, so of what is put into one.
	maxHeaderText = 60
	// maxBodyText is the limit for a template that has only a body, the greatest limit.
	maxBodyText = 32768
	// maxSpaces is how many spaces in a row a parameter may have; with more
	// WhatsApp refuses the message (132012), as it does for new lines and tabs.
	maxSpaces = 4
	// maxCouponCode is the longest of the limits that Meta names; a limited-time
	// offer has maxOfferCode.
	maxCouponCode = 20
	maxOfferCode  = 15
)

// Template is a message from a template that Meta has approved.
type Template struct {
	Name     string   `json:"name"`
	Language Language `json:"language"`
	// Components fill the variables of the template's parts; a template without
	// variables has none.
	Components []Component `json:"components,omitempty"`
}

// Language is the translation of the template to use.
type Language struct {
	// Code is a language, or a language and a country: "en", "en_US".
	Code string `json:"code"`
}

// ComponentType is the part of a template that a Component fills.
type ComponentType string

// The types of components, as the Cloud API names them.
const (
	ComponentHeader ComponentType = "header"
	ComponentBody   ComponentType = "body"
	ComponentButton ComponentType = "button"
	// ComponentOffer is the expiry of a limited-time offer.
	ComponentOffer ComponentType = "limited_time_offer"
	// ComponentCarousel has cards with components of their own.
	ComponentCarousel ComponentType = "carousel"
	// ComponentOrderStatus is the status of an order.
	ComponentOrderStatus ComponentType = "order_status"
	// ComponentTapTarget says where a tap on the message leads.
	ComponentTapTarget ComponentType = "tap_target_configuration"
)

// Component fills the variables of one part of a template.
type Component struct {
	Type ComponentType `json:"type"`
	// SubType is the kind of the button; of buttons only.
	SubType string `json:"sub_type,omitempty"`
	// Index is the place of the button, "0" to "9"; of buttons only.
	Index string `json:"index,omitempty"`
	// Parameters are the Cloud API's parameter objects, passed on as they are.
	Parameters []json.RawMessage `json:"parameters,omitempty"`
	// Cards are the Cloud API's card objects, passed on as they are; of carousels
	// only.
	Cards []json.RawMessage `json:"cards,omitempty"`
}

// parameter is what Validate reads of a parameter object.
type parameter struct {
	Type       string          `json:"type"`
	Name       *string         `json:"parameter_name"`
	Text       *string         `json:"text"`
	Payload    *string         `json:"payload"`
	CouponCode *string         `json:"coupon_code"`
	Currency   *currency       `json:"currency"`
	DateTime   *dateTime       `json:"date_time"`
	Image      *Media          `json:"image"`
	Video      *Media          `json:"video"`
	Document   *Media          `json:"document"`
	Location   json.RawMessage `json:"location"`
	Product    json.RawMessage `json:"product"`
	Action     json.RawMessage `json:"action"`
	TTL        *int            `json:"ttl_minutes"`
	Offer      json.RawMessage `json:"limited_time_offer"`
	Order      json.RawMessage `json:"order_status"`
	TapTargets []tapTarget     `json:"tap_target_configuration"`
}

type tapTarget struct {
	URL   string `json:"url"`
	Title string `json:"title"`
}

type currency struct {
	Fallback string `json:"fallback_value"`
	Code     string `json:"code"`
	// Amount is in thousandths of the currency's unit.
	Amount *int64 `json:"amount_1000"`
}

type dateTime struct {
	Fallback string `json:"fallback_value"`
}

// replaces reports whether the parameter fills a variable in a text. Only those can have
// names.
func (p parameter) replaces() bool {
	return p.Type == "text" || p.Type == "currency" || p.Type == "date_time"
}

// Validate checks the name, the language and every component: that no part is
// filled twice, that each parameter is of a type that its part takes and has the
// member of that name, and that named and positional parameters are not mixed.
// The error names the place, such as "template.components.0.parameters.1".
// Whether the template exists and takes these parameters only Meta knows.
func (t Template) Validate() error { return domain.PrefixField("template", t.validate()) }

func (t Template) validate() error {
	if err := checkTemplateName(t.Name); err != nil {
		return err
	}
	if !isLanguage(t.Language.Code) {
		return domain.Invalid("language", `%q is no language code; use a language or a language and a country, such as "en" or "en_US"`, t.Language.Code)
	}
	var style naming
	if err := validateComponents(t.Components, &style); err != nil {
		return err
	}
	return t.validateOfferCode()
}

// validateComponents checks the components of a template, or of a card of one.
func validateComponents(components []Component, style *naming) error {
	filled := make(map[string]bool, len(components))
	for i, c := range components {
		at := fmt.Sprintf("components.%d", i)
		if err := domain.PrefixField(at, c.validate(style)); err != nil {
			return err
		}
		if filled[c.part()] {
			return domain.Invalid(at, "fills the %s a second time, put its parameters into one component", c.part())
		}
		filled[c.part()] = true
	}
	return nil
}

// validateOfferCode holds the code of a limited-time offer to its own limit.
func (t Template) validateOfferCode() error {
	if !slices.ContainsFunc(t.Components, func(c Component) bool { return c.Type == ComponentOffer }) {
		return nil
	}
	for i, c := range t.Components {
		if c.subType() != "copy_code" {
			continue
		}
		at := fmt.Sprintf("components.%d.parameters.0", i)
		p, err := readParameter(at, c.Parameters[0])
		if err != nil {
			return err
		}
		if err := checkLength(at+".coupon_code", *p.CouponCode, 1, maxOfferCode); err != nil {
			return err
		}
	}
	return nil
}

func checkTemplateName(name string) error {
	if err := checkLength("name", name, 1, maxTemplateName); err != nil {
		return err
	}
	if i := strings.IndexFunc(name, notNameRune); i >= 0 {
		return domain.Invalid("name", "must contain only a-z, 0-9, and _, but has another character at byte %d", i)
	}
	return nil
}

func notNameRune(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
}

// isLanguage reports whether code is two or three lower-case letters, and
// perhaps "_" and two or three upper-case ones: the forms of Meta's list.
func isLanguage(code string) bool {
	language, country, has := strings.Cut(code, "_")
	return within(language, 'a', 'z') && (!has || within(country, 'A', 'Z'))
}

func within(s string, from, to byte) bool {
	for i := range len(s) {
		if s[i] < from || s[i] > to {
			return false
		}
	}
	return len(s) == 2 || len(s) == 3
}

// subType is the kind of the button in lower case: Meta writes it in both.
func (c Component) subType() string { return strings.ToLower(c.SubType) }

// part names what of a template the component fills.
func (c Component) part() string {
	if c.Type == ComponentButton {
		return "button " + c.Index
	}
	return string(c.Type)
}

// takes lists the types of parameters that the component's part may have.
func (c Component) takes() ([]string, error) {
	switch c.Type {
	case ComponentHeader:
		return []string{"text", "currency", "date_time", "image", "video", "document", "location", "product"}, nil
	case ComponentBody:
		return []string{"text", "currency", "date_time"}, nil
	case ComponentOffer, ComponentOrderStatus, ComponentTapTarget:
		return []string{string(c.Type)}, nil
	case ComponentCarousel:
		return nil, nil
	case ComponentButton:
	default:
		return nil, domain.Invalid("type", "unknown type %q; use header, body, or button", c.Type)
	}
	switch c.subType() {
	case "quick_reply":
		return []string{"payload"}, nil
	case "url":
		return []string{"text"}, nil
	case "copy_code":
		return []string{"coupon_code"}, nil
	case "flow", "catalog", "mpm", "order_details":
		return []string{"action"}, nil
	case "voice_call":
		return []string{"ttl_minutes", "payload"}, nil
	case "request_contact_info":
		return nil, domain.Invalid("subType", "request_contact_info has no variables; leave out the component, the template has the button without it")
	case "otp":
		return nil, domain.Invalid("subType", "otp is the button's name in the template; the code is given to it as url, and to the body")
	}
	return nil, domain.Invalid("subType", "unknown type %q; use quick_reply, url, copy_code, flow, catalog, mpm, order_details, or voice_call", c.SubType)
}

func (c Component) validate(style *naming) error {
	takes, err := c.takes()
	if err != nil {
		return err
	}
	if err := c.validatePlace(); err != nil {
		return err
	}
	names := make(map[string]bool)
	for i, raw := range c.Parameters {
		at := fmt.Sprintf("parameters.%d", i)
		p, err := readParameter(at, raw)
		if err != nil {
			return err
		}
		if !slices.Contains(takes, p.Type) {
			return domain.Invalid(at, "has the type %q, the %s takes %s", p.Type, c.part(), strings.Join(takes, ", "))
		}
		if err := domain.PrefixField(at, p.validate(c)); err != nil {
			return err
		}
		if err := domain.PrefixField(at, style.add(c.Type, p, names)); err != nil {
			return err
		}
	}
	return validateTemplateCards(c.Cards, style)
}

func (c Component) validatePlace() error {
	n := len(c.Parameters)
	if c.Type != ComponentCarousel && c.Cards != nil {
		return domain.Invalid("cards", "is given, but only a carousel has cards")
	}
	if c.Type == ComponentButton {
		return c.validateButtonPlace()
	}
	switch {
	case c.SubType != "":
		return domain.Invalid("subType", "is given, but only buttons have one")
	case c.Index != "":
		return domain.Invalid("index", "is given, but only buttons have one")
	case c.Type == ComponentBody:
	case c.Type == ComponentHeader && n > 1:
		return domain.Invalid("parameters", "has %d parameters, a header takes 1", n)
	case c.Type == ComponentHeader:
	case c.Type == ComponentCarousel && n > 0:
		return domain.Invalid("parameters", "is given, but a carousel has cards")
	case c.Type == ComponentCarousel:
		return checkTemplateCardCount(len(c.Cards))
	case n != 1:
		return domain.Invalid("parameters", "has %d parameters, a %s takes exactly 1", n, c.Type)
	}
	return nil
}

func (c Component) validateButtonPlace() error {
	n, call := len(c.Parameters), c.subType() == "voice_call"
	if call && c.Index == "" { // Meta's own samples leave it out
		return nil
	}
	if len(c.Index) != 1 || !isDigits(c.Index) {
		return domain.Invalid("index", "%q is no place of a button, 0 to 9 are", c.Index)
	}
	if !call && n != 1 {
		return domain.Invalid("parameters", "has %d parameters, a button takes exactly 1", n)
	}
	return nil
}

func readParameter(at string, raw json.RawMessage) (parameter, error) {
	var p *parameter
	if err := json.Unmarshal(raw, &p); err != nil || p == nil {
		return parameter{}, domain.Invalid(at, "is not a parameter object of the Cloud API")
	}
	return *p, nil
}

// validate checks that the parameter has the member that its type names.
func (p parameter) validate(c Component) error {
	switch p.Type {
	case "text":
		return p.validateText(c.Type)
	case "currency":
		if c := p.Currency; c == nil || c.Fallback == "" || !within(c.Code, 'A', 'Z') || c.Amount == nil {
			return domain.Invalid("currency", "needs fallback_value, code (such as USD) and amount_1000")
		}
		return checkSpacing("currency", p.Currency.Fallback)
	case "date_time":
		if p.DateTime == nil || p.DateTime.Fallback == "" {
			return domain.Invalid("date_time", "needs fallback_value")
		}
		return checkSpacing("date_time", p.DateTime.Fallback)
	case "image":
		return validateHeaderMedia(p.Type, p.Image)
	case "video":
		return validateHeaderMedia(p.Type, p.Video)
	case "document":
		return validateHeaderMedia(p.Type, p.Document)
	case "location":
		if err := checkObject(p.Type, p.Location); err != nil {
			return err
		}
		return domain.PrefixField(p.Type, validatePoint(p.Location))
	case "product":
		return validateHeaderProduct(p.Product)
	case "action":
		return validateButtonAction(c.subType(), p.Action)
	case "payload":
		return checkGiven(p.Type, p.Payload)
	case "coupon_code":
		return validateCouponCode(p.CouponCode)
	case "ttl_minutes":
		if p.TTL == nil {
			return domain.Invalid(p.Type, "is missing, the type names it")
		}
		return checkCallTTL(*p.TTL)
	case "limited_time_offer":
		return validateOffer(p.Offer)
	case "order_status":
		return validateOrderStatus(p.Order)
	case "tap_target_configuration":
		return validateTapTargets(p.TapTargets)
	}
	return domain.Invalid("", "has the unknown type %q", p.Type)
}

func (p parameter) validateText(in ComponentType) error {
	if err := checkGiven("text", p.Text); err != nil {
		return err
	}
	most := maxBodyText
	switch in {
	case ComponentHeader:
		most = maxHeaderText
	case ComponentButton:
		most = maxURL
	case ComponentBody, ComponentOffer, ComponentCarousel, ComponentOrderStatus, ComponentTapTarget:
	}
	if err := checkLength("text", *p.Text, 1, most); err != nil {
		return err
	}
	return checkSpacing("text", *p.Text)
}

func validateHeaderMedia(name string, m *Media) error {
	if m == nil {
		return domain.Invalid(name, "is missing, the type names it")
	}
	return domain.PrefixField(name, m.validateSource())
}

// checkSpacing checks for what WhatsApp refuses in the value of a variable.
func checkSpacing(field, s string) error {
	if strings.ContainsAny(s, "\n\r\t") {
		return domain.Invalid(field, "has a new line or a tab, which WhatsApp refuses in a parameter")
	}
	if strings.Contains(s, strings.Repeat(" ", maxSpaces+1)) {
		return domain.Invalid(field, "has more than %d spaces in a row, which WhatsApp refuses in a parameter", maxSpaces)
	}
	return nil
}

// naming is how the variables of a template are identified: all by name or all by position.
// Buttons don't matter, because their variables have no names.
type naming struct{ named, positional bool }

func (s *naming) add(in ComponentType, p parameter, names map[string]bool) error {
	if in == ComponentButton || !p.replaces() {
		if p.Name != nil {
			return domain.Invalid("parameter_name", "is given, but only variables of a header's or body's text have names")
		}
		return nil
	}
	if p.Name == nil {
		s.positional = true
	} else {
		s.named = true
		name := *p.Name
		if name == "" || strings.IndexFunc(name, notNameRune) >= 0 {
			return domain.Invalid("parameter_name", "%q is no name, use a-z, 0-9 and _", name)
		}
		if names[name] {
			return domain.Invalid("parameter_name", "%q is given twice", name)
		}
		names[name] = true
	}
	if s.named && s.positional {
		return domain.Invalid("", "mixes named and positional parameters, give every one a parameter_name or none")
	}
	return nil
}

// TemplateKey names a template in one language among those of a business account. It is the
// name alone for a message that an older version queued, without the language.
func TemplateKey(name, language string) string {
	if name == "" || language == "" {
		return name
	}
	return name + "/" + language
}
