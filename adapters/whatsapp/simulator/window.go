package simulator

import (
	"slices"
	"time"
)

// maxLate is the maximum delay between a call's arrival and its notice for which its stamp is correct.
const maxLate = time.Second

// window counts stamps in sliding seconds. A second that ends at t contains the stamps in (t − 1 s, t]. Stamps can
// arrive out of order by up to maxLate.
type window struct {
	stamps []time.Duration // sorted; stamps that no future stamp shares a second with are removed
}

// with calls visit for each second that would contain a stamp at that time and that ends with a stamp, its own first,
// with the number of stamps that it would contain.
func (w *window) with(at time.Duration, visit func(inSecond int)) {
	own, _ := slices.BinarySearch(w.stamps, at+1)
	first, _ := slices.BinarySearch(w.stamps, at-time.Second+1)
	visit(own - first + 1)
	for last := own; last < len(w.stamps) && w.stamps[last]-at < time.Second; last++ {
		for w.stamps[last]-w.stamps[first] >= time.Second && first < own {
			first++
		}
		visit(last - first + 2)
	}
}

// add inserts a stamp in order.
func (w *window) add(at time.Duration) {
	i, _ := slices.BinarySearch(w.stamps, at+1)
	w.stamps = slices.Insert(w.stamps, i, at)
	newest, old := w.stamps[len(w.stamps)-1], 0
	for newest-w.stamps[old] >= time.Second+maxLate {
		old++
	}
	w.stamps = w.stamps[old:]
}
