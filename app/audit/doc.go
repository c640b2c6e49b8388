// Package audit reads the log as an auditor does, and records who did so.
//
// What it reads comes from the log itself, never from a read model.
package audit
