package template

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/waypost/waypost/domain"
)

const (
	// ListingMargin is how much earlier than its request a listing counts as made. A webhook
	// has a time in whole seconds and by WhatsApp's clock, and a listing can miss what
	// happened in the last moments before it.
	ListingMargin = 5 * time.Second

	// maxName and maxLanguage bound the parts of a template's stream name. The first is
	// Meta's limit; the second is far above the longest code.
	maxName     = 512
	maxLanguage = 16
	maxAccount  = 32
	// maxComponents is the maximum size of the stored components, in bytes. Meta's own limits
	// on texts add up to less.
	maxComponents = 128 << 10
	// maxWord bounds WhatsApp's words, and maxText its explanations, in characters.
	maxWord = 64
	maxText = 1024
)

// Valid reports whether the reference can be that of a template: an account's ID in digits,
// a name of a-z, 0-9, and _, and a language such as en or en_US.
func (r Ref) Valid() bool {
	return made(r.BusinessAccountID, maxAccount, "0123456789") &&
		made(r.Name, maxName, "abcdefghijklmnopqrstuvwxyz0123456789_") &&
		made(r.Language, maxLanguage, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")
}

func made(s string, most int, of string) bool {
	return s != "" && len(s) <= most && strings.Trim(s, of) == ""
}

// A Report is what a webhook says about a template. Each of its parts can be missing.
type Report struct {
	Ref

	// At is WhatsApp's time of the report.
	At             time.Time
	Status         string
	Reason, Detail string
	// Category and PreviousCategory are set for a change that happened, Category, Announced,
	// and ChangesAt for one that is announced.
	Category, PreviousCategory string
	Announced                  string
	ChangesAt                  time.Time
	Quality                    string
	// Content is the object about changed contents.
	Content json.RawMessage
}

// Record decides on a report by a webhook. It returns no events if the report was recorded
// before, or if a newer one was.
func Record(t Template, r Report) []domain.Event {
	var events []domain.Event
	if status := statusOf(r.Status); t.Status.adopts(status, r.At) {
		if status == StatusDeleted {
			events = append(events, TemplateRemoved{Ref: r.Ref, At: r.At})
		} else {
			events = append(events, TemplateStatusChanged{
				Ref: r.Ref, Previous: t.Status.Value, Status: status,
				Reason: domain.CleanLine(r.Reason, maxWord), Detail: domain.CleanLines(r.Detail, maxText), At: r.At,
			})
		}
	}
	if e, ok := r.categoryChange(t); ok {
		events = append(events, e)
	}
	if quality := word(r.Quality); t.Quality.adopts(quality, r.At) {
		events = append(events, TemplateQualityChanged{Ref: r.Ref, Previous: t.Quality.Value, Quality: quality, At: r.At})
	}
	if len(r.Content) > 0 && len(r.Content) <= maxComponents && r.At.After(t.ContentAt) && !r.At.Before(t.ListedAt) {
		events = append(events, TemplateContentChanged{Ref: r.Ref, Value: r.Content, At: r.At})
	}
	return events
}

func (r Report) categoryChange(t Template) (TemplateCategoryChanged, bool) {
	e := TemplateCategoryChanged{
		Ref: r.Ref, Previous: word(r.PreviousCategory), Category: word(r.Category), Announced: word(r.Announced), ChangesAt: r.ChangesAt, At: r.At,
	}
	if e.Category == "" && e.Announced == "" {
		return e, false
	}
	after := t.Apply(e)
	if e.Announced != "" {
		return e, after.AnnouncedAt.Equal(r.At) && !t.AnnouncedAt.Equal(r.At)
	}
	if e.Previous == "" {
		e.Previous = t.Category.Value
	}
	return e, !after.Category.At.Equal(t.Category.At) || after.Category.Value != t.Category.Value
}

// statusOf returns the status that an event of a status webhook leads to: some events have
// names of their own.
func statusOf(event string) string {
	switch status := word(event); status {
	case "REINSTATED", "UNARCHIVED", "UNPAUSED":
		return StatusApproved
	default:
		return status
	}
}

// word returns one of WhatsApp's words in capitals.
func word(s string) string { return strings.ToUpper(domain.CleanLine(s, maxWord)) }

// A Listing is what WhatsApp lists about a template.
type Listing struct {
	Ref
	Details

	Status, Category, Quality string
}

// Normalize returns the listing in the form in which it is recorded: words in capitals,
// components without examples and in a fixed form. Components that are too large or not JSON
// are left out, so that the parameters of messages are not checked.
func (l Listing) Normalize() Listing {
	l.Status, l.Category, l.Quality = word(l.Status), word(l.Category), word(l.Quality)
	l.CorrectCategory, l.SubCategory = word(l.CorrectCategory), word(l.SubCategory)
	l.ParameterFormat = word(l.ParameterFormat)
	if l.RejectedReason = word(l.RejectedReason); l.RejectedReason == "NONE" {
		l.RejectedReason = ""
	}
	if l.CorrectCategory == l.Category {
		l.CorrectCategory = ""
	}
	l.Components = withoutExamples(l.Components)
	return l
}

// withoutExamples returns components without the members "example" and "examples". The links
// in them change with every listing.
func withoutExamples(components json.RawMessage) json.RawMessage {
	if len(components) > maxComponents {
		return nil
	}
	clean := rewrite(components, dropExamples)
	if len(clean) > maxComponents {
		return nil
	}
	return clean
}

// Canonical returns components in the form in which Normalize leaves them, after a store has changed
// their spacing or the order of their members. What is not a list has no such form.
func Canonical(components json.RawMessage) json.RawMessage { return rewrite(components, func(any) {}) }

// rewrite returns a list after change, in a fixed form, or nil if it is not one.
func rewrite(components json.RawMessage, change func(any)) json.RawMessage {
	decoder := json.NewDecoder(bytes.NewReader(components))
	decoder.UseNumber()
	var list []any
	if decoder.Decode(&list) != nil {
		return nil
	}
	change(list)
	clean, err := json.Marshal(list) // sorts the members
	if err != nil {
		return nil
	}
	return clean
}

func dropExamples(value any) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			dropExamples(item)
		}
	case map[string]any:
		delete(v, "example")
		delete(v, "examples")
		for _, item := range v {
			dropExamples(item)
		}
	}
}

