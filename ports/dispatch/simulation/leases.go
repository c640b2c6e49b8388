package simulation

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

const (
	roleDispatch = "dispatch"
	roleWebhook  = "webhook"
)

var errLapsed = errors.New("the process has no lease; it needs a heartbeat first")

// leases are the leases in Postgres.
type leases struct {
	processes map[uuid.UUID]*lease
	lanes     map[string]uuid.UUID
}

type lease struct {
	roles          []string
	recordingSince time.Time
	till           time.Time
}

func (l *leases) end(id uuid.UUID) {
	delete(l.processes, id)
	maps.DeleteFunc(l.lanes, func(_ string, owner uuid.UUID) bool { return owner == id })
}

// Heartbeat extends a valid lease, or starts one without lanes.
func (l postgres) Heartbeat(ctx context.Context, id uuid.UUID, roles []string, since time.Time, ttl time.Duration) error {
	return l.change(ctx, "heartbeat", func(all *leases) error {
		if have := all.processes[id]; have == nil || !have.till.After(time.Now()) {
			all.end(id)
		}
		all.processes[id] = &lease{roles: roles, recordingSince: since, till: time.Now().Add(ttl)}
		return nil
	})
}

// Claim takes lanes that no living process owns, up to the process's share.
func (l postgres) Claim(ctx context.Context, id uuid.UUID, senders []string) (owned []string, err error) {
	err = l.change(ctx, "claim", func(all *leases) error {
		now := time.Now()
		maps.DeleteFunc(all.processes, func(other uuid.UUID, have *lease) bool {
			ended := other != id && !have.till.After(now)
			if ended {
				maps.DeleteFunc(all.lanes, func(_ string, owner uuid.UUID) bool { return owner == other })
			}
			return ended
		})
		if have := all.processes[id]; have == nil || !have.till.After(now) {
			return errLapsed
		}
		if l.p.w.defect == DefectSharedLanes || l.p.w.defect == DefectNoRevisions {
			owned = senders
			return nil
		}
		for _, s := range senders {
			if owner, taken := all.lanes[s]; taken && owner == id {
				owned = append(owned, s)
			}
		}
		share := all.share(id, len(senders), now)
		for _, s := range senders {
			if _, taken := all.lanes[s]; !taken && len(owned) < share {
				all.lanes[s] = id
				owned = append(owned, s)
			}
		}
		slices.Sort(owned)
		return nil
	})
	return owned, err
}

func (l *leases) share(id uuid.UUID, senders int, now time.Time) int {
	dispatchers := 0
	for other, have := range l.processes {
		if other == id || have.till.After(now) && slices.Contains(have.roles, roleDispatch) {
			dispatchers++
		}
	}
	dispatchers = max(dispatchers, 1)
	return (senders + dispatchers - 1) / dispatchers
}

// Share returns how many lanes each dispatcher should own.
func (l postgres) Share(ctx context.Context, id uuid.UUID, senders int) (n int, err error) {
	err = l.change(ctx, "share", func(all *leases) error {
		n = all.share(id, senders, time.Now())
		return nil
	})
	return n, err
}

// ReleaseLanes releases lanes.
func (l postgres) ReleaseLanes(ctx context.Context, id uuid.UUID, senders []string) error {
	return l.change(ctx, "release lanes", func(all *leases) error {
		for _, s := range senders {
			if all.lanes[s] == id {
				delete(all.lanes, s)
			}
		}
		return nil
	})
}

// Release ends a process's lease.
func (l postgres) Release(ctx context.Context, id uuid.UUID) error {
	return l.change(ctx, "release", func(all *leases) error {
		all.end(id)
		return nil
	})
}

// RecordingSince returns the time since which webhooks are recorded, by the process that
// has done so for longest.
func (l postgres) RecordingSince(ctx context.Context) (since time.Time, recording bool, err error) {
	err = l.change(ctx, "recording", func(all *leases) error {
		for _, have := range all.processes {
			if have.till.After(time.Now()) && slices.Contains(have.roles, roleWebhook) && !have.recordingSince.IsZero() &&
				(since.IsZero() || have.recordingSince.Before(since)) {
				since = have.recordingSince
			}
		}
		return nil
	})
	return since, !since.IsZero(), err
}

func (l postgres) change(ctx context.Context, kind string, do func(*leases) error) error {
	w, d := l.p.w, l.p.w.dice(kind, uint64(l.p.number))
	if err := l.p.ask(ctx, d); err != nil {
		return err
	}
	w.mu.Lock()
	err := do(&w.leases)
	w.mu.Unlock()
	if err != nil {
		return err
	}
	return l.p.ask(ctx, d)
}
