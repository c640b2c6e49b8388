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
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

const (
	// maxBatch is the maximum number of events that one transaction of a group projects, those
	// of busyInterval at full load. readBatch is the maximum number of events that a rebuild and
	// a verification read at once.
	maxBatch  = 2000
	readBatch = 1000
	// batchInterval is the minimum time between two transactions of a group while the log
	// is busy. Without it there were about 50 per second. With it, a message's row and its
	// sender's counts and metrics are written once for several events, and queries lag by
	// up to this much more.
	batchInterval = 100 * time.Millisecond
	// busyInterval is batchInterval while hundreds of events come per second: most messages
	// are then called and accepted within one transaction, and most statuses of a message
	// share one.
	busyInterval = 300 * time.Millisecond

	// applyTimeout bounds one transaction. After it, Postgres counts as unavailable, and a
	// batch is divided, because it can be too large.
	applyTimeout = 30 * time.Second
	// applyFactor is by how much the transaction of a single event can take longer.
	applyFactor = 10

	// retryParkedEvery is the time between attempts to project parked streams.
	retryParkedEvery = 10 * time.Minute

	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

// A Group is a set of projections that share a subscription and a position.
type Group string

// The groups of projections.
const (
	// Worklist fills the work list. It is a group of its own, so that dispatch never waits
	// for the views.
	Worklist Group = "worklist"
	// Views fills everything that queries read.
	Views Group = "views"
)

// Groups lists the groups of projections.
func Groups() []Group { return []Group{Worklist, Views} }

// A FencedError reports that another run of the group writes the read model, or that the
// read model was rebuilt or dropped. Run can be started again, as a standby.
type FencedError struct {
	Group    Group
	Position event.Position
	// EpochChanged is set if the read model was rebuilt, or if parked streams of it were
	// projected. No other process need be running, and Run can be started again
	// immediately.
	EpochChanged bool
}

func (e *FencedError) Error() string {
	return fmt.Sprintf("projections %s are no longer at position %d: another process runs them or the read model was rebuilt",
		e.Group, e.Position)
}

// A Commit describes a batch that has been projected.
type Commit struct {
	Group    Group
	Position event.Position
	// Arrivals are what is new in the work list, in no order. Other groups have none.
	Arrivals []work.NewWork
}

// ProjectorOptions configure a projector.
type ProjectorOptions struct {
	Group Group
	Log   event.Log
	Pool  *pgxpool.Pool
	// LogID is the log's identity. The group is rebuilt from the start if its rows come
	// from a log with another identity.
	LogID string
	// OnCommit is called after each batch, on the projector's goroutine, and must not
	// block. It can be nil.
	OnCommit func(Commit)
	Logger   *slog.Logger
	// Vault seals personal data in rows. If nil, rows have none.
	Vault Vault

	// held is the maximum number of rows held back until flush is called, see heldRows;
	// none if zero. Otherwise, recent is the number of remembered rows, see recentRows;
	// recentAtMost if zero.
	held, recent int
	// timeout is applyTimeout if zero.
	timeout time.Duration
	// complete adds to events what older versions didn't record. If nil, withAttempts does;
	// tests set it to plant defects.
	complete func(context.Context, event.Log, []event.Recorded) ([]event.Recorded, error)
}

// A Projector keeps one group's tables in sync with the log. Run it once at a time; the
// other methods can be called from any goroutine.
type Projector struct {
	options ProjectorOptions
	folds   []projection
	types   []string
	work    []string // types that change the work list
	urgent  []string // types that don't wait for batchInterval

	writing   sync.Mutex   // serializes new batches and retries of parked streams
	epoch     uuid.UUID    // of the rows at Prepare; a rebuild and an unparked stream begin another
	applied   []projection // projections that took part in the last attempt
	mu        sync.Mutex
	position  event.Position
	live      bool
	applying  time.Time // when the first event of the current batch was recorded
	projected time.Time // when the last projected event was recorded
	parked    map[string]bool
	away      bool
}

// projection is a projection: the tables that only it writes, the event types that it
// handles, and the function that turns a batch of them into statements.
type projection struct {
	name   string
	tables []string
	types  []string
	// apply can read through tx and adds its writes to the batch. It returns what is new
	// for lanes. A *dataError reports that the events can't be projected.
	apply func(ctx context.Context, tx pgx.Tx, events []event.Recorded, writes *pgx.Batch) ([]work.NewWork, error)
	// committed is called when the last batch is committed, and forget when another process
	// may have written since. flush writes rows that are held back. They are nil if nothing
	// is kept in memory.
	committed, forget func()
	flush             func(ctx context.Context, tx pgx.Tx, writes *pgx.Batch) error
}

// dataError reports that an event can't be projected, however often it is retried.
type dataError struct{ err error }

func (e *dataError) Error() string { return e.err.Error() }
func (e *dataError) Unwrap() error { return e.err }

// NewProjector returns the projector of a group.
func NewProjector(o ProjectorOptions) (*Projector, error) {
	p := &Projector{options: o, work: work.EventTypes(), parked: make(map[string]bool)}
	switch o.Group {
	case Worklist:
		p.folds = []projection{worklistProjection(o.Log, o.Vault)}
		p.urgent = []string{message.Queued{}.EventType(), message.Requeued{}.EventType(), message.Deferred{}.EventType()}
	case Views:
		var rows messageRows = newRecentRows(cmp.Or(o.recent, recentAtMost))
		if o.held > 0 {
			rows = newHeldRows(o.held)
		}
		p.folds = []projection{messagesFold(o.Vault, rows), sendersFold(), templatesFold(), personalFold(), identitiesFold(o.Vault), conversationsFold(o.Log, o.Vault), alertsFold()}
	default:
		return nil, fmt.Errorf("there is no group of projections %q", o.Group)
	}
	if o.complete == nil {
		p.options.complete = withAttempts
	}
	if o.OnCommit == nil {
		p.options.OnCommit = func(Commit) {}
	}
	for _, f := range p.folds {
		p.types = append(p.types, f.types...)
	}
	return p, nil
}

// Group returns the group that the projector projects.
func (p *Projector) Group() Group { return p.options.Group }

// Position returns the position of the last event that the group has projected.
func (p *Projector) Position() event.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.position
}