// Sync decides on a normalized listing whose request was sent at the given time. It returns
// no events if the listing says nothing new.
func Sync(t Template, l Listing, requested time.Time) []domain.Event {
	e := TemplateSynced{
		Ref: l.Ref, Details: l.Details, Status: l.Status, Category: l.Category, Quality: l.Quality, At: requested.Add(-ListingMargin),
	}
	if after := t.Apply(e); after.says(t) {
		return nil
	}
	return []domain.Event{e}
}

// says reports whether t says the same as other, whenever it was reported.
func (t Template) says(other Template) bool {
	return t.Known() == other.Known() && t.ID == other.ID && t.Status.Value == other.Status.Value && t.Category.Value == other.Category.Value &&
		t.Quality.Value == other.Quality.Value && t.Listed() == other.Listed() && t.Equal(other.Details)
}

// Equal reports whether both have the same details.
func (d Details) Equal(other Details) bool {
	sameTTL := (d.TTLSeconds == nil) == (other.TTLSeconds == nil) && (d.TTLSeconds == nil || *d.TTLSeconds == *other.TTLSeconds)
	return sameTTL && d.CorrectCategory == other.CorrectCategory && d.SubCategory == other.SubCategory &&
		d.ParameterFormat == other.ParameterFormat && d.RejectedReason == other.RejectedReason && bytes.Equal(d.Components, other.Components)
}

// Remove decides on a template that is not in a complete listing whose request was sent at
// the given time.
func Remove(t Template, requested time.Time) []domain.Event {
	at := requested.Add(-ListingMargin)
	if !t.Known() || t.Removed() || !t.Status.adopts(StatusDeleted, at) {
		return nil // it can have been reported since
	}
	return []domain.Event{TemplateRemoved{Ref: t.Ref, At: at}}
}
