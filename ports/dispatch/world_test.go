package dispatch_test

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sort"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch"
)

// world is everything that dispatch works with, in memory and in virtual time: an event
// log, a work list without lag, leases, and a Cloud API that responds as a test defines.
type world struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	position event.Position
	streams  map[string][]event.Recorded
	open     map[uuid.UUID]work.Item
	fresh    map[laneClass][]freshItem // in the order of Queued, including ended ones
	timed    map[uuid.UUID]bool        // READY and not fresh
	called   map[uuid.UUID]bool        // CALLING or UNSETTLED
	expiring map[uuid.UUID]bool        // messages with an expiry
	wanted   map[uuid.UUID]bool        // messages with DeliverWithin
	times    []time.Time               // of all events, by position
	counts   map[message.Status]int
	status   map[uuid.UUID]message.Message

	processes map[uuid.UUID]time.Time // end of the lease
	takers    map[uuid.UUID]bool      // processes with the role dispatch
	lanes     map[string]uuid.UUID

	// These are called with mu held. A test reads and writes what it shares with them
	// in locked.
	answer  func(dispatch.CallRequest) message.CallResult
	latency func(dispatch.CallRequest) time.Duration
	healthy func() (bool, message.Failure)
	// afterRead, if set, delays what a reading of the senders returns.
	afterRead func()
	// appending returns how long an append takes now. If nil, it takes no time.
	appending func() time.Duration
	calls     []madeCall
	probes    []time.Time

	messages *command.Messages
	senders  *command.Senders
	viewsLag time.Duration // of the read models of messages and conversations
	// subscribeLag is how long after its append an event is delivered.
	subscribeLag time.Duration
	registered   []string
	tokens       *tokens
	wake         []func() // of the dispatchers, after each append
	// facts are the events that are not about messages, and newFact is closed at the next one.
	facts   []event.Recorded
	newFact chan struct{}
}

// labelIndex identifies a label in the work list.
func labelIndex(l message.Label) string { return l.Name + "=" + l.Value }

type laneClass struct {
	sender   string
	priority message.Priority
}

type freshItem struct {
	id       uuid.UUID
	position event.Position
}

// madeCall is a request with the time at which it was written.
type madeCall struct {
	dispatch.CallRequest

	at time.Time
}

// inWorld runs a test in virtual time with a sender for each rate.
func inWorld(t *testing.T, rates map[string]int, test func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, ctx: t.Context(), streams: map[string][]event.Recorded{}, open: map[uuid.UUID]work.Item{},
			fresh: map[laneClass][]freshItem{}, timed: map[uuid.UUID]bool{}, called: map[uuid.UUID]bool{}, expiring: map[uuid.UUID]bool{}, wanted: map[uuid.UUID]bool{},
			counts: map[message.Status]int{}, status: map[uuid.UUID]message.Message{},
			processes: map[uuid.UUID]time.Time{}, takers: map[uuid.UUID]bool{}, lanes: map[string]uuid.UUID{},
			tokens: &tokens{byID: map[string]string{}}, newFact: make(chan struct{}),
		}
		w.messages = command.NewMessages(w, time.Now, newID, 1000)
		w.senders = command.NewSenders(w, time.Now, newID, w.tokens)
		w.registered = slices.Sorted(maps.Keys(rates))
		for i, id := range w.registered {
			_, err := w.senders.Register(w.ctx, sender.Registration{
				ID: id, Name: id, PhoneNumberID: phoneNumber(i), BusinessAccountID: "100200300400500", Rate: rates[id],
			}, "", tester)
			w.must(err)
		}
		test(w)
	})
}

