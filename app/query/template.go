package query

import (
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/template"
)

// Template is a message template.
type Template struct {
	template.Template

	Position event.Position
}

// TemplateFilter selects message templates. A field that is nil or empty does not filter.
type TemplateFilter struct {
	BusinessAccountID *string
	Name, Language    *string
	Status            []string
	Category          []string
	Quality           []string
	// SenderIDs are the senders that the caller can see. If not nil, only the templates of
	// their business accounts are selected.
	SenderIDs []string
}

// TemplatePlace is the place of a template in the order of lists: by account, name, and
// language.
type TemplatePlace struct{ BusinessAccountID, Name, Language string }

// TemplatePage is a page of message templates.
type TemplatePage struct {
	Templates   []Template
	HasNextPage bool
}

// TemplateQueues are the numbers of open messages of templates, by business account and
// message.TemplateKey. Templates without open messages can be missing.
type TemplateQueues map[string]map[string]int64
