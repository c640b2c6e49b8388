package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// Limits of a template's texts with the values of a message, in characters; that of a URL in
// bytes. Longer ones are refused by WhatsApp (132005).
// Source: Meta's page on template components, September 2026.
const (
	maxHeader = 60
	maxBody   = 1024
	// maxOnlyBody is the limit of a body without other parts.
	maxOnlyBody = 32768
	maxURL      = 2000

	categoryAuthentication = "AUTHENTICATION"
)

// CheckStatus checks whether a message of the template can be queued. Messages of a paused
// template can: they wait until WhatsApp accepts the template again.
func CheckStatus(t Template) error {
	status := t.Status.Value
	if t.Sendability() == Sendable || status == StatusPaused {
		return nil
	}
	var why string
	switch status {
	case StatusPending:
		why = "is still in review at WhatsApp; queue the message when it is approved"
	case StatusRejected:
		why = "was rejected by WhatsApp; edit it in Meta's template manager, or use another template"
	case StatusDisabled:
		why = "was disabled by WhatsApp because of its quality; use another template, or appeal in Meta's template manager"
	case StatusInAppeal:
		why = "is in appeal at WhatsApp; queue the message when it is approved"
	case StatusLimitExceeded:
		why = "exceeds the number of templates that WhatsApp allows the account; delete templates that you don't need"
	case StatusArchived:
		why = "is archived; restore it in Meta's template manager"
	default:
		why = "was deleted; use another template"
	}
	if t.Reason != "" && status == StatusRejected {
		why += " (reason: " + t.Reason + ")"
	}
	return domain.Invalid("name", "template %s in %s %s", t.Name, t.Language, why)
}

// CheckParameters checks that a message fills exactly the variables of the template: their
// number, kinds, and names, the kind of a header's file, the buttons, and the length of the
// resulting texts. The message must be valid, see message.Template.Validate. Nothing is checked if shape is nil.
// The errors' fields are relative to the template of the message.
func CheckParameters(t Template, shape *Shape, m message.Template) error {
	if shape == nil {
		return nil
	}
	c := checker{template: m.Name + " in " + m.Language.Code, shape: shape, authentication: t.Category.Value == categoryAuthentication}
	return c.check(m.Components)
}

// checker checks the components of one message, or of a card of one.
type checker struct {
	template       string // for errors
	shape          *Shape
	authentication bool
}

// given is a component and its place in the message.
type given struct {
	message.Component

	at string
}

func (c checker) check(components []message.Component) error {
	var headerPart, body, carousel, offer *given
	buttons := make(map[int]*given)
	for i := range components {
		g := &given{components[i], fmt.Sprintf("components.%d", i)}
		switch g.Type {
		case message.ComponentHeader:
			headerPart = g
		case message.ComponentBody:
			body = g
		case message.ComponentCarousel:
			carousel = g
		case message.ComponentOffer:
			offer = g
		case message.ComponentButton:
			place, err := strconv.Atoi(g.Index)
			if err != nil {
				continue // a call button can do without
			}
			buttons[place] = g
		case message.ComponentOrderStatus, message.ComponentTapTarget:
		}
	}
	if err := c.checkHeader(headerPart); err != nil {
		return err
	}
	if err := c.checkBody(body); err != nil {
		return err
	}
	if err := c.checkButtons(buttons); err != nil {
		return err
	}
	switch {
	case c.shape.offer && offer == nil:
		return domain.Invalid("components", "%s is a limited-time offer; add a limited_time_offer component with its expiry", c.template)
	case offer != nil && !slices.Contains(c.shape.given, "limited_time_offer"):
		return domain.Invalid(offer.at, "%s is not a limited-time offer; remove the component", c.template)
	}
	return c.checkCarousel(carousel)
}

