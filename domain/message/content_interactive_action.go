package message

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/waypost/waypost/domain"
)

// Limits of the actions of interactive messages, lengths in characters. Source:
// Meta's pages on the kinds.
const (
	maxButtons        = 3
	maxButtonID       = 256
	maxButtonTitle    = 20
	maxSections       = 10
	maxSectionTitle   = 24
	maxRows           = 10
	maxRowID          = 200
	maxRowTitle       = 24
	maxRowDescription = 72
	maxProducts       = 30
	// maxFlowButton is what Meta advises; a longer one is cut.
	maxFlowButton = 30
	// flowVersion is the one version of flow messages there is.
	flowVersion = "3"
	minCards    = 2
	maxCards    = 10
	maxCardBody = 160
	// maxCardBreaks is how many line breaks the body of a card may have.
	maxCardBreaks  = 2
	maxPinCode     = 6
	maxCallPayload = 512
	// maxCallTTL is 30 days, in minutes.
	maxCallTTL = 43_200
)

// replyButton is a button of a message, or of a card of a carousel.
type replyButton struct {
	Type string `json:"type"`
	// Reply is that of a message's button, QuickReply that of a card's.
	Reply      reply `json:"reply"`
	QuickReply reply `json:"quick_reply"`
}

type reply struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

func validateReplyButtons(buttons []replyButton) error {
	if n := len(buttons); n < 1 || n > maxButtons {
		return domain.Invalid("buttons", "has %d buttons, 1 to %d are allowed", n, maxButtons)
	}
	return validateReplies(buttons, "reply", func(b replyButton) reply { return b.Reply })
}

// validateReplies checks buttons of one type, whose ID and title are in the member
// of that name.
func validateReplies(buttons []replyButton, kind string, of func(replyButton) reply) error {
	ids, titles := unique{}, unique{}
	for i, b := range buttons {
		at := "buttons." + strconv.Itoa(i)
		if b.Type != kind {
			return domain.Invalid(at+".type", "is %q, %q is needed", b.Type, kind)
		}
		at += "." + kind
		r := of(b)
		if err := checkLength(at+".id", r.ID, 1, maxButtonID); err != nil {
			return err
		}
		if err := checkLength(at+".title", r.Title, 1, maxButtonTitle); err != nil {
			return err
		}
		if err := ids.add(at+".id", r.ID); err != nil {
			return err
		}
		if err := titles.add(at+".title", r.Title); err != nil {
			return err
		}
	}
	return nil
}

// unique returns an error if a value occurs twice.
type unique map[string]bool

func (u unique) add(field, value string) error {
	if u[value] {
		return domain.Invalid(field, "%q is used twice; use each value only once", value)
	}
	u[value] = true
	return nil
}

// section is one of a list or of a product list.
type section struct {
	Title string `json:"title"`
	Rows  []struct {
		ID          string `json:"id"`
		Title       string `json:"title"`
		Description string `json:"description"`
	} `json:"rows"`
	Products []productReference `json:"product_items"`
}

// validateSectionTitle checks the title of one of several sections.
func (s section) validateTitle(sections int) error {
	least := 0
	if sections > 1 {
		least = 1
	}
	return checkLength("title", s.Title, least, maxSectionTitle)
}

func checkSections(sections []section) error {
	if n := len(sections); n < 1 || n > maxSections {
		return domain.Invalid("sections", "has %d sections, 1 to %d are allowed", n, maxSections)
	}
	return nil
}

func (a interactiveAction) validateList() error {
	if err := checkLength("button", a.Button, 1, maxButtonTitle); err != nil {
		return err
	}
	if err := checkSections(a.Sections); err != nil {
		return err
	}
	rows, ids := 0, unique{}
	for i, s := range a.Sections {
		at := "sections." + strconv.Itoa(i)
		if err := domain.PrefixField(at, s.validateTitle(len(a.Sections))); err != nil {
			return err
		}
		if err := domain.PrefixField(at, s.validateRows(ids)); err != nil {
			return err
		}
		rows += len(s.Rows)
	}
	if rows > maxRows {
		return domain.Invalid("sections", "has %d rows in all, at most %d are allowed", rows, maxRows)
	}
	return nil
}

func (s section) validateRows(ids unique) error {
	if len(s.Rows) == 0 {
		return domain.Invalid("rows", "is empty, a section needs at least 1 row")
	}
	for i, r := range s.Rows {
		at := "rows." + strconv.Itoa(i)
		if err := checkLength(at+".id", r.ID, 1, maxRowID); err != nil {
			return err
		}
		if err := checkLength(at+".title", r.Title, 1, maxRowTitle); err != nil {
			return err
		}
		if err := checkLength(at+".description", r.Description, 0, maxRowDescription); err != nil {
			return err
		}
		if err := ids.add(at+".id", r.ID); err != nil {
			return err
		}
	}
	return nil
}

