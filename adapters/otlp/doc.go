// Package otlp sends spans to an OpenTelemetry collector over OTLP/HTTP.
//
// Invariants: spans are sent in batches from a bounded queue, and a span that finds the queue
// full is dropped, so that a slow or unavailable collector delays nothing. Whether a message
// is traced is decided once, where its trace begins.
package otlp
