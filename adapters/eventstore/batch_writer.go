package eventstore

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/waypost/waypost/app/event"
)

const (
	// window is the maximum number of appends that a batchWriter has in flight. The
	// store decides them in the order in which they are sent.
	window = 200
	// batchDeadline is the store's time limit for one of them.
	batchDeadline = 30 * time.Second
	// contentTypeJSON is the official client's name for JSON.
	contentTypeJSON = "application/json"
)

// batchWriter writes events in order without waiting for each one, over the store's
// call for many appends, which the official client does not have. Exactly one goroutine
// uses it, and it must be closed.
type batchWriter struct {
	conn *grpc.ClientConn
	call streams.Streams_BatchAppendClient
	end  context.CancelCauseFunc
	ctx  context.Context //nolint:containedctx // the call's own

	slots    chan struct{}
	sent     uint64
	received sync.WaitGroup

	mu      sync.Mutex
	pending map[uint64]string // appends in flight by number, for errors
	// refused is the first rejected append among those with a response. Only the
	// receiver uses it.
	refused *batchError
}

// batchError is the store's rejection of one event.
type batchError struct {
	number uint64
	what   string
	code   code.Code
	text   string
}

func (e *batchError) Error() string {
	return fmt.Sprintf("append of %s: %s: %s", e.what, e.code, e.text)
}

func newBatchWriter(ctx context.Context, config esdb.Configuration) (*batchWriter, error) {
	conn, err := dialLeader(ctx, config)
	if err != nil {
		return nil, err
	}
	w := &batchWriter{conn: conn, slots: make(chan struct{}, window), pending: make(map[uint64]string, window)}
	w.ctx, w.end = context.WithCancelCause(ctx)
	if w.call, err = streams.NewStreamsClient(conn).BatchAppend(w.ctx); err != nil {
		w.end(err)
		return nil, errors.Join(err, conn.Close())
	}
	w.received.Go(w.receive)
	return w, nil
}

// write sends one event to be appended to its stream at its own revision, or at any
// revision if anywhere is true. An error may belong to an event sent earlier.
func (w *batchWriter) write(e *esdb.RecordedEvent, anywhere bool) error {
	select {
	case w.slots <- struct{}{}:
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
	w.sent++
	number := w.sent
	w.mu.Lock()
	w.pending[number] = fmt.Sprintf("event %d of stream %s", e.EventNumber, e.StreamID)
	w.mu.Unlock()
	expected := event.Any()
	switch {
	case anywhere:
	case e.EventNumber == 0:
		expected = event.NoStream()
	default:
		expected = event.ExactRevision(event.Revision(e.EventNumber - 1))
	}
	contentType := e.ContentType
	if contentType == "" {
		contentType = contentTypeJSON
	}
	err := w.call.Send(&streams.BatchAppendReq{
		CorrelationId: correlation(number),
		Options:       batchOptions(e.StreamID, expected, batchDeadline),
		ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{{
			Id:             structured(e.EventID),
			Metadata:       map[string]string{"type": e.EventType, "content-type": contentType},
			CustomMetadata: e.UserMetadata,
			Data:           e.Data,
		}},
		IsFinal: true,
	})
	if err != nil {
		<-w.ctx.Done() // the receiver learns why
		return context.Cause(w.ctx)
	}
	return nil
}

// flush waits until the store has responded to every append.
func (w *batchWriter) flush() error {
	for range cap(w.slots) {
		select {
		case w.slots <- struct{}{}:
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		}
	}
	for range cap(w.slots) {
		<-w.slots
	}
	return nil
}

// close abandons the appends in flight.
func (w *batchWriter) close() error {
	w.end(errClosed)
	w.received.Wait()
	return w.conn.Close()
}

func (w *batchWriter) receive() {
	for {
		answer, err := w.call.Recv()
		if err == nil {
			err = w.answered(answer)
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("the store ended the call")
		}
		if err != nil {
			w.end(err)
			return
		}
	}
}

func (w *batchWriter) answered(answer *streams.BatchAppendResp) error {
	number := uint64(answer.GetCorrelationId().GetStructured().GetLeastSignificantBits())
	w.mu.Lock()
	what, ok := w.pending[number]
	delete(w.pending, number)
	w.mu.Unlock()
	if !ok {
		return fmt.Errorf("the store responded to an append that was not sent: %s", answer.GetCorrelationId())
	}
	// The content of a stream that was deleted later doesn't matter.
	if refusal := answer.GetError(); refusal != nil && !hasDetail(refusal, (*shared.StreamDeleted)(nil)) {
		w.refuse(&batchError{number: number, what: what, code: code.Code(refusal.GetCode()), text: refusal.GetMessage()})
	}
	err := w.refusal()
	if err == nil {
		<-w.slots // flush waits for it, and must not see all appends settled before the call has ended
	}
	return err
}

func (w *batchWriter) refuse(e *batchError) {
	if w.refused == nil || e.number < w.refused.number {
		w.refused = e
	}
}

// refusal returns the first append that the store rejected, once the store has
// responded to all appends sent before it: responses come in any order, and the later
// rejections follow from the first.
func (w *batchWriter) refusal() error {
	if w.refused == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for number := range w.pending {
		if number < w.refused.number {
			return nil
		}
	}
	return w.refused
}

func correlation(number uint64) *shared.UUID {
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{LeastSignificantBits: int64(number)}}}
}