// parameter is what is read of a parameter object, which is valid.
type parameter struct {
	Type     string `json:"type"`
	Name     string `json:"parameter_name"`
	Text     string `json:"text"`
	Currency struct {
		Fallback string `json:"fallback_value"`
	} `json:"currency"`
	DateTime struct {
		Fallback string `json:"fallback_value"`
	} `json:"date_time"`
}

func (p parameter) value() string { return p.Text + p.Currency.Fallback + p.DateTime.Fallback }

// read returns the parameters of a component.
func (g *given) read() ([]parameter, error) {
	if g == nil {
		return nil, nil
	}
	list := make([]parameter, len(g.Parameters))
	for i, raw := range g.Parameters {
		if err := json.Unmarshal(raw, &list[i]); err != nil {
			return nil, domain.Invalid(fmt.Sprintf("%s.parameters.%d", g.at, i), "is not a parameter object of the Cloud API")
		}
	}
	return list, nil
}

// place returns the field of an error about the parameters of a component that can be missing.
func (g *given) place() string {
	if g == nil {
		return "components"
	}
	return g.at + ".parameters"
}

func (c checker) checkHeader(g *given) error {
	parameters, err := g.read()
	if err != nil {
		return err
	}
	switch want := c.shape.header.format; want {
	case "":
		if len(parameters) > 0 {
			return domain.Invalid(g.at, "%s has no header; remove the component", c.template)
		}
		return nil
	case "text":
		return c.checkText("header", g, parameters, c.shape.header.text, maxHeader)
	case "image", "video", "document", "location":
		switch {
		case len(parameters) == 0:
			return domain.Invalid(g.place(), "the header of %s needs a parameter of the type %s", c.template, want)
		case parameters[0].Type != want:
			return domain.Invalid(g.at+".parameters.0", "has the type %q, the header of %s takes %s", parameters[0].Type, c.template, want)
		}
	}
	return nil // a format that Waypost doesn't know
}

func (c checker) checkBody(g *given) error {
	parameters, err := g.read()
	if err != nil {
		return err
	}
	want, most := c.shape.body, maxBody
	if c.shape.onlyBody {
		most = maxOnlyBody
	}
	if c.authentication && len(want.vars) == 0 {
		want.vars = []string{"1"} // the code; WhatsApp has the text
	}
	return c.checkText("body", g, parameters, want, most)
}

// checkText checks the parameters of a text with variables.
func (c checker) checkText(part string, g *given, parameters []parameter, want text, most int) error {
	if len(parameters) != len(want.vars) {
		if len(want.vars) == 0 {
			return domain.Invalid(g.place(), "has %d parameters, but the %s of %s has no variables; remove them", len(parameters), part, c.template)
		}
		return domain.Invalid(g.place(), "has %d parameters for the %s, but the %s of %s has %d variables: %s",
			len(parameters), part, part, c.template, len(want.vars), strings.Join(want.vars, ", "))
	}
	length := want.fixed
	for i, p := range parameters {
		at := fmt.Sprintf("%s.parameters.%d", g.at, i)
		switch {
		case p.Type != "text" && p.Type != "currency" && p.Type != "date_time":
			return domain.Invalid(at, "has the type %q, but the %s of %s is a text; use text, currency, or date_time", p.Type, part, c.template)
		case c.shape.named && !slices.Contains(want.vars, p.Name):
			return domain.Invalid(at+".parameter_name", "%q is not a variable of the %s of %s; use %s", p.Name, part, c.template, strings.Join(want.vars, ", "))
		case !c.shape.named && p.Name != "":
			return domain.Invalid(at+".parameter_name", "is given, but the variables of %s have numbers; give the values in their order, without names", c.template)
		}
		length += utf8.RuneCountInString(p.value())
	}
	if length > most {
		return domain.Invalid(g.place(), "make the %s of %s %d characters long, at most %d are allowed; shorten the values", part, c.template, length, most)
	}
	return nil
}

