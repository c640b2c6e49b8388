package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

const (
	// maxBatch is how many events one transaction projects at most.
	maxBatch = 1000
	// gather is the least time between two transactions of a group while the log is
	// busy; without it there were some fifty a second. A message's row, and the counts and
	// figures of its sender, are written once for several events then, and queries are
	// behind by up to so much more.
	gather = 100 * time.Millisecond

	// applyTimeout bounds one transaction; Postgres is taken for away after it.
	applyTimeout = 30 * time.Second

	// retryParkedEvery is how often what could not be projected is tried again.
	retryParkedEvery = 10 * time.Minute

	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

// Group is a set of projections that share a subscription and a position.
type Group string

// The groups of projections.
const (
	// Worklist fills the send work-list. It stands alone, so that dispatch never
	// waits for the views.
	Worklist Group = "worklist"
	// Views fills all that queries read.
	Views Group = "views"
)

// Groups lists the groups of projections.
func Groups() []Group { return []Group{Worklist, Views} }

// FencedError says that another run of the group writes the read model, or that it
// was rebuilt or dropped. Run may be started again, as a standby.
type FencedError struct {
	Group    Group
	Position event.Position
	// Anew says that the read model was rebuilt, or streams of it were mended: that nobody
	// else need be running, and Run may be started at once.
	Anew bool
}

func (e *FencedError) Error() string {
	return fmt.Sprintf("projections %s are no longer at position %d: another process runs them or the read model was rebuilt",
		e.Group, e.Position)
}

// Commit tells of a batch that has been projected.
type Commit struct {
	Group    Group
	Position event.Position
	// Arrivals are what the work-list has anew, in no order; none of another group's.
	Arrivals []work.Arrival
}

// ProjectorOptions say what a projector reads and whom it tells.
type ProjectorOptions struct {
	Group Group
	Log   event.Log
	Pool  *pgxpool.Pool
	// LogID is the log's identity. The group is built again from the start when its
	// rows come from a log of another identity.
	LogID string
	// OnCommit is called after each batch, on the projector's goroutine: it must not
	// block. It may be nil.
	OnCommit func(Commit)
	Logger   *slog.Logger
	// Vault seals what is personal in rows; without one they have none of it.
	Vault Vault

	// held is how many rows may be held back until flush is called, see heldRows; 0: none.
	// recent is how many are remembered otherwise, see recentRows; 0: recentAtMost.
	held, recent int
}

// Projector keeps one group's tables up to the log. Run it once at a time; the
// other methods may be called from any goroutine.
type Projector struct {
	options ProjectorOptions
	folds   []fold
	types   []string
	work    []string // the types that bear on the work-list
	urgent  []string // the types that are not kept waiting for others

	writing   sync.Mutex // one writes at a time: what comes, or what was parked
	epoch     uuid.UUID  // of the rows as they were prepared: a rebuild and mended streams begin another
	applied   []fold     // those that had a part in the last attempt
	mu        sync.Mutex
	position  event.Position
	live      bool
	applying  time.Time // when the first event of the batch in hand was recorded
	projected time.Time // when the last projected event was recorded
	parked    map[string]bool
	away      bool
}

// fold is a projection: the tables that it alone writes, the event types it wants,
// and what makes statements of a batch of them.
type fold struct {
	name   string
	tables []string
	types  []string
	// apply may read through tx and adds its writes to the batch. It answers
	// what lanes have to do anew. A *dataError says that the events can't be projected.
	apply func(ctx context.Context, tx pgx.Tx, events []event.Recorded, writes *pgx.Batch) ([]work.Arrival, error)
	// committed is told that the last batch stands, forget that others may have written
	// since, and flush writes what is held back. They are nil where nothing is kept.
	committed, forget func()
	flush             func(ctx context.Context, tx pgx.Tx, writes *pgx.Batch) error
}

// dataError says that an event can't be projected, however often it is tried.
type dataError struct{ err error }

func (e *dataError) Error() string { return e.err.Error() }
func (e *dataError) Unwrap() error { return e.err }

// NewProjector makes the projector of a group.
func NewProjector(o ProjectorOptions) (*Projector, error) {
	p := &Projector{options: o, work: workTypes(), parked: make(map[string]bool)}
	switch o.Group {
	case Worklist:
		p.folds = []fold{worklistFold(o.Log)}
		p.urgent = []string{message.Queued{}.EventType(), message.Requeued{}.EventType(), message.Deferred{}.EventType()}
	case Views:
		var rows messageRows = newRecentRows(cmp.Or(o.recent, recentAtMost))
		if o.held > 0 {
			rows = newHeldRows(o.held)
		}
		p.folds = []fold{messagesFold(o.Vault, rows), sendersFold(), personalFold(), alertsFold()}
	default:
		return nil, fmt.Errorf("there is no group of projections %q", o.Group)
	}
	if o.OnCommit == nil {
		p.options.OnCommit = func(Commit) {}
	}
	for _, f := range p.folds {
		p.types = append(p.types, f.types...)
	}
	return p, nil
}

// Group is the group that it projects.
func (p *Projector) Group() Group { return p.options.Group }

// Position is how far the group has come.
func (p *Projector) Position() event.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.position
}

