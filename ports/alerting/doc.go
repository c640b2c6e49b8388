// Package alerting evaluates the alert rules on the state of the installation every
// second, and raises and resolves alerts.
//
// One process at a time evaluates the rules. It has a lease in Postgres. When it dies,
// another process continues within seconds. If two processes evaluate for a moment, or if
// Postgres is unavailable, no alert is raised twice: both derive the same ID for the same
// alert.
package alerting
