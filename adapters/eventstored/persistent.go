package eventstored

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// persistentService serves event_store.client.persistent_subscriptions.
type persistentService struct {
	persistent.UnimplementedPersistentSubscriptionsServer
	server *Server
	groups *groupRegistry
}

const (
	trailerGroupName = "group-name"
	trailerReason    = "reason"
	// maxGroupSlots limits the messages in flight to one consumer. A group never has more in memory.
	maxGroupSlots = maxGroupBuffer
	// maxReceivedAnswers limits the acknowledgments of a consumer that were received but not processed yet.
	maxReceivedAnswers = 16
)

// refuseGroup turns an error into a status with the trailers by which clients recognize it.
func refuseGroup(t trailerSetter, key groupKey, err error) error {
	var exception string
	var code codes.Code
	var failed *groupSettingsError
	switch {
	case errors.As(err, &failed):
		t.SetTrailer(metadata.Pairs(trailerException, "persistent-subscription-failed", trailerStreamName, key.Stream,
			trailerGroupName, key.Name, trailerReason, failed.reason))
		return status.Errorf(codes.Internal, "group %q of %s: %s", key.Name, key.Stream, failed.reason)
	case errors.Is(err, errGroupExists):
		exception, code = "persistent-subscription-exists", codes.AlreadyExists
	case errors.Is(err, errGroupMissing):
		exception, code = "persistent-subscription-does-not-exist", codes.NotFound
	case errors.Is(err, errGroupFull):
		t.SetTrailer(metadata.Pairs(trailerException, "maximum-subscribers-reached", trailerStreamName, key.Stream, trailerGroupName, key.Name))
		// This is the text of EventStoreDB, because the Python client parses it.
		return status.Errorf(codes.FailedPrecondition, "Maximum subscriptions reached for subscription group %s on stream %s",
			key.Name, key.Stream)
	case errors.Is(err, errGroupDropped):
		exception, code = "persistent-subscription-dropped", codes.Canceled
	default:
		return refuse(t, err)
	}
	t.SetTrailer(metadata.Pairs(trailerException, exception, trailerStreamName, key.Stream, trailerGroupName, key.Name))
	return status.Errorf(code, "%v: group %q of %s", err, key.Name, key.Stream)
}

func (p *persistentService) Create(ctx context.Context, req *persistent.CreateReq) (*persistent.CreateResp, error) {
	s, err := p.createSettings(ctx, req.GetOptions())
	if err == nil {
		err = p.groups.create(ctx, s)
	}
	if err != nil {
		return nil, refuseGroup(unaryTrailer{ctx, p.server}, s.groupKey, err)
	}
	return &persistent.CreateResp{}, nil
}

func (p *persistentService) Update(ctx context.Context, req *persistent.UpdateReq) (*persistent.UpdateResp, error) {
	s, err := p.updateSettings(ctx, req.GetOptions())
	if err == nil {
		err = p.groups.update(ctx, s)
	}
	if err != nil {
		return nil, refuseGroup(unaryTrailer{ctx, p.server}, s.groupKey, err)
	}
	return &persistent.UpdateResp{}, nil
}

func (p *persistentService) Delete(ctx context.Context, req *persistent.DeleteReq) (*persistent.DeleteResp, error) {
	o := req.GetOptions()
	key := requestedKey(o.GetStreamIdentifier(), o.GetGroupName())
	if err := p.groups.remove(ctx, key); err != nil {
		return nil, refuseGroup(unaryTrailer{ctx, p.server}, key, err)
	}
	return &persistent.DeleteResp{}, nil
}

// requestedKey returns the key of the requested group. Requests for $all contain no stream.
func requestedKey(stream *shared.StreamIdentifier, group string) groupKey {
	if stream == nil {
		return groupKey{Stream: allStream, Name: group}
	}
	return groupKey{Stream: string(stream.GetStreamName()), Name: group}
}

func (p *persistentService) ReplayParked(
	ctx context.Context, req *persistent.ReplayParkedReq,
) (*persistent.ReplayParkedResp, error) {
	o := req.GetOptions()
	key := requestedKey(o.GetStreamIdentifier(), o.GetGroupName())
	g, err := p.groups.get(key)
	if err == nil {
		err = g.replayParked(ctx, o.GetStopAt())
	}
	if err != nil {
		return nil, refuseGroup(unaryTrailer{ctx, p.server}, key, err)
	}
	return &persistent.ReplayParkedResp{}, nil
}

