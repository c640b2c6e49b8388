package eventstored

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// operationsService serves event_store.client.operations, the requests of an operator to a running server. The Go
// client has no types for it, so its few fields are encoded and decoded here. It rejects Shutdown, ResignNode, and
// SetNodePriority: the process that contains the server starts and ends it, and it is not part of a cluster.
type operationsService struct {
	server *Server
	groups *groupRegistry
}

// scavenges tracks the running scavenge, regardless of which client started it.
type scavenges struct {
	mu      sync.Mutex
	current *runningScavenge
}

type runningScavenge struct {
	id   string
	stop context.CancelFunc
}

// begin registers a scavenge. If one is already running, it returns that one and false.
func (s *scavenges) begin(stop context.CancelFunc) (*runningScavenge, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		return s.current, false
	}
	s.current = &runningScavenge{id: uuid.NewString(), stop: stop}
	return s.current, true
}

func (s *scavenges) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = nil
}

// stop stops the scavenge with an ID without waiting for its end. It returns false if that scavenge is not running.
func (s *scavenges) stop(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || s.current.id != id {
		return false
	}
	s.current.stop()
	return true
}

// Scavenge removes events that can no longer be read, while the server runs (see store.Store.Scavenge). A client of the
// server can stop it. In that case, the error is context.Canceled.
func (s *Server) Scavenge(ctx context.Context) (store.ScavengeReport, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if _, started := s.scavenges.begin(stop); !started {
		return store.ScavengeReport{}, store.ErrScavenging
	}
	defer s.scavenges.end()
	return s.store.Scavenge(ctx)
}

const operationsServiceName = "event_store.client.operations.Operations"

// Field numbers of StopScavengeReq and ScavengeResp, and the values of ScavengeResult.
const (
	fieldScavengeOptions = 1
	fieldScavengeID      = 1 // of StopScavengeReq.Options and ScavengeResp
	fieldScavengeResult  = 2

	scavengeStarted    = 0
	scavengeInProgress = 1
	scavengeStopped    = 2
)

const trailerScavengeID = "scavenge-id"

func operationsServiceDesc() *grpc.ServiceDesc {
	method := func(name string, serve func(*operationsService, context.Context, []byte) (rawMessage, error)) grpc.MethodDesc {
		handler := func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			var req frame
			if err := decode(&req); err != nil {
				return nil, err
			}
			handle := func(ctx context.Context, req any) (any, error) {
				return serve(srv.(*operationsService), ctx, req.(*frame).bytes) //nolint:forcetypeassert // it is registered with this service
			}
			if intercept == nil {
				return handle(ctx, &req)
			}
			return intercept(ctx, &req, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/" + operationsServiceName + "/" + name}, handle)
		}
		return grpc.MethodDesc{MethodName: name, Handler: handler}
	}
	return &grpc.ServiceDesc{
		ServiceName: operationsServiceName,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			method("StartScavenge", (*operationsService).startScavenge),
			method("StopScavenge", (*operationsService).stopScavenge),
			method("MergeIndexes", (*operationsService).mergeIndexes),
			method("RestartPersistentSubscriptions", (*operationsService).restartGroups),
		},
		Metadata: "operations.proto",
	}
}

// startScavenge starts a scavenge in the background, unless one is running. The thread count and the first chunk, which
// the request can contain, have no meaning here.
func (o *operationsService) startScavenge(ctx context.Context, _ []byte) (rawMessage, error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	run, started := o.server.scavenges.begin(stop)
	if !started {
		stop()
		return scavengeResponse(run.id, scavengeInProgress), nil
	}
	o.server.served.Go(func() {
		defer stop()
		defer o.server.scavenges.end()
		o.scavenge(ctx, run)
	})
	return scavengeResponse(run.id, scavengeStarted), nil
}

// scavenge returns when the scavenge has finished or was stopped, or when the server closes.
func (o *operationsService) scavenge(ctx context.Context, run *runningScavenge) {
	o.server.served.Go(func() {
		select {
		case <-o.server.closing:
			run.stop()
		case <-ctx.Done():
		}
	})
	logger := o.server.opts.Logger.With("scavenge", run.id)
	report, err := o.server.store.Scavenge(ctx)
	switch {
	case err == nil:
		logger.InfoContext(ctx, "scavenge done", "events", report.Events, "bytes", report.Bytes)
	case errors.Is(err, context.Canceled), errors.Is(err, store.ErrClosed):
		logger.InfoContext(ctx, "scavenge stopped", "events", report.Events, "bytes", report.Bytes)
	default:
		logger.WarnContext(ctx, "scavenge failed", "events", report.Events, "bytes", report.Bytes, "error", err)
	}
}

// stopScavenge stops the scavenge with an ID. It returns before the scavenge has ended.
func (o *operationsService) stopScavenge(ctx context.Context, req []byte) (rawMessage, error) {
	id, err := requestedScavenge(req)
	if err != nil {
		return nil, err
	}
	if !o.server.scavenges.stop(id) {
		unaryTrailer{ctx, o.server}.SetTrailer(metadata.Pairs(trailerException, "scavenge-not-found", trailerScavengeID, id))
		return nil, status.Errorf(codes.NotFound, "no scavenge with ID %q is running", id)
	}
	return scavengeResponse(id, scavengeStopped), nil
}

// mergeIndexes does nothing: the store merges its tables while it runs.
func (*operationsService) mergeIndexes(context.Context, []byte) (rawMessage, error) {
	return rawMessage{}, nil
}

func (o *operationsService) restartGroups(context.Context, []byte) (rawMessage, error) {
	if err := o.groups.restart(); err != nil {
		return nil, status.Error(codes.Internal, fmt.Sprintf("restart persistent subscriptions: %v", err))
	}
	return rawMessage{}, nil
}

// requestedScavenge parses a StopScavengeReq.
func requestedScavenge(b []byte) (id string, err error) {
	for _, number := range []protowire.Number{fieldScavengeOptions, fieldScavengeID} {
		var inner []byte
		for len(b) > 0 {
			f, rest, ok := nextField(b)
			if !ok {
				return "", status.Error(codes.InvalidArgument, "stop scavenge: request is malformed")
			}
			if b = rest; f.is(number, protowire.BytesType) {
				inner = f.bytes
			}
		}
		b = inner
	}
	return string(b), nil
}

// scavengeResponse encodes a ScavengeResp.
func scavengeResponse(id string, result uint64) rawMessage {
	out := protowire.AppendTag(nil, fieldScavengeID, protowire.BytesType)
	out = protowire.AppendString(out, id)
	out = protowire.AppendTag(out, fieldScavengeResult, protowire.VarintType)
	return protowire.AppendVarint(out, result)
}