func structured(id uuid.UUID) *shared.UUID {
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
		MostSignificantBits:  int64(binary.BigEndian.Uint64(id[:8])),
		LeastSignificantBits: int64(binary.BigEndian.Uint64(id[8:])),
	}}}
}

// dialLeader connects to the only node, or to the one that the nodes report as the
// leader.
func dialLeader(ctx context.Context, config esdb.Configuration) (*grpc.ClientConn, error) {
	var seeds []string
	for _, seed := range config.GossipSeeds {
		seeds = append(seeds, seed.String())
	}
	if config.DnsDiscover {
		seeds = append(seeds, config.Address)
	}
	if len(seeds) == 0 {
		return dial(config, config.Address)
	}
	var errs []error
	for _, seed := range seeds {
		leader, err := leaderBy(ctx, config, seed)
		if err == nil {
			return dial(config, leader)
		}
		errs = append(errs, fmt.Errorf("ask %s for the leader: %w", seed, err))
	}
	return nil, errors.Join(errs...)
}

func leaderBy(ctx context.Context, config esdb.Configuration, node string) (_ string, err error) {
	conn, err := dial(config, node)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(config.GossipTimeout)*time.Second)
	defer cancel()
	info, err := gossip.NewGossipClient(conn).Read(ctx, &shared.Empty{})
	if err != nil {
		return "", err
	}
	for _, m := range info.GetMembers() {
		if m.GetIsAlive() && m.GetState() == gossip.MemberInfo_Leader {
			at := m.GetHttpEndPoint()
			return net.JoinHostPort(at.GetAddress(), strconv.FormatUint(uint64(at.GetPort()), 10)), nil
		}
	}
	return "", errors.New("it knows no leader")
}

func dial(config esdb.Configuration, address string) (*grpc.ClientConn, error) {
	target, err := dialTarget(address)
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if !config.DisableTLS {
		settings := &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            config.RootCAs,
			InsecureSkipVerify: config.SkipCertificateVerification, //nolint:gosec // only if the URL asks for it
		}
		if config.UserCertFile != "" {
			certificate, err := tls.LoadX509KeyPair(config.UserCertFile, config.UserKeyFile)
			if err != nil {
				return nil, fmt.Errorf("user's certificate: %w", err)
			}
			settings.Certificates = []tls.Certificate{certificate}
		}
		options[0] = grpc.WithTransportCredentials(credentials.NewTLS(settings))
		if config.Username != "" {
			options = append(options, grpc.WithPerRPCCredentials(basicAuth(config.Username+":"+config.Password)))
		}
	}
	return grpc.NewClient(target, options...)
}

// basicAuth is name:password.
type basicAuth string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b basicAuth) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(b))}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (basicAuth) RequireTransportSecurity() bool { return true }
