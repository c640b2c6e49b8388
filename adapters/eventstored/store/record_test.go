package store_test

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// A record equals what protobuf's own types would encode, and decodes to the event that it was made from.
func TestRecordIsTheWireForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := store.Event{
			ID:       uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
			Type:     rapid.String().Draw(t, "type"),
			JSON:     rapid.Bool().Draw(t, "json"),
			Data:     rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data"),
			Metadata: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "metadata"),
		}
		stream := rapid.String().Draw(t, "stream")
		revision := rapid.Int64Min(0).Draw(t, "revision")
		position := rapid.Uint64().Draw(t, "position")
		created := rapid.Int64Min(0).Draw(t, "created")
		wire := store.AppendRecord(nil, stream, revision, position, created, &e)

		var got streams.ReadResp
		if err := proto.Unmarshal(wire, &got); err != nil {
			t.Fatal(err)
		}
		most, least := int64(0), int64(0)
		for _, b := range e.ID[:8] {
			most = most<<8 | int64(b)
		}
		for _, b := range e.ID[8:] {
			least = least<<8 | int64(b)
		}
		contentType := "application/octet-stream"
		if e.JSON {
			contentType = "application/json"
		}
		want := &streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
			Event: &streams.ReadResp_ReadEvent_RecordedEvent{
				Id: &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
					MostSignificantBits: most, LeastSignificantBits: least,
				}}},
				StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)},
				StreamRevision:   uint64(revision),
				PreparePosition:  position,
				CommitPosition:   position,
				Metadata: map[string]string{
					"type": e.Type, "content-type": contentType, "created": strconv.FormatInt(created, 10),
				},
				CustomMetadata: e.Metadata,
				Data:           e.Data,
			},
			Position: &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: position},
		}}}
		if !proto.Equal(&got, want) {
			t.Fatalf("got  %v\nwant %v", &got, want)
		}
		view, err := store.Record{Position: position, Wire: wire}.View()
		if err != nil {
			t.Fatal(err)
		}
		if view.ID != e.ID || string(view.Stream) != stream || string(view.Type) != e.Type || view.JSON() != e.JSON ||
			view.Revision != revision || view.Created != created || !bytes.Equal(view.Data, e.Data) ||
			!bytes.Equal(view.Metadata, e.Metadata) {
			t.Fatalf("view %+v of %+v", view, e)
		}
		name, eventType, err := store.Record{Position: position, Wire: wire}.Names()
		if err != nil || string(name) != stream || string(eventType) != e.Type {
			t.Fatalf("names %q, %q, %v of %+v in %q", name, eventType, err, e, stream)
		}
	})
}

// Malformed records, as a damaged disk returns them, are rejected, and nothing is read beyond their end.
func FuzzRecordView(f *testing.F) {
	e := store.Event{ID: uuid.New(), Type: "T", JSON: true, Data: []byte("{}"), Metadata: []byte("m")}
	wire := store.AppendRecord(nil, "stream", 3, 1000, 17_000_000_000_000_000, &e)
	f.Add(wire)
	f.Add(wire[:len(wire)/2])
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		view, err := store.Record{Wire: b}.View()
		if err == nil && len(view.Data)+len(view.Metadata)+len(view.Stream)+len(view.Type) > len(b) {
			t.Fatalf("more in it than its %d bytes", len(b))
		}
		name, eventType, namesErr := store.Record{Wire: b}.Names()
		switch {
		case err == nil && namesErr != nil:
			t.Fatalf("no names, %v, of what has a view", namesErr)
		case len(name)+len(eventType) > len(b):
			t.Fatalf("more in its names than its %d bytes", len(b))
		}
	})
}
