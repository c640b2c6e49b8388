package command

import (
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/app/trace"
)

// Messages are the commands that change messages, on their repository.
type Messages struct {
	*repository.Messages

	clock event.Clock
	ids   event.IDs
	trace *trace.Tracer
}

// NewMessages returns the commands, and a repository that caches at most cached messages.
func NewMessages(log event.Log, clock event.Clock, ids event.IDs, cached int) *Messages {
	return &Messages{Messages: repository.NewMessages(log, clock, ids, cached), clock: clock, ids: ids}
}

// WithTracer makes the commands trace messages with t, and returns s.
func (s *Messages) WithTracer(t *trace.Tracer) *Messages {
	s.trace = t
	return s
}
