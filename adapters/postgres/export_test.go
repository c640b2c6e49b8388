package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
)

// CatchUp projects everything in the log and returns.
func (p *Projector) CatchUp(ctx context.Context) error {
	end, err := p.options.Log.End(ctx)
	if err != nil {
		return err
	}
	f := &freshModel{options: RebuildOptions{Log: p.options.Log}, groups: []*Projector{p}}
	return f.projectTo(ctx, map[Group]event.Position{p.options.Group: end}, func(event.Position) {})
}

// Types returns the types of the events that are projected.
func (p *Projector) Types() []string { return p.types }

// Tables returns the tables that projections write.
func Tables() ([]string, error) { return tables() }

// InSmallSteps limits the batches of a rebuild to a few events and the rows that it holds to
// a few.
func (o RebuildOptions) InSmallSteps() RebuildOptions {
	o.batch, o.held = 5, 4
	return o
}

// Holding makes a projector hold rows back, as a rebuild does.
func (o ProjectorOptions) Holding(rows int) ProjectorOptions {
	o.held = rows
	return o
}

// Within limits the time of a projector's transactions.
func (o ProjectorOptions) Within(timeout time.Duration) ProjectorOptions {
	o.timeout = timeout
	return o
}

// Remembering sets the number of rows that a projector remembers.
func (o ProjectorOptions) Remembering(rows int) ProjectorOptions {
	o.recent = rows
	return o
}

// Commit is one attempt at a batch.
func (p *Projector) Commit(ctx context.Context, b event.Batch) error { return p.commit(ctx, b) }

// ApplyAgain is Apply of a batch whose first attempt runs first and then fails.
func (p *Projector) ApplyAgain(ctx context.Context, b event.Batch, first func() error) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	again := false
	return p.retryUntilDone(ctx, b, func(ctx context.Context) error {
		if again {
			return p.commit(ctx, b)
		}
		again = true
		return errors.Join(errors.New("the connection is lost"), first())
	})
}

// CommitLosingResponse is Commit with a lost response: the projector doesn't learn that the batch
// is committed.
func (p *Projector) CommitLosingResponse(ctx context.Context, b event.Batch) error {
	var writes pgx.Batch
	_, err := p.write(ctx, p.withoutParked(b.Events), &writes, p.fence(&writes, b))
	return err
}

// completer adds to events what older versions didn't record.
type completer = func(context.Context, event.Log, []event.Recorded) ([]event.Recorded, error)

// KeepingLostProbes plants a defect that projections had: a lost probe keeps the attempt
// that it gives back.
func (o ProjectorOptions) KeepingLostProbes() ProjectorOptions {
	o.complete = keepLostProbes
	return o
}

// KeepingLostProbes plants the same defect in a rebuild or a verification.
func (o RebuildOptions) KeepingLostProbes() RebuildOptions {
	o.complete = keepLostProbes
	return o
}

var keepLostProbes completer = func(_ context.Context, _ event.Log, events []event.Recorded) ([]event.Recorded, error) {
	events = slices.Clone(events)
	for i, r := range events {
		if e, ok := r.Event.(message.OutcomeUnknown); ok {
			e.Attempt = nil
			events[i].Event = e
		}
	}
	return events, nil
}

// WithoutFold makes Verify compare the live rows only with rebuilt ones. It is for streams
// that no aggregate wrote.
func (o RebuildOptions) WithoutFold() RebuildOptions {
	o.withoutFold = true
	return o
}

// FoldedRows returns the rows that the aggregate's fold of a message's stream gives, by
// table, for the columns that it determines.
func FoldedRows(id uuid.UUID, events []event.Recorded) map[string]map[string]any {
	f := foldedMessage{id: id}
	for _, r := range storableEvents(events) {
		if e, ok := r.Event.(message.Event); ok {
			f.apply(r, e)
		}
	}
	rows := make(map[string]map[string]any)
	for table, row := range f.rows() {
		rows[table] = row
	}
	return rows
}

// Differing returns the columns of a row that differ from those expected.
func Differing(row, expected map[string]any) []string { return rowValues(row).differing(expected) }

// WamidHash is the key of a WhatsApp ID in message_wamid.
func WamidHash(whatsAppID string) uuid.UUID { return wamidHash(whatsAppID) }

// Durably is durably.
func (l *Leases) Durably(ctx context.Context, queue func(*pgx.Batch)) error {
	return l.durably(ctx, queue)
}
