package graph_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/app/bulk"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/operation"
	"github.com/waypost/waypost/graph"
)

const operationFields = `{ id state selected done refusedCount refused { messageId code message } }`

// queueAll queues messages of a lane with their own keys and returns their IDs.
func (p *platform) queueAll(name, priority string, n int) []uuid.UUID {
	p.tb.Helper()
	var ids []uuid.UUID
	for from := 0; from < n; from += 1000 {
		var inputs []any
		for i := from; i < min(n, from+1000); i++ {
			key := fmt.Sprintf("%s-%d", name, i)
			in := text(key, "hello")["input"].(map[string]any)
			in["priority"] = priority
			in["to"] = fmt.Sprintf("+1415555%04d", i%10_000)
			inputs = append(inputs, in)
			ids = append(ids, message.ID("acme", key))
		}
		data := p.ok("admin", `mutation($i: [QueueMessageInput!]!) { queueMessages(inputs: $i) { error { message } } }`, map[string]any{"i": inputs})
		for _, result := range at(p.tb, data, "queueMessages").([]any) {
			if at(p.tb, result, "error") != nil {
				p.tb.Fatal(result)
			}
		}
	}
	return ids
}

func (p *platform) operation(key, id string) any {
	p.tb.Helper()
	return p.ok(key, `query($id: ID!) { operation(id: $id) `+operationFields+` }`, map[string]any{"id": id})["operation"]
}

// finished waits until an operation has finished.
func (p *platform) finished(id string) any {
	p.tb.Helper()
	return polltest.Value(p.tb, "the operation is done",
		func() (any, error) { return p.operation("admin", id), nil },
		func(op any) bool { return at(p.tb, op, "state") == "DONE" })
}

// eventsOf counts the events of a type that a message has.
func (p *platform) eventsOf(id uuid.UUID, name string) int {
	p.tb.Helper()
	events, err := p.log.Read(p.ctx, event.MessageStream(id), 0, 100)
	must(p.tb, err)
	n := 0
	for _, e := range events {
		if e.Type == name {
			n++
		}
	}
	return n
}

func TestMessagesAreCancelledAtOnce(t *testing.T) {
	t.Parallel()
	p := setup(t)
	spring, autumn := p.queueAll("spring", "BULK", 700), p.queueAll("autumn", "OTP", 3)
	p.deadLetter(spring[0].String())
	p.project()
	cancel := func(input string, more string) any {
		t.Helper()
		return p.ok("admin", `mutation { cancelMessages(input: `+input+`, reason: "wrong prices"`+more+`) `+operationFields+` }`, nil)["cancelMessages"]
	}
	const filter = `{filter: {priority: BULK}}`
	dry := cancel(filter, ", dryRun: true")
	if at(t, dry, "state") != "DRY_RUN" || at(t, dry, "selected") != 699.0 || p.eventsOf(spring[1], "Cancelled") != 0 {
		t.Errorf("dry run: %v", dry)
	}
	op := cancel(filter, "")
	if at(t, op, "state") == "DRY_RUN" || at(t, op, "selected") != 699.0 {
		t.Errorf("cancel: %v", op)
	}
	id := at(t, op, "id").(string)
	if op = p.finished(id); at(t, op, "done") != 699.0 || at(t, op, "refusedCount") != 0.0 {
		t.Errorf("over: %v", op)
	}
	for i, m := range spring {
		if n := p.eventsOf(m, "Cancelled"); n != min(i, 1) {
			t.Fatalf("message %d has %d Cancelled", i, n)
		}
	}
	data := p.ok("admin", `query($id: ID!) { message(id: $id) { status statusReason history { edges { node { type causationId by { kind id } } } } } }`,
		map[string]any{"id": spring[1].String()})
	last := at(t, data, "message", "history", "edges", 1, "node")
	if at(t, data, "message", "statusReason") != "wrong prices" || at(t, last, "causationId") != id || at(t, last, "by", "kind") != "KEY" {
		t.Errorf("%v", data)
	}
	// By ID: messages that are already in the requested state count as done, and
	// messages that cannot be changed as refused.
	ids := fmt.Sprintf(`{ids: [%q, %q, %q, %q]}`, autumn[0], spring[1], spring[0], uuid.Nil)
	if op = cancel(ids, ""); at(t, op, "state") != "DONE" || at(t, op, "selected") != 4.0 || at(t, op, "done") != 2.0 || at(t, op, "refusedCount") != 2.0 ||
		at(t, op, "refused", 0, "code") != "CONFLICT" || at(t, op, "refused", 1, "code") != "NOT_FOUND" {
		t.Errorf("by name: %v", op)
	}
	// A status that cannot be cancelled selects nothing, so all others of autumn are
	// left.
	if op = cancel(`{filter: {status: [SENT]}}`, ""); at(t, op, "selected") != 0.0 || at(t, op, "state") != "DONE" {
		t.Errorf("sent ones: %v", op)
	}
	if n := p.eventsOf(autumn[1], "Cancelled"); n != 0 {
		t.Errorf("a message that was not selected has %d Cancelled", n)
	}
	for _, input := range []string{`{}`, `{ids: [], filter: {}}`, `{ids: null, filter: null}`, `{filter: {to: "1"}}`} {
		if r := p.ask("admin", `mutation { cancelMessages(input: `+input+`, reason: "x") { id } }`, nil); r.code() != "INVALID_INPUT" {
			t.Errorf("%s: %q", input, r.code())
		}
	}
	if r := p.ask("admin", `mutation { cancelMessages(input: {ids: []}, reason: "") { id } }`, nil); r.code() != "INVALID_INPUT" {
		t.Errorf("no reason: %q", r.code())
	}
}

