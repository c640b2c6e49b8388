package bulk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/operation"
)

const (
	// maxRunning is the number of operations that one process runs at a time. More are
	// refused.
	maxRunning = 8
	// maxChanges is the number of messages that all operations of a process change at a
	// time. It leaves most of the event store to others.
	maxChanges = 16
	// eventsPage is the number of events to read at a time.
	eventsPage = 1_000
	// adoptEvery is how often a process looks for operations that no process runs.
	// adoptAfter is how long an operation must have made no progress: a running one
	// records its progress about every second.
	adoptEvery = 30 * time.Second
	adoptAfter = 30 * time.Second
	// firstWait and longestWait are the delays while the event store is unavailable.
	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second
)

// Runner runs bulk operations.
type Runner struct {
	log      event.Log
	messages *repository.Messages
	clock    event.Clock
	after    func(time.Duration) <-chan time.Time
	ids      event.IDs
	logger   *slog.Logger
	slots    chan struct{}
	started  chan uuid.UUID
	newest   newest

	mu      sync.Mutex
	closed  bool
	running map[uuid.UUID]*run
}

// run is an operation that this process runs. The runner's mutex guards state.
type run struct {
	state Operation
	ended chan struct{}
}

// Operation is a bulk operation at a revision of its stream.
type Operation struct {
	operation.Operation

	ID uuid.UUID
	// By is the actor that started it.
	By domain.Actor
	// StartedAt is when it was started.
	StartedAt time.Time
	revision  event.Revision
	// recordedAt is when its last event was recorded.
	recordedAt time.Time
}

// NewRunner returns a runner. Operations make progress only while its Run runs. after is
// time.After, or a test's.
func NewRunner(
	log event.Log, messages *repository.Messages, clock event.Clock, after func(time.Duration) <-chan time.Time,
	ids event.IDs, logger *slog.Logger,
) *Runner {
	return &Runner{
		log: log, messages: messages, clock: clock, after: after, ids: ids, logger: logger,
		slots: make(chan struct{}, maxChanges), started: make(chan uuid.UUID, maxRunning),
		newest: newest{finished: make(map[uuid.UUID]Operation)}, running: make(map[uuid.UUID]*run),
	}
}

// Run runs the operations that Start begins and that other processes abandoned, until ctx
// ends. It then waits for the changes in progress. Unfinished operations continue when a
// process starts.
func (r *Runner) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer r.close()
	defer running.Wait()
	open := &openOperations{ids: make(map[uuid.UUID]bool)}
	failing := retry.Backoff{First: 2 * firstWait, Max: longestWait}
	for starting := true; ; {
		adopted, err := r.adopt(ctx, open, starting)
		for _, id := range adopted {
			running.Go(func() { r.runToEnd(ctx, id) })
		}
		wait := adoptEvery
		if err == nil {
			starting = false
			failing = retry.Backoff{First: longestWait, Max: longestWait} // only the first look is urgent
		} else {
			r.logger.WarnContext(ctx, "failed to look for abandoned operations", "error", err)
			wait = failing.Next()
		}
		if err := r.runStarted(ctx, &running, wait); err != nil {
			return err
		}
	}
}

// close releases the operations that were started and not run yet.
func (r *Runner) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	for {
		select {
		case id := <-r.started:
			r.leave(id)
		default:
			return
		}
	}
}

// runStarted runs the operations that are started within the given time.
func (r *Runner) runStarted(ctx context.Context, running *sync.WaitGroup, wait time.Duration) error {
	over := r.after(wait)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case id := <-r.started:
			running.Go(func() { r.runToEnd(ctx, id) })
		case <-over:
			return nil
		}
	}
}

// openOperations are the operations that are not finished, up to a revision of the stream
// that lists all of them.
type openOperations struct {
	next event.Revision
	ids  map[uuid.UUID]bool
}