// Live reports whether the group has seen all that stood in the log.
func (p *Projector) Live() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live
}

// Behind is how far the group is behind the log: 0 when it is live and nothing
// waits, else the age of the oldest event in hand.
func (p *Projector) Behind(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.applying.IsZero():
		return max(0, now.Sub(p.applying))
	case p.live || p.projected.IsZero():
		return 0
	}
	return max(0, now.Sub(p.projected))
}

// Run projects until ctx ends, which is no error, or answers a *FencedError. The
// event store or Postgres may be away meanwhile, for however long.
func (p *Projector) Run(ctx context.Context) error {
	backoff := firstBackoff
	for {
		err := p.runOnce(ctx)
		var fenced *FencedError
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // whoever cancelled knows why
		case errors.As(err, &fenced):
			return err
		}
		p.setAway(ctx, err)
		if !pause(ctx, backoff) {
			return nil
		}
		backoff = min(backoff*2, maxBackoff)
	}
}

func (p *Projector) runOnce(ctx context.Context) error {
	position, err := p.Prepare(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.retryParkedNowAndThen(ctx) })
	group.Go(func() error {
		return p.options.Log.Subscribe(ctx, event.Subscription{
			After: position, Filter: event.Filter{Types: p.types}, MaxBatch: maxBatch, Sealed: p.options.Group == Worklist,
			Gather: gather, Urgent: p.urgent,
		}, p.Apply)
	})
	return group.Wait()
}

func (p *Projector) retryParkedNowAndThen(ctx context.Context) error {
	for {
		if _, err := p.RetryParked(ctx); err != nil {
			return err
		}
		if !pause(ctx, retryParkedEvery) {
			return ctx.Err()
		}
	}
}

