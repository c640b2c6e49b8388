package eventstored

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/code"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

const (
	// maxBatchPending bounds the appends of one call that wait for the rest of their events, and those under way.
	maxBatchPending = 256
	// defaultBatchDeadline holds for appends that come without a deadline.
	defaultBatchDeadline = 10 * time.Second
)

// BatchAppend takes many appends over one call. The messages of an append share a correlation id; it is written when the
// last has come, and answered when it is synced. Appends are decided in the order in which they became complete. Those
// under way are answered before the call ends.
func (s *streamsService) BatchAppend(stream streams.Streams_BatchAppendServer) error {
	call := &batchCall{
		service: s,
		stream:  stream,
		pending: make(map[uuid.UUID]*batchAppend),
		free:    make(chan uint64, maxBatchPending),
		answers: make(chan store.Answer, maxBatchPending),
		over:    make(chan struct{}),
	}
	for slot := range uint64(maxBatchPending) {
		call.free <- slot
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer call.finishAll()
	ended := make(chan error, 1)
	// Receiving ends when this call has ended, so its goroutine is waited for by the server.
	s.server.served.Go(func() { ended <- call.receive(ctx) })
	for {
		select {
		case a := <-call.answers:
			call.finish(a)
		case err := <-ended:
			return err
		case <-s.server.closing:
			return errClosing
		}
	}
}

// batchCall is one BatchAppend call.
type batchCall struct {
	service *streamsService
	stream  streams.Streams_BatchAppendServer
	sending sync.Mutex

	// Of the receiving goroutine: what is incomplete, and how many bytes that is.
	pending map[uuid.UUID]*batchAppend
	bytes   int

	// An append under way has a slot, the tag of its answer. Whoever holds a slot owns its place in underWay.
	free     chan uint64
	underWay [maxBatchPending]*batchAppend
	answers  chan store.Answer
	over     chan struct{} // closed when nothing more is started
}

// batchAppend is an append whose events are still coming, or that is under way.
type batchAppend struct {
	correlation []byte // as it came
	options     *streams.BatchAppendReq_Options
	stream      string
	expected    store.Expected
	deadline    time.Time
	events      []store.Event
	bytes       int
}

// Field numbers of BatchAppendReq, and of BatchAppendResp and its Success.
const (
	fieldBatchCorrelation = 1 // of both
	fieldBatchOptions     = 2
	fieldBatchProposed    = 3
	fieldBatchFinal       = 4

	fieldBatchSuccess        = 3
	fieldBatchStream         = 4
	fieldBatchStreamPosition = 5
	fieldBatchNoStream       = 6
	fieldBatchAny            = 7
	fieldBatchStreamExists   = 8
	fieldStreamName          = 3 // of StreamIdentifier
)

func (c *batchCall) receive(ctx context.Context) error {
	for {
		var f frame
		err := c.stream.RecvMsg(&f)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = c.take(ctx, f.bytes)
		}
		if err != nil {
			return err
		}
	}
}

// take adds a message to its append, and starts the append with the last one.
func (c *batchCall) take(ctx context.Context, message []byte) error {
	var correlation []byte
	final := false
	for b := message; len(b) > 0; {
		f, rest, ok := nextField(b)
		switch {
		case !ok:
			return status.Error(codes.InvalidArgument, "batch append: message is cut off")
		case f.is(fieldBatchCorrelation, protowire.BytesType):
			correlation = f.bytes
		case f.is(fieldBatchFinal, protowire.VarintType):
			final = f.varint != 0
		}
		b = rest
	}
	id, err := store.ParseUUID(correlation)
	if err != nil || len(correlation) == 0 {
		return status.Error(codes.InvalidArgument, "batch append: correlation id is missing")
	}
	a := c.pending[id]
	if a == nil {
		if len(c.pending) == maxBatchPending {
			return status.Errorf(codes.ResourceExhausted, "batch append: %d appends are incomplete already", maxBatchPending)
		}
		a = &batchAppend{correlation: correlation}
		c.pending[id] = a
	}
	a.bytes += len(message)
	if c.bytes += len(message); c.bytes > maxMessageBytes {
		return status.Errorf(codes.ResourceExhausted, "batch append: incomplete appends are larger than %d bytes", maxMessageBytes)
	}
	if err := a.add(message, c.service.server.opts.Now); err != nil {
		c.forget(id, a)
		return c.refuse(a, err)
	}
	if !final {
		return nil
	}
	c.forget(id, a)
	return c.start(ctx, a)
}

func (c *batchCall) forget(id uuid.UUID, a *batchAppend) {
	delete(c.pending, id)
	c.bytes -= a.bytes
}

