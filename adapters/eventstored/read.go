package eventstored

import (
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// read serves reads and subscriptions of one stream and of $all.
func (s *streamsService) read(stream grpc.ServerStream) error {
	var req frame
	if err := stream.RecvMsg(&req); err != nil {
		return err
	}
	r, err := parseRead(req.bytes)
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

func (s *streamsService) readStream(stream grpc.ServerStream, out *eventSender, r readRequest) error {
	view, err := s.store.Stream(stream.Context(), r.stream)
	if err != nil {
		return err
	}
	switch view.State() {
	case store.StreamTombstoned:
		return &store.StreamDeletedError{Stream: r.stream}
	case store.StreamMissing:
		return stream.SendMsg(&streams.ReadResp{Content: &streams.ReadResp_StreamNotFound_{
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
	first := r.bounds && !r.backwards
	for more := true; more && r.limit > 0; {
		var page []store.Record
		from := next
		page, next, more, err = read(next, r.limit)
		if err != nil {
			return err
		}
		if first {
			first = false
			if err := sendFirst(stream, view, from, r.limit, page); err != nil {
				return err
			}
		}
		if err := s.sendPage(out, page); err != nil {
			return err
		}
		r.limit -= uint64(len(page))
	}
	if r.bounds {
		return stream.SendMsg(&streams.ReadResp{Content: &streams.ReadResp_LastStreamPosition{
			LastStreamPosition: uint64(view.Last()),
		}})
	}
	return nil
}

// firstWithin is the number of revisions that EventStoreDB looks up first when it reads a stream.
const firstWithin = 32

// sendFirst sends where a read of limit events from a revision begins, or would begin, unless EventStoreDB finds that
// event in its first lookup.
func sendFirst(stream grpc.ServerStream, view store.StreamView, from int64, limit uint64, page []store.Record) error {
	first, near := view.Last()+1, from
	if len(page) > 0 {
		v, err := page[0].View()
		if err != nil {
			return err
		}
		first, near = v.Revision, from+int64(min(limit, firstWithin))-1
	}
	if from <= first && first <= near {
		return nil
	}
	return stream.SendMsg(&streams.ReadResp{Content: &streams.ReadResp_FirstStreamPosition{FirstStreamPosition: uint64(first)}})
}

func (s *streamsService) readAll(stream grpc.ServerStream, out *eventSender, r readRequest) error {
	from := r.from.at
	if r.from.kind == fromEnd {
		from = math.MaxUint64
	}
	end := s.store.End() // so that a read ends even while others write
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
func (s *streamsService) checkOpen(stream grpc.ServerStream) error {
	select {
	case <-s.server.closing:
		return errClosing
	case <-stream.Context().Done():
		return stream.Context().Err()
	default:
		return nil
	}
}
