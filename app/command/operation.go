package command

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
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/operation"
)

// Bounds of bulk operations.
const (
	// runningOperations is how many go on at a time in a process; more are refused.
	runningOperations = 8
	// operationConcurrency is how many messages are changed at a time by all
	// operations of a process together: it leaves most of the store to others.
	operationConcurrency = 16
	// operationBatch is how many messages are dealt with between two records of
	// the progress: what a crash makes an operation look at again.
	operationBatch = 500
	// selectionChunk is how many messages one event of a selection names: some
	// 200 KB.
	selectionChunk = 5_000
	// eventsPage is how many events are read at a time.
	eventsPage = 1_000
	// adoptEvery is how often a process looks for operations that nobody carries
	// on, adoptAfter how long one must have stood still: a running one records its
	// progress every second or so.
	adoptEvery = 30 * time.Second
	adoptAfter = 30 * time.Second
	// The waits while the store is away.
	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second
)

// MaxSelected is how many messages one operation may be about.
const MaxSelected = 1_000_000

// Operations carries out bulk operations. They are recorded in the log, the
// selection first, and go on whatever becomes of the request that began them, of
// Postgres, or of the process: at the start, and every half minute, a process
// takes on those that nobody carries on.
//
// A message is changed once by an operation, however often it is tried: the
// event that changes it names the operation as its cause, and a message that has
// such an event is done. Two processes that carry on the same operation therefore
// do no harm; the one that comes second to record its progress leaves it.
type Operations struct {
	log      event.Log
	messages *Messages
	clock    Clock
	after    func(time.Duration) <-chan time.Time
	ids      IDs
	logger   *slog.Logger
	slots    chan struct{}
	started  chan uuid.UUID

	mu      sync.Mutex
	closed  bool
	running map[uuid.UUID]*runningOperation
}

// runningOperation is an operation that this process carries on.
type runningOperation struct {
	state OperationState
	over  chan struct{}
}

// OperationState is an operation as it stands.
type OperationState struct {
	operation.Operation

	ID uuid.UUID
	// By is who began it.
	By       domain.Actor
	revision event.Revision
	// recordedAt is when its last event was recorded.
	recordedAt time.Time
}

// NewOperations makes the use case; Run must run for operations to go on. after
// is time.After, or that of a test's clock.
func NewOperations(
	log event.Log, messages *Messages, clock Clock, after func(time.Duration) <-chan time.Time, ids IDs, logger *slog.Logger,
) *Operations {
	return &Operations{
		log: log, messages: messages, clock: clock, after: after, ids: ids, logger: logger,
		slots: make(chan struct{}, operationConcurrency), started: make(chan uuid.UUID, runningOperations),
		running: make(map[uuid.UUID]*runningOperation),
	}
}

// Selection hands over the messages that an operation is about, each once, in
// runs of any length. It ends with yield's error.
type Selection func(ctx context.Context, yield func([]uuid.UUID) error) error

// StartOperation says what an operation does.
type StartOperation struct {
	Kind   operation.Kind
	Reason string
	// Senders limits it to their messages; nil for all.
	Senders []string
	Select  Selection
}

// Start freezes the selection and begins. What was cut off before the answer did
// either not begin, and has changed nothing, or goes on to its end.
func (o *Operations) Start(ctx context.Context, s StartOperation, cause Cause) (OperationState, error) {
	id := o.ids()
	run, err := o.enter(id)
	if err != nil {
		return OperationState{}, err
	}
	state, err := o.record(ctx, id, s, cause)
	if err != nil {
		o.leave(id)
		return OperationState{}, err
	}
	o.mu.Lock()
	run.state = state
	o.mu.Unlock()
	o.started <- id // there is room for as many as may run
	return state, nil
}

// enter takes a place among the running operations.
func (o *Operations) enter(id uuid.UUID) (*runningOperation, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return nil, domain.Unavailable("the platform is being stopped; try again once it runs")
	case len(o.running) >= runningOperations:
		return nil, domain.Unavailable("%d operations are under way; try again once one is over", len(o.running))
	}
	run := &runningOperation{state: OperationState{ID: id}, over: make(chan struct{})}
	o.running[id] = run
	return run, nil
}

func (o *Operations) leave(id uuid.UUID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.running[id].over)
	delete(o.running, id)
}

