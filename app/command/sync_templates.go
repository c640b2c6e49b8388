package command

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
)

const (
	// syncTimeout bounds a sync. A listing of 6,000 templates has 30 pages.
	syncTimeout = 5 * time.Minute
	// syncAppends is the number of templates of a sync that are recorded concurrently.
	syncAppends = 16
	// syncTries is the number of senders of an account whose tokens are tried.
	syncTries = 5
)

// ListTemplates lists the templates of a sender's business account at WhatsApp, page by page,
// in normalized form. If it returns nil, yield has got all of them.
type ListTemplates func(ctx context.Context, s sender.Sender, yield func([]template.Listing) error) error

// SyncTemplates records what WhatsApp lists about the templates of business accounts. It is
// safe for concurrent use.
type SyncTemplates struct {
	templates *repository.Templates
	senders   func(context.Context) ([]sender.Sender, error)
	list      ListTemplates
	clock     event.Clock
	logger    *slog.Logger

	// readNumber can be nil.
	readNumber   ReadNumber
	changeSender ChangeSender

	turns sync.Map // a channel with one slot for each account
}

// NewSyncTemplates returns the use case. senders returns all senders.
func NewSyncTemplates(
	templates *repository.Templates, senders func(context.Context) ([]sender.Sender, error), list ListTemplates, clock event.Clock, logger *slog.Logger,
) *SyncTemplates {
	return &SyncTemplates{templates: templates, senders: senders, list: list, clock: clock, logger: logger}
}

// TemplateSync is the result of a sync.
type TemplateSync struct {
	// Count is the number of templates that WhatsApp listed, Changed that of those that were
	// new or different, and Removed that of those that no longer exist.
	Count, Changed, Removed int
	Took                    time.Duration
}

// Accounts returns the business accounts of all senders, sorted.
func (h *SyncTemplates) Accounts(ctx context.Context) ([]string, error) {
	all, err := h.senders(ctx)
	if err != nil {
		return nil, err
	}
	var accounts []string
	for _, s := range all {
		if s.BusinessAccountID != "" {
			accounts = append(accounts, s.BusinessAccountID)
		}
	}
	slices.Sort(accounts)
	return slices.Compact(accounts), nil
}

// Handle syncs the templates of an account, with the token of one of its senders. Another
// sync of the account by this process ends first. At the end, it syncs the numbers of the senders. An empty or incomplete listing removes
// nothing.
func (h *SyncTemplates) Handle(ctx context.Context, account string, cause event.Cause) (TemplateSync, error) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	slot, _ := h.turns.LoadOrStore(account, make(chan struct{}, 1))
	turn := slot.(chan struct{}) //nolint:forcetypeassert // the map holds nothing else
	if !acquire(ctx, turn) {
		return TemplateSync{}, domain.Unavailable("another sync of account %s is still running; try again later", account)
	}
	defer func() { <-turn }()
	senders, err := h.sendersOf(ctx, account)
	if err != nil {
		return TemplateSync{}, err
	}
	defer h.syncNumbers(ctx, senders, cause)
	var failure error
	for _, s := range senders[:min(len(senders), syncTries)] {
		result, err := h.sync(ctx, account, s, cause)
		if err == nil {
			h.logger.InfoContext(ctx, "templates synced", "account", account, "count", result.Count, "changed", result.Changed,
				"removed", result.Removed, "took", result.Took)
			return result, nil
		}
		failure = cmp.Or(failure, err)
		if ctx.Err() != nil {
			break
		}
	}
	return TemplateSync{}, failure
}

// sendersOf returns the senders of an account.
func (h *SyncTemplates) sendersOf(ctx context.Context, account string) ([]sender.Sender, error) {
	all, err := h.senders(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(s sender.Sender) bool { return s.BusinessAccountID != account })
	if account == "" || len(all) == 0 {
		return nil, domain.NotFound("no sender has the business account ID %.64q; set it with updateSender", account)
	}
	return all, nil
}

// sync lists and records the templates of an account with the token of a sender.
func (h *SyncTemplates) sync(ctx context.Context, account string, s sender.Sender, cause event.Cause) (TemplateSync, error) {
	requested := h.clock()
	listed := make(map[string]bool)
	var result TemplateSync
	slots := make(chan struct{}, syncAppends)
	var recording error
	err := h.list(ctx, s, func(page []template.Listing) error {
		changes := page[:0:0]
		for _, l := range page {
			listed[message.TemplateKey(l.Name, l.Language)] = true
			if !h.templates.Says(l) {
				changes = append(changes, l)
			}
		}
		changed, err := h.change(ctx, slots, len(changes), func(ctx context.Context, i int) (int, error) {
			l := changes[i]
			return h.templates.Change(ctx, l.Ref, cause, func(t template.Template) []domain.Event { return template.Sync(t, l, requested) })
		})
		result.Changed += changed
		recording = err
		return err
	})
	switch {
	case recording != nil:
		return result, recording
	case domain.CodeOf(err) == domain.CodeInternal:
		return result, domain.Unavailable("%v; check that the token of sender %s has the permission whatsapp_business_management", err, s.ID)
	case err != nil:
		return result, err
	}
	if result.Count = len(listed); result.Count == 0 {
		return result, nil // there is nothing to compare messages with
	}
	gone := h.templates.Removable(account, listed)
	result.Removed, err = h.change(ctx, slots, len(gone), func(ctx context.Context, i int) (int, error) {
		return h.templates.Change(ctx, gone[i], cause, func(t template.Template) []domain.Event { return template.Remove(t, requested) })
	})
	if err != nil {
		return result, err
	}
	if err := h.templates.Listed(ctx, account, result.Count, requested, cause); err != nil {
		return result, err
	}
	result.Took = h.clock().Sub(requested)
	return result, nil
}

// change calls do for 0 to n-1, some concurrently, and returns how many of the calls recorded
// something.
func (h *SyncTemplates) change(
	ctx context.Context, slots chan struct{}, n int, do func(ctx context.Context, i int) (recorded int, err error),
) (changed int, err error) {
	recorded := make([]int, n)
	err = each(ctx, slots, n, func(ctx context.Context, i int) (err error) {
		recorded[i], err = do(ctx, i)
		return err
	})
	for _, r := range recorded {
		if r > 0 {
			changed++
		}
	}
	return changed, err
}
