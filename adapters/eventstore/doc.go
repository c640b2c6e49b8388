// Package eventstore is the platform's log on an EventStoreDB, embedded or not:
// it implements event.Log over the official client. Appends go over a call of their
// own first, see pipeline; the client has the last word on those that fail.
//
// The client (esdb v4.2.0) has traps that its callers must guard against. All
// guards are in pool.go and connection.go; the rest of the package reaches the
// client only through them:
//
//   - A client whose discovery failed is dead for ever, and calls that waited
//     for the discovery hang without regard to their context. So a client is
//     probed by one goroutine before anybody else gets it, and one that met
//     Unavailable is replaced before it can begin another discovery.
//   - Close during a call panics. So calls are counted and a client is closed
//     when the last one has returned.
//   - A connection carries about 100 calls at a time; further ones would wait in
//     the transport. So calls are limited below that, and subscriptions have a
//     client of their own.
//   - A read that is not closed leaks, and a subscription that drops stays
//     dropped. So reads are always closed, and subscriptions resume by themselves
//     after the last position they handed over.
package eventstore