func TestNewestOperationsAreListed(t *testing.T) {
	t.Parallel()
	p := setup(t)
	acme := p.keys.add("acme", []string{"acme"}, graph.ScopeOperate, graph.ScopeRead)
	other := p.keys.add("other", []string{"other"}, graph.ScopeOperate, graph.ScopeRead)
	listed := func(key string) []any {
		t.Helper()
		return p.ok(key, `{ operations { kind reason startedAt startedBy { kind id name onBehalfOf } id state selected done refusedCount refused { messageId code message } } }`, nil)["operations"].([]any)
	}
	if list := listed("admin"); len(list) != 0 {
		t.Errorf("before the first: %v", list)
	}
	first := p.ok(acme, `mutation { requeueDeadLetters(input: {ids: []}) { id } }`, nil)["requeueDeadLetters"]
	var last any
	for range 20 {
		last = p.ok("admin", `mutation { cancelMessages(input: {ids: []}, reason: "wrong prices") { id } }`, nil)["cancelMessages"]
	}
	list := listed("admin")
	if len(list) != 20 || at(t, list[0], "id") != at(t, last, "id") || at(t, list[0], "kind") != "CANCEL" ||
		at(t, list[0], "reason") != "wrong prices" || at(t, list[0], "startedBy", "kind") != "KEY" || at(t, list[0], "startedAt") == nil {
		t.Errorf("%d operations, the newest is %v; want 20, and %v", len(list), list[0], last)
	}
	if own := listed(acme); len(own) != 1 || at(t, own[0], "id") != at(t, first, "id") || at(t, own[0], "kind") != "REQUEUE" || at(t, own[0], "reason") != nil {
		t.Errorf("a limited key sees %v, want its own: %v", own, first)
	}
	if others := listed(other); len(others) != 0 {
		t.Errorf("another limited key sees %v", others)
	}
}

