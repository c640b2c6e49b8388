// Package ownership decides which lanes belong to this process: it renews the process's
// lease, claims lanes up to its share, and gives lanes to other processes.
package ownership

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/work"
)

const (
	// LeaseTTL is how long a lease lasts. A process that misses three heartbeats has
	// lost its lanes. It stops leaseMargin before another process can take them.
	LeaseTTL       = 4 * time.Second
	leaseMargin    = time.Second
	heartbeatEvery = time.Second
	// claimEvery is how often lanes are claimed or given back while this process does
	// not own all of them, so that the lanes of a dead process stand still for less
	// than 5 s.
	claimEvery = 250 * time.Millisecond
	// Timeout limits one query of the leases.
	Timeout = 2 * time.Second
)

// Lanes are the lanes of this process.
type Lanes interface {
	// Senders returns the IDs of all known senders, of other processes too, sorted.
	Senders() []string
	// Complete reports whether this process has the lanes of all known senders.
	Complete() bool
	// SetOwned makes the lanes of exactly these senders this process's own.
	SetOwned(ctx context.Context, ids []string)
	// GiveBack stops all lanes but the given number, and retires those of them whose
	// last writes have left the window of the rate. It returns the senders of the
	// retired lanes, which another process can own.
	GiveBack(keep int) (retired []string)
}

// Options are what an Owner works with. All are required.
type Options struct {
	Leases work.Leases
	Lanes  Lanes
	// Process is this process among all that share the lanes, Roles are its roles.
	Process uuid.UUID
	Roles   []string
	// Ready reports whether the work list has caught up with the log.
	Ready func() bool
	// RecordingSince returns the time since which this process has recorded webhooks
	// without a break, or the zero time if it doesn't record them.
	RecordingSince func() time.Time
	Logger         *slog.Logger
}

type phase uint8

const (
	waiting  phase = iota // the work list has not caught up yet
	sharing               // this process takes its share of the lanes
	draining              // this process gives its lanes back
)

// An Owner keeps the lease of this process and its share of the lanes. It is safe for
// concurrent use.
type Owner struct {
	opts  Options
	claim chan struct{} // a sender is new, so its lane must be claimed

	mu    sync.Mutex // guards all fields below
	phase phase
	// The lanes belong to this process until ownedUntil, its lease lasts until
	// renewedUntil, both by the monotonic clock. The two differ after the lease had
	// lapsed, until it is known which lanes other processes took in the meantime.
	ownedUntil, renewedUntil time.Time
	// recordingSince is the time since which any process has recorded webhooks without a
	// break, or zero if none does: as of the last heartbeat.
	recordingSince time.Time
}

// New returns an Owner without lanes.
func New(o Options) *Owner { return &Owner{opts: o, claim: make(chan struct{}, 1)} }

// Owns reports whether the lanes belong to this process at now.
func (o *Owner) Owns(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return now.Before(o.ownedUntil)
}

// Recording returns whether any process records webhooks now, and the time since which
// they have been recorded without a break, both as of the last heartbeat.
func (o *Owner) Recording() (since time.Time, now bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.recordingSince, !o.recordingSince.IsZero()
}

// Claim makes the Owner claim lanes soon, because a sender is new. It doesn't block.
func (o *Owner) Claim() {
	select {
	case o.claim <- struct{}{}:
	default:
	}
}

// Drain makes the Owner give its lanes back instead of claiming more.
func (o *Owner) Drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.phase = draining
}

// Run renews the lease, claims lanes, and gives them back, until ctx ends.
func (o *Owner) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var beatAt time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.claim:
		case <-timer.C:
		}
		begun := time.Now()
		var err error
		if !begun.Before(beatAt) {
			beatAt = begun.Add(heartbeatEvery)
			err = o.renewLease(ctx, begun)
		}
		if err == nil {
			err = o.rebalance(ctx)
		}
		if err != nil && ctx.Err() == nil {
			o.opts.Logger.WarnContext(ctx, "failed to renew the lease of the lanes; retrying", slog.Any("error", err))
		}
		next := time.Until(beatAt)
		if !o.settled() {
			next = min(next, claimEvery)
		}
		timer.Reset(next)
	}
}

// renewLease renews the lease. A process has the role dispatch from the time its work
// list has caught up until it drains: other processes compute their share from that.
func (o *Owner) renewLease(ctx context.Context, begun time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	ready := o.opts.Ready()
	o.mu.Lock()
	if ready && o.phase == waiting {
		o.phase = sharing
	}
	takes := o.phase == sharing
	o.mu.Unlock()
	roles := o.opts.Roles
	if !takes {
		roles = slices.DeleteFunc(slices.Clone(roles), func(role string) bool { return role == work.RoleDispatch })
	}
	since, err := o.opts.Leases.Heartbeat(ctx, o.opts.Process, roles, o.opts.RecordingSince(), LeaseTTL)
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.recordingSince = since
	o.renewedUntil = begun.Add(LeaseTTL - leaseMargin)
	if time.Now().Before(o.ownedUntil) {
		o.ownedUntil = o.renewedUntil
	}
	return nil
}

// rebalance claims lanes up to this process's share and gives back the lanes above it.
func (o *Owner) rebalance(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	select { // this claim covers all senders known by now
	case <-o.claim:
	default:
	}
	o.mu.Lock()
	phase := o.phase
	o.mu.Unlock()
	if phase == waiting {
		return nil
	}
	keep := 0
	if phase == sharing {
		owned, share, err := o.opts.Leases.Claim(ctx, o.opts.Process, o.opts.Lanes.Senders())
		if err != nil {
			return fmt.Errorf("claim lanes: %w", err)
		}
		o.setOwnedLanes(ctx, owned)
		keep = share
	}
	retired := o.opts.Lanes.GiveBack(keep)
	if len(retired) == 0 {
		return nil
	}
	if err := o.opts.Leases.ReleaseLanes(ctx, o.opts.Process, retired); err != nil {
		return fmt.Errorf("give lanes back: %w", err)
	}
	o.opts.Logger.InfoContext(ctx, "lanes were given to other processes", slog.Int("lanes", len(retired)))
	return nil
}

// setOwnedLanes makes the claimed lanes this process's own. Lanes that other processes
// took are gone before the others count as owned again.
func (o *Owner) setOwnedLanes(ctx context.Context, ids []string) {
	o.opts.Lanes.SetOwned(ctx, ids)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ownedUntil = o.renewedUntil
}

// settled reports whether no lane has to be claimed or given back soon.
func (o *Owner) settled() bool {
	if !o.opts.Lanes.Complete() {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.phase == sharing && o.ownedUntil.Equal(o.renewedUntil)
}

// Release ends the lease of this process and gives all of its lanes back. The caller
// makes sure that their last writes have left the window of the rate.
func (o *Owner) Release(ctx context.Context) error {
	return o.opts.Leases.Release(ctx, o.opts.Process)
}
