// Package datadir provides what the parts of Waypost that keep data in a local directory share: a lock on the
// directory, and a private directory for Unix sockets.
package datadir
