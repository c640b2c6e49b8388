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

// Heartbeat extends a valid lease, or starts one without lanes. It returns the time since
// which webhooks are recorded, by the process that has done so for longest.
func (l postgres) Heartbeat(
	ctx context.Context, id uuid.UUID, roles []string, since time.Time, ttl time.Duration,
) (earliest time.Time, err error) {
	err = l.change(ctx, "heartbeat", func(all *leases) error {
		if have := all.processes[id]; have == nil || !have.till.After(time.Now()) {
			all.end(id)
		}
		all.processes[id] = &lease{roles: roles, recordingSince: since, till: time.Now().Add(ttl)}
		earliest = all.recordingSince(time.Now())
		return nil
	})
	return earliest, err
}

func (l *leases) recordingSince(now time.Time) (earliest time.Time) {
	for _, have := range l.processes {
		if have.till.After(now) && slices.Contains(have.roles, roleWebhook) && !have.recordingSince.IsZero() &&
			(earliest.IsZero() || have.recordingSince.Before(earliest)) {
			earliest = have.recordingSince
		}
	}
	return earliest
}

// Claim takes lanes that no living process owns, up to the process's share.
func (l postgres) Claim(ctx context.Context, id uuid.UUID, senders []string) (owned []string, share int, err error) {
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
		share = all.share(id, len(senders), now)
		if l.p.w.defect == DefectSharedLanes || l.p.w.defect == DefectNoRevisions {
			owned = senders
			return nil
		}
		for _, s := range senders {
			if owner, taken := all.lanes[s]; taken && owner == id {
				owned = append(owned, s)
			}
		}
		for _, s := range senders {
			if _, taken := all.lanes[s]; !taken && len(owned) < share {
				all.lanes[s] = id
				owned = append(owned, s)
			}
		}
		slices.Sort(owned)
		return nil
	})
	return owned, share, err
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
