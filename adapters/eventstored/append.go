package eventstored

import (
	"errors"
	"io"
	"math"
	"slices"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// streamsService serves event_store.client.streams.
type streamsService struct {
	streams.UnimplementedStreamsServer
	server *Server
	store  *store.Store
}

// streamsServiceDesc returns the generated service description, except that Read receives its request undecoded.
func streamsServiceDesc() *grpc.ServiceDesc {
	desc := streams.Streams_ServiceDesc
	desc.Streams = slices.Clone(desc.Streams)
	for i := range desc.Streams {
		if desc.Streams[i].StreamName == "Read" {
			desc.Streams[i].Handler = func(service any, stream grpc.ServerStream) error {
				return service.(*streamsService).read(stream) //nolint:forcetypeassert // it is registered with this service
			}
		}
	}
	return &desc
}

// Append reads the whole request before it responds, even if it rejects it: if the server ended the call early, the
// client would see an end of file instead of the reason.
func (s *streamsService) Append(stream streams.Streams_AppendServer) error {
	var req appendRequest
	var refused error
	for {
		var f frame
		if err := stream.RecvMsg(&f); err != nil {
			if errors.Is(err, io.EOF) {
				break
			}
			return err
		}
		if refused == nil {
			refused = req.add(f.bytes, s.server.maxAppendBytes())
		}
	}
	if refused == nil && !req.hasOptions {
		refused = status.Error(codes.InvalidArgument, "append without options")
	}
	if refused != nil {
		return refuse(stream, refused)
	}
	written, err := s.store.Append(stream.Context(), req.stream, req.expected, req.events)
	var wrong *store.WrongRevisionError
	switch {
	case errors.As(err, &wrong):
		return stream.SendAndClose(wrongRevisionResponse(wrong))
	case err != nil:
		return refuse(stream, err)
	}
	return stream.SendMsg(appendedResponse(written))
}

func wrongRevisionResponse(e *store.WrongRevisionError) *streams.AppendResp {
	w := &streams.AppendResp_WrongExpectedVersion{}
	switch e.Expected {
	case store.Any:
		w.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_Any_20_6_0{Any_20_6_0: &shared.Empty{}}
		w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedAny{ExpectedAny: &shared.Empty{}}
	case store.StreamExists:
		w.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_StreamExists_20_6_0{
			StreamExists_20_6_0: &shared.Empty{},
		}
		w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedStreamExists{
			ExpectedStreamExists: &shared.Empty{},
		}
	case store.NoStream: // clients of version 20.6 send the greatest revision
		w.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision_20_6_0{
			ExpectedRevision_20_6_0: math.MaxUint64,
		}
		w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: &shared.Empty{}}
	default:
		revision := uint64(e.Expected)
		w.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision_20_6_0{
			ExpectedRevision_20_6_0: revision,
		}
		w.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision{ExpectedRevision: revision}
	}
	if e.Current < 0 {
		w.CurrentRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_NoStream_20_6_0{
			NoStream_20_6_0: &shared.Empty{},
		}
		w.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentNoStream{CurrentNoStream: &shared.Empty{}}
	} else {
		revision := uint64(e.Current)
		w.CurrentRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_CurrentRevision_20_6_0{
			CurrentRevision_20_6_0: revision,
		}
		w.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentRevision{CurrentRevision: revision}
	}
	return &streams.AppendResp{Result: &streams.AppendResp_WrongExpectedVersion_{WrongExpectedVersion: w}}
}

// Field numbers of AppendReq, its options and ProposedMessage, and of AppendResp.
const (
	fieldAppendOptions      = 1
	fieldAppendProposed     = 2
	fieldProposedID         = 1
	fieldProposedSystem     = 2
	fieldProposedMetadata   = 3
	fieldProposedData       = 4
	fieldMapKey             = 1
	fieldMapValue           = 2
	fieldAppendSuccess      = 1
	fieldSuccessRevision    = 1
	fieldSuccessNoStream    = 2
	fieldSuccessPosition    = 3
	fieldSuccessNoPosition  = 4
	fieldPositionCommit     = 1
	fieldPositionPrepare    = 2
	appendedResponseMaxSize = 64
)

// appendedResponse encodes an AppendResp that reports success.
func appendedResponse(w store.Written) rawMessage {
	success := encodedSuccess(w)
	out := make([]byte, 0, appendedResponseMaxSize)
	out = protowire.AppendTag(out, fieldAppendSuccess, protowire.BytesType)
	return protowire.AppendBytes(out, success)
}