func validateURLButton(parameters json.RawMessage) error {
	var p struct {
		DisplayText string `json:"display_text"`
		URL         string `json:"url"`
	}
	if err := readObject(parameters, &p); err != nil {
		return domain.PrefixField("parameters", err)
	}
	if err := checkLength("parameters.display_text", p.DisplayText, 1, maxButtonTitle); err != nil {
		return err
	}
	return checkURL("parameters.url", p.URL)
}

// checkURL checks an address that opens in the recipient's browser.
func checkURL(field, s string) error {
	if err := checkLength(field, s, 1, maxURL); err != nil {
		return err
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" {
		return domain.Invalid(field, "is no absolute http or https URL")
	}
	return nil
}

func validateFlow(parameters json.RawMessage) error {
	var p struct {
		Version string          `json:"flow_message_version"`
		ID      string          `json:"flow_id"`
		Name    string          `json:"flow_name"`
		Button  string          `json:"flow_cta"`
		Mode    string          `json:"mode"`
		Action  string          `json:"flow_action"`
		Payload json.RawMessage `json:"flow_action_payload"`
	}
	err := readObject(parameters, &p)
	switch {
	case err != nil:
	case p.Version != flowVersion:
		err = domain.Invalid("flow_message_version", "is %q, %q is needed", p.Version, flowVersion)
	case (p.ID == "") == (p.Name == ""):
		err = domain.Invalid("flow_id", "exactly one of flow_id and flow_name is needed")
	case p.Mode != "" && p.Mode != "draft" && p.Mode != "published":
		err = domain.Invalid("mode", "is %q, draft or published is allowed", p.Mode)
	case p.Action != "" && p.Action != "navigate" && p.Action != "data_exchange":
		err = domain.Invalid("flow_action", "is %q, navigate or data_exchange is allowed", p.Action)
	case len(p.Payload) > 0 && p.Action == "data_exchange":
		err = domain.Invalid("flow_action_payload", "is given, but only the action navigate has one")
	case len(p.Payload) > 0 && !isObject(p.Payload):
		err = domain.Invalid("flow_action_payload", "is no object")
	default:
		err = checkLength("flow_cta", p.Button, 1, maxFlowButton)
	}
	return domain.PrefixField("parameters", err)
}

// productReference names a product of a catalog.
type productReference struct {
	CatalogID  string `json:"catalog_id"`
	RetailerID string `json:"product_retailer_id"`
}

func (p productReference) validate() error {
	if p.CatalogID == "" {
		return domain.Invalid("catalog_id", "is missing or empty, it names the catalog")
	}
	return p.validateRetailerID()
}

func (p productReference) validateRetailerID() error {
	if p.RetailerID == "" {
		return domain.Invalid("product_retailer_id", "is missing or empty, it names the product")
	}
	return nil
}

// validateProductSections checks sections of products, those of a message or of
// a template's button.
func validateProductSections(sections []section) error {
	if err := checkSections(sections); err != nil {
		return err
	}
	products := 0
	for i, s := range sections {
		at := "sections." + strconv.Itoa(i)
		if err := domain.PrefixField(at, s.validateTitle(len(sections))); err != nil {
			return err
		}
		if len(s.Products) == 0 {
			return domain.Invalid(at+".product_items", "is empty, a section needs at least 1 product")
		}
		for j, p := range s.Products {
			if err := domain.PrefixField(fmt.Sprintf("%s.product_items.%d", at, j), p.validateRetailerID()); err != nil {
				return err
			}
		}
		products += len(s.Products)
	}
	if products > maxProducts {
		return domain.Invalid("sections", "has %d products in all, at most %d are allowed", products, maxProducts)
	}
	return nil
}

// validateThumbnail checks the parameters of a catalog, which may be left out.
func validateThumbnail(parameters json.RawMessage) error {
	if len(parameters) == 0 {
		return nil
	}
	var p struct {
		Thumbnail *string `json:"thumbnail_product_retailer_id"`
	}
	if err := readObject(parameters, &p); err != nil {
		return domain.PrefixField("parameters", err)
	}
	if p.Thumbnail != nil && *p.Thumbnail == "" {
		return domain.Invalid("parameters.thumbnail_product_retailer_id", "is empty, leave it out for the catalog's first product")
	}
	return nil
}

func validateAddress(parameters json.RawMessage) error {
	var p struct {
		Country string `json:"country"`
		Values  struct {
			PinCode string `json:"in_pin_code"`
		} `json:"values"`
	}
	if err := readObject(parameters, &p); err != nil {
		return domain.PrefixField("parameters", err)
	}
	if p.Country != "IN" {
		return domain.Invalid("parameters.country", `is %q, address messages are for India alone: "IN"`, p.Country)
	}
	return checkLength("parameters.values.in_pin_code", p.Values.PinCode, 0, maxPinCode)
}

