package repository

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/hook"
)

// Hooks loads and changes outgoing webhooks. It keeps all of them in memory.
type Hooks struct {
	log   event.Log
	clock event.Clock
	ids   event.IDs

	mu   sync.Mutex
	byID map[string]storedHook
}

// storedHook is a hook at a revision of its stream.
type storedHook struct {
	hook     hook.Hook
	revision event.Revision
	since    event.Position
}

// RegisteredHook is a hook and the log position at which it was registered. It receives
// the events after that position.
type RegisteredHook struct {
	hook.Hook

	Since event.Position
}

// NewHooks returns a repository of outgoing webhooks.
func NewHooks(log event.Log, clock event.Clock, ids event.IDs) *Hooks {
	return &Hooks{log: log, clock: clock, ids: ids, byID: make(map[string]storedHook)}
}

// Run follows the log until ctx ends, so that changes by other processes are known.
func (h *Hooks) Run(ctx context.Context) error {
	return h.log.Subscribe(ctx, event.Subscription{Filter: event.Filter{StreamPrefixes: []string{event.HookStreams}}},
		func(_ context.Context, b event.Batch) error {
			for _, e := range b.Events {
				h.apply(e)
			}
			return nil
		})
}

func (h *Hooks) apply(e event.Recorded) {
	id := strings.TrimPrefix(e.Stream, event.HookStreams)
	h.mu.Lock()
	defer h.mu.Unlock()
	s, known := h.byID[id]
	if known && e.Revision <= s.revision || !known && e.Revision > 0 {
		return // this process recorded it, or the hook was removed
	}
	h.byID[id] = s.with(id, e)
}

// with returns the hook after one more event of its stream.
func (s storedHook) with(id string, e event.Recorded) storedHook {
	if e.Revision == 0 {
		s.since = e.Position
	}
	s.hook.ID, s.revision = id, e.Revision
	s.hook = s.hook.Apply(e.Event, e.Meta.RecordedAt)
	return s
}

// List returns the hooks, oldest first.
func (h *Hooks) List() []RegisteredHook {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []RegisteredHook
	for _, s := range h.byID {
		if !s.hook.Removed {
			all = append(all, RegisteredHook{Hook: s.hook, Since: s.since})
		}
	}
	slices.SortFunc(all, func(a, b RegisteredHook) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// AutoDisabled returns the hooks that Waypost disabled because their receivers failed for
// too long.
func (h *Hooks) AutoDisabled() []hook.Hook {
	var all []hook.Hook
	for _, k := range h.List() {
		if k.GivenUp {
			all = append(all, k.Hook)
		}
	}
	return all
}

// Create records the first event of a hook.
func (h *Hooks) Create(ctx context.Context, id string, cause event.Cause, registered domain.Event) (hook.Hook, error) {
	s := storedHook{hook: hook.Hook{ID: id}}
	if err := h.append(ctx, &s, event.NoStream(), cause, []domain.Event{registered}); err != nil {
		return hook.Hook{}, err
	}
	return s.hook, nil
}

// Change executes a decision on a hook, as its stream has it.
func (h *Hooks) Change(
	ctx context.Context, id string, cause event.Cause, decide func(hook.Hook) ([]domain.Event, error),
) (hook.Hook, error) {
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id {
		return hook.Hook{}, domain.NotFound("no outgoing webhook %q", id)
	}
	changed, err := Execute(ctx, Stream[storedHook, domain.Event]{
		Name: "outgoing webhook " + id,
		Load: func(ctx context.Context) (storedHook, error) { return h.read(ctx, id) },
		Append: func(ctx context.Context, s *storedHook, events []domain.Event) error {
			return h.append(ctx, s, event.ExactRevision(s.revision), cause, events)
		},
	}, func(s storedHook) ([]domain.Event, error) { return decide(s.hook) })
	return changed.hook, err
}

func (h *Hooks) read(ctx context.Context, id string) (storedHook, error) {
	events, err := readStream(ctx, h.log, event.HookStream(id))
	if err != nil {
		return storedHook{}, err
	}
	var s storedHook
	for _, e := range events {
		s = s.with(id, e)
	}
	if len(events) == 0 || s.hook.Removed {
		return storedHook{}, domain.NotFound("no outgoing webhook %q", id)
	}
	return s, nil
}

func (h *Hooks) append(ctx context.Context, s *storedHook, expected event.Expected, cause event.Cause, events []domain.Event) error {
	now := h.clock()
	done, err := h.log.Append(ctx, event.HookStream(s.hook.ID), expected, event.Propose(h.ids, cause.Meta(now), events...)...)
	if err != nil {
		return fmt.Errorf("append to outgoing webhook %s: %w", s.hook.ID, err)
	}
	for _, e := range events {
		s.hook = s.hook.Apply(e, now)
	}
	if s.revision = done.Revision; s.revision == 0 {
		s.since = done.Position
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if known, ok := h.byID[s.hook.ID]; !ok || known.revision < s.revision {
		h.byID[s.hook.ID] = *s
	}
	return nil
}
