package eventstored_test

import (
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// operation is an operation of the recording. Streams and events are numbers, so that it can be repeated elsewhere.
type operation struct {
	Kind      string          `json:"k"` // append, delete, tombstone, read, all or sub
	How       string          `json:"how"`
	Stream    int             `json:"s"`
	Meta      bool            `json:"meta"` // use the stream's metadata stream instead
	Expected  json.RawMessage `json:"e"`    // a name or a revision
	Events    []proposal      `json:"ev"`
	Chunks    int             `json:"chunks"`
	From      json.RawMessage `json:"from"` // "start", "end", a revision, or in $all the address of an event
	Count     uint64          `json:"count"`
	Backwards bool            `json:"backwards"`
	Resolve   bool            `json:"resolve"`
	StringIDs bool            `json:"stringIds"`
	Compat    *uint32         `json:"compat"`
	All       bool            `json:"all"`
	Filter    recordedFilter  `json:"filter"`
	Inner     []operation     `json:"inner"` // performed while the subscription is live
	Mark      proposal        `json:"mark"`  // the event that ends it
}

// proposal is an event to be appended.
type proposal struct {
	Number      int     `json:"i"`
	Type        string  `json:"t"`
	ContentType *string `json:"ct"`
	Metadata    string  `json:"m"`
	Data        string  `json:"d"`
	Link        []int   `json:"link"` // stream and revision that its data points to
}

type recordedFilter struct {
	Kind     string  `json:"kind"`
	Max      *uint32 `json:"max"`
	Interval uint32  `json:"interval"`
}

// performer performs the operations of one epoch, which has its own streams.
type performer struct {
	*normal
	client streams.StreamsClient
	prefix string
	start  uint64 // position used as the beginning of the log, which other epochs share
}

// begin writes the event at which reads of $all start.
func begin(ctx context.Context, client streams.StreamsClient, prefix string) (*performer, error) {
	p := &performer{normal: newNormal(), client: client, prefix: prefix}
	e := &streams.AppendReq_ProposedMessage{
		Id: p.id("start"), Data: []byte("{}"),
		Metadata: map[string]string{"type": "start", "content-type": "application/json"},
	}
	r, err := p.appendEvents(ctx, &streams.AppendReq_Options{
		StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte(prefix + "-start")},
		ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: &shared.Empty{}},
	}, []*streams.AppendReq_ProposedMessage{e})
	p.start = r.GetSuccess().GetPosition().GetCommitPosition()
	return p, err
}

func (p *performer) name(stream int) string {
	return [...]string{
		p.prefix + "-a", p.prefix + "-ab", p.prefix + "-b c", "$" + p.prefix + "-sys", p.prefix + "-x.y", p.prefix + "-e@1",
	}[stream]
}

func (p *performer) streamOf(o *operation) string {
	if o.Meta {
		return "$$" + p.name(o.Stream)
	}
	return p.name(o.Stream)
}

func structuredID(id uuid.UUID) *shared.UUID {
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
		MostSignificantBits:  int64(binary.BigEndian.Uint64(id[:8])),
		LeastSignificantBits: int64(binary.BigEndian.Uint64(id[8:])),
	}}}
}

func identifier(stream string) *shared.StreamIdentifier {
	return &shared.StreamIdentifier{StreamName: []byte(stream)}
}

// id returns the ID of an event by its number and remembers it.
func (p *performer) id(number any) *shared.UUID {
	h := fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "%s|%v", p.prefix, number)))
	text := fmt.Sprintf("%s-%s-4%s-8%s-%s", h[:8], h[8:12], h[13:16], h[17:20], h[20:32])
	p.known[text] = number
	return structuredID(uuid.MustParse(text))
}

var numberedType = regexp.MustCompile(`^T\d$`)

