// Package alert decides when a problem needs an operator's attention.
//
// Rules define such problems. Assess evaluates a rule on the metrics of an instant. Watch
// adds time: a finding must last before an alert is raised, and must be gone for a while
// before the alert is resolved. An alert is an aggregate of its own: it is raised once,
// acknowledged by an operator, and resolved automatically.
//
// A Silence keeps notifications back until a time. The events of an alert record when a
// silence covers it, so that those who follow them need to know neither the silences nor the
// time. An alert that was raised under a silence and outlasts it is reported then.
package alert