// Prepare reads how far the group has come, and empties its tables first if they
// come from another log. Run does it by itself; who calls Apply directly has to.
func (p *Projector) Prepare(ctx context.Context) (event.Position, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	var position event.Position
	parked := make(map[string]bool)
	err := pgx.BeginFunc(ctx, p.options.Pool, func(tx pgx.Tx) error {
		clear(parked)
		if _, err := tx.Exec(ctx, `INSERT INTO projection (name, log_id, position) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING`,
			p.options.Group, p.options.LogID); err != nil {
			return err
		}
		var logID string
		if err := tx.QueryRow(ctx, `SELECT log_id, position, epoch FROM projection WHERE name = $1 FOR UPDATE`, p.options.Group).
			Scan(&logID, &position, &p.epoch); err != nil {
			return err
		}
		if logID != p.options.LogID {
			p.options.Logger.WarnContext(ctx, "read model comes from another log and is built again", "group", p.options.Group)
			position = 0
			if err := p.reset(ctx, tx); err != nil {
				return err
			}
		}
		streams, err := collect[string](ctx, tx, `SELECT stream FROM parked_event WHERE projection = $1`, p.options.Group)
		for _, s := range streams {
			parked[s] = true
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("prepare projections %s: %w", p.options.Group, err)
	}
	p.forget()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.position, p.parked, p.live = position, parked, false
	return position, nil
}

func (p *Projector) reset(ctx context.Context, tx pgx.Tx) error {
	for _, f := range p.folds {
		for _, table := range f.tables {
			if _, err := tx.Exec(ctx, `TRUNCATE `+pgx.Identifier{table}.Sanitize()); err != nil {
				return err
			}
		}
	}
	if _, err := tx.Exec(ctx, `DELETE FROM parked_event WHERE projection = $1`, p.options.Group); err != nil {
		return err
	}
	return tx.QueryRow(ctx, `UPDATE projection SET log_id = $2, position = 0, work_position = 0, recorded_at = NULL, live = false,
			updated_at = now(), epoch = gen_random_uuid()
		WHERE name = $1 RETURNING epoch`, p.options.Group, p.options.LogID).Scan(&p.epoch)
}

// Apply projects a batch: it is what Run hands to the subscription. Events at or
// before the position are passed over. It answers a *FencedError or ctx's error.
func (p *Projector) Apply(ctx context.Context, b event.Batch) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	position := p.Position()
	if b.Position < position || b.Position == position && (!b.Live || p.Live()) {
		return nil
	}
	first := slices.IndexFunc(b.Events, func(r event.Recorded) bool { return r.Position > position })
	if first < 0 {
		b.Events = nil
	} else {
		b.Events = b.Events[first:]
		p.mu.Lock()
		p.applying = b.Events[0].Meta.RecordedAt
		p.mu.Unlock()
	}
	defer func() {
		p.mu.Lock()
		p.applying = time.Time{}
		p.mu.Unlock()
	}()

	return p.applyHalves(ctx, b)
}

// applyHalves commits the batch. If an event of it can't be projected, it commits one
// half and then the other, down to that event, which is parked.
func (p *Projector) applyHalves(ctx context.Context, b event.Batch) error {
	// For as long as it takes Postgres to be back.
	err := p.forever(ctx, b.Position, func(ctx context.Context) error { return p.commit(ctx, b) })
	var data *dataError
	switch n := len(b.Events); {
	case !errors.As(err, &data):
		return err
	case n == 1:
		return p.park(ctx, b, data)
	default:
		first := event.Batch{Events: b.Events[:n/2], Position: b.Events[n/2-1].Position}
		if err := p.applyHalves(ctx, first); err != nil {
			return err
		}
		b.Events = b.Events[n/2:]
		return p.applyHalves(ctx, b)
	}
}

// forget tells the folds that others may have written.
func (p *Projector) forget() {
	for _, f := range p.folds {
		if f.forget != nil {
			f.forget()
		}
	}
}

// committed tells the folds that what they wrote stands.
func (p *Projector) committed() {
	for _, f := range p.applied {
		if f.committed != nil {
			f.committed()
		}
	}
	p.applied = p.applied[:0]
}

// flush writes what folds hold back.
func (p *Projector) flush(ctx context.Context) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	err := pgx.BeginFunc(ctx, p.options.Pool, func(tx pgx.Tx) error {
		var writes pgx.Batch
		p.applied = p.applied[:0]
		for _, f := range p.folds {
			if f.flush == nil {
				continue
			}
			p.applied = append(p.applied, f)
			if err := f.flush(ctx, tx, &writes); err != nil {
				return err
			}
		}
		return tx.SendBatch(ctx, &writes).Close()
	})
	if err != nil {
		return fmt.Errorf("write what projections %s hold: %w", p.options.Group, err)
	}
	p.committed()
	return nil
}

