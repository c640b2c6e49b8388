package simulator

import (
	"encoding/json"
	"unicode/utf8"
)

// Limits of interactive messages. Lengths are in characters.
const (
	maxHeaderText         = 60
	maxFooterText         = 60
	maxInteractiveBody    = 1024
	maxListBody           = 4096
	maxButtons            = 3
	maxButtonID           = 256
	maxButtonTitle        = 20
	maxSections           = 10
	maxRows               = 10
	maxSectionTitle       = 24
	maxRowID              = 200
	maxRowTitle           = 24
	maxRowDescription     = 72
	maxProducts           = 30
	minCards, maxCards    = 2, 10
	kindProduct           = "product"
	kindCarousel          = "carousel"
	headerText            = "text"
	parametersOfAction    = "interactive['action']['parameters']"
	interactiveActionName = "interactive['action']['name']"
)

func (m *interactive) validate() *apiError {
	if m.Action == nil {
		return detailed(131008, "The parameter interactive['action'] is required.")
	}
	longestBody := maxInteractiveBody
	if m.Type == "list" {
		longestBody = maxListBody
	}
	if m.Body == nil {
		if m.Type != kindProduct {
			return detailed(131008, "The parameter interactive['body'] is required.")
		}
	} else if !fits(m.Body.Text, longestBody) {
		return lengthError("Body text", longestBody)
	}
	if m.Footer != nil && !fits(m.Footer.Text, maxFooterText) {
		return lengthError("Footer text", maxFooterText)
	}
	if m.Header != nil {
		if err := m.Header.validate(m.Type); err != nil {
			return err
		}
	}
	switch m.Type {
	case "button":
		return validateButtons(m.Action.Buttons)
	case "list":
		return m.Action.validateList()
	case "cta_url":
		return m.Action.validateLink()
	case "flow", "address_message":
		if m.Action.Name != m.Type {
			return detailed(131009, "%s must be '%s'", interactiveActionName, m.Type)
		}
		if !isObject(m.Action.Parameters) {
			return detailed(131008, "The parameter %s is required.", parametersOfAction)
		}
		if m.Type == "flow" {
			return validateFlow(m.Action.Parameters)
		}
	case "catalog_message", "request_contact_info":
		if m.Action.Name != m.Type {
			return detailed(131009, "%s must be '%s'", interactiveActionName, m.Type)
		}
	case "location_request_message":
		if m.Action.Name != "send_location" {
			return detailed(131009, "%s must be 'send_location'", interactiveActionName)
		}
	case kindProduct:
		if m.Action.CatalogID == "" || m.Action.ProductRetailerID == "" {
			return detailed(131008, "The parameters catalog_id and product_retailer_id are required.")
		}
	case "product_list":
		if m.Header == nil || m.Header.Type != headerText {
			return detailed(131008, "A text header is required.")
		}
		return m.Action.validateProducts()
	case kindCarousel:
		if m.Header != nil || m.Footer != nil {
			return detailed(131009, "header and footer are not allowed with a carousel")
		}
		return validateCards(m.Action.Cards)
	case "order_details", "order_status", "call_permission_request", "voice_call":
		// These are accepted unchecked: their contents are beyond this simulator.
	default:
		return detailed(100, "Param interactive['type'] is not valid - got \"%s\".", m.Type)
	}
	return nil
}

func (h *header) validate(kind string) *apiError {
	switch h.Type {
	case headerText:
		if !fits(h.Text, maxHeaderText) {
			return lengthError("Header text", maxHeaderText)
		}
		return nil
	case "image", "video", "document":
		if kind == "list" || kind == "product_list" {
			return detailed(131009, "header type must be 'text' for %s", kind)
		}
		of := map[string]*media{"image": h.Image, "video": h.Video, "document": h.Document}[h.Type]
		if of == nil {
			return detailed(131008, "The parameter interactive['header']['%s'] is required.", h.Type)
		}
		return of.validate(h.Type)
	}
	return detailed(131009, "header type must be one of text, image, video, document")
}

func validateButtons(buttons []button) *apiError {
	if len(buttons) < 1 || len(buttons) > maxButtons {
		return detailed(131009, "Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: %d", maxButtons)
	}
	return validateReplies(buttons, "reply", func(b button) reply { return b.Reply })
}

func validateReplies(buttons []button, kind string, of func(button) reply) *apiError {
	ids, titles := map[string]bool{}, map[string]bool{}
	for _, b := range buttons {
		r := of(b)
		switch {
		case b.Type != kind:
			return detailed(131009, "button type must be '%s'", kind)
		case !fits(r.ID, maxButtonID):
			return lengthError("Button id", maxButtonID)
		case !fits(r.Title, maxButtonTitle):
			return lengthError("Button title", maxButtonTitle)
		case ids[r.ID] || titles[r.Title]:
			return detailed(131009, "Duplicated button id or title")
		}
		ids[r.ID], titles[r.Title] = true, true
	}
	return nil
}

