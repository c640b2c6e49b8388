package eventstored

import (
	"context"
	"net"
	"strconv"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// gossipService presents the server as a cluster of one node, for clients that discover their node (esdb+discover, or
// several hosts).
type gossipService struct {
	gossip.UnimplementedGossipServer
	server *Server
}

func (g gossipService) Read(ctx context.Context, _ *shared.Empty) (*gossip.ClusterInfo, error) {
	host, portText, err := net.SplitHostPort(g.dialed(ctx))
	if err != nil {
		return nil, status.Errorf(codes.Internal, "own address: %v", err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "own address: %v", err)
	}
	return &gossip.ClusterInfo{Members: []*gossip.MemberInfo{{
		InstanceId:   structuredUUID(g.server.store.ID()),
		TimeStamp:    g.server.opts.Now().UnixNano() / 100,
		State:        gossip.MemberInfo_Leader,
		IsAlive:      true,
		HttpEndPoint: &gossip.EndPoint{Address: host, Port: uint32(port)},
	}}}, nil
}

// dialed returns the address as the client knows it. The client may have connected through a forwarded port.
func (g gossipService) dialed(ctx context.Context) string {
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		if authority := md.Get(":authority"); len(authority) == 1 {
			if _, _, err := net.SplitHostPort(authority[0]); err == nil {
				return authority[0]
			}
		}
	}
	return g.server.Addr()
}
