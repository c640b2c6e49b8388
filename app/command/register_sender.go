package command

import (
	"context"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/sender"
)

// Register registers a sender. It claims the phone number first, so that no two senders
// share one. If the same registration is repeated, Register returns the existing sender,
// which gets the token of the repeated request.
func (s *Senders) Register(ctx context.Context, r sender.Registration, token string, cause event.Cause) (sender.Sender, error) {
	if err := s.checkRegistration(ctx, r, token); err != nil {
		return sender.Sender{}, err // before a number is claimed or a token is stored
	}
	if err := s.Claim(ctx, r.PhoneNumberID, r.ID, cause); err != nil {
		return sender.Sender{}, err
	}
	if token != "" {
		var err error
		if r.TokenID, err = s.tokens.Put(ctx, r.ID, token); err != nil {
			return sender.Sender{}, err
		}
	}
	events, err := sender.Register(sender.Sender{}, r)
	if err != nil {
		return sender.Sender{}, err
	}
	registered, err := s.Create(ctx, r.ID, cause, events)
	if repository.IsConflict(err) {
		return s.Change(ctx, r.ID, cause, func(have sender.Sender) ([]domain.Event, error) {
			return sender.Register(have, r)
		})
	}
	return registered, err
}

// checkRegistration returns an error if the registration is invalid, or differs from that
// of a sender with the same ID.
func (s *Senders) checkRegistration(ctx context.Context, r sender.Registration, token string) error {
	if _, err := sender.Register(sender.Sender{}, r); err != nil {
		return err
	}
	if err := sender.CheckToken(token); err != nil {
		return err
	}
	have, err := s.LoadLatest(ctx, r.ID)
	switch {
	case err == nil:
		_, err = sender.Register(have, r)
		return err
	case domain.CodeOf(err) != domain.CodeNotFound:
		return err
	}
	return nil
}