func (p *persistentService) RestartSubsystem(context.Context, *shared.Empty) (*shared.Empty, error) {
	if err := p.groups.restart(); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &shared.Empty{}, nil
}

// Read connects a consumer: it sends messages and receives acknowledgments.
func (p *persistentService) Read(stream persistent.PersistentSubscriptions_ReadServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	o := first.GetOptions()
	if o == nil {
		return status.Error(codes.InvalidArgument, "persistent subscription: options must come first")
	}
	if o.GetBufferSize() <= 0 {
		return status.Errorf(codes.InvalidArgument, "persistent subscription: buffer size must be at least 1, got %d", o.GetBufferSize())
	}
	key := requestedKey(o.GetStreamIdentifier(), o.GetGroupName())
	g, err := p.groups.get(key)
	if err != nil {
		return refuseGroup(stream, key, err)
	}
	from := ""
	if client, ok := peer.FromContext(stream.Context()); ok {
		from = client.Addr.String()
	}
	c, err := g.join(stream.Context(), from, min(int(o.GetBufferSize()), maxGroupSlots))
	if err != nil {
		return refuseGroup(stream, key, err)
	}
	defer g.leave(c)
	_, stringIDs := o.GetUuidOption().GetContent().(*persistent.ReadReq_Options_UUIDOption_String_)
	if err := p.serveConsumer(stream, g, c, stringIDs); err != nil {
		return refuseGroup(stream, key, err)
	}
	return nil
}

func (p *persistentService) serveConsumer(
	stream persistent.PersistentSubscriptions_ReadServer, g *group, c *groupConsumer, stringIDs bool,
) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	err := stream.Send(&persistent.ReadResp{Content: &persistent.ReadResp_SubscriptionConfirmation_{
		SubscriptionConfirmation: &persistent.ReadResp_SubscriptionConfirmation{SubscriptionId: uuid.NewString()},
	}})
	if err != nil {
		return err
	}
	answers := make(chan *persistent.ReadReq, maxReceivedAnswers)
	ended := make(chan error, 1)
	// Recv ends when this call has ended, so the server waits for its goroutine.
	p.server.served.Go(func() { ended <- receiveAnswers(ctx, stream, answers) })
	for {
		select {
		case m := <-c.out:
			if err := p.sendMessage(stream, g, m, stringIDs); err != nil {
				return err
			}
		case a := <-answers:
			if err := takeAnswer(g, c, a); err != nil {
				return err
			}
		case reason := <-c.dropped:
			return reason
		case err := <-ended:
			return err
		case <-p.server.closing:
			return errClosing
		}
	}
}

func receiveAnswers(
	ctx context.Context, stream persistent.PersistentSubscriptions_ReadServer, answers chan<- *persistent.ReadReq,
) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case answers <- req:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func takeAnswer(g *group, c *groupConsumer, req *persistent.ReadReq) error {
	var wire []*shared.UUID
	v, reason := verdictAck, ""
	switch a := req.GetContent().(type) {
	case *persistent.ReadReq_Ack_:
		wire = a.Ack.GetIds()
	case *persistent.ReadReq_Nack_:
		wire, reason = a.Nack.GetIds(), a.Nack.GetReason()
		switch a.Nack.GetAction() {
		case persistent.ReadReq_Nack_Park:
			v = verdictPark
		case persistent.ReadReq_Nack_Skip, persistent.ReadReq_Nack_Stop: // EventStoreDB does not stop anything either
			v = verdictSkip
		default:
			v = verdictRetry
		}
	default:
		return status.Error(codes.InvalidArgument, "persistent subscription: neither ack nor nack")
	}
	ids := make([]uuid.UUID, len(wire))
	for i, u := range wire {
		id, err := parseUUID(u)
		if err != nil {
			return err
		}
		ids[i] = id
	}
	g.answer(c, ids, v, reason)
	return nil
}

func (p *persistentService) sendMessage(
	stream persistent.PersistentSubscriptions_ReadServer, g *group, m *message, stringIDs bool,
) error {
	e, err := decodePersistent(m.record)
	if err != nil {
		return err
	}
	switch {
	case m.link.Wire != nil:
		link, err := decodePersistent(m.link)
		if err != nil {
			return err
		}
		e.Link = link.GetEvent()
	case g.resolveLinks() && e.GetEvent().GetMetadata()[keyType] == typeLink:
		if err := resolvePersistent(stream.Context(), g.store, e); err != nil {
			return err
		}
	}
	e.Count = &persistent.ReadResp_ReadEvent_RetryCount{RetryCount: m.retries}
	if stringIDs {
		for _, r := range []*persistent.ReadResp_ReadEvent_RecordedEvent{e.GetEvent(), e.GetLink()} {
			if r == nil {
				continue
			}
			id, err := parseUUID(r.GetId())
			if err != nil {
				return err
			}
			r.Id = stringUUID(id)
		}
	}
	return stream.Send(&persistent.ReadResp{Content: &persistent.ReadResp_Event{Event: e}})
}