func (p *performer) proposed(e *proposal) *streams.AppendReq_ProposedMessage {
	m := &streams.AppendReq_ProposedMessage{
		Id: p.id(e.Number), Metadata: map[string]string{"type": e.Type, "content-type": "application/json"},
		CustomMetadata: []byte(e.Metadata), Data: []byte(e.Data),
	}
	if numberedType.MatchString(e.Type) {
		m.Metadata["type"] = p.prefix + e.Type
	}
	if e.ContentType != nil {
		m.Metadata["content-type"] = *e.ContentType
	}
	if e.Link != nil {
		m.Data = fmt.Appendf(nil, "%d@%s", e.Link[1], p.name(e.Link[0]))
	}
	return m
}

// perform performs an operation and returns the response in its normal form. recorded is the response in the recording,
// which determines what a subscription must wait for.
func (p *performer) perform(ctx context.Context, o *operation, recorded any) (any, error) {
	stream := p.streamOf(o)
	switch o.Kind {
	case "append":
		if o.How == "batch" {
			return p.batchAppend(ctx, stream, o)
		}
		return p.append(ctx, stream, o)
	case "delete":
		return p.delete(ctx, stream, o)
	case "tombstone":
		return p.tombstone(ctx, stream, o)
	case "read":
		return p.read(ctx, p.streamOptions(stream, o))
	case "all":
		return p.read(ctx, p.allOptions(o))
	case "sub":
		return p.subscribe(ctx, stream, o, recorded)
	default:
		return nil, fmt.Errorf("unknown operation %q", o.Kind)
	}
}

// expectation returns what an operation expects of its stream: a revision or the name of a state.
func (o *operation) expectation() (state string, revision uint64, err error) {
	if json.Unmarshal(o.Expected, &state) == nil {
		return state, 0, nil
	}
	err = json.Unmarshal(o.Expected, &revision)
	return "", revision, err
}

func (p *performer) append(ctx context.Context, stream string, o *operation) (any, error) {
	options := &streams.AppendReq_Options{StreamIdentifier: identifier(stream)}
	state, revision, err := o.expectation()
	if err != nil {
		return nil, err
	}
	switch state {
	case "":
		options.ExpectedStreamRevision = &streams.AppendReq_Options_Revision{Revision: revision}
	case "any":
		options.ExpectedStreamRevision = &streams.AppendReq_Options_Any{Any: &shared.Empty{}}
	case "no_stream":
		options.ExpectedStreamRevision = &streams.AppendReq_Options_NoStream{NoStream: &shared.Empty{}}
	case "stream_exists":
		options.ExpectedStreamRevision = &streams.AppendReq_Options_StreamExists{StreamExists: &shared.Empty{}}
	}
	var events []*streams.AppendReq_ProposedMessage
	for i := range o.Events {
		events = append(events, p.proposed(&o.Events[i]))
	}
	var trailer metadata.MD
	resp, err := p.appendEvents(ctx, options, events, grpc.Trailer(&trailer))
	if err != nil {
		return failure(err, trailer), nil
	}
	return p.normal.append(stream, resp), nil
}

func (p *performer) appendEvents(
	ctx context.Context, options *streams.AppendReq_Options, events []*streams.AppendReq_ProposedMessage, call ...grpc.CallOption,
) (*streams.AppendResp, error) {
	a, err := p.client.Append(ctx, call...)
	if err != nil {
		return nil, err
	}
	if err := a.Send(&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: options}}); err != nil {
		return nil, err
	}
	for _, e := range events {
		if err := a.Send(&streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: e}}); err != nil {
			return nil, err
		}
	}
	return a.CloseAndRecv()
}

