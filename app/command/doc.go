// Package command holds what can be done to Waypost: one file a use case, each
// a load, a decision of the domain and an append.
//
// The append carries the revision the decision was made from. When someone else
// came first the whole of it is done again, a bounded number of times, and on
// nothing but such a conflict.
package command
