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

// Options configure a Server. Dir is required. Every other field has a default, which its comment names.
type Options struct {
	// Dir is the data directory. It is created if it does not exist. Only one process can use it at a time.
	Dir string
	// Addr is a TCP address to listen on, host:port, in addition to the Unix socket in Dir. With port 0, the system
	// chooses a port (see Server.Addr). If empty, only processes of the same user on this machine can reach the server,
	// through its socket.
	Addr string
	// Logger receives faults and warnings. The default is slog.Default().
	Logger *slog.Logger
	// Now returns the time that is recorded with events. The default is time.Now.
	Now func() time.Time
	// CacheBytes is the size of the block cache, 64 MiB by default. In addition, the store uses about 40 MiB for
	// memtables under load, at most 32 MiB for the newest records, and about 15 MiB for indexes.
	CacheBytes int64
	// MaxAppendBytes is the size of the largest append, at most 16 MiB. The default is 1 MiB, the limit of EventStoreDB
	// 24.
	MaxAppendBytes int
	// MinFreeBytes is the free disk space below which appends fail. The default is 128 MiB. A negative value disables
	// the check.
	MinFreeBytes int64
	// AcceptShorterLog opens the store even if acknowledged events are missing (see store.ShorterError). Those events
	// are lost.
	AcceptShorterLog bool
	// Certificate returns the certificate for TLS on Addr. It is called for each connection (see LoadCertificate).
	// Required with Addr.
	Certificate func() (*tls.Certificate, error)
	// Authenticate reports whether a user has a password (see Users). On Addr, every call must name a user, except
	// those by which clients discover the server. All users have all rights. Required with Addr.
	Authenticate func(user, password string) bool
	// Insecure opens Addr, which must be a loopback address, to every user of this machine, without TLS or users.
	Insecure bool
	// MaxConcurrentStreams limits the concurrent calls and subscriptions on one connection. The default is 100,
	// EventStoreDB's limit. Further calls wait in the client.
	MaxConcurrentStreams uint32
	// LiveBuffer, if positive, makes the server drop a live subscription with ABORTED, "Consumer too slow", when more
	// than this many events wait for it. EventStoreDB 23.10.8 does so at 32. Use it to test a client. With the default
	// of 0, a slow client reads from disk instead.
	LiveBuffer int
}

const (
	defaultMaxConcurrentStreams = 100
	// maxMessageBytes is greater than the largest append: EventStoreDB accepts 16 MiB, its clients send at most 17.
	maxMessageBytes = 17 << 20
	// minKeepalive allows the pings of clients, which come every 10 s even without calls. grpc-go's default of 5 min
	// would end their connections.
	minKeepalive = time.Second
	// streamWorkers is the number of goroutines that handle calls on stacks that have already grown: as many as one
	// client can have in progress, because appends wait for the disk at the same time. Further calls get their own
	// goroutines. Measured: 5–10% less CPU than with 16.
	streamWorkers = 128
	// streamWindow and connWindow limit what a client can send before it is read: on one call, and on the connection.
	// Fixed sizes avoid the pings by which gRPC would estimate better ones.
	streamWindow = 1 << 20
	connWindow   = 4 << 20
	// maxGrace limits how long Close waits for clients to receive pending responses.
	maxGrace = 3 * time.Second
)

// Server is a running event store.
type Server struct {
	opts      Options
	store     *store.Store
	listener  net.Listener // nil without Addr
	sockets   *sockets
	grpc      *grpc.Server
	operator  *operatorService
	scavenges scavenges
	// closing is closed when the server begins to close. Open streams end then.
	closing  chan struct{}
	served   sync.WaitGroup
	errs     chan error
	once     sync.Once
	closeErr error
}