// add takes in a message, whose form has been checked. The events keep pointing into it.
func (a *batchAppend) add(message []byte, now func() time.Time) error {
	for b := message; len(b) > 0; {
		f, rest, _ := nextField(b)
		switch {
		case f.is(fieldBatchOptions, protowire.BytesType):
			if err := a.setOptions(f.bytes, now()); err != nil {
				return err
			}
		case f.is(fieldBatchProposed, protowire.BytesType):
			e, err := parseProposed(f.bytes)
			if err != nil {
				return err
			}
			a.events = append(a.events, e)
		}
		b = rest
	}
	if a.options == nil {
		return status.Error(codes.InvalidArgument, "batch append: options must come first")
	}
	return nil
}

func (a *batchAppend) setOptions(body []byte, now time.Time) error {
	var o streams.BatchAppendReq_Options
	if err := proto.Unmarshal(body, &o); err != nil {
		return status.Errorf(codes.InvalidArgument, "batch append: options: %v", err)
	}
	a.options = &o
	a.stream = string(o.GetStreamIdentifier().GetStreamName())
	a.deadline = now.Add(defaultBatchDeadline)
	switch d := o.GetDeadlineOption().(type) {
	case *streams.BatchAppendReq_Options_Deadline:
		a.deadline = now.Add(d.Deadline.AsDuration())
	case *streams.BatchAppendReq_Options_Deadline_21_10_0:
		a.deadline = d.Deadline_21_10_0.AsTime()
	}
	var err error
	switch v := o.GetExpectedStreamPosition().(type) {
	case *streams.BatchAppendReq_Options_StreamPosition:
		a.expected, err = revisionExpected(v.StreamPosition)
	case *streams.BatchAppendReq_Options_NoStream:
		a.expected = store.NoStream
	case *streams.BatchAppendReq_Options_StreamExists:
		a.expected = store.StreamExists
	case *streams.BatchAppendReq_Options_Any:
		a.expected = store.Any
	default:
		err = status.Error(codes.InvalidArgument, "batch append: expected position is missing")
	}
	return err
}

// start hands an append to the store; finish gets what becomes of it.
func (c *batchCall) start(ctx context.Context, a *batchAppend) error {
	var slot uint64
	select {
	case slot = <-c.free:
	case <-c.over:
		return errClosing
	case <-ctx.Done():
		return ctx.Err()
	}
	c.underWay[slot] = a
	due := dueContext{ctx, a.deadline, c.service.server.opts.Now}
	if err := c.service.store.Submit(due, a.stream, a.expected, a.events, slot, c.answers); err != nil {
		c.underWay[slot] = nil
		c.free <- slot
		return c.refuse(a, err)
	}
	return nil
}

// dueContext ends at a time of the server's clock. It tells whoever asks, and wakes nobody: what waits for the disk is
// not worth a timer of its own.
type dueContext struct {
	context.Context //nolint:containedctx // it is a context

	due time.Time
	now func() time.Time
}

func (c dueContext) Err() error {
	if err := c.Context.Err(); err != nil {
		return err
	}
	if c.now().After(c.due) {
		return context.DeadlineExceeded
	}
	return nil
}

// finish answers an append. When the answer cannot be sent the call is over, and receive says so.
func (c *batchCall) finish(answer store.Answer) {
	a := c.underWay[answer.Tag]
	c.underWay[answer.Tag] = nil
	c.free <- answer.Tag
	if answer.Err != nil {
		_ = c.refuse(a, answer.Err)
		return
	}
	_ = c.send(a.succeeded(answer.Written))
}

// finishAll starts nothing more and answers what is under way, unless the store does not.
func (c *batchCall) finishAll() {
	close(c.over)
	for len(c.free) < cap(c.free) {
		select {
		case a := <-c.answers:
			c.finish(a)
		case <-c.service.store.Done():
			return
		}
	}
}

func (c *batchCall) send(m any) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.stream.SendMsg(m)
}

// succeeded encodes a BatchAppendResp.
func (a *batchAppend) succeeded(w store.Written) rawMessage {
	success := encodedSuccess(w)
	out := make([]byte, 0, 2*appendedResponseMaxSize+len(a.correlation)+len(a.stream))
	out = protowire.AppendTag(out, fieldBatchCorrelation, protowire.BytesType)
	out = protowire.AppendBytes(out, a.correlation)
	out = protowire.AppendTag(out, fieldBatchSuccess, protowire.BytesType)
	out = protowire.AppendBytes(out, success)
	out = protowire.AppendTag(out, fieldBatchStream, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(protowire.SizeTag(fieldStreamName)+protowire.SizeBytes(len(a.stream))))
	out = protowire.AppendTag(out, fieldStreamName, protowire.BytesType)
	out = protowire.AppendString(out, a.stream)
	switch a.expected {
	case store.NoStream:
		out = protowire.AppendTag(out, fieldBatchNoStream, protowire.BytesType)
		return protowire.AppendVarint(out, 0)
	case store.Any:
		out = protowire.AppendTag(out, fieldBatchAny, protowire.BytesType)
		return protowire.AppendVarint(out, 0)
	case store.StreamExists:
		out = protowire.AppendTag(out, fieldBatchStreamExists, protowire.BytesType)
		return protowire.AppendVarint(out, 0)
	default:
		out = protowire.AppendTag(out, fieldBatchStreamPosition, protowire.VarintType)
		return protowire.AppendVarint(out, uint64(a.expected))
	}
}

