package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/hook"
	"github.com/waypost/waypost/domain/message"
)

const (
	// hookStreams is the prefix of every outgoing webhook's stream.
	hookStreams = "hook-"
	// maxHooks bounds the outgoing webhooks: each follows the log on its own.
	maxHooks = 50
	// oldSecretFor is how long the secret before signs beside the new one.
	oldSecretFor = 24 * time.Hour
)

// Hooks registers and changes outgoing webhooks, and knows them all.
type Hooks struct {
	log     event.Log
	clock   Clock
	ids     IDs
	vault   Tokens
	secrets func() string

	mu   sync.Mutex
	byID map[string]storedHook
}

type storedHook struct {
	hook     hook.Hook
	revision event.Revision
	since    event.Position
}

// KnownHook is a hook, and where in the log it was registered: it is told what stands
// behind.
type KnownHook struct {
	hook.Hook

	Since event.Position
}

// NewHooks makes the use cases. vault keeps the secrets, secrets makes them.
func NewHooks(log event.Log, clock Clock, ids IDs, vault Tokens, secrets func() string) *Hooks {
	return &Hooks{log: log, clock: clock, ids: ids, vault: vault, secrets: secrets, byID: make(map[string]storedHook)}
}

// SecretOwner is the name under which the vault keeps the secrets of a hook.
func SecretOwner(id string) string { return hookStreams + id }

// Run follows the log, so that changes made by other processes are known. It ends
// with ctx.
func (h *Hooks) Run(ctx context.Context) error {
	return h.log.Subscribe(ctx, event.Subscription{Filter: event.Filter{StreamPrefixes: []string{hookStreams}}},
		func(_ context.Context, b event.Batch) error {
			for _, e := range b.Events {
				h.apply(e)
			}
			return nil
		})
}

func (h *Hooks) apply(e event.Recorded) {
	id := e.Stream[len(hookStreams):]
	h.mu.Lock()
	defer h.mu.Unlock()
	s, known := h.byID[id]
	if known && e.Revision <= s.revision || !known && e.Revision > 0 {
		return // this process wrote it, or it is of a removed one
	}
	if !known {
		s.since = e.Position
	}
	s.hook.ID, s.revision = id, e.Revision
	s.hook = s.hook.Apply(e.Event, e.Meta.RecordedAt)
	h.byID[id] = s
}

