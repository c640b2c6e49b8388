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
// last has come, and answered when it is synced. Appends are decided in the order in which they became complete. The Go
// client does not use this call, others do.
func (s *streamsService) BatchAppend(stream streams.Streams_BatchAppendServer) error {
	call := &batchCall{
		service: s,
		stream:  stream,
		pending: make(map[uuid.UUID]*batchAppend),
		slots:   make(chan struct{}, maxBatchPending),
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	// Appends under way are answered before the call ends.
	defer call.answers.Wait()
	messages := make(chan *streams.BatchAppendReq)
	ended := make(chan error, 1)
	// Recv ends when this call has ended, so its goroutine is waited for by the server.
	s.server.served.Go(func() { ended <- call.receive(ctx, messages) })
	for {
		select {
		case req := <-messages:
			if err := call.take(ctx, req); err != nil {
				return err
			}
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
	pending map[uuid.UUID]*batchAppend
	bytes   int // of pending
	slots   chan struct{}
	answers sync.WaitGroup
	sending sync.Mutex
}

// batchAppend is an append whose events are still coming, or that is under way.
type batchAppend struct {
	correlation *shared.UUID
	options     *streams.BatchAppendReq_Options
	stream      string
	expected    store.Expected
	deadline    time.Time
	events      []store.Event
	bytes       int
}

func (c *batchCall) receive(ctx context.Context, messages chan<- *streams.BatchAppendReq) error {
	for {
		req, err := c.stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case messages <- req:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take adds a message to its append, and starts the append with the last one.
func (c *batchCall) take(ctx context.Context, req *streams.BatchAppendReq) error {
	id, err := parseUUID(req.GetCorrelationId())
	if err != nil {
		return status.Error(codes.InvalidArgument, "batch append: correlation id is missing")
	}
	a := c.pending[id]
	if a == nil {
		if len(c.pending) == maxBatchPending {
			return status.Errorf(codes.ResourceExhausted, "batch append: %d appends are incomplete already", maxBatchPending)
		}
		a = &batchAppend{correlation: req.GetCorrelationId()}
		c.pending[id] = a
	}
	size := proto.Size(req)
	a.bytes += size
	if c.bytes += size; c.bytes > maxMessageBytes {
		return status.Errorf(codes.ResourceExhausted, "batch append: incomplete appends are larger than %d bytes", maxMessageBytes)
	}
	if err := c.add(a, req); err != nil {
		c.forget(id, a)
		return c.answer(a, store.Written{}, err)
	}
	if !req.GetIsFinal() {
		return nil
	}
	c.forget(id, a)
	return c.start(ctx, a)
}

func (c *batchCall) forget(id uuid.UUID, a *batchAppend) {
	delete(c.pending, id)
	c.bytes -= a.bytes
}

func (c *batchCall) add(a *batchAppend, req *streams.BatchAppendReq) error {
	if o := req.GetOptions(); o != nil {
		if err := a.setOptions(o, c.service.server.opts.Now()); err != nil {
			return err
		}
	}
	if a.options == nil {
		return status.Error(codes.InvalidArgument, "batch append: options must come first")
	}
	for _, m := range req.GetProposedMessages() {
		id, err := parseUUID(m.GetId())
		if err != nil {
			return err
		}
		e, err := proposed(id, m.GetMetadata(), m.GetData(), m.GetCustomMetadata())
		if err != nil {
			return err
		}
		a.events = append(a.events, e)
	}
	return nil
}

func (a *batchAppend) setOptions(o *streams.BatchAppendReq_Options, now time.Time) error {
	a.options = o
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

// start hands an append to the store; its answer is sent when it comes.
func (c *batchCall) start(ctx context.Context, a *batchAppend) error {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	// The deadline is on the server's clock, which may be another one than the context's.
	ctx, cancel := context.WithTimeout(ctx, a.deadline.Sub(c.service.server.opts.Now()))
	wait, err := c.service.store.StartAppend(ctx, a.stream, a.expected, a.events)
	if err != nil {
		cancel()
		<-c.slots
		return c.answer(a, store.Written{}, err)
	}
	c.answers.Go(func() {
		defer cancel()
		defer func() { <-c.slots }()
		written, err := wait()
		// When it cannot be sent the call is over, and receive says so.
		_ = c.answer(a, written, err)
	})
	return nil
}

func (c *batchCall) answer(a *batchAppend, w store.Written, err error) error {
	resp := &streams.BatchAppendResp{CorrelationId: a.correlation, StreamIdentifier: a.options.GetStreamIdentifier()}
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
	if err != nil {
		failure, err := batchFailure(a, err)
		if err != nil {
			return err
		}
		resp.Result = &streams.BatchAppendResp_Error{Error: failure}
	} else {
		resp.Result = &streams.BatchAppendResp_Success_{Success: batchSuccess(w)}
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.stream.Send(resp)
}

func batchSuccess(w store.Written) *streams.BatchAppendResp_Success {
	success := &streams.BatchAppendResp_Success{
		CurrentRevisionOption: &streams.BatchAppendResp_Success_CurrentRevision{CurrentRevision: uint64(w.Revision)},
		PositionOption: &streams.BatchAppendResp_Success_Position{Position: &shared.AllStreamPosition{
			CommitPosition: w.Position, PreparePosition: w.Position,
		}},
	}
	if w.Revision < 0 {
		success.CurrentRevisionOption = &streams.BatchAppendResp_Success_NoStream{NoStream: &emptypb.Empty{}}
	}
	if w.Position == 0 {
		success.PositionOption = &streams.BatchAppendResp_Success_NoPosition{NoPosition: &emptypb.Empty{}}
	}
	return success
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
