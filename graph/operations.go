package graph

import (
	"context"
	"sync"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
)

type messageUUID = uuid.UUID

// Bounds of bulk operations.
const (
	// keptOperations is how many operations can be asked about.
	keptOperations = 1000
	// runningOperations is how many go on at a time; more are refused.
	runningOperations = 8
	// operationConcurrency is how many messages of one operation are changed at a
	// time: it leaves most of the store's connections to others.
	operationConcurrency = 16
	// finishedBefore is up to how many messages an operation is waited for.
	finishedBefore = 500
	// maxIDs is how many messages may be named, maxSelected how many a filter may find.
	maxIDs      = 1000
	maxSelected = 100_000
	// keptRefusals is how many refusals an operation keeps.
	keptRefusals = 100
	// maxReason bounds what an operator says, in characters: it stands in every event.
	maxReason = 1024
)

func checkReason(reason string) error {
	if n := utf8.RuneCountInString(reason); n < 1 || n > maxReason {
		return domain.Invalid("reason", "has %d characters, 1 to %d are allowed", n, maxReason)
	}
	return nil
}

// operations keeps the newest operations and runs those that are not over.
type operations struct {
	ctx    context.Context //nolint:containedctx // operations go on after the request that began them
	cancel context.CancelFunc
	errors errorPresenter

	mu      sync.Mutex
	closed  bool
	running int
	byID    map[string]*operation
	order   []string // the oldest first
	wg      sync.WaitGroup
}

// operation is one of them. Its Operation is guarded by operations.mu.
type operation struct {
	Operation

	owner string // the key that began it
	over  chan struct{}
}

func newOperations(ctx context.Context, errors errorPresenter) *operations {
	ctx, cancel := context.WithCancel(ctx)
	return &operations{ctx: ctx, cancel: cancel, errors: errors, byID: make(map[string]*operation)}
}

// close gives up what still runs and waits for it. Every message of it has then
// either been changed or not; repeating the request goes on where it ended.
func (o *operations) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.cancel()
	o.wg.Wait()
}

// find is an operation as it stands; nil if it is not known. A key that is limited
// to some senders finds only its own.
func (o *operations) find(id string, c caller) *Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	op, ok := o.byID[id]
	if !ok || (c.SenderIds != nil && op.owner != c.KeyID) {
		return nil
	}
	return op.shown()
}

func (op *operation) shown() *Operation {
	shown := op.Operation
	shown.Refused = append([]*Refusal{}, op.Refused...)
	return &shown
}

// begin runs change for each message, at most operationConcurrency at a time.
func (o *operations) begin(id string, c caller, selected []uuid.UUID, change func(context.Context, uuid.UUID) error) (*operation, error) {
	op := &operation{
		Operation: Operation{ID: id, State: OperationStateRunning, Selected: len(selected), Refused: []*Refusal{}},
		owner:     c.KeyID, over: make(chan struct{}),
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, domain.Unavailable("the platform is being stopped; try again once it runs")
	}
	if o.running >= runningOperations {
		return nil, domain.Unavailable("%d operations are under way; try again once one is over", o.running)
	}
	o.running++
	o.keep(op)
	o.wg.Go(func() { o.run(op, selected, change) })
	return op, nil
}

// keep adds an operation and forgets the oldest that is over, if there are too many.
func (o *operations) keep(op *operation) {
	o.byID[op.ID] = op
	o.order = append(o.order, op.ID)
	for i := 0; len(o.order) > keptOperations && i < len(o.order); {
		if oldest := o.order[i]; o.byID[oldest].State == OperationStateRunning {
			i++
		} else {
			delete(o.byID, oldest)
			o.order = append(o.order[:i], o.order[i+1:]...)
		}
	}
}

func (o *operations) run(op *operation, selected []uuid.UUID, change func(context.Context, uuid.UUID) error) {
	slots := make(chan struct{}, operationConcurrency)
	var wg sync.WaitGroup
	for _, id := range selected {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			o.record(op, id, change(o.ctx, id))
		})
	}
	wg.Wait()
	o.mu.Lock()
	op.State = OperationStateDone
	o.running--
	o.mu.Unlock()
	close(op.over)
}

func (o *operations) record(op *operation, id uuid.UUID, err error) {
	var refusal *Refusal
	if err != nil {
		shown := o.errors.shown(o.ctx, resolverError{err})
		refusal = &Refusal{MessageID: id.String(), Code: string(shown.Code), Message: shown.Message}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if refusal == nil {
		op.Done++
		return
	}
	op.RefusedCount++
	if len(op.Refused) < keptRefusals {
		op.Refused = append(op.Refused, refusal)
	}
}

// decideDeadLetters freezes the selection and then lets change decide on each.
func (r *Resolver) decideDeadLetters(
	ctx context.Context, in DeadLetterSelection, dryRun bool, change func(context.Context, uuid.UUID) error,
) (*Operation, error) {
	selected, err := r.selectDeadLetters(ctx, in)
	if err != nil {
		return nil, err
	}
	id, c := r.opts.IDs().String(), callerOf(ctx)
	if dryRun {
		return &Operation{ID: id, State: OperationStateDryRun, Selected: len(selected), Refused: []*Refusal{}}, nil
	}
	op, err := r.operations.begin(id, c, selected, func(ctx context.Context, id uuid.UUID) error {
		if c.SenderIds != nil {
			if _, err := r.load(withCaller(ctx, c), id.String()); err != nil {
				return err
			}
		}
		return change(ctx, id)
	})
	if err != nil {
		return nil, err
	}
	if len(selected) <= finishedBefore {
		select {
		case <-op.over:
		case <-ctx.Done(): // it goes on; its id leads to it
		}
	}
	return r.operations.find(id, c), nil
}

func (r *Resolver) selectDeadLetters(ctx context.Context, in DeadLetterSelection) ([]uuid.UUID, error) {
	switch {
	case (in.Ids == nil) == (in.Filter == nil):
		return nil, domain.Invalid("input", "needs ids or filter, exactly one")
	case len(in.Ids) > maxIDs:
		return nil, domain.Invalid("input.ids", "has %d ids, at most %d are allowed; use a filter", len(in.Ids), maxIDs)
	case in.Ids != nil:
		return distinct(in.Ids)
	}
	filter, page := deadLetterFilter(ctx, in.Filter), query.Page{First: query.MaxPage}
	var selected []uuid.UUID
	for {
		found, err := r.opts.DeadLetterReader.DeadLetters(ctx, filter, page)
		if err != nil {
			return nil, err
		}
		if found.TotalCount > maxSelected || len(selected) > maxSelected {
			return nil, &domain.Error{
				Code: domain.CodeTooLarge, Field: "input.filter",
				Message: "finds more dead letters than one operation may change; narrow it and repeat",
			}
		}
		for _, m := range found.DeadLetters {
			selected = append(selected, m.ID)
			page.After = m.QueuedPosition
		}
		if !found.HasNextPage || len(found.DeadLetters) == 0 {
			return selected, nil
		}
	}
}

func distinct(ids []string) ([]uuid.UUID, error) {
	seen := make(map[uuid.UUID]bool, len(ids))
	out := make([]uuid.UUID, 0, len(ids))
	for _, s := range ids {
		id, err := messageID(s)
		if err != nil {
			return nil, err
		}
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out, nil
}
