// Package otlp sends spans to an OpenTelemetry collector over OTLP/HTTP.
//
// Its invariants: spans leave in batches from a bounded queue, and one that finds it full
// is dropped, so that a collector which is away or slow holds up nothing; whether a message is traced is decided once, where its trace begins.
package otlp