func (p *Projector) forever(ctx context.Context, target event.Position, do func(context.Context) error) error {
	from, backoff := p.Position(), firstBackoff
	for retried := false; ; retried = true {
		attempt, cancel := context.WithTimeout(ctx, applyTimeout)
		err := do(attempt)
		cancel()
		var fenced *FencedError
		var data *dataError
		switch {
		case err == nil:
			p.setAway(ctx, nil)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &data):
			p.applied = p.applied[:0] // it surely does not stand
			return err
		case errors.As(err, &fenced):
			// An attempt before, whose answer was lost, may have been committed.
			if retried && p.stands(ctx, target) {
				// Or another process has committed it: nothing that was made of the rows counts.
				p.committed()
				p.forget()
				p.advance(event.Batch{Position: target})
				p.setAway(ctx, nil)
				return nil
			}
			return &FencedError{Group: p.options.Group, Position: from, Anew: p.anew(ctx)}
		}
		p.setAway(ctx, err)
		if !pause(ctx, backoff) {
			return ctx.Err()
		}
		backoff = min(backoff*2, maxBackoff)
	}
}

// Recorded is where the group stands in Postgres, whoever wrote it last.
func (p *Projector) Recorded(ctx context.Context) (event.Position, error) {
	var at event.Position
	err := p.options.Pool.QueryRow(ctx, `SELECT position FROM projection WHERE name = $1`, p.options.Group).Scan(&at)
	if err != nil {
		return 0, fmt.Errorf("read the position of %s: %w", p.options.Group, err)
	}
	return at, nil
}

func (p *Projector) stands(ctx context.Context, at event.Position) bool {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	var same bool
	err := p.options.Pool.QueryRow(ctx, `SELECT position = $2 AND log_id = $3 FROM projection WHERE name = $1`,
		p.options.Group, at, p.options.LogID).Scan(&same)
	return err == nil && same
}

// anew reports whether the rows are of another epoch than this run began with.
func (p *Projector) anew(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	var other bool
	err := p.options.Pool.QueryRow(ctx, `SELECT epoch <> $2 FROM projection WHERE name = $1 AND log_id = $3`,
		p.options.Group, p.epoch, p.options.LogID).Scan(&other)
	return err == nil && other
}

// commit projects the batch in one transaction.
func (p *Projector) commit(ctx context.Context, b event.Batch) error {
	var writes pgx.Batch
	arrivals, err := p.write(ctx, p.wanted(b.Events), &writes, p.fence(&writes, b))
	if err != nil {
		return err
	}
	p.committed()
	p.advance(b)
	p.options.OnCommit(Commit{Group: p.options.Group, Position: b.Position, Arrivals: arrivals})
	return nil
}

// write projects events in one transaction, together with what stands in writes, and
// answers what lanes have to do anew. What fenced points to is set by writes.
func (p *Projector) write(ctx context.Context, events []event.Recorded, writes *pgx.Batch, fenced *bool) ([]work.Arrival, error) {
	var arrivals []work.Arrival
	err := pgx.BeginFunc(ctx, p.options.Pool, func(tx pgx.Tx) error {
		if p.options.held > 0 {
			if err := p.fenceFirst(ctx, tx); err != nil {
				return err
			}
		}
		p.applied = p.applied[:0]
		for _, f := range p.folds {
			mine := of(events, f.types)
			if len(mine) == 0 {
				continue
			}
			p.applied = append(p.applied, f)
			found, err := f.apply(ctx, tx, mine, writes)
			if err != nil {
				return err
			}
			arrivals = append(arrivals, found...)
		}
		err := tx.SendBatch(ctx, writes).Close()
		if *fenced {
			return &FencedError{Group: p.options.Group, Position: p.Position()}
		}
		return err
	})
	return arrivals, classify(err)
}

