// Package privatepg runs a Postgres of the program's own: made, started,
// recovered and stopped by the program, from the binaries that the machine
// has, with its data in one folder.
//
// It holds to the following:
//
//   - One program per folder: a lock on the file "lock", held as long as the
//     program lives, refuses a second one.
//   - No network: the server listens on a Unix socket in a folder of mode 0700,
//     and lets in only root and the user it runs as.
//   - Never half made: initdb works in a folder beside the final one, which
//     gets its name when all is on disk.
//   - Nothing is lost by a kill -9, of the program, of Postgres or of both:
//     fsync and full_page_writes stay on. A server that outlived its program is
//     stopped by the next one, after a look at whether it is really that server.
//   - No statement, and no value of one, reaches the log.
//   - Postgres refuses to run as root, so a program that is root runs it as the
//     user postgres, or nobody. That user need not be able to enter the folders
//     above the data.
//
// The folder holds "cluster" (Postgres's own data), "socket" (the folder of the
// socket, or a link to it) and "lock".
package privatepg