func phoneNumber(i int) string {
	return "10654035224" + string(rune('0'+i/10)) + string(rune('0'+i%10))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// policy returns Waypost's default policy.
func policy() message.Policy {
	return message.Policy{
		RetryDelays: []time.Duration{time.Second, 2 * time.Second, 4 * time.Second},
		CallTimeout: 30 * time.Second, SettleAfter: 30 * time.Second, ThrottleLimit: 20,
	}
}

// dispatch starts a dispatcher, which drains when the test ends or stop is called.
func (w *world) dispatch(change func(*dispatch.Options)) (d *dispatch.Dispatcher, stop func()) {
	w.t.Helper()
	since := time.Now().Add(-time.Hour)
	table, err := whatsapp.LoadErrorTable()
	w.must(err)
	o := dispatch.Options{
		Messages: w.messages, Senders: w.senders, Source: w, List: w, Leases: w, Caller: w, Policy: policy(),
		PairLimit: true, HoldsTemplate: table.HoldsTemplate, SettleAfterOutage: time.Minute,
		Process: newID(), Roles: []string{work.RoleDispatch, work.RoleWebhook},
		Ready: func() bool { return true }, RecordingSince: func() time.Time { return since },
		Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	d, err = dispatch.New(o)
	w.must(err)
	w.mu.Lock()
	w.wake = append(w.wake, d.Wake)
	w.mu.Unlock()
	ended := make(chan error, 1)
	go func() { ended <- d.Run(w.ctx) }()
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		d.Drain(ctx)
		if err := <-ended; err != nil {
			w.t.Errorf("run dispatch: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return d, stop
}

// queue records messages.
func (w *world) queue(from string, to string, change func(*message.Queued)) uuid.UUID {
	id := newID()
	q := message.Queued{
		Sender: from, Kind: message.KindText, Priority: message.PriorityTransactional, OnAmbiguous: message.AmbiguityResend,
		Personal: message.QueuedPersonal{To: to, Content: []byte(`{"body":"Hello"}`)},
	}
	if change != nil {
		change(&q)
	}
	_, err := w.Append(w.ctx, event.MessageStream(id), event.NoStream(), event.Proposed{
		ID: newID(), Event: q, Meta: event.Meta{RecordedAt: time.Now(), Sender: from, By: tester.By},
	})
	w.must(err)
	return id
}

func bulk(q *message.Queued) { q.Priority = message.PriorityBulk }
func otp(q *message.Queued)  { q.Priority = message.PriorityOTP }

// locked runs f while no call gets its response.
func (w *world) locked(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// message returns the current state of a message.
func (w *world) message(id uuid.UUID) message.Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status[id]
}

// otherMessages returns the messages as another process has them.
func (w *world) otherMessages() *command.Messages {
	return command.NewMessages(w, time.Now, newID, 1000)
}

// lose queues a message whose first response was lost.
func (w *world) lose(from, to string, change func(*message.Queued)) uuid.UUID {
	w.t.Helper()
	id := w.queue(from, to, change)
	settleBy := time.Now().Add(policy().SettleAfter)
	_, err := w.messages.Change(w.ctx, id, tester, record(message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: settleBy},
		message.OutcomeUnknown{Call: 1, Cause: "cut", SettleBy: settleBy}))
	w.must(err)
	return id
}

// record decides to record the given events.
func record(events ...message.Event) func(message.Message) ([]message.Event, error) {
	return func(message.Message) ([]message.Event, error) { return events, nil }
}

// pause pauses a sender or resumes it.
func (w *world) pause(id string, paused bool) {
	w.t.Helper()
	_, err := w.senders.Change(w.ctx, id, tester, func(s sender.Sender) ([]domain.Event, error) {
		if paused {
			return sender.Pause(s, nil, "maintenance")
		}
		return sender.Resume(s)
	})
	w.must(err)
}

// wantRate fails the test unless at least rate calls per second are made for some seconds.
func (w *world) wantRate(rate float64, seconds int) {
	w.t.Helper()
	before := len(w.made())
	time.Sleep(time.Duration(seconds) * time.Second)
	if got := float64(len(w.made())-before) / float64(seconds); got < rate {
		w.t.Errorf("%.1f calls per second for %d s, want %.1f", got, seconds, rate)
	}
}

// count returns the number of messages with a status.
func (w *world) count(s message.Status) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[s]
}

// made returns the calls so far, in the order in which they were written.
func (w *world) made() []madeCall {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// wantWithin fails the test if more than rate calls of a sender were written in
// any sliding second.
func (w *world) wantWithin(from string, rate int) {
	w.t.Helper()
	var times []time.Time
	for _, c := range w.made() {
		if c.SenderID == from {
			times = append(times, c.at)
		}
	}
	if n := mostInASecond(times); n > rate {
		w.t.Errorf("%d calls of %s within a second, %d are allowed", n, from, rate)
	}
}

func mostInASecond(times []time.Time) int {
	slices.SortFunc(times, time.Time.Compare)
	most := 0
	for i, first := 0, 0; i < len(times); i++ {
		for times[i].Sub(times[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func (w *world) Append(_ context.Context, stream string, expected event.Expected, events ...event.Proposed) (event.Appended, error) {
	w.mu.Lock()
	takes := time.Duration(0)
	if w.appending != nil {
		takes = w.appending()
	}
	w.mu.Unlock()
	if takes > 0 {
		time.Sleep(takes)
	}
	appended, wake, err := w.add(stream, expected, events)
	for _, wake := range wake {
		wake()
	}
	return appended, err
}

// add appends events, and returns what to wake.
func (w *world) add(stream string, expected event.Expected, events []event.Proposed) (event.Appended, []func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	have := w.streams[stream]
	if at, exact := expected.Revision(); expected.IsNoStream() && len(have) > 0 || exact && int(at) != len(have)-1 {
		return event.Appended{}, nil, &event.WrongRevisionError{}
	}
	id, ofMessage := event.ParseMessageStream(stream)
	for _, e := range events {
		w.position++
		w.times = append(w.times, e.Meta.RecordedAt)
		r := event.Recorded{
			ID: e.ID, Stream: stream, Revision: event.Revision(len(have)), Position: w.position,
			Type: e.Event.EventType(), Event: e.Event, Meta: e.Meta,
		}
		have = append(have, r)
		if ofMessage {
			w.project(id, have)
		} else {
			w.facts = append(w.facts, r)
		}
	}
	w.streams[stream] = have
	if !ofMessage {
		close(w.newFact)
		w.newFact = make(chan struct{})
	}
	return event.Appended{Revision: event.Revision(len(have) - 1), Position: w.position}, w.wake, nil
}

// project updates the work list with the last event of a stream. It keeps no closed
// items, so it folds the stream of a requeued message from the start.
func (w *world) project(id uuid.UUID, stream []event.Recorded) {
	r := stream[len(stream)-1]
	old := w.status[id]
	m := old.Apply(message.Record{Event: r.Event, At: r.Meta.RecordedAt})
	w.status[id] = m
	w.counts[old.Status]--
	w.counts[m.Status]++
	if m.DeliverWithin > 0 {
		w.wanted[id] = true
	}
	delete(w.timed, id)
	delete(w.called, id)
	i, open := w.open[id]
	e := work.Apply(work.Entry{Item: i, Complete: true, Closed: !open}, r)
	if changed, ok := r.Event.(message.Event); ok && work.Reopens(changed) {
		e = work.Fold(stream...)
	}
	for _, l := range e.Labels {
		e.Item.Labels = append(e.Item.Labels, labelIndex(l))
	}
	if e.Closed != !m.Status.Open() {
		w.t.Errorf("after %s, message %s is %s, but its work item is closed: %t", r.Type, id, m.Status, e.Closed)
	}
	if e.Closed {
		delete(w.open, id)
		delete(w.expiring, id)
		return
	}
	if !m.ExpiresAt.IsZero() {
		w.expiring[id] = true
	}
	switch i, lane := e.Item, (laneClass{m.Sender, m.Priority}); {
	case i.State != work.Ready:
		w.called[id] = true
	case i.Fresh:
		w.fresh[lane] = append(w.fresh[lane], freshItem{id, r.Position})
	default:
		w.timed[id] = true
	}
	w.open[id] = e.Item
}

func (w *world) Read(_ context.Context, stream string, from event.Revision, limit int) ([]event.Recorded, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	have := w.streams[stream]
	have = have[min(int(from), len(have)):]
	return slices.Clone(have[:min(limit, len(have))]), nil
}

func (w *world) ReadBackwards(ctx context.Context, stream string, limit int) ([]event.Recorded, error) {
	all, err := w.Read(ctx, stream, 0, 1<<30)
	slices.Reverse(all)
	return all[:min(limit, len(all))], err
}

// Subscribe delivers events of the wanted types that are not about messages, subscribeLag after
// they were appended.
func (w *world) Subscribe(ctx context.Context, sub event.Subscription, handle func(context.Context, event.Batch) error) error {
	for at := sub.After; ; {
		w.mu.Lock()
		var found []event.Recorded
		first := sort.Search(len(w.facts), func(i int) bool { return w.facts[i].Position > at })
		for _, r := range w.facts[first:] {
			if slices.Contains(sub.Filter.Types, r.Type) || slices.Contains(sub.Filter.StreamPrefixes, r.Stream) {
				found = append(found, r)
			}
		}
		at = w.position
		lag, newFact := w.subscribeLag, w.newFact
		w.mu.Unlock()
		if len(found) > 0 {
			if err := retry.Sleep(ctx, lag); err != nil {
				return err
			}
			if err := handle(ctx, event.Batch{Events: found, Position: at, Live: true}); err != nil {
				return err
			}
			continue
		}
		select {
		case <-newFact:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *world) End(context.Context) (event.Position, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.position, nil
}

func (w *world) Ping(context.Context) error { return nil }

func (w *world) Senders(ctx context.Context) ([]sender.Sender, error) {
	ids := w.registered
	all := make([]sender.Sender, len(ids))
	for i, id := range ids {
		var err error
		if all[i], err = w.senders.Load(ctx, id); err != nil {
			return nil, err
		}
	}
	var afterRead func()
	w.locked(func() { afterRead = w.afterRead })
	if afterRead != nil {
		afterRead()
	}
	return all, nil
}

func (w *world) Fetch(_ context.Context, now time.Time, wants []work.FetchRequest) ([]work.Item, event.Position, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []work.Item
	for _, want := range wants {
		wanted := func(i work.Item) bool {
			return i.Sender == want.Sender && i.Priority == want.Priority &&
				(want.Recipient == "" || i.Recipient == want.Recipient) && (want.Template == "" || i.Template == want.Template) &&
				!slices.Contains(want.SkipRecipients, i.Recipient) && !slices.Contains(want.SkipTemplates, i.Template) &&
				(want.Label == "" || slices.Contains(i.Labels, want.Label)) &&
				!slices.ContainsFunc(want.SkipLabels, func(l string) bool { return slices.Contains(i.Labels, l) })
		}
		var timed []work.Item
		for id := range w.timed {
			if i := w.open[id]; wanted(i) && !i.DueAt.After(now) {
				timed = append(timed, i)
			}
		}
		slices.SortFunc(timed, func(a, b work.Item) int {
			return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.QueuedPosition, b.QueuedPosition))
		})
		found = append(found, timed[:min(want.Timed, len(timed))]...)

		lane := laneClass{want.Sender, want.Priority}
		list := w.fresh[lane]
		for len(list) > 0 && !w.open[list[0].id].Fresh {
			list = list[1:]
		}
		w.fresh[lane] = list
		behind, _ := slices.BinarySearchFunc(list, want.After+1, func(f freshItem, at event.Position) int { return cmp.Compare(f.position, at) })
		list = list[behind:]
		for n := 0; n < want.Fresh && len(list) > 0; list = list[1:] {
			if i := w.open[list[0].id]; i.Fresh && wanted(i) {
				found = append(found, i)
				n++
			}
		}
	}
	return found, w.position, nil
}

func (w *world) Overdue(_ context.Context, now time.Time, senders []string, limit int) ([]work.Item, event.Position, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []work.Item
	for id := range w.called {
		if i := w.open[id]; !i.DueAt.After(now) && slices.Contains(senders, i.Sender) {
			found = append(found, i)
		}
	}
	for id := range w.expiring {
		if i := w.open[id]; i.State == work.Ready && !i.ExpiresAt.After(now) && slices.Contains(senders, i.Sender) {
			found = append(found, i)
		}
	}
	slices.SortFunc(found, func(a, b work.Item) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.QueuedPosition, b.QueuedPosition))
	})
	return found[:min(limit, len(found))], w.position, nil
}

// Undelivered folds the messages as the read model has them, which is viewsLag behind.
func (w *world) Undelivered(_ context.Context, now time.Time, senders []string, limit int) ([]work.Item, event.Position, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := time.Now().Add(-w.viewsLag)
	position := event.Position(sort.Search(len(w.times), func(i int) bool { return w.times[i].After(seen) }))
	var found []work.Item
	for id := range w.wanted {
		var m message.Message
		var last event.Recorded
		for _, r := range w.streams[event.MessageStream(id)] {
			if r.Position > position {
				break
			}
			last = r
			m = m.Apply(message.Record{Event: r.Event, At: r.Meta.RecordedAt})
		}
		if m.Status == message.StatusSent && !m.DueAt.IsZero() && !m.DueAt.After(now) && slices.Contains(senders, m.Sender) {
			found = append(found, work.Item{
				MessageID: id, Sender: m.Sender, Priority: m.Priority, State: work.Undelivered, DueAt: m.DueAt,
				Revision: last.Revision, Position: last.Position,
			})
		}
	}
	slices.SortFunc(found, func(a, b work.Item) int { return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.Position, b.Position)) })
	return found[:min(limit, len(found))], position, nil
}

func (w *world) Heartbeat(_ context.Context, process uuid.UUID, roles []string, _ time.Time, ttl time.Duration) (time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bury()
	w.processes[process] = time.Now().Add(ttl)
	w.takers[process] = slices.Contains(roles, work.RoleDispatch)
	return time.Now().Add(-time.Hour), nil // webhooks are recorded since then
}

// bury removes the leases that have expired.
func (w *world) bury() {
	for process, end := range w.processes {
		if !time.Now().Before(end) {
			delete(w.processes, process)
			delete(w.takers, process)
			maps.DeleteFunc(w.lanes, func(_ string, owner uuid.UUID) bool { return owner == process })
		}
	}
}

func (w *world) shareOf(process uuid.UUID, senders int) int {
	n := 0
	for id := range w.processes {
		if w.takers[id] || id == process {
			n++
		}
	}
	return (senders + max(n, 1) - 1) / max(n, 1)
}

func (w *world) Claim(_ context.Context, process uuid.UUID, senders []string) (owned []string, share int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bury()
	for id, owner := range w.lanes {
		if owner == process {
			owned = append(owned, id)
		}
	}
	share = w.shareOf(process, len(senders))
	for _, id := range senders {
		if _, taken := w.lanes[id]; !taken && len(owned) < share {
			w.lanes[id] = process
			owned = append(owned, id)
		}
	}
	slices.Sort(owned)
	return owned, share, nil
}

func (w *world) ReleaseLanes(_ context.Context, process uuid.UUID, senders []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.lanes, func(id string, owner uuid.UUID) bool { return owner == process && slices.Contains(senders, id) })
	return nil
}

func (w *world) Release(_ context.Context, process uuid.UUID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.processes[process] = time.Now()
	w.bury()
	return nil
}

// Send writes the request immediately and responds after the latency, by default 50 ms.
func (w *world) Send(ctx context.Context, r dispatch.CallRequest) message.CallResult {
	if ctx.Err() != nil {
		return message.NotCalled{}
	}
	r.Written(time.Now())
	w.mu.Lock()
	w.calls = append(w.calls, madeCall{r, time.Now()})
	latency, answer := 50*time.Millisecond, message.CallResult(message.Accepted{WhatsAppID: "wamid." + r.MessageID.String()})
	if w.answer != nil {
		if a := w.answer(r); a != nil {
			answer = a
		}
	}
	if w.latency != nil {
		latency = w.latency(r)
	}
	w.mu.Unlock()
	timer := time.NewTimer(latency)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return message.Lost{Cause: "given up"}
	case <-timer.C:
		return answer
	}
}

// Probe returns that a number is healthy unless the test defines otherwise.
func (w *world) Probe(context.Context, sender.Sender) (bool, message.Failure, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.probes = append(w.probes, time.Now())
	if w.healthy == nil {
		return true, message.Failure{}, nil
	}
	ok, f := w.healthy()
	return ok, f, nil
}
