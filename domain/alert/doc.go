// Package alert decides when something is wrong enough that people have to know.
//
// Rules say what that is. Assess holds the figures of an instant against one of them;
// Watch adds time to it: a finding has to hold, and has to be gone for a while before
// its alert is resolved. An alert is an aggregate of its own: raised once, acknowledged
// by people, resolved alone.
package alert
