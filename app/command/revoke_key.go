package command

import (
	"context"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

// Revoke revokes a key whose senders the caller covers, and returns the key. It returns
// domain.NotFound if there is no such key.
func (s *Keys) Revoke(ctx context.Context, caller access.Grant, id string, cause event.Cause) (access.Key, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return access.Key{}, domain.NotFound("no key %s", id)
	}
	return s.Change(ctx, parsed, cause, func(k access.Key) ([]domain.Event, error) {
		if !k.Exists() || !caller.CoversSenders(k.Senders) {
			return nil, domain.NotFound("no key %s", id)
		}
		return access.Revoke(k)
	})
}
