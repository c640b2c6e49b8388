package eventstored

import (
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// A subscription is one loop over the log for past and live events, so there is neither a gap nor a queue between them:
// it reads a page, sends it, and waits for new events if there are none. A slow client only makes its own loop read
// from disk. A subscription starts after the position or revision that the client names.

func confirm(stream grpc.ServerStream) error {
	return stream.SendMsg(&streams.ReadResp{Content: &streams.ReadResp_Confirmation{
		Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: uuid.NewString()},
	}})
}

func (s *streamsService) subscribeAll(stream grpc.ServerStream, out *eventSender, r readRequest) error {
	news, end := s.store.WatchAll()
	defer end()
	var next uint64
	switch r.from.kind {
	case fromStart:
	case fromEnd:
		next = s.store.End()
	case fromGiven: // a position beyond the end means the end
		next = min(max(r.from.at, r.from.at+1), s.store.End()) // the greatest position has no successor
	}
	if err := confirm(stream); err != nil {
		return err
	}
	var checkpoint checkpoints
	if r.filter != nil {
		checkpoint = checkpoints{every: r.checkpointEvery}
	}
	next, err := s.sendSparse(out, r.filter, next)
	if err != nil {
		return err
	}
	live := false
	for {
		page, behind, err := s.store.ReadAll(next, math.MaxUint64)
		if err != nil {
			return err
		}
		visible, err := visibleInAll(page)
		if err != nil {
			return err
		}
		if live {
			if err := s.checkPace(r.filter, visible); err != nil {
				return err
			}
		}
		for _, record := range visible {
			ok, err := r.filter.matches(record)
			if err != nil {
				return err
			}
			if ok {
				if err := out.send(record); err != nil {
					return err
				}
			}
			if checkpoint.due() {
				if err := stream.SendMsg(checkpointMessage(record.Position)); err != nil {
					return err
				}
			}
		}
		live = live && !behind
		if len(page) > 0 {
			next = page[len(page)-1].Position + 1
			if err := s.checkOpen(stream); err != nil {
				return err
			}
			continue
		}
		if !live {
			live = true
			if err := s.wentLive(stream, next, r.filter != nil); err != nil {
				return err
			}
		}
		if err := s.wait(stream, news); err != nil {
			return err
		}
	}
}

// checkPace returns errTooSlow if more events wait for a live subscription than Options.LiveBuffer allows.
func (s *streamsService) checkPace(f *filter, waiting []store.Record) error {
	most := s.server.opts.LiveBuffer
	if most <= 0 || len(waiting) <= most {
		return nil
	}
	count := 0
	for _, record := range waiting {
		ok, err := f.matches(record)
		if err != nil {
			return err
		}
		if ok {
			count++
		}
	}
	if count > most {
		return errTooSlow
	}
	return nil
}

// sendSparse sends the events of a long log that a filter by stream names matches, if they are few, without reading the
// events between them. It returns the position to continue from.
func (s *streamsService) sendSparse(out *eventSender, f *filter, next uint64) (uint64, error) {
	if f == nil || !f.byStream || f.regex != nil {
		return next, nil
	}
	return s.store.VisitFew(f.prefixes, next, func(record store.Record) error {
		visible, err := visibleInAll([]store.Record{record})
		if err != nil {
			return err
		}
		return s.sendPage(out, visible)
	})
}

// wentLive notifies a subscriber of $all that it has received everything before next.
func (s *streamsService) wentLive(stream grpc.ServerStream, next uint64, filtered bool) error {
	var position uint64
	if next > 0 {
		position = next - 1
	}
	if filtered && position > 0 {
		if err := stream.SendMsg(checkpointMessage(position)); err != nil {
			return err
		}
	}
	return stream.SendMsg(s.caughtUpAll(position))
}

// checkpoints counts the events that a filtered subscription considered. The zero value is never due.
type checkpoints struct{ every, considered uint64 }

func (c *checkpoints) due() bool {
	if c.every == 0 {
		return false
	}
	c.considered++
	if c.considered < c.every {
		return false
	}
	c.considered = 0
	return true
}

