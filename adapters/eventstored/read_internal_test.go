package eventstored

import (
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/protobuf/proto"
)

// plainReads returns the requests that the official client makes to read a stream.
func plainReads() []*streams.ReadReq {
	var all []*streams.ReadReq
	for _, direction := range []streams.ReadReq_Options_ReadDirection{streams.ReadReq_Options_Forwards, streams.ReadReq_Options_Backwards} {
		for _, from := range []*streams.ReadReq_Options_StreamOptions{
			{RevisionOption: &streams.ReadReq_Options_StreamOptions_Start{Start: &shared.Empty{}}},
			{RevisionOption: &streams.ReadReq_Options_StreamOptions_End{End: &shared.Empty{}}},
			{RevisionOption: &streams.ReadReq_Options_StreamOptions_Revision{Revision: 300}},
		} {
			from.StreamIdentifier = &shared.StreamIdentifier{StreamName: []byte("stream")}
			all = append(all, &streams.ReadReq{Options: &streams.ReadReq_Options{
				StreamOption:  &streams.ReadReq_Options_Stream{Stream: from},
				ReadDirection: direction,
				CountOption:   &streams.ReadReq_Options_Count{Count: 1000},
				FilterOption:  &streams.ReadReq_Options_NoFilter{NoFilter: &shared.Empty{}},
				UuidOption: &streams.ReadReq_Options_UUIDOption{
					Content: &streams.ReadReq_Options_UUIDOption_Structured{Structured: &shared.Empty{}},
				},
			}})
		}
	}
	return all
}

func encoded(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPlainReadsAreRecognised(t *testing.T) {
	for _, req := range plainReads() {
		if _, ok := parsePlainRead(encoded(t, req)); !ok {
			t.Errorf("%v is not parsed as a plain read", req)
		}
	}
}

// FuzzReadRequest checks that a request parsed as a plain read means the same to protobuf's types.
func FuzzReadRequest(f *testing.F) {
	for _, req := range plainReads() {
		f.Add(encoded(f, req))
		linked := proto.CloneOf(req)
		linked.GetOptions().ResolveLinks = true
		f.Add(encoded(f, linked))
		text := proto.CloneOf(req)
		text.GetOptions().GetUuidOption().Content = &streams.ReadReq_Options_UUIDOption_String_{String_: &shared.Empty{}}
		f.Add(encoded(f, text))
		subscribed := proto.CloneOf(req)
		subscribed.GetOptions().CountOption = &streams.ReadReq_Options_Subscription{}
		f.Add(encoded(f, subscribed))
		all := proto.CloneOf(req)
		all.GetOptions().StreamOption = &streams.ReadReq_Options_All{}
		f.Add(encoded(f, all))
		f.Add(append(encoded(f, req), encoded(f, all)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := parsePlainRead(b)
		if !ok {
			return
		}
		var req streams.ReadReq
		if err := proto.Unmarshal(b, &req); err != nil {
			t.Fatalf("protobuf rejects it: %v", err)
		}
		want, err := readRequestOf(req.GetOptions())
		if err != nil || got != want {
			t.Fatalf("read %+v, want %+v, %v", got, want, err)
		}
	})
}
