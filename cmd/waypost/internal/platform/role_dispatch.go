package platform

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/ports/dispatch"
)

const (
	// laneStatusInterval is the time between two publications of the lanes' status.
	laneStatusInterval = time.Second
	// laneStatusTimeout bounds one publication.
	laneStatusTimeout = time.Second
	// sharingInterval is the time between two checks whether other processes share the senders.
	sharingInterval = 5 * time.Second
)

// dispatch is the role dispatch: it sends due messages. Other roles also have a dispatcher, which doesn't run.
func (c *core) dispatch(p *projections, r *recording) (err error) {
	s := c.settings
	states := repository.NewSenderStates(c.stores.Log, c.model.SenderIDs, time.After)
	c.dispatcher, err = dispatch.New(dispatch.Options{
		Messages: c.messages, Senders: c.Senders, Source: states, List: postgres.NewWorkList(c.stores.Pool), Leases: c.leases,
		Process: NewID(), Roles: s.Roles, Ready: p.gauge.caughtUp, Notified: p.gauge.projects,
		Caller: &Caller{Client: c.whatsapp, Tokens: c.tokens, Fallback: c.secrets.Token},
		Policy: message.Policy{
			RetryDelays: s.RetrySchedule, CallTimeout: s.CallTimeout, SettleAfter: s.SettleAfter, ThrottleLimit: s.ThrottleLimit,
		},
		PairLimit: s.PairLimit != "off", HoldsTemplate: c.errors.HoldsTemplate,
		SettleAfterOutage: s.SettleAfterOutage, Trace: c.tracer, Clock: c.now, Logger: c.log,
		RecordingSince: r.since, Guard: c.guard, Gate: c.gate, Inbound: c.leases.InboundSince, NumberOf: c.model.NumberOf, Template: c.templates.Sendability,
		Category: c.templates.Category, Campaigns: c.campaigns,
	})
	if err != nil {
		return err
	}
	p.arrived = c.dispatcher.WakeFor
	c.templates.OnChange(c.dispatcher.Wake)
	c.parts.run("paused campaigns", func(ctx context.Context) error { return c.campaigns.Run(ctx, c.dispatcher.Wake) })
	if !s.has(roleDispatch) {
		return nil
	}
	c.parts.run("guard", c.guard.Run)
	c.Senders.OnChange(c.dispatcher.Learn)
	states.OnChange(c.dispatcher.Refresh)
	c.parts.run("sender states", states.Run)
	c.parts.run("dispatch", c.dispatcher.Run)
	c.parts.run("messages queued elsewhere", c.followQueued)
	c.parts.repeat("lane status", laneStatusInterval, c.publishLaneStatus)
	return nil
}

// followQueued keeps messages in memory that other processes accept for this process's senders, as long as there are other
// processes. Messages that this process accepts are in memory already.
func (c *core) followQueued(ctx context.Context) error {
	alone := func() bool { return c.settings.has(roleAPI) && !c.dispatcher.Shares() }
	for ctx.Err() == nil {
		if alone() {
			if err := retry.Sleep(ctx, sharingInterval); err != nil {
				return err
			}
			continue
		}
		following, stop := context.WithCancel(ctx)
		var watch sync.WaitGroup
		watch.Go(func() {
			defer stop()
			for !alone() && retry.Sleep(following, sharingInterval) == nil {
				continue
			}
		})
		err := c.messages.Follow(following, c.dispatcher.Owns)
		stop()
		watch.Wait()
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return ctx.Err()
}

// publishLaneStatus shows the status of this process's lanes to all processes.
func (c *core) publishLaneStatus(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, laneStatusTimeout)
	defer cancel()
	lanes := make(map[string]query.LaneStatus)
	for id, s := range c.dispatcher.Snapshot() {
		status := query.LaneStatus{
			EffectiveRate: s.EffectiveRate, ThrottledUntil: timeOrNil(s.ThrottledUntil), NextProbeAt: timeOrNil(s.NextProbeAt),
		}
		if o := s.Outage; o != nil {
			status.Breaker = &query.Breaker{Since: o.Since, Failures: o.Failures, LastFailure: o.LastFailure, NextProbeAt: o.NextProbeAt}
		}
		lanes[id] = status
	}
	err := c.leases.PublishLaneStatus(ctx, lanes)
	if err != nil {
		c.log.DebugContext(ctx, "failed to publish lane status", "error", err)
	}
	return err
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
