// Package migrations contains the SQL of Waypost's tables, in independent sets.
//
// The read model can be dropped and rebuilt from the event log at any time. Its tables are
// unqualified, so that the same files create them in whatever schema is first in the search
// path: the live one, or a fresh one next to it. The state set contains what the event log
// does not: leases and secrets.
package migrations

import "embed"

// ReadModel is the set in the directory "readmodel".
//
//go:embed readmodel/*.sql
var ReadModel embed.FS

// State is the set in the directory "state".
//
//go:embed state/*.sql
var State embed.FS

// Broker is the set in the directory "broker": the tables of the topics, for a Postgres that
// is the user's broker. Its database can be another one than Waypost's own.
//
//go:embed broker/*.sql
var Broker embed.FS

// Egress is the set in the directory "egress": the progress of publishing events to other
// systems. It is applied in addition to the state set.
//
//go:embed egress/*.sql
var Egress embed.FS
