// Package eventstore implements event.Log on an event store: EventStoreDB, or the embedded
// store of this process.
//
// Log contains everything that doesn't depend on how the store is reached: encoding and
// decoding, the feed that subscriptions share, and the check for a log that has become
// shorter. A backend moves encoded events. There are two:
//
//   - embedded calls the engine of an embedded store in this process.
//   - client connects to the store that a URL names, with the official client. Appends first
//     use one long-lived call (see pipeline). If that call is not open, or returns neither
//     success nor a wrong-revision error, the append goes through the official client, whose
//     result is final.
//
// The official client (esdb v4.2.0) has pitfalls. All workarounds are in pool.go and
// connection.go; the rest of the package uses it only through them:
//
//   - After a failed discovery, a client never recovers, and calls waiting for the
//     discovery hang regardless of their context. So one goroutine probes a client before
//     anyone else gets it, and a client that met Unavailable is replaced before it can
//     start another discovery.
//   - Close panics during a call. So calls are counted, and a client is closed when the
//     last one has returned.
//   - A connection carries about 100 concurrent calls; more would wait in the transport. So
//     calls are limited below that, and subscriptions have their own client.
//   - An unclosed read leaks, and a dropped subscription stays dropped. So reads are always
//     closed, and subscriptions resume automatically after the last position they delivered.
package eventstore
