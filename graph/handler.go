package graph

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/domain"
)

// Bounds of a request.
const (
	// maxBody is in bytes: 1000 messages of the longest text fit.
	maxBody = 4 << 20
	// maxTokens bounds a document before it is parsed; the introspection query of
	// GraphiQL has some 400, and 1000 messages written out some 30,000.
	maxTokens = 100_000
	// cachedDocuments is how many parsed documents are kept.
	cachedDocuments = 500

	defaultRecheck = 250 * time.Millisecond
	keepAlive      = 15 * time.Second
	initTimeout    = 10 * time.Second
)

// Handler serves the API.
type Handler struct {
	resolver *Resolver
	server   http.Handler
	failures *failures
	watches  watches

	slowAfter time.Duration

	ctx      context.Context //nolint:containedctx // ends with Close, for streams and the feed
	cancel   context.CancelFunc
	watching sync.WaitGroup
	mu       sync.Mutex
	closed   bool
	requests sync.WaitGroup // the streams that are open
}

// New makes the API and starts to follow the log for its subscriptions. The
// Handler must be closed; ctx gives its values to what outlives a request.
func New(ctx context.Context, opts Options) *Handler {
	opts.Logger = cmp.Or(opts.Logger, slog.New(slog.DiscardHandler))
	present := errorPresenter{logger: opts.Logger, ids: opts.IDs}
	r := &Resolver{
		opts: opts, errors: present,
	}
	h := &Handler{resolver: r, failures: newFailures(opts.Clock), slowAfter: cmp.Or(opts.SlowAfter, defaultSlowAfter)}
	h.ctx, h.cancel = context.WithCancel(ctx)
	r.feed = newFeed(h.ctx, opts.Log, opts.Logger)
	h.server = h.newServer(NewExecutableSchema(Config{
		Resolvers: r, Directives: DirectiveRoot{HasScope: hasScope}, Complexity: complexities(),
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
	s.SetQueryCache(lru.New[*ast.QueryDocument](cachedDocuments))
	s.SetParserTokenLimit(maxTokens)
	s.SetErrorPresenter(h.resolver.errors.present)
	s.SetRecoverFunc(recovered)
	s.AroundFields(markResolverErrors)
	s.AroundOperations(noteOperation)
	s.AroundOperations(onlySubscribeByGet)
	s.AroundResponses(noteErrors)
	s.AroundOperations(h.resolver.recordReads)
	s.AroundOperations(h.resolver.traceMutation)
	s.Use(extension.Introspection{})
	s.Use(extension.FixedComplexityLimit(maxComplexity))
	s.Use(depthLimit(maxDepth))
	return s
}

// Close refuses new requests, ends the streams and waits for all of them, at most
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
		h.resolver.streams.Wait()
		h.resolver.feed.close()
		h.watching.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter counts a request; false once the API is closed.
func (h *Handler) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.requests.Add(1)
	}
	return !h.closed
}

// ServeHTTP serves POST and, for subscriptions, GET as a WebSocket or for
// Server-Sent Events.
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !h.enter() {
		h.refuse(w, req, http.StatusServiceUnavailable, domain.Unavailable("the platform is being stopped; try again once it runs"))
		return
	}
	defer h.requests.Done()
	w.Header().Set("Cache-Control", "no-store") // answers are for the holder of one key
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
		h.refuse(w, req, http.StatusUnsupportedMediaType, domain.Invalid("", "needs the header Content-Type: application/json"))
		return
	}
	c, err := h.identify(req.Context(), req.RemoteAddr, req.Header.Get("Authorization"), req.Header)
	if err != nil {
		h.refuse(w, req, statusOf(err), err)
		return
	}
	body, err := readBody(w, req)
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
	h.server.ServeHTTP(w, req.WithContext(ctx))
}

// readBody reads a request that has the shape of one. What gqlgen would say of
// another repeats the body, in the answer and in a log.
func readBody(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, &domain.Error{Code: domain.CodeTooLarge, Message: "the request is larger than 4 MiB; divide it"}
	}
	if err != nil {
		return nil, domain.Invalid("", "the request's body ended early")
	}
	var shape struct {
		Query         *string                    `json:"query"`
		OperationName *string                    `json:"operationName"`
		Variables     map[string]json.RawMessage `json:"variables"`
		Extensions    map[string]json.RawMessage `json:"extensions"`
	}
	if json.Unmarshal(body, &shape) != nil || shape.Query == nil {
		return nil, domain.Invalid("", "the body is no GraphQL request: a JSON object with query, and perhaps variables and operationName")
	}
	return body, nil
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

// refuse answers a request that does not reach the schema.
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