// refuse answers an append with its error: the call goes on.
func (c *batchCall) refuse(a *batchAppend, refusal error) error {
	failure, err := batchFailure(a, refusal)
	if err != nil {
		return err
	}
	resp := &streams.BatchAppendResp{
		CorrelationId: &shared.UUID{}, StreamIdentifier: a.options.GetStreamIdentifier(),
		Result: &streams.BatchAppendResp_Error{Error: failure},
	}
	if err := proto.Unmarshal(a.correlation, resp.GetCorrelationId()); err != nil {
		return status.Errorf(codes.InvalidArgument, "batch append: correlation id: %v", err)
	}
	switch v := a.options.GetExpectedStreamPosition().(type) {
	case *streams.BatchAppendReq_Options_StreamPosition:
		resp.ExpectedStreamPosition = &streams.BatchAppendResp_StreamPosition{StreamPosition: v.StreamPosition}
	case *streams.BatchAppendReq_Options_NoStream:
		resp.ExpectedStreamPosition = &streams.BatchAppendResp_NoStream{NoStream: &emptypb.Empty{}}
	case *streams.BatchAppendReq_Options_StreamExists:
		resp.ExpectedStreamPosition = &streams.BatchAppendResp_StreamExists{StreamExists: &emptypb.Empty{}}
	case *streams.BatchAppendReq_Options_Any:
		resp.ExpectedStreamPosition = &streams.BatchAppendResp_Any{Any: &emptypb.Empty{}}
	}
	return c.send(resp)
}

// batchFailure tells of a refusal inside a response: the call goes on.
func batchFailure(a *batchAppend, err error) (*rpcstatus.Status, error) {
	var deleted *store.StreamDeletedError
	var wrong *store.WrongRevisionError
	var large *store.TooLargeError
	var kind code.Code
	var detail proto.Message
	switch {
	case errors.As(err, &wrong):
		kind, detail = code.Code_ALREADY_EXISTS, batchWrongVersion(wrong)
	case errors.As(err, &deleted):
		kind, detail = code.Code_NOT_FOUND, &shared.StreamDeleted{StreamIdentifier: a.options.GetStreamIdentifier()}
	case errors.As(err, &large):
		kind, detail = code.Code_INVALID_ARGUMENT, &shared.MaximumAppendSizeExceeded{MaxAppendSize: uint32(large.Max)}
	case errors.Is(err, context.DeadlineExceeded):
		kind, detail = code.Code_DEADLINE_EXCEEDED, &shared.Timeout{}
	case errors.Is(err, store.ErrStreamName), status.Code(err) == codes.InvalidArgument:
		kind, detail = code.Code_INVALID_ARGUMENT, &shared.BadRequest{Message: err.Error()}
	case errors.Is(err, store.ErrDiskFull):
		kind, detail = code.Code_RESOURCE_EXHAUSTED, &shared.Unknown{}
	default:
		kind, detail = code.Code_UNAVAILABLE, &shared.Unknown{}
	}
	details, packErr := anypb.New(detail)
	if packErr != nil {
		return nil, packErr
	}
	return &rpcstatus.Status{Code: int32(kind), Message: err.Error(), Details: []*anypb.Any{details}}, nil
}

func batchWrongVersion(e *store.WrongRevisionError) *shared.WrongExpectedVersion {
	w := &shared.WrongExpectedVersion{}
	switch e.Expected {
	case store.Any:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedAny{ExpectedAny: &emptypb.Empty{}}
	case store.StreamExists:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedStreamExists{ExpectedStreamExists: &emptypb.Empty{}}
	case store.NoStream:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: &emptypb.Empty{}}
	default:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedStreamPosition{
			ExpectedStreamPosition: uint64(e.Expected),
		}
	}
	if e.Current < 0 {
		w.CurrentStreamRevisionOption = &shared.WrongExpectedVersion_CurrentNoStream{CurrentNoStream: &emptypb.Empty{}}
	} else {
		w.CurrentStreamRevisionOption = &shared.WrongExpectedVersion_CurrentStreamRevision{CurrentStreamRevision: uint64(e.Current)}
	}
	return w
}
