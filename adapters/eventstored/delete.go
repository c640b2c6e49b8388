package eventstored

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Delete hides a stream until it is written again.
func (s *streamsService) Delete(ctx context.Context, req *streams.DeleteReq) (*streams.DeleteResp, error) {
	o := req.GetOptions()
	expected, err := deleteExpected(o)
	if err != nil {
		return nil, err
	}
	written, err := s.store.Delete(ctx, string(o.GetStreamIdentifier().GetStreamName()), expected)
	if err != nil {
		return nil, refuse(unaryTrailer{ctx, s.server}, err)
	}
	return &streams.DeleteResp{PositionOption: &streams.DeleteResp_Position_{Position: &streams.DeleteResp_Position{
		CommitPosition: written.Position, PreparePosition: written.Position,
	}}}, nil
}

// Tombstone permanently deletes a stream.
func (s *streamsService) Tombstone(ctx context.Context, req *streams.TombstoneReq) (*streams.TombstoneResp, error) {
	o := req.GetOptions()
	expected, err := tombstoneExpected(o)
	if err != nil {
		return nil, err
	}
	written, err := s.store.Tombstone(ctx, string(o.GetStreamIdentifier().GetStreamName()), expected)
	if err != nil {
		return nil, refuse(unaryTrailer{ctx, s.server}, err)
	}
	return &streams.TombstoneResp{PositionOption: &streams.TombstoneResp_Position_{Position: &streams.TombstoneResp_Position{
		CommitPosition: written.Position, PreparePosition: written.Position,
	}}}, nil
}

// unaryTrailer sets the trailers of a unary call.
type unaryTrailer struct {
	ctx    context.Context //nolint:containedctx // it is the call whose trailers are set
	server *Server
}

func (u unaryTrailer) SetTrailer(md metadata.MD) {
	if err := grpc.SetTrailer(u.ctx, md); err != nil { // only fails outside of a call
		u.server.opts.Logger.Error("event store: trailers are lost", "error", err)
	}
}
