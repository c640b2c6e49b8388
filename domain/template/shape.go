package template

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Shape is what messages of a template must fill in. It is parsed once from the components
// that WhatsApp lists, and never changes.
type Shape struct {
	named  bool
	header header
	body   text
	// onlyBody is set if the body can have the length of a template without other parts.
	onlyBody bool
	buttons  []button
	// cards are the shapes of the cards of a carousel.
	cards []Shape
	// offer is set for a limited-time offer with an expiry.
	offer bool
	// given are the parts that the template has, so that messages can fill them.
	given []string
}

// header is the header of a template. Its format is "" if there is none.
type header struct {
	format string
	text   text
}

// text is a text with variables.
type text struct {
	// vars are the names of the variables, or their numbers, in order of appearance.
	vars []string
	// fixed is the length of the text without its variables, in characters.
	fixed int
}

// button is a button of a template.
type button struct {
	kind string
	// variable is set for a URL with a variable.
	variable bool
	// urlLength is the length of the URL without its variable, in bytes.
	urlLength int
}

// listed is what a Shape is parsed from.
type listed struct {
	Type    string `json:"type"`
	Format  string `json:"format"`
	Text    string `json:"text"`
	Buttons []struct {
		Type    string `json:"type"`
		URL     string `json:"url"`
		OTPType string `json:"otp_type"`
	} `json:"buttons"`
	Cards []struct {
		Components []listed `json:"components"`
	} `json:"cards"`
	Offer struct {
		HasExpiration bool `json:"has_expiration"`
	} `json:"limited_time_offer"`
}

// ShapeOf returns the shape of a template with the given details, or nil if the components
// are unknown or can't be read.
func ShapeOf(d Details) *Shape {
	var components []listed
	if len(d.Components) == 0 || json.Unmarshal(d.Components, &components) != nil {
		return nil
	}
	s := shapeOf(components)
	s.named = strings.EqualFold(d.ParameterFormat, "NAMED") || d.ParameterFormat == "" && s.hasNames()
	for i := range s.cards {
		s.cards[i].named = s.named
	}
	return &s
}

func shapeOf(components []listed) Shape {
	var s Shape
	s.onlyBody = len(components) == 1
	for _, c := range components {
		kind := strings.ToLower(c.Type)
		s.given = append(s.given, kind)
		switch kind {
		case "header":
			s.header.format = strings.ToLower(c.Format)
			if s.header.format == "" {
				s.header.format = "text"
			}
			s.header.text = textOf(c.Text)
		case "body":
			s.body = textOf(c.Text)
		case "buttons":
			for _, b := range c.Buttons {
				url := textOf(b.URL)
				s.buttons = append(s.buttons, button{kind: strings.ToLower(b.Type), variable: len(url.vars) > 0, urlLength: url.fixed})
			}
		case "carousel":
			for _, card := range c.Cards {
				s.cards = append(s.cards, shapeOf(card.Components))
			}
		case "limited_time_offer":
			s.offer = c.Offer.HasExpiration
		}
	}
	return s
}

func (s Shape) hasNames() bool {
	for _, name := range slices.Concat(s.header.text.vars, s.body.vars) {
		if _, err := strconv.Atoi(name); err != nil {
			return true
		}
	}
	return slices.ContainsFunc(s.cards, Shape.hasNames)
}

// textOf finds the variables in a text: {{1}} or {{first_name}}. A variable that appears
// twice counts once.
func textOf(s string) text {
	var t text
	for {
		before, rest, found := strings.Cut(s, "{{")
		name, after, closed := strings.Cut(rest, "}}")
		if !found || !closed {
			t.fixed += utf8.RuneCountInString(s)
			return t
		}
		t.fixed += utf8.RuneCountInString(before)
		if name = strings.TrimSpace(name); !slices.Contains(t.vars, name) {
			t.vars = append(t.vars, name)
		}
		s = after
	}
}
