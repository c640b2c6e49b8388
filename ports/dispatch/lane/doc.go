// Package lane implements the queue of one sender as one process serves it: which
// items are in memory, which of them is next, which calls get a slot, and what
// holds messages back.
//
// # Parts
//
//   - A Lane is one sender's queue. Its mutex guards everything in it and in its
//     flights, except the limiter, which has its own.
//   - A Flight is one item of the work list from the fetch until the work list has
//     projected the last event recorded for it.
//   - A gate holds back messages that share a recipient or a template.
//   - Set holds the lanes of a process, Known its flights by message, and Shared
//     what all of its lanes use. Each of them has its own lock.
//
// # Locks
//
// A lane's mutex can be held while the locks of package pace, of Known, and of
// Alarm are taken, and while Shared.MayCall is called; never the other way around.
// No goroutine holds the mutexes of two lanes.
package lane
