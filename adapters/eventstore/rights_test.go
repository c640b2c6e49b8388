package eventstore_test

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waypost/waypost/adapters/eventstore"
)

// restricted passes calls on to a store, except those that its user is not allowed to
// make.
type restricted struct {
	streams.UnimplementedStreamsServer

	store  streams.StreamsClient
	denied string // the name of a right
}

// startRestricted returns the URL of a store whose user lacks one right.
func startRestricted(t *testing.T, st *store, denied string) string {
	t.Helper()
	conn, err := grpc.NewClient(st.opts.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	streams.RegisterStreamsServer(s, &restricted{store: streams.NewStreamsClient(conn), denied: denied})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(listener)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
		_ = conn.Close()
	})
	return "esdb://" + listener.Addr().String() + "?tls=false&gossipTimeout=1"
}

// deny responds as EventStoreDB does.
func deny(stream grpc.ServerStream) error {
	stream.SetTrailer(metadata.Pairs("exception", "access-denied"))
	return status.Error(codes.PermissionDenied, "Access Denied")
}

func (r *restricted) Read(req *streams.ReadReq, to streams.Streams_ReadServer) error {
	right := "read a stream"
	if req.GetOptions().GetAll() != nil {
		right = "read $all"
	}
	if right == r.denied {
		return deny(to)
	}
	from, err := r.store.Read(to.Context(), req)
	if err != nil {
		return err
	}
	for {
		next, err := from.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = to.Send(next)
		}
		if err != nil {
			return err
		}
	}
}

func (r *restricted) Append(from streams.Streams_AppendServer) error {
	to, err := r.store.Append(from.Context())
	if err != nil {
		return err
	}
	right := "append to a stream"
	for {
		next, err := from.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if strings.HasPrefix(string(next.GetOptions().GetStreamIdentifier().GetStreamName()), "$$") {
			right = "write metadata of a stream"
		}
		if right == r.denied {
			continue // the client reads the rejection once it has sent everything
		}
		if err := to.Send(next); err != nil {
			return err
		}
	}
	if right == r.denied {
		return deny(from)
	}
	answer, err := to.CloseAndRecv()
	if err != nil {
		return err
	}
	return from.SendAndClose(answer)
}

// CheckRights names the right that a user lacks and how to grant it, and Open doesn't
// claim that the password is wrong. Trying the rights writes nothing.
func TestCheckRights(t *testing.T) {
	ctx := testContext(t)
	st := startStore(t)
	names := []string{"read $all", "read a stream", "append to a stream", "write metadata of a stream"}
	for _, denied := range append(names, "") {
		t.Run(denied, func(t *testing.T) {
			url := startRestricted(t, st, denied)
			rights, err := eventstore.CheckRights(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			var tried []string
			for _, r := range rights {
				tried = append(tried, r.Name)
				switch {
				case r.Name == denied && !errors.Is(r.Err, eventstore.ErrForbidden):
					t.Errorf("%s: %v, want ErrForbidden", r.Name, r.Err)
				case r.Name != denied && r.Err != nil:
					t.Errorf("%s: %v, want the right", r.Name, r.Err)
				case r.Grant == "":
					t.Errorf("%s: nothing says how to grant it", r.Name)
				}
			}
			if !slices.Equal(tried, names) {
				t.Errorf("tried %v, want %v", tried, names)
			}
			log, err := eventstore.Open(ctx, options{URL: url, Codec: newCodec(t)})
			if denied == "read $all" {
				if !errors.Is(err, eventstore.ErrForbidden) || errors.Is(err, eventstore.ErrRefused) {
					t.Errorf("open: %v, want ErrForbidden", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if end, err := log.End(ctx); err != nil || end != 0 {
				t.Errorf("after the check the log ends at %d, %v; want nothing written", end, err)
			}
			if err := log.Close(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}
