// Package migrations holds the SQL of Waypost's tables, in two sets that live
// and die apart.
//
// The read model can be dropped and built again from the log at any time. Its
// tables are unqualified, so that the same files fill whatever schema stands
// first in the search path: the live one, or a fresh one beside it. The state
// set is what the log doesn't hold: leases, and secrets.
package migrations

import "embed"

// ReadModel is the set in the folder "readmodel".
//
//go:embed readmodel/*.sql
var ReadModel embed.FS

// State is the set in the folder "state".
//
//go:embed state/*.sql
var State embed.FS

// Broker is the set in the folder "broker": the topics' tables, for a Postgres that
// is the user's broker. Its database need not be Waypost's own.
//
//go:embed broker/*.sql
var Broker embed.FS

// Egress is the set in the folder "egress": how far events have left to other
// systems. It stands beside the state set.
//
//go:embed egress/*.sql
var Egress embed.FS