func (p *performer) batchAppend(ctx context.Context, stream string, o *operation) (any, error) {
	options := &streams.BatchAppendReq_Options{
		StreamIdentifier: identifier(stream),
		DeadlineOption:   &streams.BatchAppendReq_Options_Deadline{Deadline: durationpb.New(10 * time.Second)},
	}
	state, revision, err := o.expectation()
	if err != nil {
		return nil, err
	}
	switch state {
	case "":
		options.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: revision}
	case "any":
		options.ExpectedStreamPosition = &streams.BatchAppendReq_Options_Any{Any: &emptypb.Empty{}}
	case "no_stream":
		options.ExpectedStreamPosition = &streams.BatchAppendReq_Options_NoStream{NoStream: &emptypb.Empty{}}
	case "stream_exists":
		options.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamExists{StreamExists: &emptypb.Empty{}}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := p.client.BatchAppend(ctx)
	if err != nil {
		return nil, err
	}
	correlation := structuredID(uuid.New())
	chunks := max(o.Chunks, 1)
	each := max((len(o.Events)+chunks-1)/chunks, 1)
	for i := 0; i < max(len(o.Events), 1); i += each {
		m := &streams.BatchAppendReq{CorrelationId: correlation, Options: options, IsFinal: i+each >= len(o.Events)}
		for j := i; j < min(i+each, len(o.Events)); j++ {
			e := p.proposed(&o.Events[j])
			m.ProposedMessages = append(m.ProposedMessages, &streams.BatchAppendReq_ProposedMessage{
				Id: e.GetId(), Metadata: e.GetMetadata(), CustomMetadata: e.GetCustomMetadata(), Data: e.GetData(),
			})
		}
		if err := call.Send(m); err != nil {
			return nil, err
		}
		options = nil
	}
	resp, err := call.Recv()
	if err != nil {
		return object{"answers": []any{}, "end": failure(err, call.Trailer())}, nil
	}
	return object{"answers": []any{p.batch(stream, resp)}, "end": nil}, nil
}

func (p *performer) delete(ctx context.Context, stream string, o *operation) (any, error) {
	options := &streams.DeleteReq_Options{StreamIdentifier: identifier(stream)}
	state, revision, err := o.expectation()
	if err != nil {
		return nil, err
	}
	switch state {
	case "":
		options.ExpectedStreamRevision = &streams.DeleteReq_Options_Revision{Revision: revision}
	case "any":
		options.ExpectedStreamRevision = &streams.DeleteReq_Options_Any{Any: &shared.Empty{}}
	case "no_stream":
		options.ExpectedStreamRevision = &streams.DeleteReq_Options_NoStream{NoStream: &shared.Empty{}}
	case "stream_exists":
		options.ExpectedStreamRevision = &streams.DeleteReq_Options_StreamExists{StreamExists: &shared.Empty{}}
	}
	var trailer metadata.MD
	r, err := p.client.Delete(ctx, &streams.DeleteReq{Options: options}, grpc.Trailer(&trailer))
	if err != nil {
		return failure(err, trailer), nil
	}
	return deleted(r, r.GetPosition().GetCommitPosition(), r.GetPosition().GetPreparePosition()), nil
}

func (p *performer) tombstone(ctx context.Context, stream string, o *operation) (any, error) {
	options := &streams.TombstoneReq_Options{StreamIdentifier: identifier(stream)}
	state, revision, err := o.expectation()
	if err != nil {
		return nil, err
	}
	switch state {
	case "":
		options.ExpectedStreamRevision = &streams.TombstoneReq_Options_Revision{Revision: revision}
	case "any":
		options.ExpectedStreamRevision = &streams.TombstoneReq_Options_Any{Any: &shared.Empty{}}
	case "no_stream":
		options.ExpectedStreamRevision = &streams.TombstoneReq_Options_NoStream{NoStream: &shared.Empty{}}
	case "stream_exists":
		options.ExpectedStreamRevision = &streams.TombstoneReq_Options_StreamExists{StreamExists: &shared.Empty{}}
	}
	var trailer metadata.MD
	r, err := p.client.Tombstone(ctx, &streams.TombstoneReq{Options: options}, grpc.Trailer(&trailer))
	if err != nil {
		return failure(err, trailer), nil
	}
	return deleted(r, r.GetPosition().GetCommitPosition(), r.GetPosition().GetPreparePosition()), nil
}

