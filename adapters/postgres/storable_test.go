package postgres_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/identity"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
)

// incompressible returns a text of n bytes that an index cannot shorten.
func incompressible(n int) string {
	var s strings.Builder
	for sum := sha256.Sum256(nil); s.Len() < n; sum = sha256.Sum256(sum[:]) {
		s.WriteString(hex.EncodeToString(sum[:]))
	}
	return s.String()[:n]
}

var (
	hostileTexts = []string{
		"", "plain", "x\x00", "\x00", "\\u0000", "\\\x00", "\xff\xfe", "Gr\xfc\xdfe", "\u0085\u2028\ufeff", "a\tb\nc\r\n", "'; --", "😀",
		`"\"`, incompressible(600), incompressible(3000) + "\x00", strings.Repeat("ü\x00", 20_000),
	}
	hostileNumbers = []int{0, 1, 2, -1, 131049, math.MaxInt32 + 1, math.MinInt32 - 1, math.MaxInt64, math.MinInt64}
	hostileFloats  = []float64{0, 1, -1, math.MaxFloat64, math.SmallestNonzeroFloat64, 1e18}
	hostileTimes   = []time.Time{
		{},
		start, start.Add(time.Nanosecond), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, 0),
		time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", 23*3600)),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -23*3600)),
	}
	// beyondJSON cannot be in the log of any version; only another writer's Go values can have them.
	beyondJSONFloats = []float64{math.NaN(), math.Inf(1), math.Inf(-1)}
	beyondJSONTimes  = []time.Time{time.Date(294277, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(math.MaxInt64/2, 0)}
)

// hostile draws values that Postgres, its indexes, or JSON reject.
type hostile struct {
	t      *rapid.T
	floats []float64
	times  []time.Time
	// template is the one that a stream of a template is about.
	template template.Ref
}

func (h hostile) text() string {
	return rapid.OneOf(rapid.SampledFrom(hostileTexts), rapid.String()).Draw(h.t, "text")
}

func (h hostile) time() time.Time { return rapid.SampledFrom(h.times).Draw(h.t, "time") }

// event draws every member of an event of e's type.
func (h hostile) event(e domain.Event) domain.Event {
	v := reflect.New(reflect.TypeOf(e)).Elem()
	h.fill(v)
	drawn, _ := v.Interface().(domain.Event)
	return drawn
}

func (h hostile) fill(v reflect.Value) {
	switch known := v.Addr().Interface().(type) {
	case *time.Time:
		*known = h.time()
		return
	case *json.RawMessage:
		*known, _ = json.Marshal(map[string]string{h.text(): h.text()})
		return
	case *template.Ref:
		*known = h.template
		return
	case *message.Priority:
		*known = rapid.SampledFrom(append(message.Priorities(), "x\x00")).Draw(h.t, "priority")
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(h.text())
	case reflect.Int:
		v.SetInt(int64(rapid.SampledFrom(hostileNumbers).Draw(h.t, "number")))
	case reflect.Uint8:
		v.SetUint(0)
	case reflect.Float64:
		v.SetFloat(rapid.SampledFrom(h.floats).Draw(h.t, "float"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(h.t, "bool"))
	case reflect.Pointer:
		if rapid.Bool().Draw(h.t, "given") {
			v.Set(reflect.New(v.Type().Elem()))
			h.fill(v.Elem())
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rapid.IntRange(0, 2).Draw(h.t, "length"), 2))
		for i := range v.Len() {
			h.fill(v.Index(i))
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			h.fill(field)
		}
	default:
		h.t.Fatalf("events have members of a kind that is not drawn: %s", v.Type())
	}
}

// samplesOf returns an empty event of each type.
func samplesOf(tb testing.TB, types []domain.Type) []domain.Event {
	tb.Helper()
	list := make([]domain.Event, len(types))
	for i, t := range types {
		var err error
		list[i], err = t.Decode([]byte(`{}`))
		must(tb, err)
	}
	return list
}

