package eventstored_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/waypost/waypost/adapters/eventstored"
)

// These tests cover what clients can send or rely on although the Go client never does.

func appendOptions(stream string) *streams.AppendReq {
	return &streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
		StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte(stream)},
		ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: &shared.Empty{}},
	}}}
}

func proposedMessage(change ...func(*streams.AppendReq_ProposedMessage)) *streams.AppendReq {
	m := &streams.AppendReq_ProposedMessage{
		Id:       stringUUID(uuid.New()),
		Metadata: map[string]string{"type": "Happened", "content-type": "application/json"},
		Data:     []byte("{}"),
	}
	for _, c := range change {
		c(m)
	}
	return &streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: m}}
}

// sendAppend sends all messages of an append. The server must receive them even if it rejects the append.
func sendAppend(
	t *testing.T, c streams.StreamsClient, messages ...*streams.AppendReq,
) (_ *streams.AppendResp, trailer metadata.MD, _ error) {
	t.Helper()
	call, err := c.Append(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range messages {
		if err := call.Send(m); err != nil {
			t.Fatalf("message %d is not received: %v", i, err)
		}
	}
	resp, err := call.CloseAndRecv()
	return resp, call.Trailer(), err
}

func TestAppendsThatAreRefused(t *testing.T) {
	s := startServer(t)
	c := streams.NewStreamsClient(dial(t, s.Addr()))
	without := func(key string) *streams.AppendReq {
		return proposedMessage(func(m *streams.AppendReq_ProposedMessage) { delete(m.GetMetadata(), key) })
	}
	unexpected := appendOptions("s")
	unexpected.GetOptions().ExpectedStreamRevision = nil
	tooLate := appendOptions("s")
	tooLate.GetOptions().ExpectedStreamRevision = &streams.AppendReq_Options_Revision{Revision: math.MaxUint64}
	// This is more than flow control lets a client send to a server that does not read.
	lengthy := []*streams.AppendReq{appendOptions("$$")}
	for range 100 {
		lengthy = append(lengthy, proposedMessage(func(m *streams.AppendReq_ProposedMessage) { m.Data = make([]byte, 20_000) }))
	}
	for name, messages := range map[string][]*streams.AppendReq{
		"nothing":              nil,
		"no options":           {proposedMessage()},
		"options twice":        {appendOptions("s"), appendOptions("s")},
		"no expected revision": {unexpected, proposedMessage()},
		"revision too large":   {tooLate, proposedMessage()},
		"no type":              {appendOptions("s"), without("type")},
		"no content type":      {appendOptions("s"), without("content-type")},
		"empty type":           {appendOptions("s"), proposedMessage(func(m *streams.AppendReq_ProposedMessage) { m.GetMetadata()["type"] = "" })},
		"no id":                {appendOptions("s"), proposedMessage(func(m *streams.AppendReq_ProposedMessage) { m.Id = nil })},
		"bad id": {appendOptions("s"), proposedMessage(func(m *streams.AppendReq_ProposedMessage) {
			m.Id = &shared.UUID{Value: &shared.UUID_String_{String_: "nonsense"}}
		})},
		"bad name, many events": lengthy,
		"bad second event":      {appendOptions("s"), proposedMessage(), without("type"), proposedMessage()},
	} {
		if _, _, err := sendAppend(t, c, messages...); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got %v, want invalid argument", name, err)
		}
	}
	if _, err := readStream(t, connect(t, s.TCPURL()), "s", esdb.ReadStreamOptions{}); err == nil {
		t.Error("a part of a rejected append was written")
	}
}