func TestOperationsAreSeenByThoseWhoMay(t *testing.T) {
	t.Parallel()
	p := setup(t)
	ids := p.queueAll("theirs", "BULK", 2)
	p.project()
	acme := p.keys.add("acme", []string{"acme"}, graph.ScopeOperate, graph.ScopeRead)
	other := p.keys.add("other", []string{"other"}, graph.ScopeOperate, graph.ScopeRead)
	const cancel = `mutation($in: MessageSelection!) { cancelMessages(input: $in, reason: "x") ` + operationFields + ` }`
	op := p.ok(other, cancel, map[string]any{"in": map[string]any{"ids": []any{ids[0].String()}}})["cancelMessages"]
	if at(t, op, "refused", 0, "code") != "NOT_FOUND" || p.eventsOf(ids[0], "Cancelled") != 0 {
		t.Errorf("a message of another sender: %v", op)
	}
	if seen := p.operation(acme, at(t, op, "id").(string)); seen != nil {
		t.Errorf("an operation of another key is seen: %v", seen)
	}
	if seen := p.operation("admin", at(t, op, "id").(string)); seen == nil {
		t.Error("an operation is not seen by a key of all senders")
	}
	op = p.ok(other, cancel, map[string]any{"in": map[string]any{"filter": map[string]any{}}})["cancelMessages"]
	if at(t, op, "selected") != 0.0 {
		t.Errorf("messages of another sender are found: %v", op)
	}
	op = p.ok(acme, cancel, map[string]any{"in": map[string]any{"filter": map[string]any{}}})["cancelMessages"]
	if at(t, op, "done") != 2.0 || fmt.Sprint(p.operation(acme, at(t, op, "id").(string))) != fmt.Sprint(op) {
		t.Errorf("one's own: %v", op)
	}
	for _, id := range []string{"nonsense", uuid.NewString()} {
		if seen := p.operation("admin", id); seen != nil {
			t.Errorf("%s: %v", id, seen)
		}
	}
}

// process is a process that carries out operations and that can be ended.
type process struct {
	*bulk.Runner

	stop func()
}

func (p *platform) startProcess() process { return p.startProcessOf(p.log, time.Now, time.After) }

func (p *platform) startProcessOf(log event.Log, clock event.Clock, after func(time.Duration) <-chan time.Time) process {
	ctx, cancel := context.WithCancel(p.ctx)
	messages := command.NewMessages(log, time.Now, newID, 1000)
	ops := bulk.NewRunner(log, messages.Messages, clock, after, newID, slog.New(slog.DiscardHandler))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := ops.Run(ctx); !errors.Is(err, context.Canceled) {
			p.tb.Error(err)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	p.tb.Cleanup(stop)
	return process{ops, stop}
}

// haltingLog allows a number of messages to be changed. Further changes wait until
// their process ends.
type haltingLog struct {
	event.Log

	left atomic.Int64
}

func (l *haltingLog) Append(ctx context.Context, stream string, expected event.Expected, events ...event.Proposed) (event.Appended, error) {
	if strings.HasPrefix(stream, event.MessageStreams) && l.left.Add(-1) < 0 {
		<-ctx.Done()
	}
	return l.Log.Append(ctx, stream, expected, events...)
}

// startHalting starts a process that changes only the given number of messages.
func (p *platform) startHalting(changes int64) process {
	log := &haltingLog{Log: p.log}
	log.left.Store(changes)
	return p.startProcessOf(log, time.Now, time.After)
}

func (pr process) until(p *platform, id uuid.UUID, what func(bulk.Operation) bool) bulk.Operation {
	p.tb.Helper()
	return polltest.Value(p.tb, "the operation has made that progress",
		func() (bulk.Operation, error) { return pr.Find(p.ctx, id) }, what)
}

func isOver(s bulk.Operation) bool { return s.Finished }

func named(ids []uuid.UUID) bulk.Selection {
	return func(_ context.Context, yield func([]uuid.UUID) error) error { return yield(ids) }
}

var operator = event.Cause{By: domain.Actor{Kind: domain.ActorKey, ID: "key-1", OnBehalfOf: "agent 7"}, CausationID: "request-1"}

// An operation that a process leaves unfinished resumes where it ended, and changes
// each message only once, even a message that has become a dead letter again since.
func TestOperationsGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("changes more than 1,000 messages; TestOperationsOfADeadProcessAreTakenOn shares the same state")
	}
	p := setup(t)
	ids := p.queueAll("dead", "BULK", 1100)
	var wg sync.WaitGroup
	for part := range slices.Chunk(ids, 110) {
		wg.Go(func() {
			for _, id := range part {
				p.deadLetter(id.String())
			}
		})
	}
	wg.Wait()
	first := p.startHalting(520)
	begun, err := first.Start(p.ctx, bulk.Request{Kind: operation.KindRequeue, Select: named(ids)}, operator)
	must(t, err)
	first.until(p, begun.ID, func(s bulk.Operation) bool { return s.Done >= 520 })
	first.stop()
	left, err := first.Find(p.ctx, begun.ID)
	must(t, err)
	if left.Finished || left.Through < 500 || left.Through >= 1100 {
		t.Fatalf("it must be left unfinished: %+v", left)
	}
	if _, err := first.Start(p.ctx, bulk.Request{Kind: operation.KindRequeue, Select: named(nil)}, operator); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("an ending process starts an operation: %v", err)
	}
	// Requeued, not recorded as such, and a dead letter again.
	again := slices.IndexFunc(ids[left.Through:], func(id uuid.UUID) bool { return p.eventsOf(id, "Requeued") == 1 })
	if again < 0 {
		t.Fatalf("every requeued message is recorded: %+v", left)
	}
	p.deadLetter(ids[left.Through+again].String())
	second := p.startProcess()
	done := second.until(p, begun.ID, isOver)
	if done.Done != 1100 || done.RefusedCount != 0 || done.Through != 1100 || done.By != operator.By {
		t.Errorf("in the end: %+v", done)
	}
	for i, id := range ids {
		if n := p.eventsOf(id, "Requeued"); n != 1 {
			t.Fatalf("message %d was requeued %d times", i, n)
		}
	}
	second.stop()
	third := p.startProcess() // it finds nothing to do
	if state := third.until(p, begun.ID, isOver); state.Done != 1100 {
		t.Errorf("after another start: %+v", state)
	}
}

