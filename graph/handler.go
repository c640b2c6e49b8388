package graph

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/domain"
)

// Handler serves the API.
type Handler struct {
	resolver *Resolver
	server   http.Handler
	failures *failures
	watches  *watches
	seats    seats
	sockets  socketCount

	slowAfter time.Duration

	ctx      context.Context //nolint:containedctx // ends with Close, for streams and the feed
	cancel   context.CancelFunc
	watching sync.WaitGroup
	mu       sync.Mutex
	closed   bool
	requests sync.WaitGroup // the open streams
}

// New returns the API and starts to follow the event log for its subscriptions. The
// caller must close the Handler. Work that outlives a request uses the values of ctx.
func New(ctx context.Context, opts Options) *Handler {
	opts.Logger = cmp.Or(opts.Logger, slog.New(slog.DiscardHandler))
	present := errorPresenter{logger: opts.Logger, ids: opts.IDs}
	r := &Resolver{
		opts: opts, errors: present,
	}
	h := &Handler{resolver: r, failures: newFailures(opts.Clock), watches: newWatches(), slowAfter: cmp.Or(opts.SlowAfter, defaultSlowAfter)}
	h.ctx, h.cancel = context.WithCancel(ctx)
	turns := newCatchUps()
	r.feed = newFeed(h.ctx, opts.Log, opts.Logger, messageTopic, turns)
	r.alertFeed, r.transitions = newFeed(h.ctx, opts.Log, opts.Logger, alertTopic, turns), newTransitions(h.ctx, opts.Queries.FindAlertAt)
	r.inboundFeed = newFeed(h.ctx, opts.Log, opts.Logger, inboundTopic, turns)
	r.figures = newFigures(h.ctx, opts.Queries.Metrics, opts.Clock)
	h.server = h.newServer(NewExecutableSchema(Config{
		Resolvers: r, Directives: DirectiveRoot{HasScope: hasScope},
	}))
	h.watching.Go(func() { h.watches.run(h.ctx, cmp.Or(opts.Recheck, defaultRecheck)) })
	return h
}

func (h *Handler) newServer(schema graphqlSchema) http.Handler {
	limit := int64(maxBody)
	s := handler.New(schema)
	s.AddTransport(transport.Websocket{
		Implementation:   sockets{},
		InitFunc:         h.initSocket,
		InitTimeout:      initTimeout,
		PingPongInterval: keepAlive,
		PayloadReadLimit: &limit,
	})
	s.AddTransport(transport.SSE{KeepAlivePingInterval: keepAlive})
	s.AddTransport(transport.POST{})
	documents := newDocuments()
	s.Use(documents)
	s.SetQueryCache(documents)
	s.SetValidationRulesFn(validation)
	s.SetParserTokenLimit(maxTokens)
	s.SetErrorPresenter(h.resolver.errors.present)
	s.SetRecoverFunc(recovered)
	s.AroundFields(markResolverErrors)
	s.AroundFields(checkArguments)
	s.AroundOperations(noteOperation)
	s.AroundOperations(onlySubscribeByGet)
	s.AroundOperations(onlySubscribeByStream)
	s.AroundOperations(limitTime)
	s.AroundOperations(h.countSubscriptions)
	s.AroundOperations(reportEnd)
	s.AroundResponses(noteErrors)
	s.AroundResponses(boundErrors)
	s.AroundOperations(h.resolver.recordReads)
	s.AroundOperations(h.resolver.traceMutation)
	s.Use(extension.Introspection{})
	s.Use(exactVariables{schema.Schema()})
	s.Use(costLimit{weights()})
	return s
}

// Close rejects new requests, ends the streams, and waits for all of them, at most
// until ctx ends.
func (h *Handler) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.requests.Wait()
		h.resolver.streams.close()
		h.resolver.feed.close()
		h.resolver.alertFeed.close()
		h.resolver.inboundFeed.close()
		h.resolver.figures.close()
		h.watching.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter counts a request. It returns false once the API is closed.
