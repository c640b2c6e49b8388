package graph

import (
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
)

// How many entries a page has that asks for none in particular.
const (
	defaultPage    = 50
	defaultHistory = 100
)

// firstOf reads how many entries are asked for.
func firstOf(first *int, otherwise int) (int, error) {
	if first == nil {
		return otherwise, nil
	}
	if *first < 1 || *first > query.MaxPage {
		return 0, domain.Invalid("first", "is %d, 1 to %d are allowed", *first, query.MaxPage)
	}
	return *first, nil
}

func (r *Resolver) page(first *int, after *string) (query.Page, error) {
	n, err := firstOf(first, defaultPage)
	if err != nil {
		return query.Page{}, err
	}
	at, err := r.position(after)
	return query.Page{First: n, After: at}, err
}

// pageInfo tells of a page by the cursors of its entries.
func pageInfo(cursors []string, after *string, more bool) *PageInfo {
	info := &PageInfo{HasNextPage: more, HasPreviousPage: after != nil}
	if n := len(cursors); n > 0 {
		info.StartCursor, info.EndCursor = &cursors[0], &cursors[n-1]
	}
	return info
}
