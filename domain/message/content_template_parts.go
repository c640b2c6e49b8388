package message

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/domain"
)

// The parts of templates beyond texts, media and plain buttons. Source: Meta's
// pages on the templates of that name.

func validateHeaderProduct(raw json.RawMessage) error {
	if err := checkObject("product", raw); err != nil {
		return err
	}
	var p productReference
	if err := readObject(raw, &p); err != nil {
		return domain.PrefixField("product", err)
	}
	return domain.PrefixField("product", p.validate())
}

// validateCouponCode checks a code to be copied. Meta takes letters and digits
// alone.
func validateCouponCode(code *string) error {
	const field = "coupon_code"
	if err := checkGiven(field, code); err != nil {
		return err
	}
	if i := strings.IndexFunc(*code, notAlphanumeric); i >= 0 {
		return domain.Invalid(field, "has a character at byte %d that is no letter and no digit", i)
	}
	return checkLength(field, *code, 1, maxCouponCode)
}

func notAlphanumeric(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
}

// validateButtonAction checks the action of a button of this kind.
func validateButtonAction(subType string, raw json.RawMessage) error {
	if err := checkObject("action", raw); err != nil {
		return err
	}
	var a struct {
		Thumbnail *string         `json:"thumbnail_product_retailer_id"`
		Sections  []section       `json:"sections"`
		FlowData  json.RawMessage `json:"flow_action_data"`
		Order     json.RawMessage `json:"order_details"`
	}
	err := readObject(raw, &a)
	switch {
	case err != nil:
	case subType == "flow" && len(a.FlowData) > 0:
		err = checkObject("flow_action_data", a.FlowData)
	case subType == "order_details":
		err = checkObject("order_details", a.Order)
	case subType == "mpm" && (a.Thumbnail == nil || *a.Thumbnail == ""):
		err = domain.Invalid("thumbnail_product_retailer_id", "is missing or empty, it names the product whose picture is shown")
	case subType == "mpm":
		err = validateProductSections(a.Sections)
	case a.Thumbnail != nil && *a.Thumbnail == "":
		err = domain.Invalid("thumbnail_product_retailer_id", "is empty, leave it out for the catalog's first product")
	}
	return domain.PrefixField("action", err)
}

func validateOffer(raw json.RawMessage) error {
	const field = "limited_time_offer"
	if err := checkObject(field, raw); err != nil {
		return err
	}
	var o struct {
		// Expires is in milliseconds since 1970.
		Expires *int64 `json:"expiration_time_ms"`
	}
	if err := readObject(raw, &o); err != nil {
		return domain.PrefixField(field, err)
	}
	if o.Expires == nil || *o.Expires <= 0 {
		return domain.Invalid(field+".expiration_time_ms", "is missing or no time in milliseconds since 1970")
	}
	return nil
}

func validateOrderStatus(raw json.RawMessage) error {
	const field = "order_status"
	if err := checkObject(field, raw); err != nil {
		return err
	}
	var o struct {
		Reference string `json:"reference_id"`
		Order     struct {
			Status string `json:"status"`
		} `json:"order"`
	}
	if err := readObject(raw, &o); err != nil {
		return domain.PrefixField(field, err)
	}
	if o.Reference == "" {
		return domain.Invalid(field+".reference_id", "is missing or empty, it names the order")
	}
	if o.Order.Status == "" {
		return domain.Invalid(field+".order.status", "is missing or empty")
	}
	return nil
}

func validateTapTargets(targets []tapTarget) error {
	const field = "tap_target_configuration"
	if len(targets) == 0 {
		return domain.Invalid(field, "is missing or empty, the type names it")
	}
	for i, t := range targets {
		at := field + "." + strconv.Itoa(i)
		if t.Title == "" {
			return domain.Invalid(at+".title", "is missing or empty")
		}
		if err := checkURL(at+".url", t.URL); err != nil {
			return err
		}
	}
	return nil
}

// templateCard is what is read of a card of a template's carousel.
type templateCard struct {
	Index      *int            `json:"card_index"`
	Components []cardComponent `json:"components"`
}

// cardComponent is a Component as users write it: a button's index can also be a number.
type cardComponent struct {
	Type       string            `json:"type"`
	SubType    string            `json:"sub_type"`
	Index      json.RawMessage   `json:"index"`
	Parameters []json.RawMessage `json:"parameters"`
}

func (c cardComponent) component() Component {
	return Component{
		Type: ComponentType(strings.ToLower(c.Type)), SubType: c.SubType,
		Index: strings.Trim(string(c.Index), `"`), Parameters: c.Parameters,
	}
}

func checkTemplateCardCount(n int) error {
	if n < minCards || n > maxCards {
		return domain.Invalid("cards", "has %d cards, %d to %d are allowed", n, minCards, maxCards)
	}
	return nil
}

// validateTemplateCards checks that the cards are numbered, that each has a
// header, and that all have the same parts, as a template's cards must.
func validateTemplateCards(cards []json.RawMessage, style *naming) error {
	var first []string
	for i, raw := range cards {
		at := "cards." + strconv.Itoa(i)
		var card templateCard
		if err := readObject(raw, &card); err != nil {
			return domain.PrefixField(at, err)
		}
		if err := checkCardIndex(card.Index, i); err != nil {
			return domain.PrefixField(at, err)
		}
		parts, err := card.validate(style)
		if err != nil {
			return domain.PrefixField(at, err)
		}
		if i == 0 {
			first = parts
		} else if !slices.Equal(parts, first) {
			return domain.Invalid(at+".components", "fills %s, but the first card %s; all cards must have the same parts",
				strings.Join(parts, ", "), strings.Join(first, ", "))
		}
	}
	return nil
}

// validate checks one card and returns the parts that it fills.
func (t templateCard) validate(style *naming) ([]string, error) {
	components := make([]Component, 0, len(t.Components))
	parts := make([]string, 0, len(t.Components))
	header := false
	for i, given := range t.Components {
		c := given.component()
		switch c.Type {
		case ComponentHeader:
			header = true
		case ComponentBody, ComponentButton:
		case ComponentOffer, ComponentCarousel, ComponentOrderStatus, ComponentTapTarget:
			fallthrough
		default:
			return nil, domain.Invalid(fmt.Sprintf("components.%d.type", i), "is %q, a card has header, body and button", given.Type)
		}
		components, parts = append(components, c), append(parts, c.part())
	}
	if !header {
		return nil, domain.Invalid("components", "has no header, a card needs an image, a video or a product")
	}
	slices.Sort(parts)
	return parts, validateComponents(components, style)
}