// An error names its cause in trailers.
func TestRefusalsNameTheirCause(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	const gone = "gone with ümlaut"
	mustTombstone(t, c, gone, esdb.NoStream{})
	raw := streams.NewStreamsClient(dial(t, s.Addr()))
	identifier := &shared.StreamIdentifier{StreamName: []byte("s")}
	for name, tt := range map[string]struct {
		call func() (metadata.MD, error)
		code codes.Code
		want map[string]string
	}{
		"append to a tombstoned stream": {
			func() (metadata.MD, error) {
				_, trailer, err := sendAppend(t, raw, appendOptions(gone), proposedMessage())
				return trailer, err
			},
			codes.FailedPrecondition,
			map[string]string{"exception": "stream-deleted", "stream-name": gone},
		},
		"append that is too large": {
			func() (metadata.MD, error) {
				_, trailer, err := sendAppend(t, raw, appendOptions("s"),
					proposedMessage(func(m *streams.AppendReq_ProposedMessage) { m.Data = make([]byte, 1<<20+1) }))
				return trailer, err
			},
			codes.InvalidArgument,
			map[string]string{"exception": "maximum-append-size-exceeded", "maximum-append-size": "1048576"},
		},
		"read of a tombstoned stream": {
			func() (metadata.MD, error) {
				read, err := raw.Read(testContext(t), readRequest(func(o *streams.ReadReq_Options) {
					o.GetStream().StreamIdentifier = &shared.StreamIdentifier{StreamName: []byte(gone)}
				}))
				if err == nil {
					_, err = read.Recv()
				}
				return read.Trailer(), err
			},
			codes.FailedPrecondition,
			map[string]string{"exception": "stream-deleted", "stream-name": gone},
		},
		"deletion at a wrong revision": {
			func() (trailer metadata.MD, err error) {
				_, err = raw.Delete(testContext(t), &streams.DeleteReq{Options: &streams.DeleteReq_Options{
					StreamIdentifier: identifier, ExpectedStreamRevision: &streams.DeleteReq_Options_Revision{Revision: 7},
				}}, grpc.Trailer(&trailer))
				return trailer, err
			},
			codes.FailedPrecondition,
			map[string]string{
				"exception": "wrong-expected-version", "stream-name": "s", "expected-version": "7", "actual-version": "2",
			},
		},
		"tombstone at a wrong revision": {
			func() (trailer metadata.MD, err error) {
				_, err = raw.Tombstone(testContext(t), &streams.TombstoneReq{Options: &streams.TombstoneReq_Options{
					StreamIdentifier: identifier, ExpectedStreamRevision: &streams.TombstoneReq_Options_NoStream{NoStream: &shared.Empty{}},
				}}, grpc.Trailer(&trailer))
				return trailer, err
			},
			codes.FailedPrecondition,
			map[string]string{
				"exception": "wrong-expected-version", "stream-name": "s", "expected-version": "-1", "actual-version": "2",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			trailer, err := tt.call()
			if status.Code(err) != tt.code {
				t.Fatalf("got %v, want %v", err, tt.code)
			}
			for key, want := range tt.want {
				if got := trailer.Get(key); !slices.Equal(got, []string{want}) {
					t.Errorf("trailer %s: got %q, want %q", key, got, want)
				}
			}
		})
	}
}

// A wrong expected revision is reported twice: for old clients and for new ones.
func TestWrongRevisionIsToldToOldClients(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	raw := streams.NewStreamsClient(dial(t, s.Addr()))
	for _, stream := range []string{"s", "missing"} {
		options := appendOptions(stream)
		options.GetOptions().ExpectedStreamRevision = &streams.AppendReq_Options_Revision{Revision: 7}
		resp, _, err := sendAppend(t, raw, options, proposedMessage())
		if err != nil {
			t.Fatal(err)
		}
		w := resp.GetWrongExpectedVersion()
		if w.GetExpectedRevision() != 7 || w.GetExpectedRevision_20_6_0() != 7 {
			t.Errorf("%s: expected revision is reported as %v", stream, w)
		}
		missing := stream == "missing"
		if got := w.GetCurrentNoStream() != nil && w.GetNoStream_20_6_0() != nil; got != missing {
			t.Errorf("%s: no stream: %v", stream, w)
		}
		if got := w.GetCurrentRevision() == 2 && w.GetCurrentRevision_20_6_0() == 2; got == missing {
			t.Errorf("%s: current revision: %v", stream, w)
		}
	}
}

// readRequest returns a request for all events of stream s.
func readRequest(change ...func(*streams.ReadReq_Options)) *streams.ReadReq {
	o := &streams.ReadReq_Options{
		StreamOption: &streams.ReadReq_Options_Stream{Stream: &streams.ReadReq_Options_StreamOptions{
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte("s")},
			RevisionOption:   &streams.ReadReq_Options_StreamOptions_Start{Start: &shared.Empty{}},
		}},
		CountOption: &streams.ReadReq_Options_Count{Count: 10},
		UuidOption: &streams.ReadReq_Options_UUIDOption{
			Content: &streams.ReadReq_Options_UUIDOption_Structured{Structured: &shared.Empty{}},
		},
	}
	for _, c := range change {
		c(o)
	}
	return &streams.ReadReq{Options: o}
}

func ofAll(o *streams.ReadReq_Options) {
	o.StreamOption = &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{
		AllOption: &streams.ReadReq_Options_AllOptions_Start{Start: &shared.Empty{}},
	}}
}

