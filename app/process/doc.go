// Package process holds what Waypost does on its own, beside what it is asked
// for: it follows the log and acts on what it finds there.
//
// Everything here may see an event again after a restart, and then decides for
// nothing new.
package process
