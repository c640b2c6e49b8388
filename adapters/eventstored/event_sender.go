package eventstored

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

const typeLink = "$>"

// eventSender sends records in the form that the reader asked for.
type eventSender struct {
	stream       grpc.ServerStream
	store        *store.Store
	resolveLinks bool
	stringIDs    bool
}

// send sends a record: as it is stored, if nothing else was asked for.
func (s *eventSender) send(r store.Record) error {
	if !s.resolveLinks && !s.stringIDs {
		return s.stream.SendMsg(rawMessage(r.Wire))
	}
	link := false
	if s.resolveLinks {
		view, err := r.View()
		if err != nil {
			return err
		}
		link = string(view.Type) == typeLink
	}
	if !link && !s.stringIDs {
		return s.stream.SendMsg(rawMessage(r.Wire))
	}
	resp, err := decodeRecord(r)
	if err != nil {
		return err
	}
	if link {
		if err := s.resolve(resp.GetEvent()); err != nil {
			return err
		}
	}
	if s.stringIDs {
		for _, e := range []*streams.ReadResp_ReadEvent_RecordedEvent{resp.GetEvent().GetEvent(), resp.GetEvent().GetLink()} {
			if e == nil {
				continue
			}
			id, err := parseUUID(e.GetId())
			if err != nil {
				return err
			}
			e.Id = stringUUID(id)
		}
	}
	return s.stream.SendMsg(resp)
}

// resolve makes the event a link and puts in its place what it points to, if that can still be read.
func (s *eventSender) resolve(e *streams.ReadResp_ReadEvent) error {
	e.Link, e.Event = e.GetEvent(), nil
	target, ok, err := readLinked(s.stream.Context(), s.store, string(e.GetLink().GetData()))
	if err != nil || !ok {
		return err
	}
	resp, err := decodeRecord(target)
	if err != nil {
		return err
	}
	e.Event = resp.GetEvent().GetEvent()
	return nil
}

// readLinked reads the event that a link's data, "revision@stream", points to; false if it is gone or was never there.
func readLinked(ctx context.Context, st *store.Store, link string) (store.Record, bool, error) {
	revisionText, stream, ok := strings.Cut(link, "@")
	revision, malformed := strconv.ParseInt(revisionText, 10, 64)
	if !ok || malformed != nil || revision < 0 {
		return store.Record{}, false, nil //nolint:nilerr // a link may hold anything
	}
	view, err := st.Stream(ctx, stream)
	switch {
	case errors.Is(err, store.ErrStreamName):
		return store.Record{}, false, nil
	case err != nil || view.State() != store.StreamReadable:
		return store.Record{}, false, err
	}
	records, next, _, err := view.Read(revision, 1)
	if err != nil || len(records) == 0 || next != revision+1 {
		return store.Record{}, false, err // truncated or expired: the first that is left is another one
	}
	return records[0], true, nil
}

func decodeRecord(r store.Record) (*streams.ReadResp, error) {
	var resp streams.ReadResp
	if err := proto.Unmarshal(r.Wire, &resp); err != nil {
		return nil, fmt.Errorf("record at position %d: %w: %w", r.Position, store.ErrCorrupted, err)
	}
	return &resp, nil
}