// readOptions returns the options that reads and subscriptions of streams and of $all share.
func readOptions(o *operation) *streams.ReadReq_Options {
	options := &streams.ReadReq_Options{
		ResolveLinks: o.Resolve,
		CountOption:  &streams.ReadReq_Options_Count{Count: o.Count},
		UuidOption: &streams.ReadReq_Options_UUIDOption{
			Content: &streams.ReadReq_Options_UUIDOption_Structured{Structured: &shared.Empty{}},
		},
		FilterOption: &streams.ReadReq_Options_NoFilter{NoFilter: &shared.Empty{}},
	}
	if o.Backwards {
		options.ReadDirection = streams.ReadReq_Options_Backwards
	}
	if o.StringIDs {
		options.UuidOption.Content = &streams.ReadReq_Options_UUIDOption_String_{String_: &shared.Empty{}}
	}
	if o.Compat != nil {
		options.ControlOption = &streams.ReadReq_Options_ControlOption{Compatibility: *o.Compat}
	}
	return options
}

func (p *performer) streamOptions(stream string, o *operation) *streams.ReadReq_Options {
	options := readOptions(o)
	target := &streams.ReadReq_Options_StreamOptions{StreamIdentifier: identifier(stream)}
	switch string(o.From) {
	case `"start"`:
		target.RevisionOption = &streams.ReadReq_Options_StreamOptions_Start{Start: &shared.Empty{}}
	case `"end"`:
		target.RevisionOption = &streams.ReadReq_Options_StreamOptions_End{End: &shared.Empty{}}
	default:
		var revision uint64
		if json.Unmarshal(o.From, &revision) == nil {
			target.RevisionOption = &streams.ReadReq_Options_StreamOptions_Revision{Revision: revision}
		}
	}
	options.StreamOption = &streams.ReadReq_Options_Stream{Stream: target}
	return options
}

func (p *performer) allOptions(o *operation) *streams.ReadReq_Options {
	options := readOptions(o)
	target := &streams.ReadReq_Options_AllOptions{}
	at := func(position uint64) *streams.ReadReq_Options_AllOptions_Position {
		return &streams.ReadReq_Options_AllOptions_Position{
			Position: &streams.ReadReq_Options_Position{CommitPosition: position, PreparePosition: position},
		}
	}
	position, given := p.eventAt(o.From)
	switch {
	case string(o.From) == `"end"`:
		target.AllOption = &streams.ReadReq_Options_AllOptions_End{End: &shared.Empty{}}
	case given:
		target.AllOption = at(position)
	case o.Backwards:
		target.AllOption = &streams.ReadReq_Options_AllOptions_Start{Start: &shared.Empty{}}
	default:
		target.AllOption = at(p.start)
	}
	options.StreamOption = &streams.ReadReq_Options_All{All: target}
	options.FilterOption = &streams.ReadReq_Options_Filter{Filter: p.filter(&o.Filter)}
	return options
}

// eventAt returns the position of the event with an address: stream, revision, and whether it is in the metadata
// stream.
func (p *performer) eventAt(from json.RawMessage) (uint64, bool) {
	var stream, revision int
	var meta bool
	if json.Unmarshal(from, &[]any{&stream, &revision, &meta}) != nil {
		return 0, false
	}
	name := p.name(stream)
	if meta {
		name = "$$" + name
	}
	position, ok := p.position[fmt.Sprintf("%s@%d", name, revision)]
	return position, ok
}

func (p *performer) filter(f *recordedFilter) *streams.ReadReq_Options_FilterOptions {
	options := &streams.ReadReq_Options_FilterOptions{
		Window:                       &streams.ReadReq_Options_FilterOptions_Count{Count: &shared.Empty{}},
		CheckpointIntervalMultiplier: f.Interval,
	}
	if f.Max != nil {
		options.Window = &streams.ReadReq_Options_FilterOptions_Max{Max: *f.Max}
	}
	byStream := func(e *streams.ReadReq_Options_FilterOptions_Expression) {
		options.Filter = &streams.ReadReq_Options_FilterOptions_StreamIdentifier{StreamIdentifier: e}
	}
	byType := func(e *streams.ReadReq_Options_FilterOptions_Expression) {
		options.Filter = &streams.ReadReq_Options_FilterOptions_EventType{EventType: e}
	}
	switch f.Kind {
	case "prefix":
		byStream(&streams.ReadReq_Options_FilterOptions_Expression{
			Prefix: []string{p.prefix, "$$" + p.prefix, "$" + p.prefix, "$$$" + p.prefix},
		})
	case "one":
		byStream(&streams.ReadReq_Options_FilterOptions_Expression{Prefix: []string{p.prefix + "-a"}})
	case "regex":
		byStream(&streams.ReadReq_Options_FilterOptions_Expression{Regex: `^\$?` + p.prefix + `-(a|b c)$`})
	case "type":
		byType(&streams.ReadReq_Options_FilterOptions_Expression{Prefix: []string{p.prefix + "T1", p.prefix + "T2"}})
	case "typeRegex":
		byType(&streams.ReadReq_Options_FilterOptions_Expression{Regex: `^` + p.prefix + `T[13]$`})
	}
	return options
}

