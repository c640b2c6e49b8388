package eventstored_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// The Go client has no call for these, but other clients do. So the tests use gRPC
// directly.
func dial(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func stringUUID(id uuid.UUID) *shared.UUID {
	return &shared.UUID{Value: &shared.UUID_String_{String_: id.String()}}
}

func batchOptions(stream string) *streams.BatchAppendReq_Options {
	return &streams.BatchAppendReq_Options{
		StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte(stream)},
		ExpectedStreamPosition: &streams.BatchAppendReq_Options_Any{Any: &emptypb.Empty{}},
		DeadlineOption:         &streams.BatchAppendReq_Options_Deadline{Deadline: durationpb.New(10 * time.Second)},
	}
}

func batchMessages(n int) []*streams.BatchAppendReq_ProposedMessage {
	messages := make([]*streams.BatchAppendReq_ProposedMessage, n)
	for i := range messages {
		messages[i] = &streams.BatchAppendReq_ProposedMessage{
			Id:       stringUUID(uuid.New()),
			Metadata: map[string]string{"type": "Happened", "content-type": "application/json"},
			Data:     []byte("{}"),
		}
	}
	return messages
}

func TestBatchAppend(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "gone", esdb.NoStream{}, newEvent("Happened"))
	mustTombstone(t, c, "gone", esdb.Any{})
	call, err := streams.NewStreamsClient(dial(t, s.Addr())).BatchAppend(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	send := func(req *streams.BatchAppendReq) {
		t.Helper()
		if err := call.Send(req); err != nil {
			t.Fatal(err)
		}
	}
	ids := map[string]uuid.UUID{}
	want := map[uuid.UUID]string{}
	begin := func(name, outcome string) *shared.UUID {
		ids[name] = uuid.New()
		want[ids[name]] = outcome
		return stringUUID(ids[name])
	}

	// Two appends whose parts are interleaved. Only the first part has options.
	one, two := begin("one", "revision 2"), begin("two", "revision 0")
	send(&streams.BatchAppendReq{CorrelationId: one, Options: batchOptions("one"), ProposedMessages: batchMessages(2)})
	send(&streams.BatchAppendReq{CorrelationId: two, Options: batchOptions("two")})
	send(&streams.BatchAppendReq{CorrelationId: one, ProposedMessages: batchMessages(1), IsFinal: true})
	send(&streams.BatchAppendReq{CorrelationId: two, ProposedMessages: batchMessages(1), IsFinal: true})

	wrong := batchOptions("never")
	wrong.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: 5}
	large := batchMessages(1)
	large[0].Data = make([]byte, 1<<20+1)
	untyped := batchMessages(1)
	delete(untyped[0].GetMetadata(), "type")
	late := batchOptions("late")
	late.DeadlineOption = &streams.BatchAppendReq_Options_Deadline{Deadline: durationpb.New(-time.Second)}
	for name, tt := range map[string]struct {
		options  *streams.BatchAppendReq_Options
		messages []*streams.BatchAppendReq_ProposedMessage
		outcome  string // code and detail
	}{
		"wrong version": {wrong, batchMessages(1), "ALREADY_EXISTS WrongExpectedVersion"},
		"tombstoned":    {batchOptions("gone"), batchMessages(1), "NOT_FOUND StreamDeleted"},
		"too large":     {batchOptions("large"), large, "INVALID_ARGUMENT MaximumAppendSizeExceeded"},
		"no type":       {batchOptions("untyped"), untyped, "INVALID_ARGUMENT BadRequest"},
		"bad name":      {batchOptions("$$"), batchMessages(1), "INVALID_ARGUMENT BadRequest"},
		"late":          {late, batchMessages(1), "DEADLINE_EXCEEDED Timeout"},
	} {
		send(&streams.BatchAppendReq{
			CorrelationId: begin(name, tt.outcome), Options: tt.options, ProposedMessages: tt.messages, IsFinal: true,
		})
	}
	// Appends to one stream are decided in the order in which they were sent.
	for i := range uint64(50) {
		o := batchOptions("ordered")
		if i > 0 {
			o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: i - 1}
		}
		send(&streams.BatchAppendReq{
			CorrelationId: begin(fmt.Sprint("ordered", i), fmt.Sprint("revision ", i)), Options: o,
			ProposedMessages: batchMessages(1), IsFinal: true,
		})
	}
	if err := call.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for {
		resp, err := call.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		id := uuid.MustParse(resp.GetCorrelationId().GetString_())
		got := fmt.Sprint("revision ", resp.GetSuccess().GetCurrentRevision())
		if e := resp.GetError(); e != nil {
			got = code.Code(e.GetCode()).String()
			for _, d := range e.GetDetails() {
				got += " " + string(d.MessageName().Name())
			}
		}
		if got != want[id] {
			t.Errorf("got %s, want %s", got, want[id])
		}
		delete(want, id)
	}
	if len(want) != 0 {
		t.Errorf("%d appends got no response", len(want))
	}
}

// Clients in other languages ask for IDs as text.
func TestReadWithTextIDs(t *testing.T) {
	s, c := start(t)
	e := newEvent("Happened")
	mustAppend(t, c, "s", esdb.NoStream{}, e)
	read, err := streams.NewStreamsClient(dial(t, s.Addr())).Read(testContext(t), readRequest(func(o *streams.ReadReq_Options) {
		o.UuidOption.Content = &streams.ReadReq_Options_UUIDOption_String_{String_: &shared.Empty{}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := read.Recv()
	if err != nil || resp.GetEvent().GetEvent().GetId().GetString_() != e.EventID.String() {
		t.Fatalf("got %v, %v", resp, err)
	}
	if _, err := read.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("got %v, want the end", err)
	}
}

func TestGossipNamesTheAddressThatWasDialled(t *testing.T) {
	s := startServer(t)
	info, err := gossip.NewGossipClient(dial(t, s.Addr())).Read(testContext(t), &shared.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	m := info.GetMembers()
	if len(m) != 1 || m[0].GetState() != gossip.MemberInfo_Leader || !m[0].GetIsAlive() ||
		fmt.Sprintf("%s:%d", m[0].GetHttpEndPoint().GetAddress(), m[0].GetHttpEndPoint().GetPort()) != s.Addr() {
		t.Fatalf("got %v", info)
	}
	// The client finds its node through it.
	c := connect(t, "esdb://"+s.Addr()+","+s.Addr()+"?tls=false")
	mustAppend(t, c, "s", esdb.NoStream{}, newEvent("Happened"))
}
