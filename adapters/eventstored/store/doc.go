// Package store is the engine of the embedded event store: an append-only event log on Pebble, without a network
// protocol.
//
// Invariants:
//
//   - One goroutine, the committer, decides and writes. It takes all waiting requests, decides them one after the other,
//     writes them as one batch, and syncs the batch before any of them gets a response. A rejection waits for the same
//     sync, because it can depend on an event of the same batch.
//   - An event's position is the byte offset of its record. Positions strictly increase and are not dense.
//   - A reader sees an event only after it is synced. Pebble shows a batch before its log is on disk, so every read is
//     bounded by the committed position.
//   - A record is stored in its wire format (ReadResp of event_store.client.streams), so a read neither decodes nor
//     encodes it.
//   - Memory is bounded: the block cache, the memtables, the tail of newest records, and the cache of recent IDs each
//     have a limit in Options.
package store