// adopt registers the operations that no process runs and returns them. When a process
// starts, it adopts all open operations: it can be the only process.
func (r *Runner) adopt(ctx context.Context, open *openOperations, starting bool) ([]uuid.UUID, error) {
	err := r.read(ctx, event.OperationsStream, open.next, func(e event.Recorded) error {
		switch e := e.Event.(type) {
		case operation.Opened:
			open.ids[e.Operation] = true
		case operation.Closed:
			delete(open.ids, e.Operation)
		}
		open.next = e.Revision + 1
		return nil
	})
	if err != nil {
		return nil, err
	}
	var adopted []uuid.UUID
	for _, id := range slices.SortedFunc(maps.Keys(open.ids), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }) {
		if r.isRunning(id) {
			continue
		}
		state, err := r.load(ctx, id)
		if err != nil {
			return adopted, err
		}
		if !starting && r.clock().Sub(state.recordedAt) < adoptAfter {
			continue
		}
		if err := r.enter(state); err != nil {
			return adopted, nil //nolint:nilerr // as many as possible are running; it is adopted later
		}
		r.logger.InfoContext(ctx, "operation resumed", "operation", id, "through", state.Through, "selected", state.Selected)
		adopted = append(adopted, id)
	}
	return adopted, nil
}

// enter registers an operation as running in this process.
func (r *Runner) enter(state Operation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return domain.Unavailable("Waypost is shutting down; try again when it has restarted")
	case len(r.running) >= maxRunning:
		return domain.Unavailable("%d operations are already running; try again when one has finished", len(r.running))
	}
	r.running[state.ID] = &run{state: state, ended: make(chan struct{})}
	return nil
}

func (r *Runner) leave(id uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.running[id].ended)
	delete(r.running, id)
}

func (r *Runner) isRunning(id uuid.UUID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, here := r.running[id]
	return here
}

// publish updates the state that Find returns.
func (r *Runner) publish(state Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[state.ID].state = state
}

// Find returns an operation. If this process runs it, the result is up to date to the
// message. Find returns domain.NotFound if there is no such operation.
func (r *Runner) Find(ctx context.Context, id uuid.UUID) (Operation, error) {
	r.mu.Lock()
	var state Operation
	if here, ok := r.running[id]; ok {
		state = here.state
	}
	r.mu.Unlock()
	if state.Exists() {
		return state, nil
	}
	return r.load(ctx, id)
}

// Wait waits until this process no longer runs the operation, or ctx ends.
func (r *Runner) Wait(ctx context.Context, id uuid.UUID) {
	r.mu.Lock()
	here, ok := r.running[id]
	r.mu.Unlock()
	if !ok {
		return
	}
	select {
	case <-here.ended:
	case <-ctx.Done():
	}
}

func (r *Runner) load(ctx context.Context, id uuid.UUID) (Operation, error) {
	state := Operation{ID: id}
	err := r.read(ctx, event.OperationStream(id), 0, func(e event.Recorded) error {
		if e.Event != nil {
			state.Operation = state.Apply(e.Event)
		}
		if _, ok := e.Event.(operation.Started); ok {
			state.By = e.Meta.By
			state.By.OnBehalfOf = e.Meta.OnBehalfOf
			state.StartedAt = e.Meta.RecordedAt
		}
		state.revision, state.recordedAt = e.Revision, e.Meta.RecordedAt
		return nil
	})
	if err != nil {
		return state, fmt.Errorf("load operation %s: %w", id, err)
	}
	if !state.Exists() {
		return state, domain.NotFound("no operation %s", id)
	}
	return state, nil
}

// read passes a stream's events from a revision on to handle, and returns handle's first
// error.
func (r *Runner) read(ctx context.Context, stream string, from event.Revision, handle func(event.Recorded) error) error {
	for {
		events, err := r.log.Read(ctx, stream, from, eventsPage)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := handle(e); err != nil {
				return err
			}
			from = e.Revision + 1
		}
		if len(events) < eventsPage {
			return nil
		}
	}
}

func (r *Runner) append(
	ctx context.Context, stream string, expected event.Expected, cause event.Cause, events ...domain.Event,
) (event.Appended, error) {
	return r.log.Append(ctx, stream, expected, event.Propose(r.ids, cause.Meta(r.clock()), events...)...)
}

// errRunningElsewhere means that another process runs the operation.
var errRunningElsewhere = errors.New("another process runs the operation")

// runToEnd runs an operation until it is finished, another process runs it, or ctx ends.
func (r *Runner) runToEnd(ctx context.Context, id uuid.UUID) {
	defer r.leave(id)
	failing := retry.Backoff{First: firstWait, Max: longestWait}
	for {
		err := r.advance(ctx, id)
		switch {
		case err == nil, ctx.Err() != nil:
			return
		case errors.Is(err, errRunningElsewhere):
			r.logger.InfoContext(ctx, err.Error(), "operation", id)
			return
		}
		r.logger.WarnContext(ctx, "operation waits", "operation", id, "error", err)
		if failing.Wait(ctx, r.after) != nil {
			return
		}
	}
}
