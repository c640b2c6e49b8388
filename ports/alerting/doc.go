// Package alerting holds alert rules against the installation, on a clock of its own,
// and tells people of what it finds.
//
// One process at a time evaluates, under a lease in Postgres; when it dies another goes
// on within seconds. Should two believe to be the one for a moment, or should Postgres
// be away, nothing is raised twice: both make the same id for the same alert.
package alerting
