// Package store is the engine of the embedded event store: an append-only log of events on Pebble, without any
// network protocol.
//
// Invariants:
//
//   - One goroutine, the committer, decides and writes. It takes whatever requests wait, decides them one after the
//     other, writes them as one batch and syncs it before anybody gets an answer. A refusal waits for the same sync,
//     because it may rest on an event of the same batch.
//   - An event's position is the running byte offset of its record. Positions grow strictly and are not dense.
//   - A reader sees an event only when it is synced. Pebble shows a batch before its log is on disk, so every read is
//     bounded by the committed position.
//   - A record is kept in the form in which it goes over the wire (ReadResp of event_store.client.streams), so reading
//     costs neither decoding nor encoding.
//   - The memory in use is bounded: block cache, memtables, the tail of newest records and the cache of recent ids
//     each have a limit in Options.
package store
