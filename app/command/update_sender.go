package command

import (
	"context"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/sender"
)

// Update changes a sender. If token is not empty, it replaces the sender's access token.
func (s *Senders) Update(ctx context.Context, id string, u sender.Changes, token string, cause event.Cause) (sender.Sender, error) {
	if err := sender.CheckToken(token); err != nil {
		return sender.Sender{}, err
	}
	tokenID := ""
	if token != "" {
		if _, err := s.LoadLatest(ctx, id); err != nil {
			return sender.Sender{}, err
		}
		var err error
		if tokenID, err = s.tokens.Put(ctx, id, token); err != nil {
			return sender.Sender{}, err
		}
	}
	return s.Change(ctx, id, cause, func(have sender.Sender) ([]domain.Event, error) {
		events, err := sender.Update(have, u)
		if err == nil && tokenID != "" {
			events = append(events, sender.TokenChanged{TokenID: tokenID})
		}
		return events, err
	})
}
