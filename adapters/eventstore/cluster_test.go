package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/app/event"
)

// deposed is a cluster node that is still the leader in its own gossip, until it rejects the first append.
type deposed struct {
	own, leader string
	refused     atomic.Int64
}

type (
	deposedGossip struct {
		gossip.UnimplementedGossipServer
		*deposed
	}
	deposedStreams struct {
		streams.UnimplementedStreamsServer
		*deposed
	}
)

func startDeposed(t *testing.T, leader string) *deposed {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &deposed{own: listener.Addr().String(), leader: leader}
	s := grpc.NewServer()
	gossip.RegisterGossipServer(s, deposedGossip{deposed: n})
	streams.RegisterStreamsServer(s, deposedStreams{deposed: n})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(listener)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return n
}

func (n deposedGossip) Read(context.Context, *shared.Empty) (*gossip.ClusterInfo, error) {
	own, other := gossip.MemberInfo_Leader, gossip.MemberInfo_Follower
	if n.refused.Load() > 0 {
		own, other = other, own
	}
	return &gossip.ClusterInfo{Members: []*gossip.MemberInfo{member(n.own, own), member(n.leader, other)}}, nil
}

func member(addr string, state gossip.MemberInfo_VNodeState) *gossip.MemberInfo {
	host, portText, _ := net.SplitHostPort(addr)
	port, _ := strconv.ParseUint(portText, 10, 16)
	return &gossip.MemberInfo{State: state, IsAlive: true, HttpEndPoint: &gossip.EndPoint{Address: host, Port: uint32(port)}}
}

func (n deposedStreams) Append(stream streams.Streams_AppendServer) error {
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	n.refused.Add(1)
	host, port, _ := net.SplitHostPort(n.leader)
	stream.SetTrailer(metadata.Pairs("exception", "not-leader", "leader-endpoint-host", host, "leader-endpoint-port", port))
	return status.Error(codes.NotFound, "this node is not the leader")
}

// Read responds like a store with an empty log.
func (n deposedStreams) Read(*streams.ReadReq, streams.Streams_ReadServer) error { return nil }

// When a node is no longer the leader, many concurrent callers move on to the new leader, and each append is written
// once.
func TestNotLeader(t *testing.T) {
	if testing.Short() {
		// With the race detector: when an append fails, the official client reads the call's headers, and gRPC writes them at
		// the same time if the connection to the former leader is closed (EventStore-Client-Go v4.2.0, AppendToStream).
		t.Skip("the official client has a data race")
	}
	ctx := testContext(t)
	st := startStore(t)
	node := startDeposed(t, st.opts.Addr)
	// The client chooses the order in which it asks the seeds, so only one of them sends outdated gossip.
	log := openLog(t, "esdb://"+node.own+","+node.own+"?tls=false&gossipTimeout=1")
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			if done, err := log.Append(ctx, fmt.Sprintf("s-%d", n), event.NoStream(), count(n)); err != nil || done.Revision != 0 {
				t.Errorf("append %d: %+v, %v", n, done, err)
			}
		})
	}
	all.Wait()
	if node.refused.Load() == 0 {
		t.Fatal("the former leader was never asked, so this proves nothing")
	}
	seen, err := collect(ctx, openLog(t, st.url()), event.Subscription{}, func(seen []event.Recorded, b event.Batch) bool {
		return b.Live && len(seen) >= 50
	})
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, seen, 50)
}

// freezer is a proxy in front of a store that, on demand, stops passing anything on without closing connections: like a
// store that hangs or a network that loses packets.
type freezer struct {
	listener net.Listener
	target   string
	frozen   atomic.Bool
	running  sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func startFreezer(t *testing.T, target string) *freezer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &freezer{listener: listener, target: target}
	f.running.Go(f.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		f.drop()
		f.running.Wait()
	})
	return f
}

func (f *freezer) accept() {
	for {
		in, err := f.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", f.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		f.mu.Lock()
		f.conns = append(f.conns, in, out)
		f.mu.Unlock()
		f.running.Go(func() { f.pass(in, out) })
		f.running.Go(func() { f.pass(out, in) })
	}
}

// pass drops data that arrives while the proxy is frozen.
func (f *freezer) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if f.frozen.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// drop closes all connections.
func (f *freezer) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.conns = nil
}

// A store that stops responding during calls delays no caller for longer than the call timeout allows. When it responds
// again, everything resumes, each append once.
func TestStoreHangsAmidCalls(t *testing.T) {
	ctx := testContext(t)
	st := startStore(t)
	proxy := startFreezer(t, st.opts.Addr)
	log := openLog(t, "esdb://"+proxy.listener.Addr().String()+"?tls=false&gossipTimeout=1", func(o *eventstore.Options) {
		o.CallTimeout = time.Second
	})
	const writers, each = 20, 30
	var writing sync.WaitGroup
	var appended, unavailable atomic.Int64
	for w := range writers {
		writing.Go(func() {
			for n := range each {
				e := count(n)
				expected := event.NoStream()
				if n > 0 {
					expected = event.ExactRevision(event.Revision(n - 1))
				}
				var done event.Appended
				var err error
				polltest.Retry(ctx, func() bool {
					if done, err = log.Append(ctx, fmt.Sprintf("s-%d", w), expected, e); errors.Is(err, event.ErrUnavailable) {
						unavailable.Add(1)
						return false
					}
					return true
				})
				if err != nil || done.Revision != event.Revision(n) {
					t.Errorf("append %d to s-%d: %+v, %v", n, w, done, err)
					return
				}
				if appended.Add(1) == writers*each/4 {
					proxy.frozen.Store(true)
				}
			}
		})
	}
	result := make(chan []event.Recorded, 1)
	go func() {
		seen, err := collect(ctx, log, event.Subscription{}, func(seen []event.Recorded, _ event.Batch) bool { return len(seen) == writers*each })
		if err != nil {
			t.Error(err)
		}
		result <- seen
	}()
	for unavailable.Load() < 5 && ctx.Err() == nil && !t.Failed() {
		_ = log.Ping(ctx) // fails as the others do
	}
	proxy.frozen.Store(false)
	proxy.drop() // the connections cannot recover from the lost data
	writing.Wait()
	inOrder(t, <-result, writers*each)
}
