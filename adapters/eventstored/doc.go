// Package eventstored implements the embedded event store: a single-node server that speaks EventStoreDB's gRPC protocol,
// so that the official clients cannot distinguish it from EventStoreDB. Package store is the engine. This package
// implements the protocol.
//
// It serves event_store.client.streams (append, batch append, read, subscriptions, delete, tombstone),
// event_store.client.persistent_subscriptions, event_store.client.server_features, and event_store.client.gossip. A TCP
// address requires TLS and users, unless a loopback address is opened with Options.Insecure. Backups and scavenges of a
// running server are requested over a separate Unix socket; see Operator.
//
// Events are sent as they are stored: the stored format is the wire format. The protocol's Go types are imported from the
// client library, because one program cannot contain the same protobuf messages twice.
package eventstored
