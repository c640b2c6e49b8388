package eventstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/genproto/googleapis/rpc/code"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/waypost/waypost/app/event"
)

const (
	// maxPipelined limits the appends in flight on the one call. The embedded store
	// accepts 256 of a call at a time.
	maxPipelined = 200
	// reopenDelay is the time after which an ended call is opened again: soon, because
	// appends through the client cost more, but not immediately, because they work as
	// well.
	reopenDelay = time.Second
)

// pipeline appends over one call that stays open, EventStoreDB's BatchAppend, as its
// .NET client does automatically. The Go client opens a call for each append, which
// costs both sides more than the append itself.
//
// The pipeline never has the last word on errors: an append that gets neither success
// nor a wrong-revision error is repeated through the client with the same event IDs,
// which the store accepts once. So the pipeline needs no retries and no errors of its
// own.
type pipeline struct {
	config  esdb.Configuration
	timeout time.Duration // for a response

	// life ends when the appends in flight must be cancelled.
	life context.Context //nolint:containedctx // the pipeline's own life, not a call's
	end  context.CancelCauseFunc

	mu      sync.Mutex
	closed  bool
	current *pipelineCall
	opening bool
	openAt  time.Time      // not before
	running sync.WaitGroup // appends and the goroutines of calls; grows only under mu while not closed
}

func newPipeline(config esdb.Configuration, timeout time.Duration) *pipeline {
	p := &pipeline{config: config, timeout: timeout}
	p.life, p.end = context.WithCancelCause(context.Background()) //nolint:forbidigo // the pipeline's life is the Log's, which Close ends
	return p
}

// append appends events. answered is false if the append must go through the client.
func (p *pipeline) append(
	ctx context.Context, stream string, expected event.Expected, events []proposal,
) (done event.Appended, answered bool, err error) {
	c := p.acquireCall()
	if c == nil {
		return done, false, nil
	}
	defer p.running.Done()
	answer := c.append(ctx, stream, expected, events)
	switch success := answer.GetSuccess(); {
	case success != nil:
		return event.Appended{
			Revision: event.Revision(success.GetCurrentRevision()),
			Position: event.Position(success.GetPosition().GetCommitPosition()),
		}, true, nil
	case hasDetail(answer.GetError(), (*shared.WrongExpectedVersion)(nil)):
		return done, true, &event.WrongRevisionError{Stream: stream, Expected: expected}
	case answer != nil:
		// For example, the store has no disk space, or the node is no longer the
		// leader.
		c.end(fmt.Errorf("append rejected: %s", code.Code(answer.GetError().GetCode())))
	}
	return done, false, nil
}

// acquireCall returns the open call, or nil if there is none. In that case, it starts
// opening one. The caller must call running.Done on a non-nil result.
func (p *pipeline) acquireCall() *pipelineCall {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	if c := p.current; c != nil {
		if c.ctx.Err() == nil {
			p.running.Add(1)
			return c
		}
		p.current, p.openAt = nil, time.Now().Add(reopenDelay)
	}
	if !p.opening && !time.Now().Before(p.openAt) {
		p.opening = true
		p.running.Go(p.open)
	}
	return nil
}

// open opens a call and reads its responses until it ends.
func (p *pipeline) open() {
	ctx, end := context.WithCancelCause(p.life)
	defer end(nil)
	c, err := openCall(ctx, end, p.config, p.timeout)
	p.mu.Lock()
	p.opening = false
	if err != nil {
		p.openAt = time.Now().Add(reopenDelay)
		p.mu.Unlock()
		return
	}
	p.current = c
	p.mu.Unlock()
	defer c.conn.Close()
	p.running.Go(func() { c.watch() })
	end(c.receive())
}

// close rejects new appends and waits for those in flight, but cancels them when ctx
// ends. It can be called more than once.
func (p *pipeline) close(ctx context.Context) {
	p.mu.Lock()
	p.closed = true
	c := p.current
	p.mu.Unlock()
	if c != nil {
		c.idle(ctx)
	}
	p.end(errClosed)
	p.running.Wait()
}

// pipelineCall is one BatchAppend call.
type pipelineCall struct {
	conn *grpc.ClientConn
	call streams.Streams_BatchAppendClient
	ctx  context.Context //nolint:containedctx // the call's own
	end  context.CancelCauseFunc

	timeout time.Duration
	slots   chan struct{}
	sending chan struct{} // held by the sender: a lock that can be waited for with a context

	mu      sync.Mutex
	sent    uint64
	pending map[uint64]*pipelined
}

// pipelined is an append that waits for its response.
type pipelined struct {
	since  time.Time
	answer chan *streams.BatchAppendResp // of capacity 1
}