func validateVoiceCall(parameters json.RawMessage) error {
	if len(parameters) == 0 {
		return nil
	}
	var p struct {
		DisplayText string `json:"display_text"`
		TTL         *int   `json:"ttl_minutes"`
		Payload     string `json:"payload"`
	}
	err := readObject(parameters, &p)
	if err == nil {
		err = checkLength("display_text", p.DisplayText, 0, maxButtonTitle)
	}
	if err == nil {
		err = checkLength("payload", p.Payload, 0, maxCallPayload)
	}
	if err == nil && p.TTL != nil {
		err = checkCallTTL(*p.TTL)
	}
	return domain.PrefixField("parameters", err)
}

func checkCallTTL(minutes int) error {
	if minutes < 1 || minutes > maxCallTTL {
		return domain.Invalid("ttl_minutes", "is %d, 1 to %d are allowed", minutes, maxCallTTL)
	}
	return nil
}

// interactiveCard is one of a carousel: of media with a button to a URL or with
// quick replies, or of a product.
type interactiveCard struct {
	Index  *int               `json:"card_index"`
	Type   string             `json:"type"`
	Header *interactiveHeader `json:"header"`
	Body   *interactiveText   `json:"body"`
	Action *interactiveAction `json:"action"`
}

func validateCards(cards []interactiveCard) error {
	if n := len(cards); n < minCards || n > maxCards {
		return domain.Invalid("cards", "has %d cards, %d to %d are allowed", n, minCards, maxCards)
	}
	for i, c := range cards {
		at := "cards." + strconv.Itoa(i)
		if err := domain.PrefixField(at, checkCardIndex(c.Index, i)); err != nil {
			return err
		}
		if err := domain.PrefixField(at, c.validate(cards[0])); err != nil {
			return err
		}
	}
	return nil
}

func checkCardIndex(index *int, place int) error {
	if index == nil || *index != place {
		return domain.Invalid("card_index", "must be %d: cards are numbered from 0 in their order", place)
	}
	return nil
}

func (c interactiveCard) validate(first interactiveCard) error {
	if c.Type != first.Type {
		return domain.Invalid("type", "is %q and that of the first card %q, all cards must have the same", c.Type, first.Type)
	}
	if c.Action == nil {
		return domain.Invalid("action", "is missing, a card needs one")
	}
	switch c.Type {
	case string(InteractiveProduct):
		return domain.PrefixField("action", c.Action.validateProductCard(*first.Action))
	case string(InteractiveCTAURL):
		return c.validateMedia(first)
	case "":
		if len(c.Action.Buttons) > 0 { // Meta's page has a type, others leave it out
			return c.validateMedia(first)
		}
	}
	return domain.Invalid("type", "is %q, cta_url or product is allowed", c.Type)
}

func (a interactiveAction) validateProductCard(first interactiveAction) error {
	if a.CatalogID != first.CatalogID {
		return domain.Invalid("catalog_id", "is not that of the first card, all cards must have the same")
	}
	return productReference{CatalogID: a.CatalogID, RetailerID: a.ProductRetailerID}.validate()
}

func (c interactiveCard) validateMedia(first interactiveCard) error {
	if c.Header == nil {
		return domain.Invalid("header", "is missing, a card needs an image or a video")
	}
	if err := domain.PrefixField("header", c.Header.validate([]string{"image", "video"}, InteractiveCarousel)); err != nil {
		return err
	}
	if c.Header.Type != first.Header.Type {
		return domain.Invalid("header.type", "is %q and that of the first card %q, all cards must have the same", c.Header.Type, first.Header.Type)
	}
	if c.Body != nil {
		if err := checkLength("body.text", c.Body.Text, 1, maxCardBody); err != nil {
			return err
		}
		if n := strings.Count(c.Body.Text, "\n"); n > maxCardBreaks {
			return domain.Invalid("body.text", "has %d line breaks, at most %d are allowed", n, maxCardBreaks)
		}
	}
	return domain.PrefixField("action", c.Action.validateCardButtons(*first.Action))
}

// validateCardButtons checks the button to a URL or the quick replies of a card:
// all cards have the same type and number of them.
func (a interactiveAction) validateCardButtons(first interactiveAction) error {
	if n, want := len(a.Buttons), len(first.Buttons); n != want {
		return domain.Invalid("buttons", "has %d buttons, but the first card has %d; all cards must have the same number", n, want)
	}
	switch {
	case a.Buttons == nil:
		return a.validate(InteractiveCTAURL)
	case len(a.Buttons) == 0:
		return domain.Invalid("buttons", "is empty; give at least 1 button, or leave it out for a button to a URL")
	case a.Name != "" || len(a.Parameters) > 0:
		return domain.Invalid("buttons", "is given next to a button to a URL; a card has one or the other")
	}
	return validateReplies(a.Buttons, "quick_reply", func(b replyButton) reply { return b.QuickReply })
}
