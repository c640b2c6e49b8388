package graph

import (
	"time"

	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Limits for the requests of one caller to a process. docs/security.md lists them.
// Limits for the arguments of single fields are next to these fields.
const (
	// maxBody is the maximum size of a request, or of a WebSocket message, in bytes.
	// 1000 messages with the longest text fit.
	maxBody = 4 << 20
	// maxStreamBody is the maximum size of a request whose response is a stream,
	// because its body is kept for as long as the stream lasts.
	maxStreamBody = 256 << 10

	// maxTokens limits a document while it is parsed. GraphiQL's introspection query
	// has about 400 tokens, and 1000 messages as literals have about 30,000.
	maxTokens = 100_000
	// maxSelections limits the fields of a document, counting every use of a fragment.
	maxSelections = 5_000
	// maxDepth is the maximum nesting of fields. GraphiQL's introspection query has 16
	// levels.
	maxDepth = 20
	// maxRootFields limits the fields of an operation.
	maxRootFields = 100
	// maxSameName limits how often a selection set has the same field or response name,
	// after fragments are merged. Validation compares each with every other one.
	maxSameName = 100
	// maxOperations and maxFragments limit the definitions of a document.
	maxOperations, maxFragments = 50, 200
	// maxVariables limits the variables of an operation, maxArguments the arguments and
	// the directives of a field, and maxName the bytes of every name: validation
	// searches lists of them, and compares misspelled names with all names of the
	// schema.
	maxVariables, maxArguments, maxName = 1_000, 50, 200
	// maxCost limits an operation, in the points of weights: 1000 queued messages with
	// all of their fields, or a full page of messages with content and calls.
	maxCost = 200_000
	// maxErrors limits the errors of a response.
	maxErrors = 100

	// cachedBytes limits the cached documents, and cachedDocument each of them. A
	// larger document is parsed every time.
	cachedBytes, cachedDocument = 16 << 20, 256 << 10

	// maxSubscriptions limits the subscriptions of the process: 10,000 idle ones take
	// about 300 MB with their sockets. One key, with its access tokens, has
	// maxSubscriptionsPerKey of them.
	maxSubscriptions, maxSubscriptionsPerKey = 10_000, 2_500
	// maxFigures limits the different metrics that are followed, each of which queries
	// Postgres at its interval. One key follows at most maxFiguresPerKey of them.
	maxFigures, maxFiguresPerKey = 500, 50
	// maxSockets limits the WebSockets of the process, and maxNewSockets those that
	// have not authenticated yet.
	maxSockets, maxNewSockets = 10_000, 1_000
	// maxSocketOperations limits the operations that run on one WebSocket.
	maxSocketOperations = 200

	// queryTimeout limits a query with everything that it reads, including a ledger of
	// the past.
	queryTimeout = 60 * time.Second

	defaultRecheck = 250 * time.Millisecond
	keepAlive      = 15 * time.Second
	initTimeout    = 10 * time.Second
)

// overLimit returns the error for a document that exceeds a limit. It names the limit
// and explains how to stay within it.
func overLimit(format string, args ...any) *gqlerror.Error {
	err := gqlerror.Errorf(format, args...)
	errcode.Set(err, errcode.ValidationFailed)
	return err
}
