package alerting

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/alert"
)

// ReadModel defines the queries on the read models that a FactsReader needs. Reader documents the methods of the same names.
type ReadModel interface {
	AlertState(ctx context.Context, now time.Time, open int) (query.AlertState, error)
	LatestAlert(ctx context.Context, k alert.Key) (id uuid.UUID, open bool, err error)
	// AlertFacts returns the facts that the read models contain.
	AlertFacts(ctx context.Context, needs alert.Needs, now time.Time) (alert.Facts, error)
	// BalanceNow reports whether the ledger balances, and whether both sides of it could be compared at one position.
	BalanceNow(ctx context.Context) (balanced, compared bool, err error)
}

// FactsOptions configure a FactsReader. All are required.
type FactsOptions struct {
	ReadModel ReadModel
	Lag       *process.MeasureLag
	Hooks     *command.Hooks
	// DiskUsed returns the fraction of the data directory's disk that is in use, or 0 if it is unknown.
	DiskUsed func() float64
	// Shorter returns an *event.ShorterError if the event log is shorter than it was.
	Shorter func() error
}

// FactsReader reads the facts that alert rules are evaluated on, from the read models and from this process.
type FactsReader struct {
	ReadModel

	options FactsOptions
	// unbalanced is the result of the last comparison of the ledger.
	unbalanced atomic.Bool
}

// NewFactsReader returns a FactsReader.
func NewFactsReader(o FactsOptions) *FactsReader {
	return &FactsReader{ReadModel: o.ReadModel, options: o}
}

// Facts returns the facts of the installation at now.
func (r *FactsReader) Facts(ctx context.Context, needs alert.Needs, now time.Time) (alert.Facts, error) {
	f, err := r.AlertFacts(ctx, needs, now)
	if err != nil {
		return f, err
	}
	m, err := r.options.Lag.ReadModel(ctx, now)
	if err != nil {
		return f, err
	}
	f.Behind, f.Parked = m.Behind, m.Parked
	balanced, compared, err := r.BalanceNow(ctx)
	if err != nil {
		return f, err
	}
	// Under load, both sides are seldom at the same position, so the last result stays valid.
	if compared || !balanced {
		r.unbalanced.Store(!balanced)
	}
	f.Unbalanced = r.unbalanced.Load()
	f.DiskUsed = r.options.DiskUsed()
	for _, h := range r.options.Hooks.AutoDisabled() {
		f.GivenUp = append(f.GivenUp, alert.GivenUpHook{ID: h.ID, Host: h.Host(), Reason: h.DisabledReason})
	}
	var shorter *event.ShorterError
	if errors.As(r.options.Shorter(), &shorter) { // measuring the lag can find it as well
		f.Shortened = &alert.Shortened{Consumer: shorter.Consumer, Position: uint64(shorter.Position), End: uint64(shorter.End)}
	}
	return f, nil
}
