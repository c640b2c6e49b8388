// Package command implements what can be done to Waypost, one file for each use case.
//
// A command loads an aggregate from its repository, lets the domain decide, and appends
// the events. repository.Execute repeats this if another writer appended first.
package command
