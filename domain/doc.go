// Package domain defines what every aggregate of Waypost shares: the form of an event, who
// caused it, and the few kinds of errors that a caller can act on.
//
// Code in the directories below decides and folds; it does nothing else. It has no clock, no
// randomness, and no I/O. All three are passed in, so that a decision can be repeated from
// the log with the same result.
//
// A decision is a function in the aggregate's decide.go. Its name is an imperative verb, like
// sender.Pause or message.Cancel. Its first parameter is the current state, unless it creates
// the aggregate. It returns the events to append, or none if nothing would change.
package domain