// stream draws a stream that could be in the log: its first event is the one that begins
// such a stream, and everything else is arbitrary.
func (h hostile) stream(tb testing.TB, kind string) (stream string, events []domain.Event) {
	more := func(types []domain.Event, least int) {
		for range rapid.IntRange(least, 8).Draw(h.t, "events") {
			events = append(events, h.event(rapid.SampledFrom(types).Draw(h.t, "type")))
		}
	}
	without := func(list []domain.Event, first domain.Event) []domain.Event {
		return slices.DeleteFunc(list, func(e domain.Event) bool { return e.EventType() == first.EventType() })
	}
	begin := func(first domain.Event, types []domain.Type) {
		events = append(events, first)
		more(without(samplesOf(tb, types), first), 0)
	}
	switch kind {
	case "message":
		begin(h.event(message.Queued{}), message.Types())
		return event.MessageStream(uuid.New()), events
	case "sender":
		r := h.event(sender.SenderRegistered{}).(sender.SenderRegistered)
		r.Sender = "s" + r.Sender
		begin(r, slices.DeleteFunc(sender.Types(), func(t domain.Type) bool { return t.Name == "NumberClaimed" }))
		return event.SenderStream(uuid.NewString()), events
	case "alert":
		begin(h.event(alert.AlertRaised{}), slices.DeleteFunc(alert.Types(), func(t domain.Type) bool { return t.Name == "RuleChanged" || strings.HasPrefix(t.Name, "Silence") }))
		return event.AlertStream(uuid.New()), events
	case "rule":
		more([]domain.Event{alert.RuleChanged{}}, 1)
		return "alert-rules-" + uuid.NewString(), events
	case "silence":
		events = append(events, h.event(alert.SilenceStarted{}))
		more([]domain.Event{alert.SilenceEnded{}}, 0)
		return event.SilenceStream(uuid.NewString()), events
	case "erasure":
		more([]domain.Event{event.PersonalErased{}}, 1)
		return event.ErasureStream(uuid.New()), events
	case "template":
		h.template = template.Ref{BusinessAccountID: "1", Name: "spring_sale", Language: uuid.NewString(), ID: h.text()}
		more(samplesOf(tb, template.Types()), 1)
		return event.TemplateStream(h.template.BusinessAccountID, h.template.Name, h.template.Language), events
	}
	more(samplesOf(tb, inbound.Types()), 1)
	more(samplesOf(tb, identity.Types()), 1)
	more(samplesOf(tb, conversation.Types()), 1)
	return event.InboundStream("1"), events
}

var streamKinds = []string{"message", "sender", "alert", "rule", "silence", "erasure", "template", "inbound"}

// The streams above have every type of event that is projected.
func TestEveryProjectedTypeIsDrawn(t *testing.T) {
	t.Parallel()
	drawn := []string{"PersonalErased"}
	for _, types := range [][]domain.Type{message.Types(), sender.Types(), alert.Types(), inbound.Types(), identity.Types(), conversation.Types(), template.Types()} {
		for _, typ := range types {
			drawn = append(drawn, typ.Name)
		}
	}
	for _, g := range postgres.Groups() {
		p, err := postgres.NewProjector(postgres.ProjectorOptions{Group: g})
		must(t, err)
		for _, typ := range p.Types() {
			if !slices.Contains(drawn, typ) {
				t.Errorf("%s projects %s, which no test draws", g, typ)
			}
		}
	}
}

// No event in the log stops its stream, whatever its texts, numbers, and times.
func TestEveryEventIsProjected(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("one goroutine works for long")
	}
	b := setup(t)
	groups := make([]*postgres.Projector, 0, len(postgres.Groups()))
	for _, g := range postgres.Groups() {
		groups = append(groups, b.projector(g))
	}
	rapid.Check(t, func(rt *rapid.T) {
		h := hostile{t: rt, floats: hostileFloats, times: hostileTimes}
		stream, events := h.stream(t, rapid.SampledFrom(streamKinds).Draw(rt, "kind"))
		list := make([]event.Proposed, len(events))
		for i, e := range events {
			b.now = b.now.Add(time.Millisecond)
			list[i] = event.Proposed{ID: uuid.New(), Event: e, Meta: h.meta()}
			list[i].Meta.RecordedAt = b.now // it decides how long figures are kept by the second
		}
		for i := range list { // one by one: a stream may be larger than an append
			if _, err := b.log.Append(b.ctx, stream, event.Any(), list[i]); err != nil && !errors.Is(err, event.ErrTooLarge) {
				rt.Fatalf("append %s: %v", list[i].Event.EventType(), err)
			}
		}
		for _, p := range groups {
			must(t, p.CatchUp(b.ctx))
		}
		b.wantNothingParked(rt)
	})
	if v, found := b.verifyWith(b.rebuildOptions().WithoutFold()); v.Differences > 0 || v.Rows == 0 {
		t.Errorf("of %d rows, these differ from the log: %v", v.Rows, found)
	}
	b.rebuild()
}

