// Package broker connects Waypost to the message broker that its user already runs.
// Commands are consumed from one topic, and events are published to another.
//
// [Open] selects the broker by the scheme of a URL. The returned [Broker] hides the
// differences and guarantees, for every broker:
//
//   - A delivered message is removed only after it is acknowledged. Messages that a
//     process had not acknowledged when it died are delivered again.
//   - A message that cannot be read, or that its consumer cannot use, doesn't block
//     other messages.
//   - Publish returns nil only after the broker has stored the messages.
//   - While the broker is unreachable, operations are retried. Connections, topics, and
//     groups are created again once it is back, even if it lost all its data.
//
// The underlying libraries are Watermill's. They have pitfalls. Each file lists the ones
// that it works around, with issue numbers where they exist. The following apply to all
// of them:
//
//   - A subscription keeps one message in flight (ThreeDotsLabs/watermill#547, #586,
//     #374). So there are as many subscriptions as messages in progress.
//   - A nack redelivers the same message before all others (ThreeDotsLabs/watermill#224).
//     So consumers here never nack while they run.
//   - The Retry middleware sleeps inside the handler and miscalculates its delays (#271,
//     #690). So it isn't used.
//   - Debug logs contain whole messages. So they are dropped.
package broker
