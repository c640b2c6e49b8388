package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/graph"
	"github.com/waypost/waypost/ports/dispatch"
)

const (
	// tellLanesEvery is how often a dispatcher tells how its lanes stand.
	tellLanesEvery = time.Second
	// tellLanesTimeout bounds it.
	tellLanesTimeout = time.Second
)

// measuredBooks answers where the messages are from the read model, and how far that is
// behind from the log.
type measuredBooks struct {
	graph.BooksReader

	lag *process.MeasureLag
}

// ReadModel answers how far the read models are behind the log.
func (b measuredBooks) ReadModel(ctx context.Context, now time.Time) (query.ReadModel, error) {
	return b.lag.ReadModel(ctx, now)
}

// tellLanes shares how the lanes of this process stand, until ctx ends.
func tellLanes(ctx context.Context, d *dispatch.Dispatcher, leases *postgres.Leases, log *slog.Logger) error {
	return every(ctx, tellLanesEvery, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, tellLanesTimeout)
		defer cancel()
		lanes := make(map[string]query.LaneStatus)
		for id, s := range d.Snapshot() {
			lanes[id] = query.LaneStatus{
				EffectiveRate: s.EffectiveRate, ThrottledUntil: instantOrNil(s.ThrottledUntil), NextProbeAt: instantOrNil(s.NextProbeAt),
			}
		}
		err := leases.TellLanes(ctx, lanes)
		if err != nil {
			log.DebugContext(ctx, "the lanes were not shown to others", "error", err)
		}
		return err
	})
}

func instantOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// categories tells what WhatsApp's error codes are about.
func categories(table *whatsapp.ErrorTable) func(code int) (message.Category, bool) {
	return func(code int) (message.Category, bool) {
		row, known := table.Lookup(code, nil)
		return row.Category, known
	}
}
