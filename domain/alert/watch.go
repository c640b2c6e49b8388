package alert

import (
	"maps"
	"slices"
	"time"
)

// A Watch adds time to findings: a breach must last before an alert is raised, and be gone
// for as long before the alert is resolved. Each rule has its own Watch.
type Watch struct {
	breached map[Key]time.Time // start of the breach
	cleared  map[Key]time.Time
}

// NewWatch returns a Watch that has seen no findings.
func NewWatch() *Watch {
	return &Watch{breached: make(map[Key]time.Time), cleared: make(map[Key]time.Time)}
}

// Step records the findings at now. It returns the findings to raise, and the keys of the
// open alerts of this rule to resolve.
func (w *Watch) Step(r Rule, findings []Finding, open []Key, now time.Time) (raise []Finding, resolve []Key) {
	isOpen := make(map[Key]bool, len(open))
	for _, k := range open {
		isOpen[k] = true
	}
	level := make(map[Key]Level, len(findings))
	for _, f := range findings {
		k := Key{r.ID, f.Sender, f.Severity}
		level[k] = f.Level
		if f.Level == Between { // an open alert stays open, whatever its severity
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
			delete(w.cleared, k)
			continue
		}
		if _, seen := w.cleared[k]; !seen {
			w.cleared[k] = now
		}
		if now.Sub(w.cleared[k]) >= r.clearFor() {
			resolve = append(resolve, k)
		}
	}
	maps.DeleteFunc(w.cleared, func(k Key, _ time.Time) bool { return !isOpen[k] || slices.Contains(resolve, k) })
	return raise, resolve
}
