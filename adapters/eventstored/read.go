package eventstored

import (
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// readRequest is a checked ReadReq.
type readRequest struct {
	all       bool
	stream    string // unless all
	from      start
	backwards bool
	subscribe bool
	limit     uint64 // unless subscribe
	filter    *filter
	// every considered events a filtered subscription sends a checkpoint.
	checkpointEvery uint64
	resolveLinks    bool
	stringIDs       bool
}

// start is where a read begins.
type start struct {
	kind startKind
	at   uint64 // revision or position
}

type startKind int

const (
	fromStart startKind = iota
	fromEnd
	fromGiven
)

func parseRead(req *streams.ReadReq) (readRequest, error) {
	o := req.GetOptions()
	r := readRequest{
		backwards:    o.GetReadDirection() == streams.ReadReq_Options_Backwards,
		resolveLinks: o.GetResolveLinks(),
	}
	switch o.GetUuidOption().GetContent().(type) {
	case *streams.ReadReq_Options_UUIDOption_Structured:
	case *streams.ReadReq_Options_UUIDOption_String_:
		r.stringIDs = true
	default:
		return r, status.Error(codes.InvalidArgument, "read: uuid option is missing")
	}
	switch c := o.GetCountOption().(type) {
	case *streams.ReadReq_Options_Count:
		r.limit = c.Count
	case *streams.ReadReq_Options_Subscription:
		r.subscribe = true
		if r.backwards {
			return r, status.Error(codes.InvalidArgument, "subscription: only forwards")
		}
	default:
		return r, status.Error(codes.InvalidArgument, "read: count option is missing")
	}
	if err := r.parseTarget(o); err != nil {
		return r, err
	}
	if f, ok := o.GetFilterOption().(*streams.ReadReq_Options_Filter); ok {
		if !r.all {
			return r, status.Error(codes.InvalidArgument, "read: only $all can be filtered")
		}
		var err error
		r.filter, r.checkpointEvery, err = parseFilter(f.Filter)
		return r, err
	}
	return r, nil
}

func (r *readRequest) parseTarget(o *streams.ReadReq_Options) error {
	switch t := o.GetStreamOption().(type) {
	case *streams.ReadReq_Options_Stream:
		r.stream = string(t.Stream.GetStreamIdentifier().GetStreamName())
		switch v := t.Stream.GetRevisionOption().(type) {
		case *streams.ReadReq_Options_StreamOptions_Start:
			r.from.kind = fromStart
		case *streams.ReadReq_Options_StreamOptions_End:
			r.from.kind = fromEnd
		case *streams.ReadReq_Options_StreamOptions_Revision:
			r.from = start{kind: fromGiven, at: v.Revision}
		default:
			return status.Error(codes.InvalidArgument, "read: revision option is missing")
		}
	case *streams.ReadReq_Options_All:
		r.all = true
		switch v := t.All.GetAllOption().(type) {
		case *streams.ReadReq_Options_AllOptions_Start:
			r.from.kind = fromStart
		case *streams.ReadReq_Options_AllOptions_End:
			r.from.kind = fromEnd
		case *streams.ReadReq_Options_AllOptions_Position:
			r.from = start{kind: fromGiven, at: v.Position.GetCommitPosition()}
		default:
			return status.Error(codes.InvalidArgument, "read: position option is missing")
		}
	default:
		return status.Error(codes.InvalidArgument, "read: neither a stream nor $all is asked for")
	}
	return nil
}

// Read serves reads and subscriptions of one stream and of $all.
func (s *streamsService) Read(req *streams.ReadReq, stream streams.Streams_ReadServer) error {
	r, err := parseRead(req)
	if err != nil {
		return err
	}
	out := &eventSender{stream: stream, store: s.store, resolveLinks: r.resolveLinks, stringIDs: r.stringIDs}
	switch {
	case r.subscribe && r.all:
		err = s.subscribeAll(stream, out, r)
	case r.subscribe:
		err = s.subscribeStream(stream, out, r)
	case r.all:
		err = s.readAll(stream, out, r)
	default:
		err = s.readStream(stream, out, r)
	}
	if err != nil {
		return refuse(stream, err)
	}
	return nil
}

func (s *streamsService) readStream(stream streams.Streams_ReadServer, out *eventSender, r readRequest) error {
	view, err := s.store.Stream(stream.Context(), r.stream)
	if err != nil {
		return err
	}
	switch view.State() {
	case store.StreamTombstoned:
		return &store.StreamDeletedError{Stream: r.stream}
	case store.StreamMissing:
		return stream.Send(&streams.ReadResp{Content: &streams.ReadResp_StreamNotFound_{
			StreamNotFound: &streams.ReadResp_StreamNotFound{
				StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(r.stream)},
			},
		}})
	case store.StreamReadable:
	}
	read, next := view.Read, r.from.revision(math.MaxInt64)
	if r.backwards {
		read = view.ReadBackwards
	}
	for more := true; more && r.limit > 0; {
		var page []store.Record
		page, next, more, err = read(next, r.limit)
		if err != nil {
			return err
		}
		if err := s.sendPage(out, page); err != nil {
			return err
		}
		r.limit -= uint64(len(page))
	}
	return nil
}

func (s *streamsService) readAll(stream streams.Streams_ReadServer, out *eventSender, r readRequest) error {
	from := r.from.at
	if r.from.kind == fromEnd {
		from = math.MaxUint64
	}
	end := s.store.End() // a read ends even while others write
	for r.limit > 0 {
		limit := r.limit
		if r.filter != nil {
			limit = math.MaxUint64
		}
		var page []store.Record
		var err error
		if r.backwards {
			page, err = s.store.ReadAllBackwards(from, limit)
		} else {
			page, _, err = s.store.ReadAll(from, limit)
		}
		if err != nil || len(page) == 0 {
			return err
		}
		last := page[len(page)-1].Position
		visible, err := visibleInAll(page)
		if err != nil {
			return err
		}
		for _, record := range visible {
			if !r.backwards && record.Position >= end || r.limit == 0 {
				return nil
			}
			if ok, err := r.filter.matches(record); err != nil {
				return err
			} else if !ok {
				continue
			}
			if err := out.send(record); err != nil {
				return err
			}
			r.limit--
		}
		if err := s.checkOpen(stream); err != nil {
			return err
		}
		if from = last; !r.backwards {
			from++
		}
	}
	return nil
}

func (s *streamsService) sendPage(out *eventSender, page []store.Record) error {
	for _, record := range page {
		if err := out.send(record); err != nil {
			return err
		}
	}
	return s.checkOpen(out.stream)
}

// checkOpen ends long reads when the client has gone or the server closes.
func (s *streamsService) checkOpen(stream streams.Streams_ReadServer) error {
	select {
	case <-s.server.closing:
		return errClosing
	case <-stream.Context().Done():
		return stream.Context().Err()
	default:
		return nil
	}
}

// revision is the revision to read from, with end for the end of a stream.
func (s start) revision(end int64) int64 {
	switch s.kind {
	case fromStart:
		return 0
	case fromEnd:
		return end
	default:
		return int64(min(s.at, math.MaxInt64))
	}
}
