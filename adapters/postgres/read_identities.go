package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/identity"
)

// maxLinks bounds the links of a person that are read. A person has a handful.
const maxLinks = 10_000

// Links returns the links of an ID, the links of every ID that these mention, and so on, and
// the position that the read model had reached.
func (r *ReadModel) Links(ctx context.Context, id string) ([]identity.Link, event.Position, error) {
	at, err := r.ViewsPosition(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, 0, nil // nothing was projected yet
	}
	if err != nil || r.vault == nil {
		return nil, at, err
	}
	links, err := r.linksBetween(ctx, []string{id})
	return links, at, err
}

// linksBetween returns the links of several IDs, the links of every ID that these mention, and so
// on.
func (r *ReadModel) linksBetween(ctx context.Context, ids []string) ([]identity.Link, error) {
	var links []identity.Link
	seen := make(map[int64]bool)
	asked := make(map[string]bool)
	var wanted []string
	want := func(id string) {
		for _, notation := range identity.Notations(id) {
			if !asked[notation] {
				asked[notation] = true
				wanted = append(wanted, notation)
			}
		}
	}
	for _, id := range ids {
		want(id)
	}
	for most := maxLinks * len(ids); len(wanted) > 0 && len(links) < most; {
		found, err := r.linksOf(ctx, wanted)
		if err != nil {
			return nil, err
		}
		wanted = nil
		for _, l := range found {
			if seen[l.Position] {
				continue
			}
			seen[l.Position] = true
			links = append(links, l)
			for _, id := range l.All() {
				want(id)
			}
		}
	}
	return links, nil
}

// storedLink is a row of identity_link.
type storedLink struct {
	position int64
	account  string
	at       time.Time
	key      event.KeyID
	names    []byte
}

// linksOf returns the links that mention an ID, as far as their keys exist.
func (r *ReadModel) linksOf(ctx context.Context, ids []string) ([]identity.Link, error) {
	hashes := make([][]byte, len(ids))
	for i, id := range ids {
		hashes[i] = identityHash(r.vault, id)
	}
	rows, err := r.pool.Query(ctx, `SELECT DISTINCT l.position, l.account, l.at, l.data_key, l.names
		FROM identity_name n JOIN identity_link l USING (position) WHERE n.name = ANY ($1)`, hashes)
	if err != nil {
		return nil, fmt.Errorf("find the links of an ID: %w", err)
	}
	stored, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s storedLink, err error) {
		err = row.Scan(&s.position, &s.account, &s.at, &s.key, &s.names)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("find the links of an ID: %w", err)
	}
	keys := make([]event.KeyID, len(stored))
	for i, s := range stored {
		keys[i] = s.key
	}
	if err := r.vault.Fetch(ctx, keys); err != nil {
		return nil, fmt.Errorf("open the links of an ID: %w", err)
	}
	links := make([]identity.Link, 0, len(stored))
	for _, s := range stored {
		plain, err := r.vault.OpenValue(ctx, s.key, placeOfLink(event.Position(s.position)), s.names)
		var erased *event.ErasedError
		if errors.As(err, &erased) {
			continue
		}
		l := identity.Link{Account: s.account, At: s.at, Position: s.position}
		if err == nil {
			err = json.Unmarshal(plain, &l.Names)
		}
		if err != nil {
			return nil, fmt.Errorf("open the links of an ID: %w", err)
		}
		links = append(links, l)
	}
	return links, nil
}

// keysOfPerson returns the data keys of the person with an ID, under every ID that is linked
// with it.
func (r *ReadModel) keysOfPerson(ctx context.Context, id string) ([]event.KeyID, error) {
	links, _, err := r.Links(ctx, id)
	if err != nil || r.vault == nil {
		return nil, err
	}
	var keys []event.KeyID
	for _, n := range identity.PersonOf(links, id) {
		more, err := r.vault.KeysOf(ctx, n.ID, n.Until)
		if err != nil {
			return nil, err
		}
		keys = append(keys, more...)
	}
	return keys, nil
}

// LinksKnown implements command.KnownLinks.
func (r *ReadModel) LinksKnown(ctx context.Context, links []identity.Link) ([]bool, error) {
	known := make([]bool, len(links))
	if r.vault == nil {
		return known, nil
	}
	var ids []string
	for _, l := range links {
		ids = append(ids, l.All()...)
	}
	slices.Sort(ids)
	stored, err := r.linksOf(ctx, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	for i, l := range links {
		var latest identity.Link
		for _, s := range stored {
			if s.Account == l.Account && s.Names == l.Names && s.Position > latest.Position {
				latest = s
			}
		}
		known[i] = latest.Position > 0 && !contradicted(stored, latest)
	}
	return known, nil
}

// contradicted reports whether a later link gives the number of a link to another user ID: then
// the same link again means that it came back.
func contradicted(stored []identity.Link, l identity.Link) bool {
	return slices.ContainsFunc(stored, func(s identity.Link) bool {
		return s.Account == l.Account && s.Number != "" && s.Number == l.Number && s.UserID != "" && s.UserID != l.UserID && s.Position > l.Position
	})
}

// NumberOf returns the current phone number of the person with a user ID, in E.164, or "" if
// it is not known.
func (r *ReadModel) NumberOf(ctx context.Context, userID string) (string, error) {
	links, _, err := r.Links(ctx, userID)
	if err != nil || len(links) == 0 {
		return "", err
	}
	return identity.NumberOf(links, userID), nil
}
