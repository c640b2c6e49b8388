// Package hook implements the aggregate of an outgoing webhook: the URL that receives
// events, and which events of which senders' messages it receives. It doesn't define what
// is delivered.
package hook
