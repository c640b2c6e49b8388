package vault

// recent is a bounded map that drops entries that have not been used for long. Entries
// used since half of the limit was filled are kept.
type recent[K comparable, V any] struct {
	half     int
	new, old map[K]V
}

func newRecent[K comparable, V any](limit int) recent[K, V] {
	return recent[K, V]{half: limit / 2, new: make(map[K]V)}
}

func (r *recent[K, V]) get(k K) (V, bool) {
	if v, ok := r.new[k]; ok {
		return v, true
	}
	v, ok := r.old[k]
	if ok {
		r.put(k, v)
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if len(r.new) >= r.half {
		r.old, r.new = r.new, make(map[K]V)
	}
	r.new[k] = v
}

// clear removes everything.
func (r *recent[K, V]) clear() { r.new, r.old = make(map[K]V), nil }