// openCall opens a call within the timeout, after which ctx ends.
func openCall(ctx context.Context, end context.CancelCauseFunc, config esdb.Configuration, timeout time.Duration) (*pipelineCall, error) {
	late := time.AfterFunc(timeout, func() { end(errNoAnswer) })
	defer late.Stop()
	conn, err := dialLeader(ctx, config)
	if err != nil {
		return nil, err
	}
	c := &pipelineCall{
		conn: conn, ctx: ctx, end: end, timeout: timeout, slots: make(chan struct{}, maxPipelined), sending: make(chan struct{}, 1),
		pending: make(map[uint64]*pipelined, maxPipelined),
	}
	c.call, err = streams.NewStreamsClient(conn).BatchAppend(metadata.AppendToOutgoingContext(ctx, "requires-leader", "true"))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// append returns the store's response, or nil if the call or ctx ends before it
// arrives.
func (c *pipelineCall) append(
	ctx context.Context, stream string, expected event.Expected, events []proposal,
) *streams.BatchAppendResp {
	if !acquireSlot(ctx, c.ctx, c.slots) {
		return nil
	}
	defer func() { <-c.slots }()
	p := &pipelined{since: time.Now(), answer: make(chan *streams.BatchAppendResp, 1)}
	c.mu.Lock()
	c.sent++
	number := c.sent
	c.pending[number] = p
	c.mu.Unlock()
	defer c.forget(number)
	request := batchRequest(number, stream, expected, events, c.timeout)
	if !acquireSlot(ctx, c.ctx, c.sending) {
		return nil
	}
	err := c.call.Send(request)
	<-c.sending
	if err != nil {
		return nil // the receiver learns why
	}
	select {
	case answer := <-p.answer:
		return answer
	case <-ctx.Done():
	case <-c.ctx.Done():
	}
	return nil
}

// acquireSlot acquires a slot. It returns false if either context ended first.
func acquireSlot(ctx, other context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-other.Done():
	}
	return false
}

func (c *pipelineCall) forget(number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, number)
}

// receive passes responses on until the call ends, and returns the reason for the end.
func (c *pipelineCall) receive() error {
	for {
		answer, err := c.call.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the store ended the call")
		}
		if err != nil {
			return err
		}
		number := uint64(answer.GetCorrelationId().GetStructured().GetLeastSignificantBits())
		c.mu.Lock()
		p := c.pending[number]
		delete(c.pending, number)
		c.mu.Unlock()
		if p != nil { // otherwise no one waits for it
			p.answer <- answer
		}
	}
}

// watch ends the call when an append has waited for longer than the timeout, at most a
// quarter more. It uses one timer for all appends.
func (c *pipelineCall) watch() {
	tick := time.NewTicker(c.timeout / 4)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case now := <-tick.C:
			if now.Sub(c.oldest(now)) > c.timeout {
				c.end(errNoAnswer)
			}
		}
	}
}

// oldest returns the time since which the oldest append has waited, or now if there is
// none.
func (c *pipelineCall) oldest(now time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pending {
		if p.since.Before(now) {
			now = p.since
		}
	}
	return now
}

// idle waits until no append is in flight, or until ctx or the call ends.
func (c *pipelineCall) idle(ctx context.Context) {
	for range cap(c.slots) {
		if !acquireSlot(ctx, c.ctx, c.slots) {
			return
		}
	}
}

// batchRequest returns the request for an append with a number.
func batchRequest(
	number uint64, stream string, expected event.Expected, events []proposal, timeout time.Duration,
) *streams.BatchAppendReq {
	proposed := make([]*streams.BatchAppendReq_ProposedMessage, len(events))
	for i, e := range events {
		proposed[i] = &streams.BatchAppendReq_ProposedMessage{
			Id:             structured(e.id),
			Metadata:       map[string]string{"type": e.eventType, "content-type": contentTypeJSON},
			CustomMetadata: e.meta,
			Data:           e.data,
		}
	}
	return &streams.BatchAppendReq{
		CorrelationId: correlation(number), Options: batchOptions(stream, expected, timeout), ProposedMessages: proposed, IsFinal: true,
	}
}

// batchOptions returns the options of an append with a deadline.
func batchOptions(stream string, expected event.Expected, deadline time.Duration) *streams.BatchAppendReq_Options {
	options := &streams.BatchAppendReq_Options{
		StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)},
		DeadlineOption:   &streams.BatchAppendReq_Options_Deadline{Deadline: durationpb.New(deadline)},
	}
	if r, exact := expected.Revision(); exact {
		options.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: uint64(r)}
	} else if expected.IsNoStream() {
		options.ExpectedStreamPosition = &streams.BatchAppendReq_Options_NoStream{NoStream: &emptypb.Empty{}}
	} else {
		options.ExpectedStreamPosition = &streams.BatchAppendReq_Options_Any{Any: &emptypb.Empty{}}
	}
	return options
}

// hasDetail reports whether a rejection has a detail of the type of m.
func hasDetail(refusal *rpcstatus.Status, m proto.Message) bool {
	return slices.ContainsFunc(refusal.GetDetails(), func(d *anypb.Any) bool { return d.MessageIs(m) })
}