// Members that a fold compares or uses as keys are replaced before it, not only when the
// result is stored: what follows in the same batch would otherwise find other values than what
// follows in the next one.
func TestASenderIsTheSameHoweverItsEventsAreBatched(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stream := event.SenderStream("acme")
	b.append(stream, sender.SenderRegistered{Sender: "acme", Name: "Acme", PhoneNumberID: "1", MessagesPerSecond: 80})
	for i := range 3 {
		at := b.now.Add(time.Duration(i) * time.Hour)
		b.append(stream, sender.AccountRestricted{Restriction: sender.Restriction{Type: "x\x00", At: at}})
		b.project()
		b.append(stream, sender.AccountRestored{Type: "x\x00", At: at})
		b.project()
	}
	b.rebuild()
}

func (h hostile) meta() event.Meta {
	return event.Meta{
		RecordedAt: h.time(), Sender: h.text(), By: domain.Actor{Kind: domain.ActorKind(h.text()), ID: h.text()}, OnBehalfOf: h.text(),
	}
}

func (b *bundle) wantNothingParked(t *rapid.T) {
	parked, err := postgres.NewReadModel(b.pool).ParkedStreams(b.ctx)
	must(b.tb, err)
	for _, p := range parked {
		t.Fatalf("%s is parked in %s at revision %d (%s): %s", p.Stream, p.Group, p.Revision, p.Type, p.Error)
	}
}

// The same holds for values that JSON cannot express, and for text that is not UTF-8.
func TestValuesBeyondJSONAreProjected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	views, work := b.views(100), b.projector(postgres.Worklist)
	_, err := work.Prepare(b.ctx)
	must(t, err)
	position := views.Position()
	rapid.Check(t, func(rt *rapid.T) {
		h := hostile{t: rt, floats: append(beyondJSONFloats, hostileFloats...), times: append(beyondJSONTimes, hostileTimes...)}
		stream, events := h.stream(t, rapid.SampledFrom(streamKinds).Draw(rt, "kind"))
		var batch event.Batch
		for i, e := range events {
			if e.EventType() == (message.Requeued{}).EventType() {
				continue // it reads the stream, which is not in the log
			}
			position++
			batch.Events = append(batch.Events, event.Recorded{
				ID: uuid.New(), Stream: stream, Revision: event.Revision(i), Position: position, Type: e.EventType(), Event: e,
				Meta: h.meta(), Key: event.KeyID(h.text()),
			})
		}
		batch.Position = position
		must(t, views.Apply(b.ctx, batch))
		must(t, work.Apply(b.ctx, batch))
		b.wantNothingParked(rt)
	})
}

// A stream that an older version parked, because Postgres rejected a text, is projected when
// this version starts, and the ledger balances again.
func TestParkedByAnOlderVersionHealsAtTheStart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := uuid.New()
	stream := event.MessageStream(id)
	b.append(event.SenderStream("acme"), sender.SenderRegistered{Sender: "acme", Name: "Acme", PhoneNumberID: "1", MessagesPerSecond: 80})
	b.append(stream, queued("acme", "1"))
	b.project()
	b.append(event.SenderStream("acme"), sender.SenderPaused{Priorities: sender.Priorities(), Reason: "x\x00"})
	b.append(stream, message.Cancelled{Reason: "x\x00"})
	b.append(event.SenderStream("acme"), sender.RateChanged{MessagesPerSecond: 40})
	b.parkAsBefore(event.SenderStream("acme"), 1, "SenderPaused")
	b.parkAsBefore(stream, 1, "Cancelled")
	b.project()
	model := postgres.NewReadModel(b.pool)
	ledger, err := model.Ledger(b.ctx, nil, b.now)
	must(t, err)
	if ledger.Balanced {
		t.Fatal("the ledger balances although a cancellation is parked: the test shows nothing")
	}

	b.runUntil(func() bool {
		parked, err := model.ParkedStreams(b.ctx)
		must(t, err)
		return len(parked) == 0
	})
	ledger, err = model.Ledger(b.ctx, nil, b.now)
	must(t, err)
	if !ledger.Balanced || !ledger.Compared || ledger.Cancelled != 1 {
		t.Errorf("healed, the ledger is %+v", ledger)
	}
	states, err := model.SenderStates(b.ctx)
	must(t, err)
	if len(states) != 1 || states[0].State() != sender.StatePaused || states[0].Rate != 40 || states[0].PauseReason != "x\ufffd" {
		t.Errorf("healed, the sender is %+v", states)
	}
	if v, found := b.verify(); v.Differences > 0 {
		t.Errorf("healed, these differ from the log: %v", found)
	}
}