func subscribed(o *streams.ReadReq_Options) {
	o.CountOption = &streams.ReadReq_Options_Subscription{Subscription: &streams.ReadReq_Options_SubscriptionOptions{}}
}

// filtered matches types that begin with "Wanted". The window is the server's default.
func filtered(multiplier uint32) func(*streams.ReadReq_Options) {
	return func(o *streams.ReadReq_Options) {
		o.FilterOption = &streams.ReadReq_Options_Filter{Filter: &streams.ReadReq_Options_FilterOptions{
			Filter: &streams.ReadReq_Options_FilterOptions_EventType{
				EventType: &streams.ReadReq_Options_FilterOptions_Expression{Prefix: []string{"Wanted"}},
			},
			Window:                       &streams.ReadReq_Options_FilterOptions_Count{Count: &shared.Empty{}},
			CheckpointIntervalMultiplier: multiplier,
		}}
	}
}

func TestReadsThatAreRefused(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvent("Happened"))
	raw := streams.NewStreamsClient(dial(t, s.Addr()))
	type change = func(*streams.ReadReq_Options)
	for name, changes := range map[string][]change{
		"no options":    {func(o *streams.ReadReq_Options) { o.Reset() }},
		"no id format":  {func(o *streams.ReadReq_Options) { o.UuidOption = nil }},
		"no count":      {func(o *streams.ReadReq_Options) { o.CountOption = nil }},
		"no target":     {func(o *streams.ReadReq_Options) { o.StreamOption = nil }},
		"no name":       {func(o *streams.ReadReq_Options) { o.GetStream().StreamIdentifier = nil }},
		"no revision":   {func(o *streams.ReadReq_Options) { o.GetStream().RevisionOption = nil }},
		"no position":   {ofAll, func(o *streams.ReadReq_Options) { o.GetAll().AllOption = nil }},
		"stream filter": {filtered(1)},
		"interval of 0": {ofAll, subscribed, filtered(0)},
		"no window":     {ofAll, subscribed, filtered(1), func(o *streams.ReadReq_Options) { o.GetFilter().Window = nil }},
		"no expression": {ofAll, subscribed, filtered(1), func(o *streams.ReadReq_Options) { o.GetFilter().Filter = nil }},
		"subscription backwards": {subscribed, func(o *streams.ReadReq_Options) {
			o.ReadDirection = streams.ReadReq_Options_Backwards
		}},
	} {
		read, err := raw.Read(testContext(t), readRequest(changes...))
		if err == nil {
			_, err = read.Recv()
		}
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got %v, want invalid argument", name, err)
		}
	}
}