// List lists the hooks, the oldest first.
func (h *Hooks) List() []KnownHook {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []KnownHook
	for _, s := range h.byID {
		if !s.hook.Removed {
			all = append(all, KnownHook{Hook: s.hook, Since: s.since})
		}
	}
	slices.SortFunc(all, func(a, b KnownHook) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// GivenUp lists the hooks that the platform disabled: nobody is told by them, and
// nobody wanted that.
func (h *Hooks) GivenUp() []hook.Hook {
	var all []hook.Hook
	for _, k := range h.List() {
		if k.GivenUp {
			all = append(all, k.Hook)
		}
	}
	return all
}

// Register makes a hook and answers it with its secret, which is told never again.
func (h *Hooks) Register(ctx context.Context, s hook.Spec, cause Cause) (hook.Hook, string, error) {
	if err := s.Validate(MessageEvents()); err != nil {
		return hook.Hook{}, "", err
	}
	if len(h.List()) >= maxHooks {
		return hook.Hook{}, "", domain.Conflict("there are %d outgoing webhooks, which is as many as there may be; remove one", maxHooks)
	}
	id := h.ids().String()
	secret, secretID, err := h.secret(ctx, id)
	if err != nil {
		return hook.Hook{}, "", err
	}
	made, err := h.append(ctx, storedHook{hook: hook.Hook{ID: id}}, event.NoStream(), cause, hook.Registered{Spec: s, SecretID: secretID})
	return made, secret, err
}

func (h *Hooks) secret(ctx context.Context, id string) (secret, secretID string, err error) {
	secret = h.secrets()
	secretID, err = h.vault.Put(ctx, SecretOwner(id), secret)
	return secret, secretID, err
}

// Change makes the hook another.
func (h *Hooks) Change(ctx context.Context, id string, s hook.Spec, cause Cause) (hook.Hook, error) {
	if err := s.Validate(MessageEvents()); err != nil {
		return hook.Hook{}, err
	}
	return h.change(ctx, id, cause, func(hook.Hook) domain.Event { return hook.Changed{Spec: s} })
}

// Rotate gives the hook a new secret and answers it. The old one signs as well for a
// day.
func (h *Hooks) Rotate(ctx context.Context, id string, cause Cause) (hook.Hook, string, error) {
	secret, secretID, err := h.secret(ctx, id)
	if err != nil {
		return hook.Hook{}, "", err
	}
	until := h.clock().Add(oldSecretFor)
	changed, err := h.change(ctx, id, cause, func(hook.Hook) domain.Event {
		return hook.SecretRotated{SecretID: secretID, OldUntil: until}
	})
	return changed, secret, err
}

// Disable stops the hook; what happens from then on waits for it.
func (h *Hooks) Disable(ctx context.Context, id, reason string, cause Cause) (hook.Hook, error) {
	return h.disable(ctx, id, hook.Disabled{Reason: reason}, cause)
}

// GiveUp disables a hook whose receiver failed for too long. An alert tells of it until
// somebody enables or removes the hook.
func (h *Hooks) GiveUp(ctx context.Context, id, reason string, cause Cause) (hook.Hook, error) {
	return h.disable(ctx, id, hook.Disabled{Reason: reason, GivenUp: true}, cause)
}

func (h *Hooks) disable(ctx context.Context, id string, e hook.Disabled, cause Cause) (hook.Hook, error) {
	return h.change(ctx, id, cause, func(k hook.Hook) domain.Event {
		if k.Disabled() {
			return nil
		}
		return e
	})
}

// Enable sets the hook going again, from where it stopped.
func (h *Hooks) Enable(ctx context.Context, id string, cause Cause) (hook.Hook, error) {
	return h.change(ctx, id, cause, func(k hook.Hook) domain.Event {
		if !k.Disabled() {
			return nil
		}
		return hook.Enabled{}
	})
}

// Remove ends the hook.
func (h *Hooks) Remove(ctx context.Context, id string, cause Cause) (hook.Hook, error) {
	return h.change(ctx, id, cause, func(hook.Hook) domain.Event { return hook.Removed{} })
}

// change loads the hook, appends what decide says, and begins anew when someone else
// came first. Nil changes nothing.
func (h *Hooks) change(ctx context.Context, id string, cause Cause, decide func(hook.Hook) domain.Event) (hook.Hook, error) {
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		return hook.Hook{}, domain.NotFound("no outgoing webhook %q", id)
	}
	for range maxConflicts {
		events, err := h.log.Read(ctx, hookStreams+id, 0, maxHistory)
		if err != nil {
			return hook.Hook{}, fmt.Errorf("load outgoing webhook %s: %w", id, err)
		}
		s := storedHook{hook: hook.Hook{ID: id}}
		for _, e := range events {
			if e.Revision == 0 {
				s.since = e.Position
			}
			s.hook, s.revision = s.hook.Apply(e.Event, e.Meta.RecordedAt), e.Revision
		}
		if len(events) == 0 || s.hook.Removed {
			return hook.Hook{}, domain.NotFound("no outgoing webhook %q", id)
		}
		decided := decide(s.hook)
		if decided == nil {
			return s.hook, nil
		}
		changed, err := h.append(ctx, s, event.At(s.revision), cause, decided)
		var wrong *event.WrongRevisionError
		if err == nil || !errors.As(err, &wrong) {
			return changed, err
		}
	}
	return hook.Hook{}, domain.Unavailable("outgoing webhook %s is being changed by too many at once; try again", id)
}

func (h *Hooks) append(ctx context.Context, s storedHook, expected event.Expected, cause Cause, e domain.Event) (hook.Hook, error) {
	now := h.clock()
	done, err := h.log.Append(ctx, hookStreams+s.hook.ID, expected, event.New{ID: h.ids(), Event: e, Meta: event.Meta{
		RecordedAt: now, CausationID: cause.CausationID, By: cause.By, OnBehalfOf: cause.By.OnBehalfOf, Traceparent: cause.Traceparent,
	}})
	if err != nil {
		return hook.Hook{}, fmt.Errorf("append to outgoing webhook %s: %w", s.hook.ID, err)
	}
	s.hook, s.revision = s.hook.Apply(e, now), done.Revision
	if s.revision == 0 {
		s.since = done.Position
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if known, ok := h.byID[s.hook.ID]; !ok || known.revision < s.revision {
		h.byID[s.hook.ID] = s
	}
	return s.hook, nil
}

// MessageEvents are the names of the events that a hook may want.
func MessageEvents() []string {
	var names []string
	for _, t := range message.Types() {
		names = append(names, t.Name)
	}
	return names
}