func (h *Handler) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.requests.Add(1)
	}
	return !h.closed
}

// ServeHTTP serves POST and, for subscriptions, GET as a WebSocket or for Server-Sent
// Events.
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !h.enter() {
		h.refuse(w, req, http.StatusServiceUnavailable, domain.Unavailable("Waypost is shutting down; try again when it is running"))
		return
	}
	defer h.requests.Done()
	w.Header().Set("Cache-Control", "no-store") // responses are for the holder of one key
	switch {
	case req.Header.Get("Upgrade") != "":
		h.serveSocket(w, req)
	case req.Method == http.MethodGet && accepts(req, eventStreamType):
		h.serveRequest(w, withGetAsPost(req))
	default:
		h.serveRequest(w, req)
	}
}

func (h *Handler) serveRequest(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		h.refuse(w, req, http.StatusMethodNotAllowed, domain.Invalid("", "use POST with a JSON body, or a WebSocket; GET is for Server-Sent Events"))
		return
	}
	if media, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || media != "application/json" {
		h.refuse(w, req, http.StatusUnsupportedMediaType, domain.Invalid("", "requires the header Content-Type: application/json"))
		return
	}
	c, err := h.identify(req, req.Header.Get("Authorization"), req.Header)
	if err != nil {
		h.refuse(w, req, statusOf(err), err)
		return
	}
	limit := int64(maxBody)
	if accepts(req, eventStreamType) {
		limit = maxStreamBody
	}
	body, err := readBody(w, req, limit)
	if err != nil {
		h.refuse(w, req, statusOf(err), err)
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	ctx := withCaller(req.Context(), c)
	if accepts(req, eventStreamType) {
		h.serveEvents(w, req.WithContext(ctx), c)
		return
	}
	h.server.ServeHTTP(w, req.WithContext(withRetryHint(ctx, w.Header())))
}

// readBody reads a request in the expected format. gqlgen's errors for other requests
// would repeat the body, in the response and in a log.
func readBody(w http.ResponseWriter, req *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, limit))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, &domain.Error{Code: domain.CodeTooLarge, Message: fmt.Sprintf("the request is larger than %d KiB; split it", limit>>10)}
	}
	if domain.CodeOf(err) == domain.CodeUnavailable {
		return nil, err
	}
	if err != nil {
		return nil, domain.Invalid("", "the request's body ended early")
	}
	if err := checkRequest(body); err != nil {
		return nil, err
	}
	var shape struct {
		Query         *string                    `json:"query"`
		OperationName *string                    `json:"operationName"`
		Variables     map[string]json.RawMessage `json:"variables"`
		Extensions    map[string]json.RawMessage `json:"extensions"`
	}
	if json.Unmarshal(body, &shape) != nil || shape.Query == nil {
		return nil, domain.Invalid("", "the body must be a GraphQL request: a JSON object with query, and optionally variables and operationName")
	}
	return body, checkQuery(*shape.Query)
}

func statusOf(err error) int {
	if errors.Is(err, errTooManyFailures) {
		return http.StatusTooManyRequests
	}
	switch domain.CodeOf(err) {
	case domain.CodeUnauthenticated:
		return http.StatusUnauthorized
	case domain.CodeForbidden:
		return http.StatusForbidden
	case domain.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case domain.CodeInvalidInput:
		return http.StatusBadRequest
	case domain.CodeUnavailable:
		return http.StatusServiceUnavailable
	case domain.CodeNotFound, domain.CodeConflict, domain.CodeCursorGone, domain.CodeInternal:
	}
	return http.StatusInternalServerError
}

// refuse writes the error for a request that does not reach the schema.
func (h *Handler) refuse(w http.ResponseWriter, req *http.Request, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", failuresRetryAfter)
	}
	w.WriteHeader(status)
	presented := h.resolver.errors.present(req.Context(), resolverError{err})
	_ = json.NewEncoder(w).Encode(struct { // the client may have gone
		Errors gqlerror.List `json:"errors"`
	}{gqlerror.List{presented}})
}
