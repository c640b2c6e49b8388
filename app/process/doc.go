// Package process implements what Waypost does on its own: it follows the log and acts on
// what it finds there.
//
// After a restart, a process can see an event again. It then decides nothing new.
package process
