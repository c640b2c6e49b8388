package store

import (
	"sort"
	"sync"
)

// tail holds the newest records of the log in memory, so that live readers do not read from disk.
type tail struct {
	mu      sync.RWMutex
	records []Record // ring
	first   int      // index of the oldest
	count   int
	bytes   int
	max     int // bytes
	// floor is the position at and above which every record is held.
	floor uint64
}

func newTail(records, bytes int, floor uint64) *tail {
	return &tail{records: make([]Record, records), max: bytes, floor: floor}
}

func (t *tail) at(i int) *Record { return &t.records[(t.first+i)%len(t.records)] }

func (t *tail) add(records []Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range records {
		if t.count == len(t.records) {
			t.drop()
		}
		*t.at(t.count) = r
		t.count++
		t.bytes += len(r.Wire)
		for t.bytes > t.max && t.count > 1 {
			t.drop()
		}
	}
}

func (t *tail) drop() {
	oldest := t.at(0)
	t.floor = oldest.Position + 1
	t.bytes -= len(oldest.Wire)
	*oldest = Record{}
	t.first = (t.first + 1) % len(t.records)
	t.count--
}

// from appends the records at or above a position to page, in order, until the page is full. It returns false if the
// tail does not reach back that far.
func (t *tail) from(position uint64, page *Page) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if position < t.floor {
		return false
	}
	i := sort.Search(t.count, func(i int) bool { return t.at(i).Position >= position })
	for ; i < t.count && !page.full(); i++ {
		page.add(*t.at(i))
	}
	return true
}

// get returns the record at a position.
func (t *tail) get(position uint64) (Record, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if position < t.floor {
		return Record{}, false
	}
	i := sort.Search(t.count, func(i int) bool { return t.at(i).Position >= position })
	if i == t.count || t.at(i).Position != position {
		return Record{}, false
	}
	return *t.at(i), true
}
