package graph

import (
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/template"
)

// TemplateQueuesOf returns the queues of the templates of a response.
type TemplateQueuesOf func() (query.TemplateQueues, error)

// templatesOf returns the caller's view of templates. Their queues are read once, when one is
// requested.
func (r *Resolver) templatesOf(ctx context.Context, templates []query.Template) []*Template {
	var accounts []string
	for _, t := range templates {
		if n := len(accounts); n == 0 || accounts[n-1] != t.BusinessAccountID {
			accounts = append(accounts, t.BusinessAccountID)
		}
	}
	senders := callerOf(ctx).SenderIds
	queues := sync.OnceValues(func() (query.TemplateQueues, error) { return r.opts.Queries.TemplateQueues(ctx, accounts, senders) })
	views := make([]*Template, len(templates))
	for i, t := range templates {
		views[i] = templateView(t, queues)
	}
	return views
}

func templateView(t query.Template, queues TemplateQueuesOf) *Template {
	v := &Template{
		BusinessAccountID: t.BusinessAccountID, Name: t.Name, Language: t.Language, WhatsappID: given(t.ID),
		Status: t.Status.Value, StatusAt: t.Status.At, StatusReason: given(t.Reason), StatusDetail: given(t.ReasonDetail), Sending: sendingOf(t.Template),
		Category: given(t.Category.Value), PreviousCategory: given(t.PreviousCategory), CategoryChangedAt: instant(t.CategoryChangedAt),
		AnnouncedCategory: given(t.Announced), AnnouncedFor: instant(t.AnnouncedFor), CorrectCategory: given(t.CorrectCategory),
		Quality: given(t.Quality.Value), ParameterFormat: given(t.ParameterFormat), Components: t.Components, ListedAt: instant(t.ListedAt),
		Queues: queues,
	}
	if t.TTLSeconds != nil && *t.TTLSeconds > 0 {
		ttl := time.Duration(*t.TTLSeconds) * time.Second
		v.TimeToLive = &ttl
	}
	return v
}

func sendingOf(t template.Template) TemplateSending {
	switch t.Sendability() {
	case template.Waiting:
		return TemplateSendingWaiting
	case template.Unsendable:
		return TemplateSendingFailing
	case template.Sendable:
	}
	return TemplateSendingSending
}

// queued returns the number of open messages of a template.
func (t *Template) queued() (int64, error) {
	queues, err := t.Queues()
	if err != nil {
		return 0, err
	}
	return queues[t.BusinessAccountID][message.TemplateKey(t.Name, t.Language)], nil
}

// templateFilter returns the filter of a caller, who sees the templates of their senders'
// accounts only.
func templateFilter(ctx context.Context, in *TemplateFilter) query.TemplateFilter {
	f := query.TemplateFilter{SenderIDs: callerOf(ctx).SenderIds}
	if in != nil {
		f.BusinessAccountID, f.Name, f.Language = in.BusinessAccountID, in.Name, in.Language
		f.Status, f.Category, f.Quality = upper(in.Status), upper(in.Category), upper(in.Quality)
	}
	return f
}

func upper(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strings.ToUpper(w)
	}
	return out
}

// templateCursorSeparator separates the parts of a cursor. None of them contains it.
const templateCursorSeparator = "\n"

func templateCursor(t query.Template) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join([]string{t.BusinessAccountID, t.Name, t.Language}, templateCursorSeparator)))
}

func templatePlace(cursor *string) (*query.TemplatePlace, error) {
	if cursor == nil {
		return nil, nil //nolint:nilnil // the list starts at its top
	}
	plain, err := base64.RawURLEncoding.DecodeString(*cursor)
	parts := strings.Split(string(plain), templateCursorSeparator)
	if err != nil || len(parts) != 3 {
		return nil, domain.Invalid("after", "must be the cursor of a template")
	}
	for _, part := range parts {
		if err := domain.CheckLine("after", part, 0, maxText); err != nil {
			return nil, err
		}
	}
	return &query.TemplatePlace{BusinessAccountID: parts[0], Name: parts[1], Language: parts[2]}, nil
}

// demandAccount returns an error if the caller's key has access to no sender of a business
// account.
func (r *Resolver) demandAccount(ctx context.Context, account string) error {
	c := callerOf(ctx)
	if c.KeyID != "" && c.SenderIds == nil {
		return nil
	}
	for _, id := range c.SenderIds {
		s, err := r.opts.Queries.FindSender(ctx, id)
		if err == nil && s.BusinessAccountID == account {
			return nil
		}
	}
	return &domain.Error{Code: domain.CodeForbidden, Field: "businessAccountId", Message: "the key is limited to senders of other business accounts"}
}