// encodedSuccess encodes the Success of an AppendResp, which is also that of a BatchAppendResp.
func encodedSuccess(w store.Written) []byte {
	success := make([]byte, 0, appendedResponseMaxSize)
	if w.Revision < 0 {
		success = protowire.AppendTag(success, fieldSuccessNoStream, protowire.BytesType)
		success = protowire.AppendVarint(success, 0)
	} else {
		success = protowire.AppendTag(success, fieldSuccessRevision, protowire.VarintType)
		success = protowire.AppendVarint(success, uint64(w.Revision))
	}
	if w.Position == 0 {
		success = protowire.AppendTag(success, fieldSuccessNoPosition, protowire.BytesType)
		success = protowire.AppendVarint(success, 0)
	} else {
		success = protowire.AppendTag(success, fieldSuccessPosition, protowire.BytesType)
		success = protowire.AppendVarint(success, uint64(2+2*protowire.SizeVarint(w.Position)))
		success = appendPosition(success, w.Position)
	}
	return success
}

// appendPosition encodes the fields of a Position message. All such messages of the protocol have the same two fields.
func appendPosition(dst []byte, position uint64) []byte {
	dst = protowire.AppendTag(dst, fieldPositionCommit, protowire.VarintType)
	dst = protowire.AppendVarint(dst, position)
	dst = protowire.AppendTag(dst, fieldPositionPrepare, protowire.VarintType)
	return protowire.AppendVarint(dst, position)
}

// appendRequest collects the messages of one append.
type appendRequest struct {
	hasOptions bool
	stream     string
	expected   store.Expected
	events     []store.Event
	size       int
}

// add adds the next message of the call, an encoded AppendReq. The events keep pointing into it.
func (r *appendRequest) add(b []byte, maxBytes int) error {
	f, _, ok := nextField(b)
	switch {
	case !ok:
		return status.Error(codes.InvalidArgument, "append: message is truncated")
	case f.is(fieldAppendOptions, protowire.BytesType) && !r.hasOptions:
		return r.setOptions(f.bytes)
	case f.is(fieldAppendProposed, protowire.BytesType) && r.hasOptions:
		if r.size += len(f.bytes); r.size > maxMessageBytes {
			return &store.TooLargeError{Size: r.size, Max: maxBytes} // so that an endless call does not fill the memory
		}
		e, err := parseProposed(f.bytes)
		if err != nil {
			return err
		}
		r.events = append(r.events, e)
		return nil
	default:
		return status.Error(codes.InvalidArgument, "append: options must come first, once")
	}
}

func (r *appendRequest) setOptions(body []byte) error {
	var o streams.AppendReq_Options
	if err := proto.Unmarshal(body, &o); err != nil {
		return status.Errorf(codes.InvalidArgument, "append: options: %v", err)
	}
	r.hasOptions = true
	r.stream = string(o.GetStreamIdentifier().GetStreamName())
	var err error
	switch v := o.GetExpectedStreamRevision().(type) {
	case *streams.AppendReq_Options_Revision:
		r.expected, err = revisionExpected(v.Revision)
	case *streams.AppendReq_Options_NoStream:
		r.expected = store.NoStream
	case *streams.AppendReq_Options_StreamExists:
		r.expected = store.StreamExists
	case *streams.AppendReq_Options_Any:
		r.expected = store.Any
	default:
		err = status.Error(codes.InvalidArgument, "append: expected revision is missing")
	}
	return err
}

// parseProposed parses a ProposedMessage. The event's data and metadata point into it.
func parseProposed(b []byte) (store.Event, error) {
	var e store.Event
	var hasID, hasType, hasContentType bool
	malformed := status.Error(codes.InvalidArgument, "append: event is malformed")
	for len(b) > 0 {
		f, rest, ok := nextField(b)
		if !ok {
			return e, malformed
		}
		if b = rest; f.typ != protowire.BytesType {
			continue
		}
		switch f.number {
		case fieldProposedID:
			id, err := store.ParseUUID(f.bytes)
			if err != nil {
				return e, status.Errorf(codes.InvalidArgument, "append: %v", err)
			}
			e.ID, hasID = id, true
		case fieldProposedSystem:
			key, v, ok := parseMapEntry(f.bytes)
			if !ok {
				return e, malformed
			}
			switch string(key) {
			case keyType:
				e.Type, hasType = string(v), true
			case keyContentType:
				e.JSON, hasContentType = string(v) == contentTypeJSON, true
			}
		case fieldProposedMetadata:
			e.Metadata = f.bytes
		case fieldProposedData:
			e.Data = f.bytes
		}
	}
	switch {
	case !hasID || e.ID == uuid.Nil:
		return e, status.Error(codes.InvalidArgument, "append: event ID is missing")
	case !hasType:
		return e, missingSystemMetadata(keyType)
	case !hasContentType:
		return e, missingSystemMetadata(keyContentType)
	}
	return e, nil
}

func parseMapEntry(b []byte) (key, value []byte, ok bool) {
	for len(b) > 0 {
		f, rest, ok := nextField(b)
		switch {
		case !ok:
			return nil, nil, false
		case f.is(fieldMapKey, protowire.BytesType):
			key = f.bytes
		case f.is(fieldMapValue, protowire.BytesType):
			value = f.bytes
		}
		b = rest
	}
	return key, value, true
}
