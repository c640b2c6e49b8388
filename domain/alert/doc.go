// Package alert decides when a problem needs an operator's attention.
//
// Rules define such problems. Assess evaluates a rule on the metrics of an instant. Watch
// adds time: a finding must last before an alert is raised, and must be gone for a while
// before the alert is resolved. An alert is an aggregate of its own: it is raised once,
// acknowledged by an operator, and resolved automatically.
package alert