// RetryParked tries again to project what was left out, and answers how many streams
// stand now: a newer program may know what to make of their events.
func (p *Projector) RetryParked(ctx context.Context) (mended int, err error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	streams, err := p.parkedStreams(ctx)
	if err != nil {
		return 0, fmt.Errorf("read what is parked: %w", err)
	}
	for _, s := range streams {
		err := p.unpark(ctx, s.Stream, s.Revision)
		var data *dataError
		var fenced *FencedError
		switch {
		case errors.As(err, &data), errors.Is(err, event.ErrLocked):
			continue
		case errors.As(err, &fenced):
			return mended, &FencedError{Group: fenced.Group, Position: fenced.Position, Anew: p.anew(ctx)}
		case err != nil:
			return mended, err
		}
		mended++
		p.options.Logger.InfoContext(ctx, "a stream that was left out is projected again", "group", p.options.Group, "stream", s.Stream)
	}
	return mended, nil
}

type parkedStream struct {
	Stream   string
	Revision event.Revision
}

func (p *Projector) parkedStreams(ctx context.Context) ([]parkedStream, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	rows, err := p.options.Pool.Query(ctx, `SELECT stream, revision FROM parked_event WHERE projection = $1 ORDER BY position`, p.options.Group)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[parkedStream])
}

// unpark projects a stream from its parked event up to where the group stands.
func (p *Projector) unpark(ctx context.Context, stream string, from event.Revision) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	position := p.Position()
	var events []event.Recorded
	for more := true; more; {
		page, err := p.options.Log.Read(ctx, stream, from, streamPage)
		if err != nil {
			return err
		}
		more = len(page) == streamPage
		for _, r := range page {
			if r.Position > position {
				more = false
				break
			}
			// A subscription waits for data keys, a read does not: without them the row
			// would lack what is personal for good.
			if p.options.Group == Views && r.Personal == event.Locked {
				return event.ErrLocked
			}
			events, from = append(events, r), r.Revision+1
		}
	}
	var writes pgx.Batch
	fenced := new(bool)
	epoch := uuid.New()
	writes.Queue(`UPDATE projection SET updated_at = now(), epoch = $5 WHERE name = $1 AND position = $2 AND log_id = $3 AND epoch = $4`,
		p.options.Group, position, p.options.LogID, p.epoch, epoch).
		Exec(func(tag pgconn.CommandTag) error {
			*fenced = tag.RowsAffected() == 0
			return nil
		})
	writes.Queue(`DELETE FROM parked_event WHERE projection = $1 AND stream = $2`, p.options.Group, stream)
	arrivals, err := p.write(ctx, events, &writes, fenced)
	if err != nil {
		return err
	}
	p.committed()
	p.epoch = epoch
	p.mu.Lock()
	delete(p.parked, stream)
	p.mu.Unlock()
	p.options.OnCommit(Commit{Group: p.options.Group, Position: position, Arrivals: arrivals})
	return nil
}

// fence adds the step of the position. What it points to becomes true if the
// position was not where this run left it; the transaction must not commit then.
func (p *Projector) fence(writes *pgx.Batch, b event.Batch) *bool {
	var recordedAt *time.Time
	if n := len(b.Events); n > 0 {
		recordedAt = &b.Events[n-1].Meta.RecordedAt
	}
	var workPosition *event.Position
	for i := range b.Events {
		if slices.Contains(p.work, b.Events[i].Type) {
			workPosition = &b.Events[i].Position
		}
	}
	fenced := new(bool)
	writes.Queue(`UPDATE projection SET position = $2, recorded_at = coalesce($3, recorded_at), live = $4,
			work_position = coalesce($7, work_position), updated_at = now()
		WHERE name = $1 AND position = $5 AND log_id = $6 AND epoch = $8`,
		p.options.Group, b.Position, recordedAt, b.Live && len(b.Events) < maxBatch, p.Position(), p.options.LogID, workPosition, p.epoch).
		Exec(func(tag pgconn.CommandTag) error {
			*fenced = tag.RowsAffected() == 0
			return nil
		})
	return fenced
}