// Live reports whether the group has reached the end of the log.
func (p *Projector) Live() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live
}

// Behind returns the group's lag: 0 if it is live and no event waits,
// otherwise the age of the oldest event in progress.
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

// Run projects events until ctx ends, and then returns nil, or until it is fenced, and then
// returns a *FencedError. While the event store or Postgres is unavailable, it retries
// without limit. If the log is shorter than what was projected, it projects nothing and
// isn't live.
func (p *Projector) Run(ctx context.Context) error {
	retries := retry.Backoff{First: firstBackoff, Max: maxBackoff}
	for {
		err := p.runOnce(ctx)
		var fenced *FencedError
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the caller that cancelled knows why
		case errors.As(err, &fenced):
			return err
		}
		p.setAway(ctx, err)
		if retries.Sleep(ctx) != nil {
			return nil //nolint:nilerr // the caller that cancelled knows why
		}
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
			After: position, Filter: event.Filter{Types: p.types}, MaxBatch: maxBatch,
			BatchInterval: batchInterval, BusyInterval: busyInterval, Urgent: p.urgent, Consumer: consumerOf(p.options.Group),
		}, p.Apply)
	})
	return group.Wait()
}

func (p *Projector) retryParkedNowAndThen(ctx context.Context) error {
	for {
		if _, err := p.RetryParked(ctx); err != nil {
			return err
		}
		if retry.Sleep(ctx, retryParkedEvery) != nil {
			return ctx.Err()
		}
	}
}

// Prepare reads the position that the group has reached. If the tables come from another
// log, it empties them first. Run calls it; a caller of Apply must call it first.
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
			p.options.Logger.WarnContext(ctx, "read model comes from another log; rebuilding it", "group", p.options.Group)
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

// Apply projects a batch; Run passes it to the subscription. It skips events at or before
// the position. It returns a *FencedError or ctx's error.
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

	return p.applyBisecting(ctx, b)
}

// errTooSlow reports that a transaction with several events did not end in time.
var errTooSlow = errors.New("the transaction took too long")

// applyBisecting commits the batch. If one of its events can't be projected, it commits one
// half and then the other, down to that event, which it parks. It also divides a batch that
// takes too long: tried again as it is, it would take too long again.
func (p *Projector) applyBisecting(ctx context.Context, b event.Batch) error {
	// This retries until Postgres is available again.
	err := p.retryUntilDone(ctx, b, func(ctx context.Context) error { return p.commit(ctx, b) })
	var data *dataError
	switch n := len(b.Events); {
	case !errors.As(err, &data) && !errors.Is(err, errTooSlow):
		return err
	case n == 1:
		return p.park(ctx, b, data)
	default:
		first := event.Batch{Events: b.Events[:n/2], Position: b.Events[n/2-1].Position}
		if err := p.applyBisecting(ctx, first); err != nil {
			return err
		}
		b.Events = b.Events[n/2:]
		return p.applyBisecting(ctx, b)
	}
}