// resolvePersistent is like eventSender.resolve, for a message of a persistent subscription.
func resolvePersistent(ctx context.Context, st *store.Store, e *persistent.ReadResp_ReadEvent) error {
	target, state, err := readLinked(ctx, st, e.GetEvent().GetData())
	if err != nil || state == linkMalformed {
		return err
	}
	e.Link, e.Event = e.GetEvent(), nil
	if state == linkGone {
		return nil
	}
	resolved, err := decodePersistent(target)
	if err != nil {
		return err
	}
	e.Event = resolved.GetEvent()
	return nil
}

// decodePersistent decodes a record as a message of a persistent subscription, whose fields have the same numbers.
func decodePersistent(r store.Record) (*persistent.ReadResp_ReadEvent, error) {
	var resp persistent.ReadResp
	if err := proto.Unmarshal(r.Wire, &resp); err != nil {
		return nil, errors.Join(store.ErrCorrupted, err)
	}
	return resp.GetEvent(), nil
}

// startAt returns the first revision or position of a group.
func (p *persistentService) startAt(ctx context.Context, s *groupSettings, from start) error {
	switch from.kind {
	case fromStart:
		s.StartAt, s.StartFrom = 0, "0"
		if s.all() {
			s.StartFrom = s.placeText(0, true)
		}
	case fromGiven:
		s.StartAt, s.StartFrom = from.at, s.placeText(from.at, true)
	case fromEnd:
		s.StartFrom = "-1"
		if s.all() {
			s.StartAt = p.server.store.End()
			return nil
		}
		view, err := p.server.store.Stream(ctx, s.Stream)
		if err != nil {
			return err
		}
		s.StartAt = uint64(view.Last() + 1)
	}
	return nil
}

func (p *persistentService) createSettings(ctx context.Context, o *persistent.CreateReq_Options) (groupSettings, error) {
	w := o.GetSettings()
	s := groupSettings{
		groupKey:     groupKey{Name: o.GetGroupName()},
		ResolveLinks: w.GetResolveLinks(), ExtraStats: w.GetExtraStatistics(), MaxRetryCount: w.GetMaxRetryCount(),
		MinCheckpointCount: w.GetMinCheckpointCount(), MaxCheckpointCount: w.GetMaxCheckpointCount(),
		MaxSubscriberCount: w.GetMaxSubscriberCount(), LiveBufferSize: w.GetLiveBufferSize(),
		ReadBatchSize: w.GetReadBatchSize(), HistoryBufferSize: w.GetHistoryBufferSize(),
		MessageTimeoutMS:  milliseconds(w.GetMessageTimeoutMs(), w.GetMessageTimeoutTicks()),
		CheckpointAfterMS: milliseconds(w.GetCheckpointAfterMs(), w.GetCheckpointAfterTicks()),
		Strategy:          strategy(w.GetConsumerStrategy()),
	}
	if s.Strategy == "" {
		s.Strategy = strategy(w.GetNamedConsumerStrategy().String()) //nolint:staticcheck // deprecated, and still sent
	}
	from, err := s.target(o)
	if err != nil {
		return s, err
	}
	return s, p.complete(ctx, &s, from)
}

// target sets what the group reads.
func (s *groupSettings) target(o *persistent.CreateReq_Options) (start, error) {
	switch t := o.GetStreamOption().(type) {
	case *persistent.CreateReq_Options_Stream:
		s.Stream = string(t.Stream.GetStreamIdentifier().GetStreamName())
		switch v := t.Stream.GetRevisionOption().(type) {
		case *persistent.CreateReq_StreamOptions_Revision:
			return start{fromGiven, v.Revision}, nil
		case *persistent.CreateReq_StreamOptions_Start:
			return start{kind: fromStart}, nil
		default:
			return start{kind: fromEnd}, nil
		}
	case *persistent.CreateReq_Options_All:
		s.Stream = allStream
		if f, ok := t.All.GetFilterOption().(*persistent.CreateReq_AllOptions_Filter); ok {
			spec, err := groupFilter(f.Filter)
			if err != nil {
				return start{}, err
			}
			s.Filter = spec
		}
		switch v := t.All.GetAllOption().(type) {
		case *persistent.CreateReq_AllOptions_Position:
			return start{fromGiven, v.Position.GetCommitPosition()}, nil
		case *persistent.CreateReq_AllOptions_Start:
			return start{kind: fromStart}, nil
		default:
			return start{kind: fromEnd}, nil
		}
	default: // clients of old servers
		s.Stream = string(o.GetStreamIdentifier().GetStreamName()) //nolint:staticcheck // deprecated, and still sent
		return oldStart(o.GetSettings().GetRevision()), nil        //nolint:staticcheck // deprecated, and still sent
	}
}

