package simulator

import (
	"slices"
	"time"
)

// maxLate is how much later than it arrived a call may be noticed, for its stamp to be right.
const maxLate = time.Second

// window counts stamps in sliding seconds; one that ends at t holds those in (t − 1 s, t]. Stamps may come
// out of order by up to maxLate.
type window struct {
	stamps []time.Duration // sorted; those that no stamp to come shares a second with are forgotten
}

// with visits the seconds that a stamp at that time would be in and that end with a stamp, its own first, and
// says how many stamps each would hold.
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

// add puts a stamp where it belongs.
func (w *window) add(at time.Duration) {
	i, _ := slices.BinarySearch(w.stamps, at+1)
	w.stamps = slices.Insert(w.stamps, i, at)
	newest, old := w.stamps[len(w.stamps)-1], 0
	for newest-w.stamps[old] >= time.Second+maxLate {
		old++
	}
	w.stamps = w.stamps[old:]
}
