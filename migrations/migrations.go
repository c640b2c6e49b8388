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
