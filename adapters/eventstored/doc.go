// Package eventstored is the embedded event store: a single-node server that speaks EventStoreDB's gRPC protocol, so
// that the official clients cannot tell it from EventStoreDB. The engine is package store; this package is the protocol.
//
// It serves event_store.client.streams (append, batch append, read, subscriptions, delete, tombstone),
// event_store.client.persistent_subscriptions, event_store.client.server_features and event_store.client.gossip. Beyond the
// loopback interface it insists on TLS and users. Backups and scavenges of a running server are asked for on a loopback
// port of its own; see Operator.
//
// Events are sent as they are stored: the stored form is the wire form. The protocol's Go types are imported from the
// client that is in use, because one program cannot hold the same protobuf messages twice.
package eventstored