func (s *streamsService) subscribeStream(stream grpc.ServerStream, out *eventSender, r readRequest) error {
	news, end := s.store.WatchStream(r.stream)
	defer end()
	view, err := s.store.Stream(stream.Context(), r.stream)
	if err != nil {
		return err
	}
	deleted := view.State() == store.StreamTombstoned
	if deleted && r.from.kind != fromEnd {
		return &store.StreamDeletedError{Stream: r.stream}
	}
	next := r.from.revision(view.Last())
	if r.from.kind != fromStart && next < math.MaxInt64 {
		next++
	}
	if err := confirm(stream); err != nil {
		return err
	}
	if next, err = s.sendPast(out, view, next); err != nil {
		return err
	}
	if err := stream.SendMsg(s.caughtUpStream(next - 1)); err != nil {
		return err
	}
	for {
		if err := s.wait(stream, news); err != nil {
			return err
		}
		if deleted {
			continue // nothing can come
		}
		if view, err = s.store.Stream(stream.Context(), r.stream); err != nil {
			return err
		}
		if view = view.Live(); view.State() == store.StreamTombstoned {
			return s.endWithTombstone(out, view, r.stream)
		}
		if next, err = s.sendPast(out, view, next); err != nil {
			return err
		}
	}
}

// sendPast sends the events that a view of a stream shows from a revision on, and returns where to continue: at the
// first revision that the stream does not have yet, because events that the view does not show also belong to the past.
func (s *streamsService) sendPast(out *eventSender, view store.StreamView, from int64) (int64, error) {
	next := from
	for more := view.State() == store.StreamReadable; more; {
		var page []store.Record
		var err error
		if page, next, more, err = view.Read(next, math.MaxUint64); err != nil {
			return 0, err
		}
		if err := s.sendPage(out, page); err != nil {
			return 0, err
		}
	}
	return max(from, view.Last()+1), nil
}

func (s *streamsService) endWithTombstone(out *eventSender, view store.StreamView, name string) error {
	record, err := view.Tombstone()
	if err != nil {
		return err
	}
	if err := out.send(record); err != nil {
		return err
	}
	return &store.StreamDeletedError{Stream: name}
}

func (s *streamsService) wait(stream grpc.ServerStream, news <-chan struct{}) error {
	select {
	case <-news:
		return nil
	case <-stream.Context().Done():
		return stream.Context().Err()
	case <-s.server.closing:
		return errClosing
	}
}

// Field numbers of ReadResp and of the newer form of CaughtUp, which contains a timestamp and the revision or position
// reached. Clients of other versions read them.
const (
	fieldRespCheckpoint    = 3
	fieldRespCaughtUp      = 8
	fieldCaughtUpTimestamp = 1
	fieldCaughtUpRevision  = 2
	fieldCaughtUpPosition  = 3
	fieldTimestampSeconds  = 1
	fieldTimestampNanos    = 2
)

func checkpointMessage(position uint64) rawMessage {
	return respMessage(fieldRespCheckpoint, appendPosition(nil, position))
}

func (s *streamsService) caughtUpAll(position uint64) rawMessage {
	body := s.caughtUpTime()
	body = protowire.AppendTag(body, fieldCaughtUpPosition, protowire.BytesType)
	body = protowire.AppendBytes(body, appendPosition(nil, position))
	return respMessage(fieldRespCaughtUp, body)
}

func (s *streamsService) caughtUpStream(revision int64) rawMessage {
	body := s.caughtUpTime()
	if revision >= 0 {
		body = protowire.AppendTag(body, fieldCaughtUpRevision, protowire.VarintType)
		body = protowire.AppendVarint(body, uint64(revision))
	}
	return respMessage(fieldRespCaughtUp, body)
}

func (s *streamsService) caughtUpTime() []byte {
	now := s.server.opts.Now()
	timestamp := protowire.AppendTag(nil, fieldTimestampSeconds, protowire.VarintType)
	timestamp = protowire.AppendVarint(timestamp, uint64(now.Unix()))
	timestamp = protowire.AppendTag(timestamp, fieldTimestampNanos, protowire.VarintType)
	timestamp = protowire.AppendVarint(timestamp, uint64(now.Nanosecond()))
	body := protowire.AppendTag(nil, fieldCaughtUpTimestamp, protowire.BytesType)
	return protowire.AppendBytes(body, timestamp)
}

// respMessage encodes a ReadResp with one embedded message.
func respMessage(field protowire.Number, body []byte) rawMessage {
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), body)
}
