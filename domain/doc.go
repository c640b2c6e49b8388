// Package domain holds what every aggregate of Waypost shares: the form of an
// event, who caused it, and the few kinds of error a caller can act on.
//
// Code below this folder decides and folds; it does nothing else. It has no
// clock, no randomness and no I/O: all three are passed in, so that a decision
// can be made again from the log and come out the same.
package domain