func (p *performer) read(ctx context.Context, options *streams.ReadReq_Options) (any, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := p.client.Read(ctx, &streams.ReadReq{Options: options})
	if err != nil {
		return nil, err
	}
	var received []*streams.ReadResp
	for {
		m, err := call.Recv()
		if err != nil {
			return p.items(received, failure(err, call.Trailer())), nil
		}
		received = append(received, m)
	}
}

// subscribe opens a subscription, performs the operations for its live phase, and writes the mark. It ends when the
// mark has arrived, or when the subscription must have received everything.
func (p *performer) subscribe(ctx context.Context, stream string, o *operation, recorded any) (any, error) {
	options := p.streamOptions(stream, o)
	if o.All {
		options = p.allOptions(o)
	}
	options.CountOption = &streams.ReadReq_Options_Subscription{Subscription: &streams.ReadReq_Options_SubscriptionOptions{}}
	sub, err := p.open(ctx, options)
	if err != nil {
		return nil, err
	}
	defer sub.close()
	sub.until(ctx, func(m *streams.ReadResp) bool { return m.GetCaughtUp() != nil })

	inner := []any{}
	answers, _ := field(recorded, "inner").([]any)
	operations := append(o.Inner, operation{ //nolint:gocritic // a new list
		Kind: "append", How: "append", Stream: o.Stream, Expected: json.RawMessage(`"any"`), Events: []proposal{o.Mark},
	})
	for i := range operations {
		var answer any
		if i < len(answers) {
			answer = answers[i]
		}
		got, err := p.perform(ctx, &operations[i], answer)
		if err != nil {
			return nil, err
		}
		inner = append(inner, got)
	}
	if err := p.awaitEnd(ctx, sub, o, options, field(recorded, "sub")); err != nil {
		return nil, err
	}
	received, end := sub.close()
	normalized := p.items(received, end)
	items, _ := normalized["items"].([]any)
	live, others := -1, []any{}
	for _, item := range items {
		if field(item, "checkpoint") != nil {
			continue
		}
		if field(item, "caughtUp") != nil && live < 0 {
			live = len(others)
		}
		others = append(others, item)
	}
	normalized["items"] = others
	return object{"inner": inner, "sub": normalized, "live": live}, nil
}

// awaitEnd waits until a subscription must have received everything. The recorded messages only determine what to wait
// for.
func (p *performer) awaitEnd(
	ctx context.Context, sub *subscription, o *operation, options *streams.ReadReq_Options, recorded any,
) error {
	if field(field(recorded, "end"), "error") != nil {
		sub.until(ctx, func(*streams.ReadResp) bool { return false })
		return nil
	}
	if o.All {
		return p.awaitCheckpoint(ctx, sub, options)
	}
	items, _ := field(recorded, "items").([]any)
	name := fmt.Sprintf("#%d", o.Mark.Number)
	if slices.ContainsFunc(items, func(item any) bool {
		event := field(item, "event")
		return field(field(event, "event"), "id") == name || field(field(event, "link"), "id") == name
	}) {
		mark, _ := wireUUID(p.id(o.Mark.Number))
		sub.until(ctx, func(m *streams.ReadResp) bool {
			event, _ := wireUUID(m.GetEvent().GetEvent().GetId())
			link, _ := wireUUID(m.GetEvent().GetLink().GetId())
			return event == mark || link == mark
		})
	}
	return p.roundTrip(ctx)
}