// A filtered read of $all, which the Go client cannot request, counts matching events. It has no checkpoints, and the
// .NET client sends 0 for their interval.
func TestFilteredReadOfAll(t *testing.T) {
	s, c := start(t)
	for range 4 {
		mustAppend(t, c, "s", esdb.Any{}, newEvent("Wanted"), newEvent("Other"))
	}
	raw := streams.NewStreamsClient(dial(t, s.Addr()))
	for direction, want := range map[streams.ReadReq_Options_ReadDirection][]uint64{
		streams.ReadReq_Options_Forwards: {0, 2, 4}, streams.ReadReq_Options_Backwards: {6, 4, 2},
	} {
		read, err := raw.Read(testContext(t), readRequest(ofAll, filtered(0), func(o *streams.ReadReq_Options) {
			o.ReadDirection, o.CountOption = direction, &streams.ReadReq_Options_Count{Count: 3}
			if direction == streams.ReadReq_Options_Backwards {
				o.GetAll().AllOption = &streams.ReadReq_Options_AllOptions_End{End: &shared.Empty{}}
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for {
			resp, err := read.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, resp.GetEvent().GetEvent().GetStreamRevision())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: got %v, want %v", direction, got, want)
		}
	}
}

// If the client sets no window, a checkpoint comes every 32 considered events times the interval.
func TestCheckpointsWithoutWindow(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(150)...)
	log := positions(readAll(t, c, esdb.ReadAllOptions{From: esdb.Start{}}, everything))
	sub := openSubscription(t, s, ofAll, filtered(2))
	for _, considered := range []int{64, 128, 150} { // the last one when it goes live
		if got := receiveFrom(t, sub).GetCheckpoint().GetCommitPosition(); got != log[considered-1] {
			t.Errorf("checkpoint at %d, want %d", got, log[considered-1])
		}
	}
}

// openSubscription subscribes to stream s, unless changed, and receives the confirmation.
func openSubscription(
	t *testing.T, s *eventstored.Server, changes ...func(*streams.ReadReq_Options),
) streams.Streams_ReadClient {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	t.Cleanup(cancel)
	sub, err := streams.NewStreamsClient(dial(t, s.Addr())).Read(ctx, readRequest(append(changes, subscribed)...))
	if err != nil {
		t.Fatal(err)
	}
	if id := receiveFrom(t, sub).GetConfirmation().GetSubscriptionId(); id == "" {
		t.Fatal("the first message is not a confirmation")
	}
	return sub
}

func receiveFrom(t *testing.T, sub streams.Streams_ReadClient) *streams.ReadResp {
	t.Helper()
	resp, err := sub.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// Newer clients read from CaughtUp when and where that was. In older clients, the message has no fields.
func TestCaughtUpTellsWhenAndWhere(t *testing.T) {
	now := time.Unix(1_700_000_000, 123)
	s, c := start(t, func(o *eventstored.Options) { o.Now = func() time.Time { return now } })
	end := mustAppend(t, c, "s", esdb.NoStream{}, newEvents(3)...)
	timestamp := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(now.Unix()))
	timestamp = protowire.AppendVarint(protowire.AppendTag(timestamp, 2, protowire.VarintType), 123)
	withTimestamp := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), timestamp)

	revision := protowire.AppendVarint(protowire.AppendTag(slices.Clone(withTimestamp), 2, protowire.VarintType), 2)
	position := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), end.CommitPosition)
	position = protowire.AppendVarint(protowire.AppendTag(position, 2, protowire.VarintType), end.CommitPosition)
	for name, tt := range map[string]struct {
		change func(*streams.ReadReq_Options)
		want   []byte
	}{
		"stream":         {func(*streams.ReadReq_Options) {}, revision},
		"missing stream": {func(o *streams.ReadReq_Options) { o.GetStream().StreamIdentifier.StreamName = []byte("no") }, withTimestamp},
		"$all":           {ofAll, protowire.AppendBytes(protowire.AppendTag(slices.Clone(withTimestamp), 3, protowire.BytesType), position)},
	} {
		sub := openSubscription(t, s, tt.change)
		resp := receiveFrom(t, sub)
		for resp.GetCaughtUp() == nil {
			resp = receiveFrom(t, sub)
		}
		if got := resp.GetCaughtUp().ProtoReflect().GetUnknown(); !bytes.Equal(got, tt.want) {
			t.Errorf("%s: got %x, want %x", name, got, tt.want)
		}
	}
}

// Deletions write the same events as in EventStoreDB.
func TestDeletionsInTheLog(t *testing.T) {
	_, c := start(t)
	mustAppend(t, c, "soft", esdb.NoStream{}, newEvent("Happened"))
	mustDelete(t, c, "soft", esdb.Any{})
	mustTombstone(t, c, "hard", esdb.NoStream{})
	newest := readAll(t, c, esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}, 2)
	hard, soft := newest[0].Event, newest[1].Event
	if soft.StreamID != "$$soft" || soft.EventType != "$metadata" || string(soft.Data) != fmt.Sprintf(`{"$tb":%d}`, math.MaxInt64) {
		t.Errorf("soft deletion is %s in %s with %s", soft.EventType, soft.StreamID, soft.Data)
	}
	if hard.StreamID != "hard" || hard.EventType != "$streamDeleted" || hard.EventNumber != math.MaxInt64 {
		t.Errorf("hard deletion is %s in %s at %d", hard.EventType, hard.StreamID, hard.EventNumber)
	}
}

// Clients ping every 10 s, even when idle. With gRPC's defaults, the third such ping would end the connection.
func TestPingsAreWelcome(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	conn, err := (&net.Dialer{}).DialContext(testContext(t), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	pace := time.NewTicker(1100 * time.Millisecond) // the server allows one ping per second
	defer pace.Stop()
	for i := range 5 {
		if i > 0 {
			<-pace.C
		}
		if err := framer.WritePing(false, [8]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		for answered := false; !answered; {
			frame, err := framer.ReadFrame()
			if err != nil {
				t.Fatalf("ping %d: %v", i, err)
			}
			switch f := frame.(type) {
			case *http2.GoAwayFrame:
				t.Fatalf("ping %d ends the connection: %s", i, f.DebugData())
			case *http2.PingFrame:
				answered = f.IsAck() && f.Data[0] == byte(i)
			}
		}
	}
}