// oldStart returns the start that an old client requests. Before there was an option for it, the greatest number meant
// the end.
func oldStart(revision uint64) start {
	if revision == math.MaxUint64 {
		return start{kind: fromEnd}
	}
	return start{fromGiven, revision}
}

func groupFilter(f *persistent.CreateReq_AllOptions_FilterOptions) (*filterSpec, error) {
	switch v := f.GetFilter().(type) {
	case *persistent.CreateReq_AllOptions_FilterOptions_StreamIdentifier:
		return &filterSpec{ByStream: true, Prefixes: v.StreamIdentifier.GetPrefix(), Regex: v.StreamIdentifier.GetRegex()}, nil
	case *persistent.CreateReq_AllOptions_FilterOptions_EventType:
		return &filterSpec{Prefixes: v.EventType.GetPrefix(), Regex: v.EventType.GetRegex()}, nil
	default:
		return nil, status.Error(codes.InvalidArgument, "filter: must be by stream or by event type")
	}
}

func (p *persistentService) updateSettings(ctx context.Context, o *persistent.UpdateReq_Options) (groupSettings, error) {
	w := o.GetSettings()
	s := groupSettings{
		groupKey:     groupKey{Name: o.GetGroupName()},
		ResolveLinks: w.GetResolveLinks(), ExtraStats: w.GetExtraStatistics(), MaxRetryCount: w.GetMaxRetryCount(),
		MinCheckpointCount: w.GetMinCheckpointCount(), MaxCheckpointCount: w.GetMaxCheckpointCount(),
		MaxSubscriberCount: w.GetMaxSubscriberCount(), LiveBufferSize: w.GetLiveBufferSize(),
		ReadBatchSize: w.GetReadBatchSize(), HistoryBufferSize: w.GetHistoryBufferSize(),
		MessageTimeoutMS:  milliseconds(w.GetMessageTimeoutMs(), w.GetMessageTimeoutTicks()),
		CheckpointAfterMS: milliseconds(w.GetCheckpointAfterMs(), w.GetCheckpointAfterTicks()),
		Strategy:          strategy(w.GetNamedConsumerStrategy().String()),
	}
	from := start{kind: fromEnd}
	switch t := o.GetStreamOption().(type) {
	case *persistent.UpdateReq_Options_Stream:
		s.Stream = string(t.Stream.GetStreamIdentifier().GetStreamName())
		switch v := t.Stream.GetRevisionOption().(type) {
		case *persistent.UpdateReq_StreamOptions_Revision:
			from = start{fromGiven, v.Revision}
		case *persistent.UpdateReq_StreamOptions_Start:
			from.kind = fromStart
		}
	case *persistent.UpdateReq_Options_All:
		s.Stream = allStream
		switch v := t.All.GetAllOption().(type) {
		case *persistent.UpdateReq_AllOptions_Position:
			from = start{fromGiven, v.Position.GetCommitPosition()}
		case *persistent.UpdateReq_AllOptions_Start:
			from.kind = fromStart
		}
	default: // clients of old servers
		s.Stream = string(o.GetStreamIdentifier().GetStreamName()) //nolint:staticcheck // deprecated, and still sent
		from = oldStart(w.GetRevision())                           //nolint:staticcheck // deprecated, and still sent
	}
	return s, p.complete(ctx, &s, from)
}

func (p *persistentService) complete(ctx context.Context, s *groupSettings, from start) error {
	if err := s.check(); err != nil {
		return err
	}
	return p.startAt(ctx, s, from)
}

func milliseconds(ms int32, ticks int64) int32 {
	if ticks == 0 {
		return ms
	}
	return int32(min(ticks/(int64(time.Millisecond)/100), math.MaxInt32))
}
