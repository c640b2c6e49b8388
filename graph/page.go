package graph

import (
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
)

// The default page sizes.
const (
	defaultPage    = 50
	defaultHistory = 100
)

// firstOf returns the requested number of entries.
func firstOf(first *int, otherwise int) (int, error) {
	if first == nil {
		return otherwise, nil
	}
	if *first < 1 || *first > query.MaxPage {
		return 0, domain.Invalid("first", "must be 1 to %d, got %d", query.MaxPage, *first)
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

// pageInfo describes a page by the cursors of its entries.
func pageInfo(cursors []string, after *string, more bool) *PageInfo {
	info := &PageInfo{HasNextPage: more, HasPreviousPage: after != nil}
	if n := len(cursors); n > 0 {
		info.StartCursor, info.EndCursor = &cursors[0], &cursors[n-1]
	}
	return info
}
