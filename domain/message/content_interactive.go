package message

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/domain"
)

// InteractiveKind is the kind of an interactive message, as the Cloud API names
// it in the object's "type".
type InteractiveKind string

// The kinds of interactive messages.
const (
	InteractiveButton          InteractiveKind = "button"
	InteractiveList            InteractiveKind = "list"
	InteractiveCTAURL          InteractiveKind = "cta_url"
	InteractiveFlow            InteractiveKind = "flow"
	InteractiveProduct         InteractiveKind = "product"
	InteractiveProductList     InteractiveKind = "product_list"
	InteractiveCatalog         InteractiveKind = "catalog_message"
	InteractiveLocationRequest InteractiveKind = "location_request_message"
	InteractiveCarousel        InteractiveKind = "carousel"
	InteractiveAddress         InteractiveKind = "address_message"
	// InteractiveContactInfo asks the recipient to share their phone number.
	InteractiveContactInfo InteractiveKind = "request_contact_info"
	// InteractiveOrderDetails and those below belong to payments and calls: their texts are
	// checked and the action is left to WhatsApp.
	InteractiveOrderDetails   InteractiveKind = "order_details"
	InteractiveOrderStatus    InteractiveKind = "order_status"
	InteractiveCallPermission InteractiveKind = "call_permission_request"
	InteractiveVoiceCall      InteractiveKind = "voice_call"
)

// InteractiveKinds lists every kind of interactive message.
func InteractiveKinds() []InteractiveKind {
	return []InteractiveKind{
		InteractiveButton, InteractiveList, InteractiveCTAURL, InteractiveFlow, InteractiveProduct,
		InteractiveProductList, InteractiveCatalog, InteractiveLocationRequest, InteractiveCarousel, InteractiveAddress,
		InteractiveContactInfo, InteractiveOrderDetails, InteractiveOrderStatus, InteractiveCallPermission, InteractiveVoiceCall,
	}
}

// Limits of interactive messages, lengths in characters. Source: Meta's pages on
// the kinds.
const (
	maxInteractiveBody   = 1024
	maxListBody          = 4096
	maxInteractiveFooter = 60
	// maxURL is that of a URL behind a button.
	maxURL = 2000
)

// Interactive is a message with something to tap.
type Interactive struct {
	InteractiveKind InteractiveKind
	// Object is the Cloud API's interactive object, with or without its "type".
	Object json.RawMessage
}

// Kind is KindInteractive.
func (Interactive) Kind() Kind { return KindInteractive }

func (Interactive) content() {}

// MarshalJSON writes the object, with its type.
func (m Interactive) MarshalJSON() ([]byte, error) {
	kind, given := m.typeOfObject()
	if given && kind == m.InteractiveKind {
		return m.Object, nil
	}
	members := bytes.TrimSpace(m.Object)
	if len(members) < 2 || members[0] != '{' { // json.Marshal says what is wrong with it
		return m.Object, nil
	}
	out := append([]byte(`{"type":`), strconv.Quote(string(m.InteractiveKind))...)
	if members = bytes.TrimSpace(members[1:]); members[0] != '}' {
		out = append(out, ',')
	}
	return append(out, members...), nil
}

// UnmarshalJSON reads an object with its type.
func (m *Interactive) UnmarshalJSON(data []byte) error {
	m.Object = bytes.Clone(data)
	m.InteractiveKind, _ = m.typeOfObject()
	return nil
}

func (m Interactive) typeOfObject() (kind InteractiveKind, given bool) {
	var object struct {
		Type *InteractiveKind `json:"type"`
	}
	if json.Unmarshal(m.Object, &object) != nil || object.Type == nil {
		return "", false
	}
	return *object.Type, true
}

// interactive is what Validate reads of the object.
type interactive struct {
	Type   *string            `json:"type"`
	Header *interactiveHeader `json:"header"`
	Body   *interactiveText   `json:"body"`
	Footer *interactiveText   `json:"footer"`
	Action *interactiveAction `json:"action"`
}

type interactiveText struct {
	Text string `json:"text"`
}

type interactiveHeader struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Image    *Media `json:"image"`
	Video    *Media `json:"video"`
	Document *Media `json:"document"`
}

type interactiveAction struct {
	Name              string            `json:"name"`
	Parameters        json.RawMessage   `json:"parameters"`
	Button            string            `json:"button"`
	Buttons           []replyButton     `json:"buttons"`
	Sections          []section         `json:"sections"`
	CatalogID         string            `json:"catalog_id"`
	ProductRetailerID string            `json:"product_retailer_id"`
	Cards             []interactiveCard `json:"cards"`
}

// Validate checks the object against the documented limits of its kind. The
// error names the place, such as "interactive.object.action.buttons.0.reply.title".
func (m Interactive) Validate() error {
	if !slices.Contains(InteractiveKinds(), m.InteractiveKind) {
		names := make([]string, 0, len(InteractiveKinds()))
		for _, k := range InteractiveKinds() {
			names = append(names, string(k))
		}
		return domain.Invalid("interactive.kind", "unknown kind %q; use one of %s", string(m.InteractiveKind), strings.Join(names, ", "))
	}
	var o interactive
	err := readObject(m.Object, &o)
	if err == nil {
		err = o.validate(m.InteractiveKind)
	}
	return domain.PrefixField("interactive.object", err)
}