// forget tells the projections that another process may have written.
func (p *Projector) forget() {
	for _, f := range p.folds {
		if f.forget != nil {
			f.forget()
		}
	}
}

// committed tells the projections that their writes are committed.
func (p *Projector) committed() {
	for _, f := range p.applied {
		if f.committed != nil {
			f.committed()
		}
	}
	p.applied = p.applied[:0]
}

// flush writes the rows that projections hold back.
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
		return fmt.Errorf("write the rows that projections %s hold: %w", p.options.Group, err)
	}
	p.committed()
	return nil
}

func (p *Projector) retryUntilDone(ctx context.Context, b event.Batch, do func(context.Context) error) error {
	from, retries := p.Position(), retry.Backoff{First: firstBackoff, Max: maxBackoff}
	timeout, several := cmp.Or(p.options.timeout, applyTimeout), len(b.Events) > 1
	if !several {
		timeout *= applyFactor
	}
	for retried := false; ; retried = true {
		attempt, cancel := context.WithTimeout(ctx, timeout)
		err := do(attempt)
		late := attempt.Err() != nil
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
			p.applied = p.applied[:0] // it was certainly not committed
			return err
		case errors.As(err, &fenced):
			// An earlier attempt whose response was lost may have been committed.
			if retried && p.storedPositionIs(ctx, b.Position) {
				// Or another process has committed the batch: rows cached in memory are
				// not reliable.
				p.committed()
				p.forget()
				p.advance(b)
				p.setAway(ctx, nil)
				return nil
			}
			return &FencedError{Group: p.options.Group, Position: from, EpochChanged: p.epochChanged(ctx)}
		}
		p.setAway(ctx, err)
		if late && several {
			return errTooSlow
		}
		if err := retries.Sleep(ctx); err != nil {
			return err
		}
	}
}

// StoredPosition returns the group's position in Postgres, whichever process wrote it last.
func (p *Projector) StoredPosition(ctx context.Context) (event.Position, error) {
	var at event.Position
	err := p.options.Pool.QueryRow(ctx, `SELECT position FROM projection WHERE name = $1`, p.options.Group).Scan(&at)
	if err != nil {
		return 0, fmt.Errorf("read the position of %s: %w", p.options.Group, err)
	}
	return at, nil
}

func (p *Projector) storedPositionIs(ctx context.Context, at event.Position) bool {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	var same bool
	err := p.options.Pool.QueryRow(ctx, `SELECT position = $2 AND log_id = $3 FROM projection WHERE name = $1`,
		p.options.Group, at, p.options.LogID).Scan(&same)
	return err == nil && same
}

// fencedAnew is epochChanged for a caller that doesn't hold writing.
func (p *Projector) fencedAnew(ctx context.Context) bool {
	p.writing.Lock()
	defer p.writing.Unlock()
	return p.epochChanged(ctx)
}

// epochChanged reports whether the rows have another epoch than the one that this run
// started with.
func (p *Projector) epochChanged(ctx context.Context) bool {
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
	arrivals, err := p.write(ctx, p.withoutParked(b.Events), &writes, p.fence(&writes, b))
	if err != nil {
		return err
	}
	p.committed()
	p.advance(b)
	p.options.OnCommit(Commit{Group: p.options.Group, Position: b.Position, Arrivals: arrivals})
	return nil
}

