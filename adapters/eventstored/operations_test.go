package eventstored_test

import (
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/waypost/waypost/adapters/eventstored"
)

// operationsProto returns EventStoreDB's operations.proto, reduced to the messages used here. The Go client does not
// contain it.
func operationsProto(t *testing.T) protoreflect.MessageDescriptors {
	t.Helper()
	text := func(name string, number int32) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: new(name), Number: new(number), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
	}
	of := func(f *descriptorpb.FieldDescriptorProto, kind descriptorpb.FieldDescriptorProto_Type, name string) *descriptorpb.FieldDescriptorProto {
		f.Type, f.TypeName = kind.Enum(), new(name)
		return f
	}
	values := []*descriptorpb.EnumValueDescriptorProto{}
	for i, name := range []string{"Started", "InProgress", "Stopped"} {
		values = append(values, &descriptorpb.EnumValueDescriptorProto{Name: new(name), Number: new(int32(i))})
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("operations.proto"), Package: new("event_store.client.operations"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{
			{
				Name: new("StopScavengeReq"),
				NestedType: []*descriptorpb.DescriptorProto{{
					Name: new("Options"), Field: []*descriptorpb.FieldDescriptorProto{text("scavenge_id", 1)},
				}},
				Field: []*descriptorpb.FieldDescriptorProto{of(text("options", 1), descriptorpb.FieldDescriptorProto_TYPE_MESSAGE,
					".event_store.client.operations.StopScavengeReq.Options")},
			},
			{
				Name:     new("ScavengeResp"),
				EnumType: []*descriptorpb.EnumDescriptorProto{{Name: new("ScavengeResult"), Value: values}},
				Field: []*descriptorpb.FieldDescriptorProto{
					text("scavenge_id", 1), of(text("scavenge_result", 2), descriptorpb.FieldDescriptorProto_TYPE_ENUM,
						".event_store.client.operations.ScavengeResp.ScavengeResult"),
				},
			},
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages()
}

// operationsClient calls the operations of a server.
type operationsClient struct {
	t        *testing.T
	conn     *grpc.ClientConn
	messages protoreflect.MessageDescriptors
}

func newOperationsClient(t *testing.T, s *eventstored.Server) operationsClient {
	t.Helper()
	return operationsClient{t, dial(t, s.Addr()), operationsProto(t)}
}

func (c operationsClient) call(method string, req, resp proto.Message, options ...grpc.CallOption) error {
	return c.conn.Invoke(testContext(c.t), "/event_store.client.operations.Operations/"+method, req, resp, options...)
}

// scavenge calls StartScavenge, or StopScavenge if there is an ID, and returns the ID and the name of the result.
func (c operationsClient) scavenge(id string, options ...grpc.CallOption) (scavenge, result string, err error) {
	resp := dynamicpb.NewMessage(c.messages.ByName("ScavengeResp"))
	fields := resp.Descriptor().Fields()
	if id == "" {
		err = c.call("StartScavenge", &emptypb.Empty{}, resp, options...)
	} else {
		req := dynamicpb.NewMessage(c.messages.ByName("StopScavengeReq"))
		o := req.Mutable(req.Descriptor().Fields().ByName("options")).Message()
		o.Set(o.Descriptor().Fields().ByName("scavenge_id"), protoreflect.ValueOfString(id))
		err = c.call("StopScavenge", req, resp, options...)
	}
	results := fields.ByName("scavenge_result")
	number := resp.Get(results).Enum()
	return resp.Get(fields.ByName("scavenge_id")).String(), string(results.Enum().Values().ByNumber(number).Name()), err
}

// A started scavenge runs in the background and removes what can no longer be read.
func TestStartScavenge(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvents(20)...)
	mustDelete(t, c, "s", esdb.Any{})
	mustAppend(t, c, "other", esdb.NoStream{}, newEvent("Happened"))
	before := len(readAll(t, c, esdb.ReadAllOptions{From: esdb.Start{}}, everything))
	operations := newOperationsClient(t, s)
	id, result, err := operations.scavenge("")
	if _, malformed := uuid.Parse(id); err != nil || malformed != nil || result != "Started" {
		t.Fatalf("got %q, %s, %v", id, result, err)
	}
	if !waitFor(t, func() bool {
		return len(readAll(t, c, esdb.ReadAllOptions{From: esdb.Start{}}, everything)) == before-20
	}) {
		t.Fatal("nothing is removed")
	}
	// After it has ended, there is none to stop.
	if !waitFor(t, func() bool {
		var trailer metadata.MD
		_, _, err = operations.scavenge(id, grpc.Trailer(&trailer))
		return status.Code(err) == codes.NotFound && strings.Join(trailer.Get("exception"), "") == "scavenge-not-found"
	}) {
		t.Errorf("stop: got %v, want not found", err)
	}
}

// While a scavenge is running, no other one is started, and the running one can be stopped by its ID.
func TestStopScavenge(t *testing.T) {
	s, c := start(t)
	mustAppend(t, c, "s", esdb.NoStream{}, newEvent("Happened"))
	operations := newOperationsClient(t, s)
	for {
		id, result, err := operations.scavenge("")
		if err != nil {
			t.Fatal(err)
		}
		if result != "Started" { // the previous one is still running
			continue
		}
		stopped, result, err := operations.scavenge(id)
		if status.Code(err) == codes.NotFound { // it has ended because the store is small
			continue
		}
		if err != nil || stopped != id || result != "Stopped" {
			t.Errorf("got %s, %s, %v", stopped, result, err)
		}
		return
	}
}

func TestOtherOperations(t *testing.T) {
	s, c := start(t)
	createGroup(t, c, func(*esdb.PersistentSubscriptionSettings) {})
	consumer := consume(t, c, 1)
	operations := newOperationsClient(t, s)
	for method, want := range map[string]codes.Code{
		"MergeIndexes": codes.OK, "RestartPersistentSubscriptions": codes.OK, "Shutdown": codes.Unimplemented,
	} {
		if err := operations.call(method, &emptypb.Empty{}, &emptypb.Empty{}); status.Code(err) != want {
			t.Errorf("%s: got %v, want %v", method, err, want)
		}
	}
	if e := consumer.Recv(); e.SubscriptionDropped == nil {
		t.Error("persistent subscriptions were not restarted: the consumer is still connected")
	}
}
