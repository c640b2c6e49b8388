// Package bulk changes many messages by one request: it cancels, requeues, or discards a
// selection of up to a million messages.
//
// An operation is recorded in the event log, its selection first. It then runs to its end,
// whatever happens to the request that started it, to Postgres, or to the process: when a
// process starts, and every half minute, it adopts operations that no process runs.
//
// An operation changes a message at most once, however often it tries: the event that
// changes the message names the operation as its cause, and a message with such an event
// is done. So it does no harm if two processes run the same operation. The one that is
// second to record progress stops.
package bulk
