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
	// maxPipelined bounds the appends under way on the one call. The embedded store
	// takes 256 of a call at a time.
	maxPipelined = 200
	// pipelineAgain is when the call is opened anew after it ended: soon, for the
	// appends meanwhile cost more, and not at once, for they go the other way.
	pipelineAgain = time.Second
)

// pipeline appends over one call that stays open, EventStoreDB's BatchAppend, as its
// .NET client does by itself. The Go client opens a call for each append, and both
// sides have more work with that call than with the append.
//
// It never has the last word on what went wrong: an append that is not answered with
// success, or that its stream has moved on, is made again through the client, with the
// same event ids, which the store takes once. So it needs no retries and no errors of its
// own.
type pipeline struct {
	config  esdb.Configuration
	timeout time.Duration // for an answer

	// life ends when appends under way must be given up.
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

// append appends events. answered is false if the client has to be asked.
func (p *pipeline) append(
	ctx context.Context, stream string, expected event.Expected, events []esdb.EventData,
) (done event.Appended, answered bool, err error) {
	c := p.take()
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
		// The store has no room, say, or the node is not the leader any more.
		c.end(fmt.Errorf("append refused: %s", code.Code(answer.GetError().GetCode())))
	}
	return done, false, nil
}

// take gives the open call, and has one opened if there is none. Who gets one has to
// say running.Done.
func (p *pipeline) take() *pipelineCall {
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
		p.current, p.openAt = nil, time.Now().Add(pipelineAgain)
	}
	if !p.opening && !time.Now().Before(p.openAt) {
		p.opening = true
		p.running.Go(p.open)
	}
	return nil
}

// open opens a call and reads its answers until it ends.
func (p *pipeline) open() {
	ctx, end := context.WithCancelCause(p.life)
	defer end(nil)
	c, err := openCall(ctx, end, p.config, p.timeout)
	p.mu.Lock()
	p.opening = false
	if err != nil {
		p.openAt = time.Now().Add(pipelineAgain)
		p.mu.Unlock()
		return
	}
	p.current = c
	p.mu.Unlock()
	defer c.conn.Close()
	p.running.Go(func() { c.watch() })
	end(c.receive())
}

// close takes nothing more and waits for what is under way, but gives it up when ctx
// ends. It may be called again.
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
	sending chan struct{} // held by who sends: a lock that can be waited for with a context

	mu      sync.Mutex
	sent    uint64
	pending map[uint64]*pipelined
}

// pipelined is an append that waits for its answer.
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

// append answers what the store says; nil if it says nothing before the call or ctx ends.
func (c *pipelineCall) append(
	ctx context.Context, stream string, expected event.Expected, events []esdb.EventData,
) *streams.BatchAppendResp {
	if !enter(ctx, c.ctx, c.slots) {
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
	if !enter(ctx, c.ctx, c.sending) {
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

// enter takes a place; false if either context ended first.
func enter(ctx, other context.Context, places chan struct{}) bool {
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

// receive passes answers on until the call ends, and says why it did.
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
		if p != nil { // else nobody waits for it any more
			p.answer <- answer
		}
	}
}

// watch ends the call when an append has waited for longer than the timeout, at most a
// quarter more: one timer for all appends.
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

// oldest is since when an append has waited; now if none does.
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

// idle waits until no append is under way, or ctx or the call ends.
func (c *pipelineCall) idle(ctx context.Context) {
	for range cap(c.slots) {
		if !enter(ctx, c.ctx, c.slots) {
			return
		}
	}
}

// batchRequest asks for an append under a number.
func batchRequest(
	number uint64, stream string, expected event.Expected, events []esdb.EventData, timeout time.Duration,
) *streams.BatchAppendReq {
	proposed := make([]*streams.BatchAppendReq_ProposedMessage, len(events))
	for i, e := range events {
		proposed[i] = &streams.BatchAppendReq_ProposedMessage{
			Id:             structured(e.EventID),
			Metadata:       map[string]string{"type": e.EventType, "content-type": contentTypeJSON},
			CustomMetadata: e.Metadata,
			Data:           e.Data,
		}
	}
	return &streams.BatchAppendReq{
		CorrelationId: correlation(number), Options: batchOptions(stream, expected, timeout), ProposedMessages: proposed, IsFinal: true,
	}
}

// batchOptions are those of an append that the store has so long for.
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

// hasDetail reports whether a refusal has a detail of the type of m.
func hasDetail(refusal *rpcstatus.Status, m proto.Message) bool {
	return slices.ContainsFunc(refusal.GetDetails(), func(d *anypb.Any) bool { return d.MessageIs(m) })
}
