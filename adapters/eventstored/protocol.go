package eventstored

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// Keys of an event's system metadata, and the content type that means JSON.
const (
	keyType         = "type"
	keyContentType  = "content-type"
	contentTypeJSON = "application/json"
)

func structuredUUID(id uuid.UUID) *shared.UUID {
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
		MostSignificantBits:  int64(binary.BigEndian.Uint64(id[:8])),
		LeastSignificantBits: int64(binary.BigEndian.Uint64(id[8:])),
	}}}
}

func stringUUID(id uuid.UUID) *shared.UUID {
	return &shared.UUID{Value: &shared.UUID_String_{String_: id.String()}}
}

func parseUUID(u *shared.UUID) (uuid.UUID, error) {
	switch v := u.GetValue().(type) {
	case *shared.UUID_Structured_:
		var id uuid.UUID
		binary.BigEndian.PutUint64(id[:8], uint64(v.Structured.GetMostSignificantBits()))
		binary.BigEndian.PutUint64(id[8:], uint64(v.Structured.GetLeastSignificantBits()))
		return id, nil
	case *shared.UUID_String_:
		id, err := uuid.Parse(v.String_)
		if err != nil {
			return uuid.Nil, status.Errorf(codes.InvalidArgument, "event id: %v", err)
		}
		return id, nil
	default:
		return uuid.Nil, status.Error(codes.InvalidArgument, "event ID is missing")
	}
}

// revisionExpected turns an encoded revision into an expectation.
func revisionExpected(revision uint64) (store.Expected, error) {
	if revision > math.MaxInt64 {
		return 0, status.Errorf(codes.InvalidArgument, "expected revision %d is too large", revision)
	}
	return store.Expected(revision), nil
}

func deleteExpected(o *streams.DeleteReq_Options) (store.Expected, error) {
	switch v := o.GetExpectedStreamRevision().(type) {
	case *streams.DeleteReq_Options_Revision:
		return revisionExpected(v.Revision)
	case *streams.DeleteReq_Options_NoStream:
		return store.NoStream, nil
	case *streams.DeleteReq_Options_StreamExists:
		return store.StreamExists, nil
	case *streams.DeleteReq_Options_Any:
		return store.Any, nil
	default:
		return 0, status.Error(codes.InvalidArgument, "expected revision is missing")
	}
}

func tombstoneExpected(o *streams.TombstoneReq_Options) (store.Expected, error) {
	switch v := o.GetExpectedStreamRevision().(type) {
	case *streams.TombstoneReq_Options_Revision:
		return revisionExpected(v.Revision)
	case *streams.TombstoneReq_Options_NoStream:
		return store.NoStream, nil
	case *streams.TombstoneReq_Options_StreamExists:
		return store.StreamExists, nil
	case *streams.TombstoneReq_Options_Any:
		return store.Any, nil
	default:
		return 0, status.Error(codes.InvalidArgument, "expected revision is missing")
	}
}

func missingSystemMetadata(key string) error {
	return status.Error(codes.InvalidArgument, fmt.Sprintf("required metadata %q is missing", key))
}

// wireField is a field of an encoded message: a number or bytes, depending on its type.
type wireField struct {
	number protowire.Number
	typ    protowire.Type
	varint uint64
	bytes  []byte
}

func (f *wireField) is(number protowire.Number, typ protowire.Type) bool {
	return f.number == number && f.typ == typ
}

// nextField removes the first field from an encoded message. It returns false if the
// message is malformed.
func nextField(b []byte) (f wireField, rest []byte, ok bool) {
	number, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return f, nil, false
	}
	b = b[n:]
	f.number, f.typ = number, typ
	switch typ {
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(b)
	case protowire.VarintType:
		f.varint, n = protowire.ConsumeVarint(b)
	default:
		n = protowire.ConsumeFieldValue(number, typ, b)
	}
	if n < 0 {
		return f, nil, false
	}
	return f, b[n:], true
}
