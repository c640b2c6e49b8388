package simulator

import "strings"

const (
	maxTemplateName    = 512
	maxTemplateButtons = 10
)

func (t *template) validate() *apiError {
	if t.Name == "" {
		return detailed(131008, "The parameter template['name'] is required.")
	}
	if len(t.Name) > maxTemplateName || strings.Trim(t.Name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return detailed(132001, "template name (%s) does not exist", t.Name)
	}
	if t.Language == nil || t.Language.Code == "" {
		return detailed(131008, "The parameter template['language']['code'] is required.")
	}
	for _, c := range t.Components {
		if err := c.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (c *component) validate() *apiError {
	switch strings.ToLower(c.Type) {
	case "header", "body", "footer", "carousel", "limited_time_offer", "order_status", "tap_target_configuration":
	case "button":
		if c.SubType == "" {
			return detailed(131008, "The parameter sub_type is required for a button component.")
		}
		if !isDigit(c.Index.text) && (c.Index.text != "" || c.SubType != "voice_call") {
			return detailed(131009, "button index must be from 0 to %d", maxTemplateButtons-1)
		}
	default:
		return detailed(100, "Param template['components'] type must be one of {BODY, BUTTON, CAROUSEL, FOOTER, HEADER, LIMITED_TIME_OFFER, ORDER_STATUS, TAP_TARGET_CONFIGURATION} - got \"%s\".", c.Type)
	}
	named := 0
	for i := range c.Parameters {
		if c.Parameters[i].Name != "" {
			named++
		}
		if err := c.Parameters[i].validate(); err != nil {
			return err
		}
	}
	if named != 0 && named != len(c.Parameters) {
		return detailed(132018, "named and positional parameters cannot be mixed")
	}
	return nil
}

func isDigit(s string) bool { return len(s) == 1 && s[0] >= '0' && s[0] <= '9' }

func (p *parameter) validate() *apiError {
	required := func(missing bool, name string) *apiError {
		if missing {
			return detailed(131008, "The parameter %s is required for a parameter of type %s.", name, p.Type)
		}
		return nil
	}
	ofMedia := func(m *media, kind string) *apiError {
		if m == nil {
			return required(true, kind)
		}
		return m.validate(kind)
	}
	switch p.Type {
	case kindText:
		if err := required(p.Text == nil, "text"); err != nil {
			return err
		}
		if *p.Text == "" {
			return detailed(131008, "Parameter of type text is missing text value")
		}
		if strings.ContainsAny(*p.Text, "\n\t") || strings.Contains(*p.Text, "     ") {
			return detailed(132012, "Param text cannot have new-line/tab characters or more than 4 consecutive spaces")
		}
		return nil
	case "payload":
		return required(p.Payload == nil, "payload")
	case "coupon_code":
		return required(p.CouponCode == nil || *p.CouponCode == "", "coupon_code")
	case "currency":
		return required(p.Currency == nil || p.Currency.Code == "" || p.Currency.Amount1000 == nil, "currency")
	case "date_time":
		return required(p.DateTime == nil, "date_time")
	case "image":
		return ofMedia(p.Image, p.Type)
	case "video":
		return ofMedia(p.Video, p.Type)
	case "document":
		return ofMedia(p.Document, p.Type)
	case "location":
		if p.Location == nil {
			return required(true, "location")
		}
		return p.Location.validate()
	case "action":
		return required(p.Action == nil, "action")
	case "product":
		return required(p.Product == nil, "product")
	case "order_status":
		return required(p.OrderStatus == nil, "order_status")
	case "tap_target_configuration":
		return required(p.TapTarget == nil, "tap_target_configuration")
	case "ttl_minutes":
		return required(p.TTLMinutes == nil, "ttl_minutes")
	case "limited_time_offer":
		return required(p.LimitedOffer == nil, "limited_time_offer")
	}
	return detailed(100, "Param type of a template parameter is not valid - got \"%s\".", p.Type)
}