// parkAsBefore parks a stream from an event on in the views, as a version did that could not
// store it.
func (b *bundle) parkAsBefore(stream string, revision event.Revision, typ string) {
	b.tb.Helper()
	events, err := b.log.Read(b.ctx, stream, revision, 1)
	must(b.tb, err)
	_, err = b.pool.Exec(b.ctx, `INSERT INTO parked_event (projection, stream, revision, position, type, error)
		VALUES ('views', $1, $2, $3, $4, 'unsupported Unicode escape sequence (SQLSTATE 22P05, table , constraint )')`,
		stream, revision, events[0].Position, typ)
	must(b.tb, err)
}

// runUntil runs the views until done.
func (b *bundle) runUntil(done func() bool) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	committed := make(chan postgres.Commit, 100)
	o := b.projectorOptions(postgres.Views)
	o.OnCommit = func(c postgres.Commit) { committed <- c }
	p, err := postgres.NewProjector(o)
	must(b.tb, err)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for !done() {
		select {
		case <-committed:
		case <-ctx.Done():
			b.tb.Fatal("the views did not get there")
		}
	}
	cancel()
	must(b.tb, <-ended)
}

// oddCancelled is a Cancelled event with a shape that this version can't decode.
type oddCancelled struct {
	Reason int `json:"reason"`
}

func (oddCancelled) EventType() string { return message.Cancelled{}.EventType() }

// An event that can't be decoded stops only its own stream, whichever projection reads it
// again.
func TestUndecodableEventStopsItsStreamOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	codec, err := event.NewCodec([]domain.Type{domain.TypeOf[oddCancelled]()})
	must(t, err)
	other, err := eventstore.Open(b.ctx, eventstore.Options{URL: b.storeURL, Codec: codec})
	must(t, err)
	odd, good := event.MessageStream(uuid.New()), event.MessageStream(uuid.New())
	b.append(odd, queued("acme", "1"))
	_, err = other.Append(b.ctx, odd, event.Any(), event.Proposed{ID: uuid.New(), Event: oddCancelled{Reason: 7}, Meta: event.Meta{RecordedAt: b.now}})
	must(t, err)
	must(t, other.Close(b.ctx))
	b.append(odd, message.Requeued{}) // the work list reads the stream for it
	b.project()
	b.append(good, queued("acme", "2"))
	model := postgres.NewReadModel(b.pool)
	b.runUntil(func() bool {
		counts, err := model.MessageCounts(b.ctx, query.MessageFilter{})
		must(t, err)
		return len(counts) == 1 && counts[0].Count == 2
	})
	parked, err := model.ParkedStreams(b.ctx)
	must(t, err)
	for _, p := range parked {
		if p.Stream != odd {
			t.Errorf("%s is parked in %s: %s", p.Stream, p.Group, p.Error)
		}
	}
	if len(parked) != len(postgres.Groups()) {
		t.Errorf("parked are %+v, want one stream in each group", parked)
	}
}

// A parked stream is a difference, whether or not a rebuild would park it too.
func TestVerifyNamesWhatIsParked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	bad := event.MessageStream(uuid.New())
	b.append(bad, message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: b.now})
	b.project()
	v, found := b.verify()
	want := fmt.Sprintf("parked_event projection=views stream=%s: parked at revision 0 (SendAttempted): SendAttempted of a message of which no Queued was projected", bad)
	if v.Differences != 1 || !slices.Equal(found, []string{want}) {
		t.Errorf("%d differences %q, want %q", v.Differences, found, want)
	}
	healed := event.SenderStream("acme")
	b.append(healed, sender.SenderRegistered{Sender: "acme", Name: "x\x00", PhoneNumberID: "1", MessagesPerSecond: 80})
	b.parkAsBefore(healed, 0, "SenderRegistered")
	b.project()
	v, found = b.verify()
	if v.Differences != 3 || !slices.ContainsFunc(found, func(s string) bool {
		return strings.Contains(s, "stream=sender-acme: parked at revision 0") && strings.Contains(s, "this version can project it")
	}) {
		t.Errorf("%d differences %q", v.Differences, found)
	}
}

// Postgres stores microseconds. Whether a message still waits for its sendAt must not depend
// on whether its row was read from there, or a rebuild would give other metrics.
func TestTimesHaveThePrecisionOfRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stream := event.MessageStream(uuid.New())
	q := queued("acme", "1")
	q.SendAt = b.now.Add(2*time.Second + time.Nanosecond) // right after it is cancelled, two appends later
	b.append(stream, q)
	b.project()
	b.append(stream, message.Cancelled{})
	b.project()
	b.rebuild()
}
