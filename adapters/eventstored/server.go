package eventstored

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// Options configure a Server. Dir and Addr are required; every other zero value means the default that stands beside it.
type Options struct {
	// Dir is the folder of the data. It is made when it is missing; one process at a time may use it.
	Dir string
	// Addr is where to listen, host:port. Port 0 lets the system choose one; see Server.Addr.
	Addr string
	// Logger gets faults and warnings; default slog.Default().
	Logger *slog.Logger
	// Now gives the time that is recorded with events; default time.Now.
	Now func() time.Time
	// CacheBytes is the size of the block cache; default 64 MiB. Memory beside it: some 40 MiB of memtables under load,
	// at most 32 MiB of newest records, about 15 MiB of indexes.
	CacheBytes int64
	// MaxAppendBytes is the largest append; default 1 MiB, the limit of EventStoreDB 24. At most 16 MiB.
	MaxAppendBytes int
	// MinFreeBytes is the room on the disk below which appends are refused; default 128 MiB. Negative: no check.
	MinFreeBytes int64
	// Certificate gives the certificate for TLS, for each connection anew; see LoadCertificate. Without it connections are
	// open.
	Certificate func() (*tls.Certificate, error)
	// Authenticate reports whether a user has a password; see Users. With it every call but those by which clients find out
	// what the server is must name a user; all users may do everything. Without it credentials are ignored. It needs TLS.
	//
	// Only a server on a loopback address may do without TLS or without users.
	Authenticate func(user, password string) bool
	// MaxConcurrentStreams bounds the calls and subscriptions at a time on one connection; default 100, EventStoreDB's
	// limit. Further ones wait in the client.
	MaxConcurrentStreams uint32
}

const (
	defaultMaxConcurrentStreams = 100
	// maxMessageBytes is above the largest append: EventStoreDB takes 16 MiB, its clients send at most 17.
	maxMessageBytes = 17 << 20
	// minKeepalive: clients ping every 10 s, also without calls. grpc-go's default of 5 min would end their connections.
	minKeepalive = time.Second
	// streamWorkers handle calls on stacks that have grown already: as many as one client may have under way, since appends
	// wait for the disk at the same time. Further calls get goroutines of their own. Measured: 5-10 % less CPU than with 16.
	streamWorkers = 128
	// streamWindow and connWindow are what a client may send ahead of what was read: of one call, and of all. That they are
	// fixed spares the pings by which gRPC would find out how large they had better be.
	streamWindow = 1 << 20
	connWindow   = 4 << 20
	// maxGrace bounds how long Close waits for clients to take what is under way.
	maxGrace = 3 * time.Second
)

// Server is a running event store.
type Server struct {
	opts     Options
	store    *store.Store
	listener net.Listener
	grpc     *grpc.Server
	operator *operatorPort
	// closing is closed when the server begins to close: open streams end.
	closing  chan struct{}
	served   sync.WaitGroup
	errs     chan error
	once     sync.Once
	closeErr error
}

