// Package privatepg runs a private Postgres for Waypost. Waypost creates, starts, recovers,
// and stops it, with the binaries on the machine, and its data in one directory.
//
// Guarantees:
//
//   - One process per directory: a lock on the file "lock", held as long as the process
//     lives, keeps others out.
//   - No network: the server listens on a Unix socket in a directory of mode 0700, and
//     accepts only root and the user that it runs as.
//   - Never half-created: initdb works in a temporary directory next to the final one, which
//     is renamed when everything is on disk.
//   - Nothing is lost by a kill -9 of Waypost, of Postgres, or of both: fsync and
//     full_page_writes stay on. A server that outlived its Waypost process is stopped by the
//     next one, which first checks that it is really that server.
//   - No statement, and no value in a statement, reaches the log.
//   - Postgres refuses to run as root, so a root process runs it as the user postgres or
//     nobody. That user doesn't have to be able to enter the directories above the data.
//
// The directory contains "cluster" (Postgres's own data), "socket" (the directory of the
// socket, or a link to it), and "lock".
package privatepg
