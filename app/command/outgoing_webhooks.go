package command

import (
	"context"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/hook"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
)

const (
	// maxHooks bounds the outgoing webhooks, because each follows the log on its own.
	maxHooks = 50
	// oldSecretFor is how long deliveries are also signed with the previous secret.
	oldSecretFor = 24 * time.Hour
)

// Hooks are the commands that change outgoing webhooks, on their repository.
type Hooks struct {
	*repository.Hooks

	clock   event.Clock
	ids     event.IDs
	vault   Tokens
	secrets func() string
}

// NewHooks returns the commands, and a repository. vault stores the secrets that secrets
// creates.
func NewHooks(log event.Log, clock event.Clock, ids event.IDs, vault Tokens, secrets func() string) *Hooks {
	return &Hooks{Hooks: repository.NewHooks(log, clock, ids), clock: clock, ids: ids, vault: vault, secrets: secrets}
}

// SecretOwner returns the owner of a hook's secrets in the vault.
func SecretOwner(id string) string { return event.HookStream(id) }

// Register creates a hook and returns it with its secret, which is returned only once.
func (h *Hooks) Register(ctx context.Context, s hook.Spec, cause event.Cause) (hook.Hook, string, error) {
	if err := s.Validate(MessageEvents()); err != nil {
		return hook.Hook{}, "", err
	}
	if len(h.List()) >= maxHooks {
		return hook.Hook{}, "", domain.Conflict("there are %d outgoing webhooks, which is the limit; remove one", maxHooks)
	}
	id := h.ids().String()
	secret, secretID, err := h.newSecret(ctx, id)
	if err != nil {
		return hook.Hook{}, "", err
	}
	created, err := h.Create(ctx, id, cause, hook.Registered{Spec: s, SecretID: secretID})
	return created, secret, err
}

// newSecret creates and stores a secret.
func (h *Hooks) newSecret(ctx context.Context, id string) (secret, secretID string, err error) {
	secret = h.secrets()
	secretID, err = h.vault.Put(ctx, SecretOwner(id), secret)
	return secret, secretID, err
}

// Update replaces the configuration of a hook.
func (h *Hooks) Update(ctx context.Context, id string, s hook.Spec, cause event.Cause) (hook.Hook, error) {
	if err := s.Validate(MessageEvents()); err != nil {
		return hook.Hook{}, err
	}
	return h.always(ctx, id, cause, hook.Changed{Spec: s})
}

// Rotate gives a hook a new secret and returns it. Deliveries are also signed with the old
// secret for a day.
func (h *Hooks) Rotate(ctx context.Context, id string, cause event.Cause) (hook.Hook, string, error) {
	secret, secretID, err := h.newSecret(ctx, id)
	if err != nil {
		return hook.Hook{}, "", err
	}
	changed, err := h.always(ctx, id, cause, hook.SecretRotated{SecretID: secretID, OldUntil: h.clock().Add(oldSecretFor)})
	return changed, secret, err
}

// Disable stops deliveries. Events wait until the hook is enabled.
func (h *Hooks) Disable(ctx context.Context, id, reason string, cause event.Cause) (hook.Hook, error) {
	if err := domain.CheckReason("reason", reason); err != nil {
		return hook.Hook{}, err
	}
	return h.Change(ctx, id, cause, func(k hook.Hook) ([]domain.Event, error) { return hook.Disable(k, reason), nil })
}

// AutoDisable disables a hook whose receiver failed for too long. An alert is raised until
// an operator enables or removes the hook.
func (h *Hooks) AutoDisable(ctx context.Context, id, reason string, cause event.Cause) (hook.Hook, error) {
	return h.Change(ctx, id, cause, func(k hook.Hook) ([]domain.Event, error) { return hook.AutoDisable(k, reason), nil })
}

// Enable resumes deliveries where they stopped.
func (h *Hooks) Enable(ctx context.Context, id string, cause event.Cause) (hook.Hook, error) {
	return h.Change(ctx, id, cause, func(k hook.Hook) ([]domain.Event, error) { return hook.Enable(k), nil })
}

// Remove permanently removes a hook.
func (h *Hooks) Remove(ctx context.Context, id string, cause event.Cause) (hook.Hook, error) {
	return h.always(ctx, id, cause, hook.Removed{})
}

// always records an event, whatever the state of the hook.
func (h *Hooks) always(ctx context.Context, id string, cause event.Cause, e domain.Event) (hook.Hook, error) {
	return h.Change(ctx, id, cause, func(hook.Hook) ([]domain.Event, error) { return []domain.Event{e}, nil })
}

// MessageEvents returns the names of the events that a hook can receive.
func MessageEvents() []string {
	var names []string
	for _, t := range message.Types() {
		names = append(names, t.Name)
	}
	return append(names, inbound.InboundReceived{}.EventType())
}
