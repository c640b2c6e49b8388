package process

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
)

const (
	// TemplatesDuty is the duty of the one process that syncs templates.
	TemplatesDuty = "templates"
	// templatesDutyTTL is how long the duty is kept. A process that syncs renews it before
	// each account; if a sync takes longer and another process starts the same one, both
	// record the same.
	templatesDutyTTL = time.Minute
	// syncEvery is the time between two syncs of an account. syncSoon is that time if
	// something about its templates is unknown, and the shortest one after a failure.
	syncEvery = time.Hour
	syncSoon  = time.Minute
	// dutyTimeout bounds one renewal of the duty.
	dutyTimeout = 5 * time.Second
)

// Duties decide which process performs a duty.
type Duties interface {
	// AcquireLeaderLease acquires or renews a duty. It returns false while another process
	// has it.
	AcquireLeaderLease(ctx context.Context, duty string, process uuid.UUID, ttl time.Duration) (bool, error)
}

// KeepTemplates syncs the templates of all accounts: when it starts, every hour, and soon
// after a webhook that says too little. One process of an installation does it.
type KeepTemplates struct {
	sync      *command.SyncTemplates
	templates *repository.Templates
	duties    Duties
	process   uuid.UUID
	clock     event.Clock
	logger    *slog.Logger

	mu    sync.Mutex
	plans map[string]*syncPlan // by account
}

// syncPlan is when an account is synced again.
type syncPlan struct {
	triedAt time.Time
	// failing is the wait after the last failures, or 0.
	failing time.Duration
}

// NewKeepTemplates returns the process.
func NewKeepTemplates(
	sync *command.SyncTemplates, templates *repository.Templates, duties Duties, process uuid.UUID, clock event.Clock, logger *slog.Logger,
) *KeepTemplates {
	return &KeepTemplates{
		sync: sync, templates: templates, duties: duties, process: process, clock: clock, logger: logger, plans: make(map[string]*syncPlan),
	}
}

// Sweep syncs the accounts that are due, if this process has the duty. It is called every few
// seconds.
func (p *KeepTemplates) Sweep(ctx context.Context) error {
	if !p.templates.Live() {
		return nil // every template would look new
	}
	accounts, err := p.sync.Accounts(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, account := range accounts {
		plan := p.plans[account]
		if plan == nil {
			plan = &syncPlan{}
			p.plans[account] = plan
		}
		if !plan.due(p.clock(), p.templates.NeedsSync(account)) {
			continue
		}
		mine, err := p.onDuty(ctx)
		if err != nil || !mine {
			return err
		}
		plan.triedAt = p.clock()
		_, err = p.sync.Handle(ctx, account, event.Cause{By: domain.Platform("templates")})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		plan.ended(err)
		if err != nil {
			p.logger.WarnContext(ctx, "failed to sync templates", "account", account, "again", plan.failing, "error", err)
		}
	}
	return nil
}

func (p *KeepTemplates) onDuty(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, dutyTimeout)
	defer cancel()
	return p.duties.AcquireLeaderLease(ctx, TemplatesDuty, p.process, templatesDutyTTL)
}

func (s *syncPlan) due(now time.Time, needed bool) bool {
	wait := syncEvery
	switch {
	case s.triedAt.IsZero():
		return true
	case s.failing > 0:
		wait = s.failing
	case needed:
		wait = syncSoon
	}
	return now.Sub(s.triedAt) >= wait
}

func (s *syncPlan) ended(err error) {
	if err != nil {
		s.failing = min(max(2*s.failing, syncSoon), syncEvery)
		return
	}
	s.failing = 0
}
