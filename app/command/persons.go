package command

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/identity"
)

// LinkReader reads links from the read model.
type LinkReader interface {
	// Links returns the links of an ID, the links of every ID that these mention, and so on,
	// and the position that the read model had reached.
	Links(ctx context.Context, id string) ([]identity.Link, event.Position, error)
}

// errRead ends a subscription that has read the log to its end.
var errRead = errors.New("the log was read")

// personOf returns the names of the person with an ID, according to everything that is in the
// event log at the moment. The read model has most of the links, and the log those that are
// not projected yet.
func personOf(ctx context.Context, log event.Log, links LinkReader, id string) ([]identity.Name, error) {
	stored, at, err := links.Links(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("find the IDs of a person: %w", err)
	}
	recent, err := linksAfter(ctx, log, at)
	if err != nil {
		return nil, fmt.Errorf("find the IDs of a person: %w", err)
	}
	// A link that is not projected can lead to an ID that the read model was not asked for.
	asked := map[string]bool{id: true}
	all := slices.Concat(recent, stored)
	for {
		names := identity.PersonOf(all, id)
		grown := false
		for _, n := range names {
			if asked[n.ID] {
				continue
			}
			asked[n.ID] = true
			more, _, err := links.Links(ctx, n.ID)
			if err != nil {
				return nil, fmt.Errorf("find the IDs of a person: %w", err)
			}
			if fresh := without(more, all); len(fresh) > 0 {
				all, grown = append(all, fresh...), true
			}
		}
		if !grown {
			return names, nil
		}
	}
}

// without returns the links that are not among others.
func without(links, others []identity.Link) []identity.Link {
	known := make(map[int64]bool, len(others))
	for _, l := range others {
		known[l.Position] = true
	}
	fresh := links[:0:0]
	for _, l := range links {
		if !known[l.Position] {
			fresh = append(fresh, l)
		}
	}
	return fresh
}

// linksAfter returns the links that were recorded after a position and can be read.
func linksAfter(ctx context.Context, log event.Log, at event.Position) ([]identity.Link, error) {
	var links []identity.Link
	sub := event.Subscription{After: at, Filter: event.Filter{Types: []string{identity.IdentityLinked{}.EventType()}}}
	err := log.Subscribe(ctx, sub, func(_ context.Context, b event.Batch) error {
		for _, r := range b.Events {
			if e, ok := r.Event.(identity.IdentityLinked); ok {
				links = append(links, identity.Link{
					Names: e.Personal, Account: e.BusinessAccountID, At: e.At, Position: int64(r.Position),
				})
			}
		}
		if b.Live {
			return errRead
		}
		return nil
	})
	if err != nil && !errors.Is(err, errRead) {
		return nil, err
	}
	return links, nil
}
