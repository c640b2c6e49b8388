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

// eventSender sends records in the form that the reader requested.
type eventSender struct {
	stream       grpc.ServerStream
	store        *store.Store
	resolveLinks bool
	stringIDs    bool
}

// send sends a record. It sends the stored form unless another form was requested.
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

// resolve turns the event into a link and puts its target in its place, if the target can still be read. A link with
// malformed data remains an ordinary event.
func (s *eventSender) resolve(e *streams.ReadResp_ReadEvent) error {
	target, state, err := readLinked(s.stream.Context(), s.store, e.GetEvent().GetData())
	if err != nil || state == linkMalformed {
		return err
	}
	e.Link, e.Event = e.GetEvent(), nil
	if state == linkGone {
		return nil
	}
	resp, err := decodeRecord(target)
	if err != nil {
		return err
	}
	e.Event = resp.GetEvent().GetEvent()
	return nil
}

// linkState is the state of a link.
type linkState int

const (
	// linkMalformed means that the link's data is not the address of an event.
	linkMalformed linkState = iota
	// linkGone means that the event can no longer be read, or never existed.
	linkGone
	// linkFound means that the event can be read.
	linkFound
)

// newestLinked is the revision by which a link points to the last event of a stream.
const newestLinked = -1

// readLinked reads the event that a link's data, "revision@stream", points to.
func readLinked(ctx context.Context, st *store.Store, data []byte) (store.Record, linkState, error) {
	revisionText, stream, ok := strings.Cut(string(data), "@")
	revision, malformed := strconv.ParseInt(strings.TrimSpace(revisionText), 10, 64)
	if !ok || malformed != nil || revision < newestLinked {
		return store.Record{}, linkMalformed, nil //nolint:nilerr // a link can contain anything
	}
	view, err := st.Stream(ctx, stream)
	switch {
	case errors.Is(err, store.ErrStreamName):
		return store.Record{}, linkMalformed, nil
	case err != nil || view.State() != store.StreamReadable:
		return store.Record{}, linkGone, err
	case revision == newestLinked:
		revision = view.Last()
	}
	records, next, _, err := view.Read(revision, 1)
	if err != nil || len(records) == 0 || next != revision+1 {
		return store.Record{}, linkGone, err // truncated or expired: the first remaining event is another one
	}
	return records[0], linkFound, nil
}

func decodeRecord(r store.Record) (*streams.ReadResp, error) {
	var resp streams.ReadResp
	if err := proto.Unmarshal(r.Wire, &resp); err != nil {
		return nil, fmt.Errorf("record at position %d: %w: %w", r.Position, store.ErrCorrupted, err)
	}
	return &resp, nil
}
