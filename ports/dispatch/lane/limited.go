package lane

import (
	"slices"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
)

// recount is how much of the time before the last look is looked at again: what was counted then
// may not have been committed yet.
const recount = 5 * time.Second

// limited is what a lane knows of its items that await the messaging limit. They stay in the work
// list until they can be called.
type limited struct {
	// wrote is the position up to which people who wrote were looked for, and counted the time up
	// to which people who were counted were.
	wrote   event.Position
	counted time.Time
	// without are the paused labels whose items were passed over since then.
	without []string
}

// PlanLimited returns the lane's request for items that await the messaging limit of a portfolio,
// given how many further people can be called. It returns false if the lane takes none.
func (l *Lane) PlanLimited(portfolio string, room int) (r work.LimitRequest, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenure != serving || l.overloaded() {
		return r, false
	}
	free := l.prefetch()
	for class := range l.queues {
		free -= len(l.queues[class].timed)
	}
	if free <= 0 {
		return r, false
	}
	if slices.ContainsFunc(l.limited.without, func(label string) bool { return !l.gates.isPaused(label) }) {
		l.limited = limited{} // of the resumed campaign, all must be looked for
	}
	var paused []string
	for label, g := range l.gates.labels {
		if g.anyLeft() && l.gates.isPaused(label) && len(paused) < maxSkipped {
			paused = append(paused, label)
		}
	}
	return work.LimitRequest{
		SkipLabels: paused,
		Sender:     l.id, Portfolio: portfolio, Room: min(room, free), Most: free, Wrote: l.limited.wrote, Counted: l.limited.counted,
	}, true
}

// TakeLimited queues the items that a request of PlanLimited at the time now returned, although they
// are not due. views is the position up to which the people of the request are known.
func (l *Lane) TakeLimited(r *work.LimitRequest, items []work.Item, views event.Position, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenure == gone {
		return
	}
	for i := range items {
		f := &Flight{item: items[i], lane: l}
		if l.shared.Known.add(f) {
			l.queues[rank(f.item.Priority)].push(f)
		}
	}
	if len(items) < r.Most { // otherwise there can be more of them
		without := slices.Concat(l.limited.without, r.SkipLabels)
		slices.Sort(without)
		l.limited = limited{wrote: views, counted: now.Add(-recount), without: slices.Compact(without)}
	}
}
