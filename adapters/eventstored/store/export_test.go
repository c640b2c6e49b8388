package store

import "github.com/cockroachdb/pebble/v2/vfs"

// OnFS returns options for a store on another file system.
func (o Options) OnFS(fs vfs.FS) Options {
	o.fs = fs
	return o
}

// AppendRecord encodes an event as it is stored.
var AppendRecord = appendRecord
