package command

import (
	"context"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/sender"
)

// Tokens stores secrets encrypted, outside the event log.
type Tokens interface {
	// Put stores a secret of its owner, for example a sender's access token, and returns
	// the ID under which it is stored.
	Put(ctx context.Context, ownerID, token string) (id string, err error)
}

// Senders are the commands that change senders, on their repository.
type Senders struct {
	*repository.Senders

	tokens Tokens
}

// NewSenders returns the commands, and a repository.
func NewSenders(log event.Log, clock event.Clock, ids event.IDs, tokens Tokens) *Senders {
	return &Senders{Senders: repository.NewSenders(log, clock, ids), tokens: tokens}
}

// SetRate changes the maximum number of calls per second.
func (s *Senders) SetRate(ctx context.Context, id string, callsPerSecond int, cause event.Cause) (sender.Sender, error) {
	return s.Change(ctx, id, cause, func(have sender.Sender) ([]domain.Event, error) {
		return sender.SetRate(have, callsPerSecond)
	})
}

// Pause stops the given priorities, or all of them if none is given.
func (s *Senders) Pause(ctx context.Context, id string, priorities []string, reason string, cause event.Cause) (sender.Sender, error) {
	return s.Change(ctx, id, cause, func(have sender.Sender) ([]domain.Event, error) {
		return sender.Pause(have, priorities, reason)
	})
}

// Resume ends a pause of all priorities.
func (s *Senders) Resume(ctx context.Context, id string, cause event.Cause) (sender.Sender, error) {
	return s.Change(ctx, id, cause, sender.Resume)
}

// ResumeLanes ends the pause of some priorities.
func (s *Senders) ResumeLanes(ctx context.Context, id string, priorities []string, cause event.Cause) (sender.Sender, error) {
	return s.Change(ctx, id, cause, func(have sender.Sender) ([]domain.Event, error) {
		return sender.ResumeLanes(have, priorities)
	})
}

// LiftRestrictions ends all restrictions, because of an operator's reason.
func (s *Senders) LiftRestrictions(ctx context.Context, id, reason string, cause event.Cause) (sender.Sender, error) {
	return s.Change(ctx, id, cause, func(have sender.Sender) ([]domain.Event, error) {
		return sender.LiftRestrictions(have, reason)
	})
}