// Open opens the store in opts.Dir and listens on opts.Addr. When it returns, clients can connect. Its errors say in one
// line what is wrong: store.ErrLocked, store.ErrDiskFull, store.ErrCorrupted, ErrUnprotected and syscall.EADDRINUSE can be
// told apart.
func Open(ctx context.Context, opts Options) (*Server, error) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.MaxConcurrentStreams == 0 {
		opts.MaxConcurrentStreams = defaultMaxConcurrentStreams
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", opts.Addr)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("event store: address %s is taken by another program, choose another one: %w", opts.Addr, err)
		}
		return nil, fmt.Errorf("event store: cannot listen on %q: %w", opts.Addr, err)
	}
	if err := opts.checkProtection(listener.Addr()); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	st, err := store.Open(store.Options{
		Dir:            opts.Dir,
		Logger:         opts.Logger,
		Now:            opts.Now,
		CacheBytes:     opts.CacheBytes,
		MaxAppendBytes: min(opts.MaxAppendBytes, maxMessageBytes-1<<20),
		MinFreeBytes:   opts.MinFreeBytes,
	})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	groups, err := newGroupRegistry(ctx, st, opts.Logger, opts.Now)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("event store: %w", err), listener.Close(), st.Close(ctx))
	}
	s := &Server{
		opts:     opts,
		store:    st,
		listener: listener,
		closing:  make(chan struct{}),
		errs:     make(chan error, 1),
	}
	s.grpc = grpc.NewServer(append(s.opts.securityOptions(),
		grpc.ForceServerCodecV2(codec{}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minKeepalive, PermitWithoutStream: true}),
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxConcurrentStreams(opts.MaxConcurrentStreams),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.WaitForHandlers(true),
	)...)
	s.grpc.RegisterService(streamsServiceDesc(), &streamsService{server: s, store: st})
	persistent.RegisterPersistentSubscriptionsServer(s.grpc, &persistentService{server: s, groups: groups})
	serverfeatures.RegisterServerFeaturesServer(s.grpc, featuresService{})
	gossip.RegisterGossipServer(s.grpc, gossipService{server: s})
	if err := s.openOperatorPort(ctx); err != nil {
		return nil, errors.Join(err, listener.Close(), st.Close(ctx))
	}
	s.served.Go(s.serve)
	s.served.Go(s.watchStore)
	return s, nil
}

func (s *Server) serve() {
	if err := s.grpc.Serve(s.listener); err != nil {
		s.report(fmt.Errorf("event store on %s: %w", s.Addr(), err))
	}
}

func (s *Server) watchStore() {
	select {
	case err := <-s.store.Fault():
		s.report(err)
	case <-s.closing:
	}
}

func (s *Server) report(err error) {
	select {
	case s.errs <- err:
	default: // the owner knows of an earlier fault
	}
}

// Addr is the address the server listens on, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is the connection string for clients on this machine: esdb://host:port?tls=false, or tls=true. Where users are
// asked for, one has to be put in: esdb://name:password@host:port?tls=true.
func (s *Server) URL() string {
	addr := s.Addr()
	if host, port, err := net.SplitHostPort(addr); err == nil && net.ParseIP(host).IsUnspecified() {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return fmt.Sprintf("esdb://%s?tls=%t", addr, s.opts.Certificate != nil)
}

// Err gives the first fault at run time that the server cannot go on from, for instance a disk that failed. Appends are
// refused as Unavailable from then on, reads may still work. The owner should Close and end the process.
func (s *Server) Err() <-chan error { return s.errs }

// Stats costs a few atomic loads.
func (s *Server) Stats() store.Stats { return s.store.Stats() }

// Room is nil while appends are taken; else it says how much room there is.
func (s *Server) Room() error { return s.store.Room() }

// Backup writes a consistent copy of the data to a folder that must not exist yet, while the server runs.
func (s *Server) Backup(to string) error { return s.store.Backup(to) }

// Scavenge removes events that cannot be read any more, while the server runs; see store.Store.Scavenge.
func (s *Server) Scavenge(ctx context.Context) (store.ScavengeReport, error) {
	return s.store.Scavenge(ctx)
}

// Close ends open streams with Unavailable, lets appends under way be answered, and closes the data. It takes at most
// until ctx ends, or 3 s for clients that do not take what is sent to them. It may be called more than once.
func (s *Server) Close(ctx context.Context) error {
	s.once.Do(func() { s.closeErr = s.close(ctx) })
	return s.closeErr
}

func (s *Server) close(ctx context.Context) error {
	close(s.closing)
	grace, cancel := context.WithTimeout(ctx, maxGrace)
	defer cancel()
	graceful := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(graceful)
	}()
	select {
	case <-graceful:
	case <-grace.Done():
		s.grpc.Stop()
		<-graceful
	}
	err := s.operator.close(grace)
	s.served.Wait()
	return errors.Join(err, s.store.Close(ctx))
}

func (s *Server) maxAppendBytes() int { return s.store.MaxAppendBytes() }