// write projects events in one transaction, together with the statements in writes, and
// returns what is new for lanes. Executing writes sets *fenced.
func (p *Projector) write(ctx context.Context, events []event.Recorded, writes *pgx.Batch, fenced *bool) ([]work.NewWork, error) {
	events, err := p.options.complete(ctx, p.options.Log, events)
	if err != nil {
		return nil, err
	}
	events = storableEvents(events)
	var arrivals []work.NewWork
	err = pgx.BeginFunc(ctx, p.options.Pool, func(tx pgx.Tx) error {
		if p.options.held > 0 {
			if err := p.fenceFirst(ctx, tx); err != nil {
				return err
			}
		}
		p.applied = p.applied[:0]
		for _, f := range p.folds {
			mine := filterByType(events, f.types)
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

// RetryParked tries to project parked streams again and returns how many succeeded: a newer
// version may be able to project their events. It tries one stream at a time, in the order
// in which they were parked, and new events are projected in between. A stream that fails
// again, for whatever reason, stays parked.
func (p *Projector) RetryParked(ctx context.Context) (projected int, err error) {
	streams, err := p.parkedStreams(ctx)
	if err != nil {
		return 0, fmt.Errorf("read parked streams: %w", err)
	}
	for _, s := range streams {
		err := p.unpark(ctx, s.Stream, s.Revision)
		var data *dataError
		var fenced *FencedError
		switch {
		case errors.As(err, &data), errors.Is(err, event.ErrLocked):
			continue
		case errors.As(err, &fenced):
			return projected, &FencedError{Group: fenced.Group, Position: fenced.Position, EpochChanged: p.fencedAnew(ctx)}
		case ctx.Err() != nil:
			return projected, ctx.Err()
		case err != nil: // a stream that takes too long, for example, must not stop the group
			p.options.Logger.WarnContext(ctx, "failed to project a parked stream, retrying later", "group", p.options.Group, "stream", s.Stream, "error", err)
			continue
		}
		projected++
		p.options.Logger.InfoContext(ctx, "parked stream projected", "group", p.options.Group, "stream", s.Stream)
	}
	return projected, nil
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

// unpark projects a stream from its parked event up to the group's position.
func (p *Projector) unpark(ctx context.Context, stream string, from event.Revision) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	position := p.Position()
	var events []event.Recorded
	for more := true; more; {
		page, err := readStream(ctx, p.options.Log, stream, from)
		if err != nil {
			return err
		}
		more = len(page) == streamPage
		for _, r := range page {
			if r.Position > position {
				more = false
				break
			}
			// A subscription waits for data keys, but a read doesn't. Without the key,
			// the row would lack its personal data permanently.
			if r.Personal == event.Locked {
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

// fence adds the update that moves the group's position to that of b. The flag becomes true
// if the stored position, log ID, or epoch is not the one that this run expects; the
// transaction must not commit then.
func (p *Projector) fence(writes *pgx.Batch, b event.Batch) *bool {
	var recordedAt *time.Time
	if n := len(b.Events); n > 0 {
		at := storableTime(b.Events[n-1].Meta.RecordedAt)
		recordedAt = &at
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

// fenceFirst is fence for projections that copy rows before the batch is sent. Rows of an
// attempt whose response was lost would look like events that can't be projected.
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

// park excludes an event and the rest of its stream.
func (p *Projector) park(ctx context.Context, one event.Batch, cause *dataError) error {
	r := one.Events[0]
	err := p.retryUntilDone(ctx, one, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, p.options.Pool, func(tx pgx.Tx) error {
			var writes pgx.Batch
			fenced := p.fence(&writes, one)
			writes.Queue(`INSERT INTO parked_event (projection, stream, revision, position, type, error)
				VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
				p.options.Group, storableText(r.Stream), r.Revision, r.Position, r.Type, storableText(cause.Error()))
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
	p.options.Logger.ErrorContext(ctx, "event cannot be projected; its stream is parked",
		"group", p.options.Group, "stream", r.Stream, "revision", r.Revision, "type", r.Type, "error", cause)
	p.options.OnCommit(Commit{Group: p.options.Group, Position: one.Position})
	return nil
}

// withoutParked returns the events without those of parked streams.
func (p *Projector) withoutParked(events []event.Recorded) []event.Recorded {
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
	var shorter *event.ShorterError
	switch {
	case changed && errors.As(err, &shorter):
		p.options.Logger.ErrorContext(ctx, "projections stopped", "group", p.options.Group, "error", err)
	case changed && err != nil:
		p.options.Logger.WarnContext(ctx, "projections are waiting for their stores", "group", p.options.Group, "error", err)
	case changed:
		p.options.Logger.InfoContext(ctx, "projections resumed", "group", p.options.Group)
	}
}

// filterByType returns the events of the given types. It returns events itself if all match,
// because they are large.
func filterByType(events []event.Recorded, types []string) []event.Recorded {
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

// dataFaults are the SQLSTATE classes of errors that recur on every retry: cardinality
// violation, data exception, integrity constraint violation, program limit exceeded.
var dataFaults = []string{"21", "22", "23", "54"}

// classify distinguishes data errors from store errors.
func classify(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && len(pg.Code) > 2 && slices.Contains(dataFaults, pg.Code[:2]) {
		// The detail can quote a row, and rows contain personal data.
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

// batchSender is a pool or a transaction.
type batchSender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// readAtOnce runs the statements that add adds, in one round trip.
func readAtOnce(ctx context.Context, to batchSender, add func(*pgx.Batch)) error {
	var batch pgx.Batch
	add(&batch)
	return to.SendBatch(ctx, &batch).Close()
}

// queueRows adds a statement to a batch that stores its rows in list.
func queueRows[T any](batch *pgx.Batch, list *[]T, scan pgx.RowToFunc[T], sql string, args ...any) {
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		*list, err = pgx.CollectRows(rows, scan)
		return err
	})
}
