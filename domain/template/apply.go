package template

import (
	"cmp"
	"time"

	"github.com/waypost/waypost/domain"
)

// Fold returns the template that the events of its stream, in order, lead to. It ignores
// events of other aggregates.
func Fold[E domain.Event](events ...E) Template {
	var t Template
	for _, e := range events {
		t = t.Apply(e)
	}
	return t
}

// Apply returns the template after one more event. The receiver doesn't change.
func (t Template) Apply(e domain.Event) Template {
	if e, ok := e.(Event); ok {
		e.apply(&t)
	}
	return t
}

func (t *Template) is(r Ref) {
	id := t.ID
	t.Ref = r
	if r.ID == "" {
		t.ID = id
	}
}

func (e TemplateSynced) apply(t *Template) {
	t.is(e.Ref)
	if t.Status.set(e.Status, e.At) {
		t.Reason, t.ReasonDetail = e.RejectedReason, ""
	}
	t.Quality.set(e.Quality, e.At)
	t.setCategory(t.Category.Value, e.Category, e.At)
	if !e.At.Before(t.ContentAt) && !e.At.Before(t.ListedAt) {
		t.Details, t.ListedAt = e.Details, e.At
	}
}

func (e TemplateStatusChanged) apply(t *Template) {
	t.is(e.Ref)
	if t.Status.set(e.Status, e.At) {
		t.Reason, t.ReasonDetail = e.Reason, e.Detail
	}
}

func (e TemplateCategoryChanged) apply(t *Template) {
	t.is(e.Ref)
	if e.Announced == "" {
		if t.setCategory(cmp.Or(e.Previous, t.Category.Value), e.Category, e.At) {
			t.TTLSeconds = nil // WhatsApp resets it
		}
		t.endAnnouncement(e.At)
		return
	}
	if e.At.After(t.AnnouncedAt) && e.At.After(t.AnnouncementEndedAt) {
		t.Announced, t.AnnouncedFor, t.AnnouncedAt = e.Announced, e.ChangesAt, e.At
	}
}

// setCategory adopts a report of the category, and returns whether it is another one than
// before.
func (t *Template) setCategory(before, category string, at time.Time) (changed bool) {
	if !t.Category.set(category, at) || before == "" || before == category {
		return false
	}
	t.PreviousCategory, t.CategoryChangedAt = before, at
	t.endAnnouncement(at)
	return true
}

// endAnnouncement ends the announcements until a change of the category.
func (t *Template) endAnnouncement(changed time.Time) {
	if changed.After(t.AnnouncementEndedAt) {
		t.AnnouncementEndedAt = changed
	}
	if !t.AnnouncedAt.After(t.AnnouncementEndedAt) {
		t.Announced, t.AnnouncedFor, t.AnnouncedAt = "", time.Time{}, time.Time{}
	}
}

func (e TemplateQualityChanged) apply(t *Template) {
	t.is(e.Ref)
	t.Quality.set(e.Quality, e.At)
}

func (e TemplateContentChanged) apply(t *Template) {
	t.is(e.Ref)
	if e.At.After(t.ContentAt) {
		t.ContentAt = e.At
	}
	if !e.At.Before(t.ListedAt) {
		t.Components, t.ListedAt = nil, time.Time{}
	}
}

func (e TemplateRemoved) apply(t *Template) {
	t.is(e.Ref)
	if t.Status.set(StatusDeleted, e.At) {
		t.Reason, t.ReasonDetail = "", ""
	}
}

func (TemplatesListed) apply(*Template) {}
