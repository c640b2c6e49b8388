// Package audit reads the event log for auditors, and records who reads it.
//
// It reads events only from the event log, never from a read model.
package audit
