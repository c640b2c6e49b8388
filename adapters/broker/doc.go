// Package broker connects the platform to the message broker that its user
// already runs: commands come in on one topic, events go out on another.
//
// [Open] chooses the broker by the scheme of a URL. What it answers hides the
// differences, and holds, whatever the broker:
//
//   - A message that was handed out is gone only after it was acknowledged. What a
//     process had in hand when it died comes again.
//   - A message that cannot be read, or that its consumer cannot use, stands in
//     nobody's way.
//   - Publish returns nil only after the broker has the messages.
//   - A broker that is away is waited for; connections, topics and groups are made
//     again when it is back, also when it came back empty.
//
// The libraries below are Watermill's. Each has traps, and each file says by the
// number of its issue, where there is one, which of them it steps around. Those
// common to all: a subscription keeps one message in flight
// (ThreeDotsLabs/watermill#547, #586, #374), so there are as many as is asked for;
// a nack repeats the same message in front of all others
// (ThreeDotsLabs/watermill#224), so consumers here never nack while they run;
// Watermill's Retry middleware sleeps inside the handler and miscounts its delays
// (#271, #690), so it is not used; debug logs carry whole messages, so they are
// dropped.
package broker