// fenceFirst is fence for folds that copy rows before the batch is sent: rows of an
// attempt whose answer was lost would look like events that can't be projected.
func (p *Projector) fenceFirst(ctx context.Context, tx pgx.Tx) error {
	var at event.Position
	if err := tx.QueryRow(ctx, `SELECT position FROM projection WHERE name = $1 FOR UPDATE`, p.options.Group).Scan(&at); err != nil {
		return err
	}
	if at != p.Position() {
		return &FencedError{Group: p.options.Group, Position: p.Position()}
	}
	return nil
}

func (p *Projector) advance(b event.Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.position = b.Position
	p.live = p.live || b.Live
	if n := len(b.Events); n > 0 {
		p.projected = b.Events[n-1].Meta.RecordedAt
	}
}

// park leaves out an event, and its stream from there on.
func (p *Projector) park(ctx context.Context, one event.Batch, cause *dataError) error {
	r := one.Events[0]
	err := p.forever(ctx, one.Position, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, p.options.Pool, func(tx pgx.Tx) error {
			var writes pgx.Batch
			fenced := p.fence(&writes, one)
			writes.Queue(`INSERT INTO parked_event (projection, stream, revision, position, type, error)
				VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
				p.options.Group, r.Stream, r.Revision, r.Position, r.Type, cause.Error())
			err := tx.SendBatch(ctx, &writes).Close()
			if *fenced {
				return &FencedError{Group: p.options.Group, Position: p.Position()}
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	p.advance(one)
	p.mu.Lock()
	p.parked[r.Stream] = true
	p.mu.Unlock()
	p.options.Logger.ErrorContext(ctx, "event cannot be projected, its stream is left out until it can be",
		"group", p.options.Group, "stream", r.Stream, "revision", r.Revision, "type", r.Type, "error", cause)
	p.options.OnCommit(Commit{Group: p.options.Group, Position: one.Position})
	return nil
}

// wanted leaves out the events of parked streams.
func (p *Projector) wanted(events []event.Recorded) []event.Recorded {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.parked) == 0 {
		return events
	}
	return slices.DeleteFunc(slices.Clone(events), func(r event.Recorded) bool { return p.parked[r.Stream] })
}

func (p *Projector) setAway(ctx context.Context, err error) {
	p.mu.Lock()
	changed := p.away != (err != nil)
	p.away = err != nil
	p.mu.Unlock()
	switch {
	case changed && err != nil:
		p.options.Logger.WarnContext(ctx, "projections wait until their stores are back", "group", p.options.Group, "error", err)
	case changed:
		p.options.Logger.InfoContext(ctx, "projections go on", "group", p.options.Group)
	}
}

// of are the events of the types: events itself if all are, for they are large.
func of(events []event.Recorded, types []string) []event.Recorded {
	n := 0
	for i := range events {
		if slices.Contains(types, events[i].Type) {
			n++
		}
	}
	if n == len(events) {
		return events
	}
	mine := make([]event.Recorded, 0, n)
	for i := range events {
		if slices.Contains(types, events[i].Type) {
			mine = append(mine, events[i])
		}
	}
	return mine
}

// classify tells faults of the data from those of the store: SQLSTATE classes 22
// (data exception) and 23 (integrity constraint) come back however often one tries.
func classify(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code[:2] == "22" || pg.Code[:2] == "23") {
		// The detail may quote a row, and rows hold what is personal.
		return &dataError{fmt.Errorf("%s (SQLSTATE %s, table %s, constraint %s)", pg.Message, pg.Code, pg.TableName, pg.ConstraintName)}
	}
	return err
}

func typeNames(types []domain.Type, without ...string) []string {
	var names []string
	for _, t := range types {
		if !slices.Contains(without, t.Name) {
			names = append(names, t.Name)
		}
	}
	return names
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func collect[T any](ctx context.Context, q querier, sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}
