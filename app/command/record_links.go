package command

import (
	"context"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/webhook"
	"github.com/waypost/waypost/domain/identity"
)

// KnownLinks finds the links that are recorded.
type KnownLinks interface {
	// LinksKnown reports for each link whether a recorded one of the same account has the same
	// names. A link whose data key is destroyed is not known.
	LinksKnown(ctx context.Context, links []identity.Link) ([]bool, error)
}

// linkedFor is how long a link that this process has just recorded is not recorded again, until
// the read model knows it.
const linkedFor = 2 * time.Second

// linkedNow remembers the links that this process has just recorded. It is safe for concurrent
// use.
type linkedNow struct {
	at *lru.Cache[linkKey, linkedAt]
}

// linkedAt is when a link was recorded, and in which era of the data keys: an erasure begins
// another one, and can have destroyed the link.
type linkedAt struct {
	at  time.Time
	era uint64
}

// linkKey identifies a link.
type linkKey struct {
	account string
	names   identity.Names
}

func newLinkedNow() *linkedNow {
	at, err := lru.New[linkKey, linkedAt](rememberedIDs)
	if err != nil {
		panic(err) // the limit is not positive
	}
	return &linkedNow{at}
}

func keyOfLink(l webhook.Link) linkKey { return linkKey{l.BusinessAccountID, l.Names} }

func (n *linkedNow) has(l webhook.Link, now linkedAt) bool {
	then, ok := n.at.Get(keyOfLink(l))
	return ok && then.era == now.era && now.at.Sub(then.at) < linkedFor
}

// recordLinks records which IDs belong to one person, as far as that is not recorded yet. It
// runs after everything else of the delivery is recorded: a link that an erasure destroys in
// between is recorded again.
func (h *RecordWebhook) recordLinks(ctx context.Context, links []webhook.Link, cause event.Cause) error {
	now := linkedAt{h.clock(), h.reports.messages.Era()}
	fresh := links[:0:0]
	for _, l := range links {
		if !h.linked.has(l, now) {
			fresh = append(fresh, l)
		}
	}
	fresh = h.unknownOf(ctx, fresh)
	items := make([]item, 0, len(fresh))
	for _, l := range fresh {
		if l.At.IsZero() {
			l.At = now.at
		}
		items = append(items, item{stream: event.IdentityStream(event.StreamPart(l.BusinessAccountID)), together: true, new: event.Proposed{
			ID: h.reports.messages.ids(),
			Event: identity.IdentityLinked{
				BusinessAccountID: l.BusinessAccountID, Source: l.Source, At: l.At, Personal: l.Names,
			},
			Subject: event.Subject{People: l.All(), Same: true},
		}})
	}
	if err := h.appendItems(ctx, items, cause); err != nil {
		return err
	}
	for _, l := range fresh {
		h.linked.at.Add(keyOfLink(l), now)
	}
	return nil
}

// unknownOf returns the links that are not recorded. If the read model fails, that is all of
// them: a link twice does no harm.
func (h *RecordWebhook) unknownOf(ctx context.Context, links []webhook.Link) []webhook.Link {
	if len(links) == 0 || h.known == nil {
		return links
	}
	asked := make([]identity.Link, len(links))
	for i, l := range links {
		asked[i] = identity.Link{Names: l.Names, Account: l.BusinessAccountID}
	}
	lookup, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var known []bool
	err := each(lookup, h.lookups, 1, func(ctx context.Context, _ int) (err error) {
		known, err = h.known.LinksKnown(ctx, asked)
		return err
	})
	if err != nil || len(known) != len(links) {
		return links
	}
	unknown := links[:0:0]
	for i, l := range links {
		if !known[i] {
			unknown = append(unknown, l)
		}
	}
	return unknown
}
