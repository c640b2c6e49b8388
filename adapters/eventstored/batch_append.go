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
	// maxBatchPending limits the appends of one call that wait for the rest of their events, and those in progress.
	maxBatchPending = 256
	// defaultBatchDeadline applies to appends without a deadline.
	defaultBatchDeadline = 10 * time.Second
)

// BatchAppend accepts many appends over one call. The messages of an append share a correlation ID. An append is
// written when its last message has arrived, and the response is sent when it is synced. Appends are decided in the
// order in which they became complete. Appends in progress get their responses before the call ends.
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
	// Receiving ends when this call has ended, so the server waits for its goroutine.
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

	// Owned by the receiving goroutine: the incomplete appends, and their total size in bytes.
	pending map[uuid.UUID]*batchAppend
	bytes   int

	// An append in progress has a slot, which is the tag of its response. The holder of a slot owns its place in
	// underWay.
	free     chan uint64
	underWay [maxBatchPending]*batchAppend
	answers  chan store.Answer
	over     chan struct{} // closed when finishAll begins
}

// batchAppend is an append whose events are still arriving, or that is in progress.
type batchAppend struct {
	correlation []byte // as received
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

	fieldBatchSuccess = 3
	fieldBatchStream  = 4
	fieldStreamName   = 3 // of StreamIdentifier
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

// take adds a message to its append, and starts the append with the last message.
func (c *batchCall) take(ctx context.Context, message []byte) error {
	var correlation []byte
	final := false
	for b := message; len(b) > 0; {
		f, rest, ok := nextField(b)
		switch {
		case !ok:
			return status.Error(codes.InvalidArgument, "batch append: message is truncated")
		case f.is(fieldBatchCorrelation, protowire.BytesType):
			correlation = f.bytes
		case f.is(fieldBatchFinal, protowire.VarintType):
			final = f.varint != 0
		}
		b = rest
	}
	id, err := store.ParseUUID(correlation)
	if err != nil || len(correlation) == 0 {
		return status.Error(codes.InvalidArgument, "batch append: correlation ID is missing")
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

// add adds a message whose format has been checked. The events keep pointing into it.
func (a *batchAppend) add(message []byte, now func() time.Time) error {
	for b := message; len(b) > 0; {
		f, rest, _ := nextField(b)
		switch {
		case f.is(fieldBatchOptions, protowire.BytesType) && a.options == nil: // the first options take effect
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

// start submits an append to the store. finish handles its outcome.
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

// dueContext expires at a time of the server's clock. It reports that when asked, and wakes no one: a wait for the disk
// is not worth its own timer.
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

// finish sends the response to an append. If that fails, the call is over, and receive reports it.
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

// finishAll stops starting appends and sends the responses of those in progress, unless the store does not respond.
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

// succeeded encodes a BatchAppendResp. Like EventStoreDB, it does not repeat the expected revision.
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
	return protowire.AppendString(out, a.stream)
}

// refuse responds to an append with its error. The call continues.
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
		return status.Errorf(codes.InvalidArgument, "batch append: correlation ID: %v", err)
	}
	return c.send(resp)
}

// batchFailure returns the error of an append for a response, so that the call continues. Messages are those of
// EventStoreDB. The details contain more.
func batchFailure(a *batchAppend, err error) (*rpcstatus.Status, error) {
	var deleted *store.StreamDeletedError
	var wrong *store.WrongRevisionError
	var large *store.TooLargeError
	var kind code.Code
	var detail proto.Message
	message := err.Error()
	switch {
	case errors.As(err, &wrong):
		kind, detail, message = code.Code_ALREADY_EXISTS, batchWrongVersion(wrong), "WrongExpectedVersion"
	case errors.As(err, &deleted):
		kind, detail, message = code.Code_NOT_FOUND, &shared.StreamDeleted{StreamIdentifier: a.options.GetStreamIdentifier()}, "StreamDeleted"
	case errors.As(err, &large):
		kind, detail = code.Code_INVALID_ARGUMENT, &shared.MaximumAppendSizeExceeded{MaxAppendSize: uint32(large.Max)}
	case errors.Is(err, context.DeadlineExceeded):
		kind, detail = code.Code_DEADLINE_EXCEEDED, &shared.Timeout{}
	case errors.Is(err, store.ErrStreamName), errors.Is(err, store.ErrEventType), status.Code(err) == codes.InvalidArgument:
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
	return &rpcstatus.Status{Code: int32(kind), Message: message, Details: []*anypb.Any{details}}, nil
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
