package alert

import (
	"maps"
	"slices"
	"time"
)

// Watch adds time to findings: a breach has to hold before it is raised, and to be
// gone for as long before its alert is resolved. One rule is one Watch.
type Watch struct {
	breached map[Key]time.Time // since when
	mended   map[Key]time.Time
}

// NewWatch makes a watch of which nothing has been seen.
func NewWatch() *Watch {
	return &Watch{breached: make(map[Key]time.Time), mended: make(map[Key]time.Time)}
}

// Step takes in the findings at now. It answers what is to be raised, and the keys of
// the open alerts of this rule that are to be resolved.
func (w *Watch) Step(r Rule, findings []Finding, open []Key, now time.Time) (raise []Finding, resolve []Key) {
	isOpen := make(map[Key]bool, len(open))
	for _, k := range open {
		isOpen[k] = true
	}
	level := make(map[Key]Level, len(findings))
	for _, f := range findings {
		k := Key{r.ID, f.Sender, f.Severity}
		level[k] = f.Level
		if f.Level == Between { // an open alert stays, of whichever severity it is
			level[Key{r.ID, f.Sender, Warning}], level[Key{r.ID, f.Sender, Critical}] = Between, Between
		}
		if f.Level != Breach {
			continue
		}
		if _, seen := w.breached[k]; !seen {
			w.breached[k] = now
		}
		if !isOpen[k] && now.Sub(w.breached[k]) >= r.For {
			raise = append(raise, f)
		}
	}
	for k := range w.breached {
		if level[k] != Breach {
			delete(w.breached, k)
		}
	}
	for _, k := range open {
		if l, found := level[k]; found && l != Clear {
			delete(w.mended, k)
			continue
		}
		if _, seen := w.mended[k]; !seen {
			w.mended[k] = now
		}
		if now.Sub(w.mended[k]) >= r.clearFor() {
			resolve = append(resolve, k)
		}
	}
	maps.DeleteFunc(w.mended, func(k Key, _ time.Time) bool { return !isOpen[k] || slices.Contains(resolve, k) })
	return raise, resolve
}