// Open opens the store in opts.Dir and listens on a Unix socket there and on opts.Addr. When it returns, clients can
// connect. Its errors are one line each and wrap store.ErrLocked, store.ErrDiskFull, store.ErrCorrupted,
// ErrUnprotected, or syscall.EADDRINUSE if that is the cause.
func Open(ctx context.Context, opts Options) (_ *Server, err error) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.MaxConcurrentStreams == 0 {
		opts.MaxConcurrentStreams = defaultMaxConcurrentStreams
	}
	s := &Server{closing: make(chan struct{}), errs: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.abandon(ctx))
		}
	}()
	if opts.Addr != "" {
		if s.listener, err = listen(ctx, opts); err != nil {
			return nil, err
		}
	}
	s.store, err = store.Open(store.Options{
		Dir:            opts.Dir,
		Logger:         opts.Logger,
		Now:            opts.Now,
		CacheBytes:     opts.CacheBytes,
		MaxAppendBytes: min(opts.MaxAppendBytes, maxMessageBytes-1<<20),
		MinFreeBytes:   opts.MinFreeBytes,
		AcceptShorter:  opts.AcceptShorterLog,
	})
	if err != nil {
		return nil, err
	}
	s.opts = opts
	groups, err := newGroupRegistry(ctx, s.store, opts.Logger, opts.Now)
	if err != nil {
		return nil, fmt.Errorf("event store: %w", err)
	}
	if s.sockets, err = openSockets(opts.Dir); err != nil { // the store's lock is held, so no other process uses them
		return nil, err
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
	s.grpc.RegisterService(streamsServiceDesc(), &streamsService{server: s, store: s.store})
	persistent.RegisterPersistentSubscriptionsServer(s.grpc, &persistentService{server: s, groups: groups})
	s.grpc.RegisterService(operationsServiceDesc(), &operationsService{server: s, groups: groups})
	serverfeatures.RegisterServerFeaturesServer(s.grpc, featuresService{})
	gossip.RegisterGossipServer(s.grpc, gossipService{server: s})
	s.serveOperator(ctx)
	for _, l := range []net.Listener{s.sockets.grpc, s.listener} {
		if l != nil {
			s.served.Go(func() { s.serve(l) })
		}
	}
	s.served.Go(s.watchStore)
	return s, nil
}

// listen listens on the TCP address if it is protected.
func listen(ctx context.Context, opts Options) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", opts.Addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("event store: address %s is in use by another program; choose another one: %w", opts.Addr, err)
	}
	if err != nil {
		return nil, fmt.Errorf("event store: cannot listen on %q: %w", opts.Addr, err)
	}
	if err := opts.checkProtection(listener.Addr()); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// abandon closes everything that a failed Open has opened.
func (s *Server) abandon(ctx context.Context) error {
	var errs []error
	if s.listener != nil {
		errs = append(errs, s.listener.Close())
	}
	if s.sockets != nil {
		errs = append(errs, s.sockets.close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close(ctx))
	}
	return errors.Join(errs...)
}

func (s *Server) serve(l net.Listener) {
	if err := s.grpc.Serve(l); err != nil {
		s.report(fmt.Errorf("event store on %s: %w", l.Addr(), err))
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
	default: // an earlier fault has already been reported
	}
}

// Addr returns the TCP address that the server listens on, host:port, or "" if Options contain none.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// URL returns the connection string for processes of this user on this machine, which connect to the server's Unix
// socket: esdb+unix:///path. Package adapters/eventstore understands it. EventStoreDB's own clients do not.
func (s *Server) URL() string { return s.sockets.url() }

// TCPURL returns the connection string for EventStoreDB's clients on this machine: esdb://host:port?tls=true. If the
// server has users, add one: esdb://name:password@host:port?tls=true. It is empty without a TCP address.
func (s *Server) TCPURL() string {
	addr := s.Addr()
	if addr == "" {
		return ""
	}
	if host, port, err := net.SplitHostPort(addr); err == nil && net.ParseIP(host).IsUnspecified() {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return fmt.Sprintf("esdb://%s?tls=%t", addr, s.opts.Certificate != nil)
}

// Err returns a channel that delivers the first fault that the server cannot recover from at run time, for example a
// disk failure. From then on, appends fail with Unavailable. Reads may still work. The owner should call Close and end
// the process.
func (s *Server) Err() <-chan error { return s.errs }

// Store returns the engine, for an event log in this process. The server closes it.
func (s *Server) Store() *store.Store { return s.store }

// Stats returns the counters of the store. It costs a few atomic loads.
func (s *Server) Stats() store.Stats { return s.store.Stats() }

// Room returns nil while appends are accepted. Otherwise it returns an error that reports the free space.
func (s *Server) Room() error { return s.store.Room() }

// Shorter returns what was missing when the server was opened with AcceptShorterLog, or nil if nothing was.
func (s *Server) Shorter() *store.ShorterError { return s.store.Shorter() }

// Backup writes a consistent copy of the data to a directory, which must not exist, while the server runs.
func (s *Server) Backup(to string) error { return s.store.Backup(to) }

// Close ends open streams with Unavailable, sends the responses of appends in progress, and closes the data. It takes
// at most until ctx ends, or 3 s for clients that do not receive. It can be called more than once.
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
	return errors.Join(err, s.sockets.close(), s.store.Close(ctx))
}

func (s *Server) maxAppendBytes() int { return s.store.MaxAppendBytes() }
