package template

import (
	"encoding/json"
	"time"

	"github.com/waypost/waypost/domain"
)

// An Event is an event of a template's stream. None of it is personal.
type Event interface {
	domain.Event
	apply(t *Template)
}

// Types lists the event types of templates and of their lists, for the codec.
func Types() []domain.Type {
	return []domain.Type{
		domain.TypeOf[TemplateSynced](), domain.TypeOf[TemplateStatusChanged](), domain.TypeOf[TemplateCategoryChanged](),
		domain.TypeOf[TemplateQualityChanged](), domain.TypeOf[TemplateContentChanged](), domain.TypeOf[TemplateRemoved](),
		domain.TypeOf[TemplatesListed](),
	}
}

// A Ref names a template. Every event of a template has it, because any of them can be the
// first.
type Ref struct {
	BusinessAccountID string `json:"businessAccountId"`
	Name              string `json:"name"`
	Language          string `json:"language"`
	// ID is WhatsApp's own ID of the template, if it is known.
	ID string `json:"id,omitempty"`
}

// TemplateSynced records what WhatsApp listed about a template, if it differs from what was
// known.
type TemplateSynced struct {
	Ref
	Details

	Status string `json:"status"`
	// Category is MARKETING, UTILITY, AUTHENTICATION, or another word of WhatsApp's.
	Category string `json:"category"`
	// Quality is GREEN, YELLOW, RED, or UNKNOWN.
	Quality string `json:"quality,omitempty"`
	// At is the time that the listing counts as made.
	At time.Time `json:"at"`
}

// Details are what only a listing contains.
type Details struct {
	// CorrectCategory is the category that WhatsApp thinks that the template should have.
	CorrectCategory string `json:"correctCategory,omitempty"`
	SubCategory     string `json:"subCategory,omitempty"`
	// ParameterFormat is POSITIONAL or NAMED.
	ParameterFormat string `json:"parameterFormat,omitempty"`
	RejectedReason  string `json:"rejectedReason,omitempty"`
	// TTLSeconds is how long WhatsApp tries to deliver a message of the template. If nil,
	// WhatsApp's default for the category applies.
	TTLSeconds *int `json:"ttlSeconds,omitempty"`
	// Components are WhatsApp's objects, without the examples.
	Components json.RawMessage `json:"components,omitempty"`
}

// TemplateStatusChanged records that WhatsApp reported another status of a template, such as
// APPROVED, PAUSED, or REJECTED.
type TemplateStatusChanged struct {
	Ref

	Previous string `json:"previous,omitempty"`
	Status   string `json:"status"`
	// Reason and Detail are WhatsApp's words, for example FIRST_PAUSE.
	Reason string    `json:"reason,omitempty"`
	Detail string    `json:"detail,omitempty"`
	At     time.Time `json:"at"`
}

// TemplateCategoryChanged records that WhatsApp changed the category of a template, or
// announced that it will. The category determines the price and whether people can opt out.
type TemplateCategoryChanged struct {
	Ref

	Previous string `json:"previous,omitempty"`
	// Category is the current category.
	Category string `json:"category"`
	// Announced is the category that it changes to at ChangesAt, if the change is only
	// announced.
	Announced string    `json:"announced,omitempty"`
	ChangesAt time.Time `json:"changesAt,omitzero"`
	At        time.Time `json:"at"`
}

// TemplateQualityChanged records that WhatsApp reported another quality score of a template.
type TemplateQualityChanged struct {
	Ref

	Previous string    `json:"previous,omitempty"`
	Quality  string    `json:"quality"`
	At       time.Time `json:"at"`
}

// TemplateContentChanged records that WhatsApp reported other texts or buttons of a template.
// The report has them in part, so the contents are unknown until the next sync.
type TemplateContentChanged struct {
	Ref

	// Value is WhatsApp's object, as received.
	Value json.RawMessage `json:"value"`
	At    time.Time       `json:"at"`
}

// TemplateRemoved records that a template no longer exists at WhatsApp.
type TemplateRemoved struct {
	Ref

	At time.Time `json:"at"`
}

// TemplatesListed records that all templates of a business account are known from now on, and
// how many there are. It is recorded after the first listing, and when the number changes.
type TemplatesListed struct {
	BusinessAccountID string    `json:"businessAccountId"`
	Count             int       `json:"count"`
	At                time.Time `json:"at"`
}

func (TemplateSynced) EventType() string          { return "TemplateSynced" }
func (TemplateStatusChanged) EventType() string   { return "TemplateStatusChanged" }
func (TemplateCategoryChanged) EventType() string { return "TemplateCategoryChanged" }
func (TemplateQualityChanged) EventType() string  { return "TemplateQualityChanged" }
func (TemplateContentChanged) EventType() string  { return "TemplateContentChanged" }
func (TemplateRemoved) EventType() string         { return "TemplateRemoved" }
func (TemplatesListed) EventType() string         { return "TemplatesListed" }

// OccurredAt returns WhatsApp's time of the report.
func (e TemplateStatusChanged) OccurredAt() time.Time { return e.At }

// OccurredAt returns WhatsApp's time of the report.
func (e TemplateCategoryChanged) OccurredAt() time.Time { return e.At }

// OccurredAt returns WhatsApp's time of the report.
func (e TemplateQualityChanged) OccurredAt() time.Time { return e.At }

// OccurredAt returns WhatsApp's time of the report.
func (e TemplateContentChanged) OccurredAt() time.Time { return e.At }