func (a *action) validateList() *apiError {
	if !fits(a.Button, maxButtonTitle) {
		return lengthError("Button", maxButtonTitle)
	}
	if len(a.Sections) < 1 || len(a.Sections) > maxSections {
		return detailed(131009, "Total section count invalid. Min: 1, Max: %d", maxSections)
	}
	ids, rows := map[string]bool{}, 0
	for _, s := range a.Sections {
		if err := validateSectionTitle(s.Title, len(a.Sections)); err != nil {
			return err
		}
		for _, r := range s.Rows {
			switch {
			case !fits(r.ID, maxRowID):
				return lengthError("Row id", maxRowID)
			case !fits(r.Title, maxRowTitle):
				return lengthError("Row title", maxRowTitle)
			case utf8.RuneCountInString(r.Description) > maxRowDescription:
				return lengthError("Row description", maxRowDescription)
			case ids[r.ID]:
				return detailed(131009, "Duplicated row id")
			}
			ids[r.ID] = true
			rows++
		}
	}
	if rows < 1 || rows > maxRows {
		return detailed(131009, "Total row count exceed max allowed count: %d", maxRows)
	}
	return nil
}

func validateSectionTitle(title string, sections int) *apiError {
	if title == "" && sections > 1 {
		return detailed(131009, "Section title is required when there is more than one section")
	}
	if utf8.RuneCountInString(title) > maxSectionTitle {
		return lengthError("Section title", maxSectionTitle)
	}
	return nil
}

func (a *action) validateProducts() *apiError {
	if a.CatalogID == "" {
		return detailed(131008, "The parameter catalog_id is required.")
	}
	if len(a.Sections) < 1 || len(a.Sections) > maxSections {
		return detailed(131009, "Total section count invalid. Min: 1, Max: %d", maxSections)
	}
	products := 0
	for _, s := range a.Sections {
		if err := validateSectionTitle(s.Title, len(a.Sections)); err != nil {
			return err
		}
		products += len(s.ProductItems)
	}
	if products < 1 || products > maxProducts {
		return detailed(131009, "Total product count invalid. Min: 1, Max: %d", maxProducts)
	}
	return nil
}

func (a *action) validateLink() *apiError {
	var link struct {
		DisplayText string `json:"display_text"`
		URL         string `json:"url"`
	}
	switch {
	case a.Name != "cta_url":
		return detailed(131009, "%s must be 'cta_url'", interactiveActionName)
	case json.Unmarshal(a.Parameters, &link) != nil:
		return detailed(131008, "The parameter %s is required.", parametersOfAction)
	case !fits(link.DisplayText, maxButtonTitle):
		return lengthError("display_text", maxButtonTitle)
	case !isWebLink(link.URL):
		return detailed(131009, "url is not a valid URL")
	}
	return nil
}

func validateFlow(parameters json.RawMessage) *apiError {
	var flow struct {
		ID     string `json:"flow_id"`
		Name   string `json:"flow_name"`
		CTA    string `json:"flow_cta"`
		Mode   string `json:"mode"`
		Action string `json:"flow_action"`
	}
	switch err := json.Unmarshal(parameters, &flow); {
	case err != nil:
		return detailed(131009, "%s is not valid", parametersOfAction)
	case (flow.ID == "") == (flow.Name == ""):
		return detailed(131009, "exactly one of flow_id and flow_name is needed")
	case flow.CTA == "":
		return detailed(131008, "The parameter flow_cta is required.")
	case flow.Mode != "" && flow.Mode != "draft" && flow.Mode != "published":
		return detailed(131009, "mode must be draft or published")
	case flow.Action != "" && flow.Action != "navigate" && flow.Action != "data_exchange":
		return detailed(131009, "flow_action must be navigate or data_exchange")
	}
	return nil
}

func validateCards(cards []card) *apiError {
	if len(cards) < minCards || len(cards) > maxCards {
		return detailed(131009, "Total card count invalid. Min: %d, Max: %d", minCards, maxCards)
	}
	for i, c := range cards {
		if c.Index == nil || *c.Index != i {
			return detailed(131009, "card_index must be %d", i)
		}
		if c.Type == kindProduct {
			if cards[0].Type != kindProduct || c.Action == nil || c.Action.CatalogID == "" || c.Action.ProductRetailerID == "" {
				return detailed(131009, "all cards need a product of the same catalog")
			}
			continue
		}
		if c.Header == nil || cards[0].Header == nil || c.Header.Type != cards[0].Header.Type {
			return detailed(131009, "all cards need a header of the same type")
		}
		if err := c.Header.validate(kindCarousel); err != nil {
			return err
		}
		if err := c.validateButtons(cards[0]); err != nil {
			return err
		}
	}
	return nil
}

// validateButtons checks the URL button or the quick replies of a card.
func (c card) validateButtons(first card) *apiError {
	switch {
	case c.Action == nil || first.Action == nil:
		return detailed(131008, "The parameter action is required for a card.")
	case len(c.Action.Buttons) != len(first.Action.Buttons):
		return detailed(131009, "all cards need the same number of buttons")
	case len(c.Action.Buttons) == 0:
		return c.Action.validateLink()
	}
	return validateReplies(c.Action.Buttons, "quick_reply", func(b button) reply { return b.QuickReply })
}

func isObject(data json.RawMessage) bool { return len(data) > 0 && data[0] == '{' }