// Several processes that treat the same operation as unfinished, as at a start while
// another process is running, change each message once in total.
func TestOperationsOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("changes more than 1,000 messages; TestOperationsOfADeadProcessAreTakenOn shares the same state")
	}
	p := setup(t)
	ids := p.queueAll("many", "BULK", 1100)
	p.deadLetter(ids[7].String())
	processes := []process{p.startProcess()}
	begun, err := processes[0].Start(p.ctx, bulk.Request{Kind: operation.KindCancel, Reason: "x", Select: named(ids)}, operator)
	must(t, err)
	for range 3 {
		processes = append(processes, p.startProcess())
	}
	for _, pr := range processes {
		if state := pr.until(p, begun.ID, isOver); state.Done != 1099 || state.RefusedCount != 1 || state.Refused[0].MessageID != ids[7].String() {
			t.Errorf("%+v", state)
		}
	}
	for i, id := range ids {
		if n := p.eventsOf(id, "Cancelled"); n > 1 {
			t.Fatalf("message %d was cancelled %d times", i, n)
		}
	}
}

// If a process does not restart, another one resumes its operation after it has made no
// progress for a while.
func TestOperationsOfADeadProcessAreTakenOn(t *testing.T) {
	t.Parallel()
	p := setup(t)
	ids := p.queueAll("left", "BULK", 1100)
	var ahead atomic.Int64
	ticks := make(chan time.Time)
	look := func() { // the second tick comes after the check that the first one began
		t.Helper()
		for range 2 {
			select {
			case ticks <- time.Now():
			case <-p.ctx.Done():
				t.Fatal("it does not check")
			}
		}
	}
	other := p.startProcessOf(p.log,
		func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		func(time.Duration) <-chan time.Time { return ticks })
	look()
	dying := p.startHalting(520)
	begun, err := dying.Start(p.ctx, bulk.Request{Kind: operation.KindCancel, Reason: "x", Select: named(ids)}, operator)
	must(t, err)
	dying.until(p, begun.ID, func(s bulk.Operation) bool { return s.Done >= 520 })
	dying.stop()
	look()
	left, err := other.Find(p.ctx, begun.ID)
	must(t, err)
	if left.Finished || left.Through < 500 {
		t.Fatalf("it must be left unfinished, and not be resumed immediately: %+v", left)
	}
	ahead.Store(int64(31 * time.Second))
	look()
	if done := other.until(p, begun.ID, isOver); done.Done != 1100 || done.RefusedCount != 0 {
		t.Errorf("in the end: %+v", done)
	}
}

