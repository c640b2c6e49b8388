package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/request"
	"github.com/waypost/waypost/domain"
)

// resolverError marks errors from resolvers. Every other error concerns a request that
// does not match the schema: invalid syntax, unknown fields, invalid values.
type resolverError struct{ error }

func (e resolverError) Unwrap() error { return e.error }

// markResolverErrors is the field middleware that marks them.
func markResolverErrors(ctx context.Context, next graphql.Resolver) (any, error) {
	res, err := next(ctx)
	if err != nil {
		err = resolverError{err}
	}
	return res, err
}

// errorPresenter converts errors to their public form.
type errorPresenter struct {
	logger *slog.Logger
	ids    event.IDs
}

func (p errorPresenter) present(ctx context.Context, err error) *gqlerror.Error {
	out := &gqlerror.Error{Path: graphql.GetPath(ctx)}
	var schema *gqlerror.Error
	if errors.As(err, &schema) {
		out.Locations, out.Rule = schema.Locations, schema.Rule
		if schema.Path != nil {
			out.Path = schema.Path
		}
	}
	shown := p.shown(ctx, err)
	out.Message = shown.Message
	out.Extensions = map[string]any{"code": string(shown.Code)}
	if shown.Field != "" {
		out.Extensions["field"] = shown.Field
	}
	if shown.MessageID != "" {
		out.Extensions["messageId"] = shown.MessageID
	}
	if s := secondsOf(shown.RetryAfter); s > 0 {
		out.Extensions["retryAfter"] = s
	}
	return out
}

// shown returns the public form of err. If err says when to repeat the request, so does the
// response of the request that ctx belongs to.
func (p errorPresenter) shown(ctx context.Context, err error) domain.Error {
	shown := p.public(ctx, err)
	hintOf(ctx).atLeast(secondsOf(shown.RetryAfter))
	return shown
}

func (p errorPresenter) public(ctx context.Context, err error) domain.Error {
	var (
		known    *domain.Error
		schema   *gqlerror.Error
		resolver resolverError
	)
	switch {
	case errors.As(err, &known) && known.Code != domain.CodeInternal:
		return *known
	case errors.Is(err, event.ErrDiskFull):
		return domain.Error{Code: domain.CodeUnavailable, Message: "the event store's disk is full; try again when there is enough space"}
	case errors.Is(err, event.ErrUnavailable):
		return domain.Error{Code: domain.CodeUnavailable, Message: "the event store does not respond; try again"}
	case tookTooLong(ctx, err):
		return domain.Error{Code: domain.CodeUnavailable, Message: "the query took too long and was cancelled; narrow its filter, or request less at a time"}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return domain.Error{Code: domain.CodeUnavailable, Message: "the request was cancelled; try again"}
	case errors.As(err, &schema) && !errors.As(err, &resolver):
		return domain.Error{Code: domain.CodeInvalidInput, Message: schema.Message, Field: fieldOf(schema)}
	}
	id := request.ID(ctx)
	if id == "" {
		id = p.ids().String()
	}
	p.logger.ErrorContext(ctx, "request failed", "errorId", id, "path", graphql.GetPath(ctx).String(), "error", err.Error())
	return domain.Error{Code: domain.CodeInternal, Message: "internal error " + id + "; the log contains details under that ID"}
}

// errQueryTimeout is the cause when the context of a query ends before its client
// leaves.
var errQueryTimeout = errors.New("the query timed out")

// tookTooLong reports whether a query was cancelled because of its timeout, here or by
// Postgres.
func tookTooLong(ctx context.Context, err error) bool {
	const queryCanceled = "57014" // Postgres's code for a statement beyond its timeout
	var sql interface{ SQLState() string }
	return errors.Is(context.Cause(ctx), errQueryTimeout) || errors.As(err, &sql) && sql.SQLState() == queryCanceled && ctx.Err() == nil
}

// limitTime cancels a query after queryTimeout.
func limitTime(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	answer := next(ctx)
	if graphql.GetOperationContext(ctx).Operation.Operation != ast.Query {
		return answer
	}
	return func(ctx context.Context) *graphql.Response {
		ctx, cancel := context.WithTimeoutCause(ctx, queryTimeout, errQueryTimeout)
		defer cancel()
		return answer(ctx)
	}
}

// fieldOf returns the path of a schema error in the arguments.
func fieldOf(e *gqlerror.Error) string {
	if len(e.Path) == 0 {
		return ""
	}
	return e.Path.String()
}

// recovered converts a panic to an error that is logged but not returned to the caller.
func recovered(_ context.Context, panicked any) error {
	return resolverError{fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())}
}

// inputError returns err as the error of one of many inputs.
func (p errorPresenter) inputError(ctx context.Context, err error) *InputError {
	shown := p.shown(ctx, resolverError{err})
	out := &InputError{Code: string(shown.Code), Message: shown.Message, Field: given(shown.Field)}
	if s := secondsOf(shown.RetryAfter); s > 0 {
		out.RetryAfter = &s
	}
	return out
}

// boundErrors removes the errors of a response beyond maxErrors, because a document can
// have one in every token.
func boundErrors(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	resp := next(ctx)
	if resp != nil && len(resp.Errors) > maxErrors {
		resp.Errors = resp.Errors[:maxErrors]
	}
	return resp
}