func field(v any, name string) any {
	o, _ := v.(object)
	return o[name]
}

// roundTrip makes a call on the connection of the subscriptions. Everything that a server sent them before arrives
// before the call ends.
func (p *performer) roundTrip(ctx context.Context) error {
	_, err := p.read(ctx, p.streamOptions(p.prefix+"-start", &operation{From: json.RawMessage(`"start"`), Count: 1}))
	return err
}

// awaitCheckpoint writes events that the filter of a subscription does not match until a checkpoint must come, and
// waits for it. Everything before those events has arrived by then.
func (p *performer) awaitCheckpoint(ctx context.Context, sub *subscription, options *streams.ReadReq_Options) error {
	every := options.GetFilter().GetMax()
	if every == 0 {
		every = 32
	}
	every *= options.GetFilter().GetCheckpointIntervalMultiplier()
	first, err := p.appendFiller(ctx, 1)
	if err == nil {
		_, err = p.appendFiller(ctx, every)
	}
	if err != nil {
		return err
	}
	sub.until(ctx, func(m *streams.ReadResp) bool { return m.GetCheckpoint().GetCommitPosition() >= first })
	return nil
}

// appendFiller appends events to a stream that no operation uses and returns the position of the last one.
func (p *performer) appendFiller(ctx context.Context, n uint32) (uint64, error) {
	events := make([]*streams.AppendReq_ProposedMessage, n)
	for i := range events {
		events[i] = &streams.AppendReq_ProposedMessage{
			Id: structuredID(uuid.New()), Metadata: map[string]string{"type": "filler", "content-type": "application/json"},
		}
	}
	resp, err := p.appendEvents(ctx, &streams.AppendReq_Options{
		StreamIdentifier:       identifier("filler-" + p.prefix),
		ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: &shared.Empty{}},
	}, events)
	return resp.GetSuccess().GetPosition().GetCommitPosition(), err
}

// subscription is an open subscription. Its goroutine receives until it is closed.
type subscription struct {
	cancel context.CancelFunc
	call   streams.Streams_ReadClient
	done   chan struct{}
	news   chan struct{}

	mu       sync.Mutex
	received []*streams.ReadResp
	err      error
}

func (p *performer) open(ctx context.Context, options *streams.ReadReq_Options) (*subscription, error) {
	ctx, cancel := context.WithCancel(ctx)
	call, err := p.client.Read(ctx, &streams.ReadReq{Options: options})
	if err != nil {
		cancel()
		return nil, err
	}
	s := &subscription{cancel: cancel, call: call, done: make(chan struct{}), news: make(chan struct{}, 1)}
	go s.receive()
	return s, nil
}

func (s *subscription) receive() {
	defer close(s.done)
	for {
		m, err := s.call.Recv()
		s.mu.Lock()
		if err != nil {
			s.err = err
			s.mu.Unlock()
			return
		}
		s.received = append(s.received, m)
		s.mu.Unlock()
		select {
		case s.news <- struct{}{}:
		default:
		}
	}
}

// until waits for a wanted message, or for the end of the subscription or ctx.
func (s *subscription) until(ctx context.Context, wanted func(*streams.ReadResp) bool) {
	for seen := 0; ; {
		s.mu.Lock()
		received := s.received
		s.mu.Unlock()
		if slices.ContainsFunc(received[seen:], wanted) {
			return
		}
		seen = len(received)
		select {
		case <-s.news:
		case <-s.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// close ends the subscription and returns the messages that it received and the error that it ended with before.
func (s *subscription) close() (received []*streams.ReadResp, end any) {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	s.cancel()
	<-s.done
	if err == nil && isCancelled(s.err) {
		return s.received, cancelledHere
	}
	return s.received, failure(s.err, s.call.Trailer())
}

// cancelledHere replaces the error of a subscription that the test ended.
const cancelledHere = "cancelled here"