// record writes the selection, the operation and its place among all operations,
// in this order: only what the last one names is carried on.
func (o *Operations) record(ctx context.Context, id uuid.UUID, s StartOperation, cause Cause) (OperationState, error) {
	state := OperationState{ID: id, By: cause.By, recordedAt: o.clock()}
	selected := 0
	freeze := func(ids []uuid.UUID) error {
		if selected += len(ids); selected > MaxSelected {
			return &domain.Error{
				Code: domain.CodeTooLarge, Field: "input.filter",
				Message: fmt.Sprintf("finds more than the %d messages that one operation may change; narrow it and repeat", MaxSelected),
			}
		}
		for chunk := range slices.Chunk(ids, selectionChunk) {
			if _, err := o.append(ctx, event.SelectionStream(id), event.Any(), cause, operation.Selected{Messages: slices.Clone(chunk)}); err != nil {
				return fmt.Errorf("record the selection of operation %s: %w", id, err)
			}
		}
		return nil
	}
	if err := s.Select(ctx, freeze); err != nil {
		return state, err
	}
	begun := operation.Started{Kind: s.Kind, Selected: selected, Reason: s.Reason, Senders: s.Senders}
	done, err := o.append(ctx, event.OperationStream(id), event.NoStream(), cause, begun)
	if err == nil {
		_, err = o.append(ctx, event.OperationsStream, event.Any(), cause, operation.Opened{Operation: id})
	}
	if err != nil {
		return state, fmt.Errorf("record operation %s: %w", id, err)
	}
	state.Operation, state.revision = operation.Fold(begun), done.Revision
	return state, nil
}

func (o *Operations) append(
	ctx context.Context, stream string, expected event.Expected, cause Cause, events ...domain.Event,
) (event.Appended, error) {
	news := make([]event.New, len(events))
	for i, e := range events {
		news[i] = event.New{ID: o.ids(), Event: e, Meta: event.Meta{
			RecordedAt: o.clock(), CausationID: cause.CausationID, By: cause.By, OnBehalfOf: cause.By.OnBehalfOf,
			Traceparent: cause.Traceparent,
		}}
	}
	return o.log.Append(ctx, stream, expected, news...)
}

// Find is the operation as it stands, to the message if this process carries it
// on; domain.NotFound if none of this id was begun.
func (o *Operations) Find(ctx context.Context, id uuid.UUID) (OperationState, error) {
	o.mu.Lock()
	run, here := o.running[id]
	var state OperationState
	if here {
		state = run.state
	}
	o.mu.Unlock()
	if here && state.Exists() {
		return state, nil
	}
	return o.load(ctx, id)
}

// Wait waits until this process does not carry on the operation any more, or ctx
// ends.
func (o *Operations) Wait(ctx context.Context, id uuid.UUID) {
	o.mu.Lock()
	run, here := o.running[id]
	o.mu.Unlock()
	if !here {
		return
	}
	select {
	case <-run.over:
	case <-ctx.Done():
	}
}

func (o *Operations) load(ctx context.Context, id uuid.UUID) (OperationState, error) {
	state := OperationState{ID: id}
	err := o.read(ctx, event.OperationStream(id), 0, func(e event.Recorded) error {
		if e.Event != nil {
			state.Operation = state.With(e.Event)
		}
		if _, ok := e.Event.(operation.Started); ok {
			state.By = e.Meta.By
			state.By.OnBehalfOf = e.Meta.OnBehalfOf
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

// read hands over a stream's events from a revision to the end.
func (o *Operations) read(ctx context.Context, stream string, from event.Revision, each func(event.Recorded) error) error {
	for {
		events, err := o.log.Read(ctx, stream, from, eventsPage)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := each(e); err != nil {
				return err
			}
			from = e.Revision + 1
		}
		if len(events) < eventsPage {
			return nil
		}
	}
}

// Run carries on what Start begins and what other processes left, until ctx
// ends. It then waits for the changes that are under way; what is left of an
// operation goes on at the next start.
func (o *Operations) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer o.end()
	defer wg.Wait()
	book := &openOperations{ids: make(map[uuid.UUID]bool)}
	wait := firstWait
	for first := true; ; {
		adopted, err := o.adopt(ctx, book, first)
		for _, id := range adopted {
			wg.Go(func() { o.carryOn(ctx, id) })
		}
		if err == nil {
			first, wait = false, adoptEvery
		} else {
			o.logger.WarnContext(ctx, "operations that were left cannot be looked for now", "error", err)
			wait = min(2*wait, longestWait)
		}
		if err := o.runStarted(ctx, &wg, wait); err != nil {
			return err
		}
	}
}

// end gives up what was begun and not taken up any more.
func (o *Operations) end() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	for {
		select {
		case id := <-o.started:
			o.leave(id)
		default:
			return
		}
	}
}

// runStarted carries on what is begun, for a while.
func (o *Operations) runStarted(ctx context.Context, wg *sync.WaitGroup, wait time.Duration) error {
	over := o.after(wait)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case id := <-o.started:
			wg.Go(func() { o.carryOn(ctx, id) })
		case <-over:
			return nil
		}
	}
}

// openOperations is what the stream of all operations says, up to a revision.
type openOperations struct {
	next event.Revision
	ids  map[uuid.UUID]bool
}