// remoteLog is a log that can be cut off, and is cut off once a number of messages were
// changed.
type remoteLog struct {
	event.Log

	unavailable atomic.Bool
	after       int64
	changes     atomic.Int64
	refused     atomic.Int64 // reads and appends while it was unavailable
}

func (l *remoteLog) Read(ctx context.Context, stream string, from event.Revision, limit int) ([]event.Recorded, error) {
	if l.unavailable.Load() {
		l.refused.Add(1)
		return nil, event.ErrUnavailable
	}
	return l.Log.Read(ctx, stream, from, limit)
}

func (l *remoteLog) Append(ctx context.Context, stream string, expected event.Expected, events ...event.Proposed) (event.Appended, error) {
	if l.unavailable.Load() {
		l.refused.Add(1)
		return event.Appended{}, event.ErrUnavailable
	}
	if strings.HasPrefix(stream, event.MessageStreams) && l.changes.Add(1) == l.after {
		l.unavailable.Store(true)
	}
	return l.Log.Append(ctx, stream, expected, events...)
}

func TestOperationsWaitWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	p := setup(t)
	ids := p.queueAll("waiting", "BULK", 600)
	log := &remoteLog{Log: p.log, after: 100}
	process := p.startProcessOf(log, time.Now, time.After)
	begun, err := process.Start(p.ctx, bulk.Request{Kind: operation.KindCancel, Reason: "x", Select: named(ids)}, operator)
	must(t, err)
	process.until(p, begun.ID, func(s bulk.Operation) bool { return s.Done >= 100 })
	if _, err := process.Start(p.ctx, bulk.Request{Kind: operation.KindCancel, Reason: "x", Select: named(ids)}, operator); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("it starts while the store is unavailable: %v", err)
	}
	refused := log.refused.Load()
	polltest.Until(t, "the operation has been retried", func() bool { return log.refused.Load() >= refused+2 })
	if state := process.until(p, begun.ID, func(bulk.Operation) bool { return true }); state.RefusedCount != 0 || state.Finished {
		t.Errorf("while the store is unavailable: %+v", state)
	}
	log.unavailable.Store(false)
	if done := process.until(p, begun.ID, isOver); done.Done != 600 || done.RefusedCount != 0 {
		t.Errorf("in the end: %+v", done)
	}
	for i, id := range ids {
		if n := p.eventsOf(id, "Cancelled"); n != 1 {
			t.Fatalf("message %d was cancelled %d times", i, n)
		}
	}
}

func TestOperationsAreBounded(t *testing.T) {
	t.Parallel()
	p := setup(t)
	idle := bulk.NewRunner(p.log, p.messages.Messages, time.Now, time.After, newID, slog.New(slog.DiscardHandler))
	start := func() error {
		_, err := idle.Start(p.ctx, bulk.Request{Kind: operation.KindCancel, Reason: "x", Select: named(nil)}, operator)
		return err
	}
	for range 8 {
		must(t, start())
	}
	if err := start(); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("a ninth at the same time: %v", err)
	}
	fault := errors.New("postgres is unavailable")
	other := p.startProcess()
	_, err := other.Start(p.ctx, bulk.Request{Kind: operation.KindCancel, Select: func(context.Context, func([]uuid.UUID) error) error { return fault }}, operator)
	if !errors.Is(err, fault) {
		t.Errorf("a selection that fails: %v", err)
	}
	_, err = other.Start(p.ctx, bulk.Request{Kind: operation.KindCancel, Select: func(_ context.Context, yield func([]uuid.UUID) error) error {
		return yield(make([]uuid.UUID, bulk.MaxSelected+1))
	}}, operator)
	if domain.CodeOf(err) != domain.CodeTooLarge {
		t.Errorf("too many: %v", err)
	}
}