// takes returns the type of the component that fills a button, or "" if no component does,
// and whether the button must be filled.
func (b button) takes() (subType string, must, known bool) {
	switch b.kind {
	case "quick_reply", "flow", "catalog", "voice_call":
		return b.kind, false, true
	case "mpm":
		return b.kind, true, true
	case "copy_code":
		return b.kind, true, true
	case "otp":
		return "url", true, true
	case "url":
		if !b.variable {
			return "", false, true
		}
		return "url", true, true
	case "phone_number", "request_contact_info":
		return "", false, true
	}
	return "", false, false
}

func (c checker) checkButtons(filled map[int]*given) error {
	for place, b := range c.shape.buttons {
		g := filled[place]
		delete(filled, place)
		want, must, known := b.takes()
		switch {
		case !known:
			continue
		case g == nil && must:
			return domain.Invalid("components", "fills no button %d, but the button %d of %s has a variable; add a button component with subType %s and index %q",
				place, place, c.template, want, strconv.Itoa(place))
		case g == nil:
			continue
		case want == "":
			return domain.Invalid(g.at, "the button %d of %s has no variable; remove the component", place, c.template)
		case !strings.EqualFold(g.SubType, want):
			return domain.Invalid(g.at+".subType", "is %q, but the button %d of %s takes %s", g.SubType, place, c.template, want)
		}
		if err := c.checkURL(g, b); err != nil {
			return err
		}
	}
	for _, place := range slices.Sorted(maps.Keys(filled)) {
		return domain.Invalid(filled[place].at+".index", "is %q, but %s has %s", strconv.Itoa(place), c.template, countButtons(len(c.shape.buttons)))
	}
	return nil
}

func countButtons(n int) string {
	switch n {
	case 0:
		return "no buttons; remove the component"
	case 1:
		return `one button, with the index "0"`
	}
	return fmt.Sprintf(`%d buttons, with the indexes "0" to "%d"`, n, n-1)
}

func (c checker) checkURL(g *given, b button) error {
	if b.kind != "url" {
		return nil
	}
	parameters, err := g.read()
	if err != nil || len(parameters) == 0 {
		return err
	}
	if n := b.urlLength + len(parameters[0].Text); n > maxURL {
		return domain.Invalid(g.at+".parameters.0.text", "makes the URL %d bytes long, at most %d are allowed; shorten it", n, maxURL)
	}
	return nil
}

// card is what is read of a card of a carousel, which is valid.
type card struct {
	Components []struct {
		Type       string            `json:"type"`
		SubType    string            `json:"sub_type"`
		Index      json.RawMessage   `json:"index"`
		Parameters []json.RawMessage `json:"parameters"`
	} `json:"components"`
}

func (c checker) checkCarousel(g *given) error {
	switch {
	case g == nil && len(c.shape.cards) == 0:
		return nil
	case g == nil:
		return domain.Invalid("components", "%s is a carousel of %d cards; add a carousel component with its cards", c.template, len(c.shape.cards))
	case len(c.shape.cards) == 0 && !slices.Contains(c.shape.given, "carousel"):
		return domain.Invalid(g.at, "%s is not a carousel; remove the component", c.template)
	case len(g.Cards) > len(c.shape.cards):
		return domain.Invalid(g.at+".cards", "has %d cards, but %s has %d", len(g.Cards), c.template, len(c.shape.cards))
	}
	for i, raw := range g.Cards {
		var parsed card
		if json.Unmarshal(raw, &parsed) != nil {
			continue
		}
		components := make([]message.Component, len(parsed.Components))
		for j, p := range parsed.Components {
			components[j] = message.Component{
				Type: message.ComponentType(strings.ToLower(p.Type)), SubType: p.SubType, Index: strings.Trim(string(p.Index), `"`), Parameters: p.Parameters,
			}
		}
		at := fmt.Sprintf("%s.cards.%d", g.at, i)
		of := checker{template: fmt.Sprintf("card %d of %s", i, c.template), shape: &c.shape.cards[i]}
		if err := domain.PrefixField(at, of.check(components)); err != nil {
			return err
		}
	}
	return nil
}
