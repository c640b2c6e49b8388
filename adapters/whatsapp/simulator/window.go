package simulator

import "time"

// window counts the stamps of the last second. Stamps come in order; a window that ends at t holds those
// in (t − 1 s, t]. It keeps one stamp for each call of that second and nothing older.
type window struct {
	stamps []time.Duration // a ring whose length is a power of two
	head   int
	count  int
}

// advance forgets what is a second old or older at now and returns how many stamps are left.
func (w *window) advance(now time.Duration) int {
	for w.count > 0 && now-w.stamps[w.head] >= time.Second {
		w.head = (w.head + 1) & (len(w.stamps) - 1)
		w.count--
	}
	return w.count
}

// add puts the stamp now into the window and returns how many stamps the second that ends with it holds.
func (w *window) add(now time.Duration) int {
	w.advance(now)
	if w.count == len(w.stamps) {
		w.grow()
	}
	w.stamps[(w.head+w.count)&(len(w.stamps)-1)] = now
	w.count++
	return w.count
}

func (w *window) grow() {
	larger := make([]time.Duration, max(16, 2*len(w.stamps)))
	n := copy(larger, w.stamps[w.head:])
	copy(larger[n:], w.stamps[:w.head])
	w.stamps, w.head = larger, 0
}
