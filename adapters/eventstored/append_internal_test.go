package eventstored

import (
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// FuzzAppendRequest checks that any message of an append is parsed as protobuf's own types parse it, or rejected.
func FuzzAppendRequest(f *testing.F) {
	event := &streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
		Id:             structuredUUID(uuid.New()),
		Metadata:       map[string]string{keyType: "Happened", keyContentType: contentTypeJSON, "own": "x"},
		CustomMetadata: []byte("m"),
		Data:           []byte("{}"),
	}}}
	options := &streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
		StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte("s")},
		ExpectedStreamRevision: &streams.AppendReq_Options_Revision{Revision: 7},
	}}}
	textID := proto.Clone(event)
	textID.(*streams.AppendReq).GetProposedMessage().Id = stringUUID(uuid.New())
	for _, m := range []proto.Message{event, options, textID} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte{0x12, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := appendRequest{hasOptions: true}
		if err := r.add(b, 1<<20); err != nil || len(r.events) == 0 {
			return
		}
		var want streams.AppendReq
		if err := proto.Unmarshal(b, &want); err != nil || want.GetProposedMessage() == nil {
			return // a message with trailing parts that protobuf rejects; no client sends that
		}
		got, p := r.events[0], want.GetProposedMessage()
		if len(b) != proto.Size(&want) {
			return // duplicate or unknown fields: each parser handles them in its own way
		}
		wantEvent := store.Event{
			Type: p.GetMetadata()[keyType], JSON: p.GetMetadata()[keyContentType] == contentTypeJSON,
		}
		if got.Type != wantEvent.Type || got.JSON != wantEvent.JSON || string(got.Data) != string(p.GetData()) ||
			string(got.Metadata) != string(p.GetCustomMetadata()) {
			t.Fatalf("read %+v, want %v", got, p)
		}
	})
}