func (o interactive) validate(kind InteractiveKind) error {
	if o.Type != nil && *o.Type != string(kind) {
		return domain.Invalid("type", "is %q, but the kind given is %s; leave it out", *o.Type, kind)
	}
	if err := o.validateTexts(kind); err != nil {
		return err
	}
	if o.Action == nil {
		return domain.Invalid("action", "is missing, an interactive message needs one")
	}
	return domain.PrefixField("action", o.Action.validate(kind))
}

// validateTexts checks header, body and footer.
func (o interactive) validateTexts(kind InteractiveKind) error {
	if o.Header != nil {
		if err := domain.PrefixField("header", o.Header.validate(headersOf(kind), kind)); err != nil {
			return err
		}
	} else if kind == InteractiveProductList {
		return domain.Invalid("header", "is missing, a product_list needs one of type text")
	}
	most := maxInteractiveBody
	if kind == InteractiveList {
		most = maxListBody
	}
	switch {
	case o.Body != nil:
		if err := checkLength("body.text", o.Body.Text, 1, most); err != nil {
			return err
		}
	case kind != InteractiveProduct:
		return domain.Invalid("body", "is missing, a %s message needs one", kind)
	}
	if o.Footer == nil {
		return nil
	}
	if kind == InteractiveCarousel {
		return domain.Invalid("footer", "is given, but a carousel has none outside of its cards")
	}
	return checkLength("footer.text", o.Footer.Text, 1, maxInteractiveFooter)
}

// headersOf are the types of header that a kind may have.
func headersOf(kind InteractiveKind) []string {
	switch kind {
	case InteractiveList, InteractiveProductList:
		return []string{"text"}
	case InteractiveProduct, InteractiveCarousel, InteractiveLocationRequest, InteractiveContactInfo:
		return nil
	case InteractiveButton, InteractiveCTAURL, InteractiveFlow, InteractiveCatalog, InteractiveAddress,
		InteractiveOrderDetails, InteractiveOrderStatus, InteractiveCallPermission, InteractiveVoiceCall:
	}
	return []string{"text", "image", "video", "document"}
}

func (h interactiveHeader) validate(types []string, kind InteractiveKind) error {
	if len(types) == 0 {
		return domain.Invalid("", "is given, but a %s message has none", kind)
	}
	if !slices.Contains(types, h.Type) {
		return domain.Invalid("type", "is %q, %s is allowed", h.Type, strings.Join(types, ", "))
	}
	switch h.Type {
	case "image":
		return validateHeaderMedia(h.Type, h.Image)
	case "video":
		return validateHeaderMedia(h.Type, h.Video)
	case "document":
		return validateHeaderMedia(h.Type, h.Document)
	}
	return checkLength("text", h.Text, 1, maxHeaderText)
}

func (a interactiveAction) validate(kind InteractiveKind) error {
	if want := actionOf(kind); want != "" && a.Name != want {
		return domain.Invalid("name", "is %q, a %s message needs %q", a.Name, kind, want)
	}
	switch kind {
	case InteractiveButton:
		return validateReplyButtons(a.Buttons)
	case InteractiveList:
		return a.validateList()
	case InteractiveCTAURL:
		return validateURLButton(a.Parameters)
	case InteractiveFlow:
		return validateFlow(a.Parameters)
	case InteractiveProduct:
		return productReference{CatalogID: a.CatalogID, RetailerID: a.ProductRetailerID}.validate()
	case InteractiveProductList:
		if a.CatalogID == "" {
			return domain.Invalid("catalog_id", "is missing or empty, it names the catalog")
		}
		return validateProductSections(a.Sections)
	case InteractiveCatalog:
		return validateThumbnail(a.Parameters)
	case InteractiveCarousel:
		return validateCards(a.Cards)
	case InteractiveAddress:
		return validateAddress(a.Parameters)
	case InteractiveVoiceCall:
		return validateVoiceCall(a.Parameters)
	case InteractiveLocationRequest, InteractiveContactInfo, InteractiveOrderDetails, InteractiveOrderStatus, InteractiveCallPermission:
	}
	return nil
}

// actionOf is the name that the action of a kind must have; empty for those
// whose action has none, or is left to WhatsApp.
func actionOf(kind InteractiveKind) string {
	switch kind {
	case InteractiveLocationRequest:
		return "send_location"
	case InteractiveCTAURL, InteractiveFlow, InteractiveCatalog, InteractiveAddress, InteractiveContactInfo, InteractiveVoiceCall:
		return string(kind)
	case InteractiveButton, InteractiveList, InteractiveProduct, InteractiveProductList, InteractiveCarousel,
		InteractiveOrderDetails, InteractiveOrderStatus, InteractiveCallPermission:
	}
	return ""
}