// adopt finds the operations that nobody carries on and takes places for them.
// At the start of a process nobody is taken to: it may be the only one there is.
func (o *Operations) adopt(ctx context.Context, book *openOperations, atStart bool) ([]uuid.UUID, error) {
	err := o.read(ctx, event.OperationsStream, book.next, func(e event.Recorded) error {
		switch e := e.Event.(type) {
		case operation.Opened:
			book.ids[e.Operation] = true
		case operation.Closed:
			delete(book.ids, e.Operation)
		}
		book.next = e.Revision + 1
		return nil
	})
	if err != nil {
		return nil, err
	}
	var adopted []uuid.UUID
	for _, id := range slices.SortedFunc(maps.Keys(book.ids), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }) {
		if o.carries(id) {
			continue
		}
		state, err := o.load(ctx, id)
		if err != nil {
			return adopted, err
		}
		if !atStart && o.clock().Sub(state.recordedAt) < adoptAfter {
			continue
		}
		run, err := o.enter(id)
		if err != nil {
			return adopted, nil //nolint:nilerr // the places are taken: it stays for the next look
		}
		o.mu.Lock()
		run.state = state
		o.mu.Unlock()
		o.logger.InfoContext(ctx, "an operation goes on", "operation", id, "through", state.Through, "selected", state.Selected)
		adopted = append(adopted, id)
	}
	return adopted, nil
}

func (o *Operations) carries(id uuid.UUID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, here := o.running[id]
	return here
}

// errElsewhere says that another process carries the operation on.
var errElsewhere = errors.New("another process carries the operation on")

// carryOn brings an operation to its end, unless ctx ends or another process
// takes over.
func (o *Operations) carryOn(ctx context.Context, id uuid.UUID) {
	defer o.leave(id)
	wait := firstWait
	for {
		err := o.advance(ctx, id)
		switch {
		case err == nil, ctx.Err() != nil:
			return
		case errors.Is(err, errElsewhere):
			o.logger.InfoContext(ctx, err.Error(), "operation", id)
			return
		}
		o.logger.WarnContext(ctx, "an operation waits", "operation", id, "error", err)
		select {
		case <-o.after(wait):
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, longestWait)
	}
}

// advance goes through what is left of the selection.
func (o *Operations) advance(ctx context.Context, id uuid.UUID) error {
	state, err := o.load(ctx, id)
	if err != nil {
		return err
	}
	o.show(state)
	cause := Cause{By: state.By, CausationID: id.String()}
	if !state.Finished {
		passed := 0
		err := o.read(ctx, event.SelectionStream(id), 0, func(e event.Recorded) error {
			selected, ok := e.Event.(operation.Selected)
			if !ok {
				return nil
			}
			skip := min(max(state.Through-passed, 0), len(selected.Messages))
			passed += len(selected.Messages)
			for batch := range slices.Chunk(selected.Messages[skip:], operationBatch) {
				if state, err = o.deal(ctx, state, batch, cause); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if !state.Finished { // nothing was selected
			if state, err = o.progress(ctx, state, operation.Progress{}); err != nil {
				return err
			}
		}
	}
	_, err = o.append(ctx, event.OperationsStream, event.Any(), cause, operation.Closed{Operation: id})
	return err
}

// show makes known how far an operation is.
func (o *Operations) show(state OperationState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running[state.ID].state = state
}

// deal changes a batch of messages and records the progress.
func (o *Operations) deal(ctx context.Context, state OperationState, batch []uuid.UUID, cause Cause) (OperationState, error) {
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		refusals = make([]*operation.Refusal, len(batch))
		fault    error
		shown    = state
	)
	for i, id := range batch {
		select {
		case o.slots <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return state, ctx.Err()
		}
		wg.Go(func() {
			defer func() { <-o.slots }()
			refusal, err := o.change(ctx, state, id, cause)
			mu.Lock()
			defer mu.Unlock()
			refusals[i] = refusal
			if err != nil {
				fault = err
				return
			}
			shown = shownAfter(shown, refusal)
			o.show(shown)
		})
	}
	wg.Wait()
	if fault != nil {
		return state, fault
	}
	var p operation.Progress
	for _, r := range refusals {
		if r == nil {
			p.Done++
		} else {
			p.Refused = append(p.Refused, *r)
		}
	}
	return o.progress(ctx, state, p)
}

// shownAfter is what is shown of a batch that is under way.
func shownAfter(s OperationState, r *operation.Refusal) OperationState {
	if r == nil {
		s.Done++
		return s
	}
	s.RefusedCount++
	if len(s.Refused) < operation.MaxRefusals {
		s.Refused = append(slices.Clip(s.Refused), *r)
	}
	return s
}

// progress records what came of a batch.
func (o *Operations) progress(ctx context.Context, state OperationState, p operation.Progress) (OperationState, error) {
	decided := operation.Advance(state.Operation, p)
	events := make([]domain.Event, len(decided))
	for i, e := range decided {
		events[i] = e
	}
	cause := Cause{By: domain.Platform("operations"), CausationID: state.ID.String()}
	done, err := o.append(ctx, event.OperationStream(state.ID), event.At(state.revision), cause, events...)
	var wrong *event.WrongRevisionError
	switch {
	case errors.As(err, &wrong):
		return state, errElsewhere
	case err != nil:
		return state, fmt.Errorf("record the progress of operation %s: %w", state.ID, err)
	}
	state.Operation, state.revision, state.recordedAt = state.With(events...), done.Revision, o.clock()
	o.show(state)
	return state, nil
}
