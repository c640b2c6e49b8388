package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/request"
	"github.com/waypost/waypost/domain"
)

// resolverError marks what a resolver answered. Every other error is of a request
// that does not fit the schema: bad syntax, unknown fields, values that do not fit.
type resolverError struct{ error }

func (e resolverError) Unwrap() error { return e.error }

// markResolverErrors is the field middleware that does so.
func markResolverErrors(ctx context.Context, next graphql.Resolver) (any, error) {
	res, err := next(ctx)
	if err != nil {
		err = resolverError{err}
	}
	return res, err
}

// errorPresenter gives errors the form of the public surface.
type errorPresenter struct {
	logger *slog.Logger
	ids    command.IDs
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
	return out
}

// shown is what the caller gets to know of err.
func (p errorPresenter) shown(ctx context.Context, err error) domain.Error {
	var (
		known    *domain.Error
		schema   *gqlerror.Error
		resolver resolverError
	)
	switch {
	case errors.As(err, &known) && known.Code != domain.CodeInternal:
		return *known
	case errors.Is(err, event.ErrNoRoom):
		return domain.Error{Code: domain.CodeUnavailable, Message: "the event store's disk is full; try again when there is room"}
	case errors.Is(err, event.ErrUnavailable):
		return domain.Error{Code: domain.CodeUnavailable, Message: "the event store does not answer; try again"}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return domain.Error{Code: domain.CodeUnavailable, Message: "the request was given up; try again"}
	case errors.As(err, &schema) && !errors.As(err, &resolver):
		return domain.Error{Code: domain.CodeInvalidInput, Message: schema.Message, Field: fieldOf(schema)}
	}
	id := request.ID(ctx)
	if id == "" {
		id = p.ids().String()
	}
	p.logger.ErrorContext(ctx, "request failed", "errorId", id, "path", graphql.GetPath(ctx).String(), "error", err.Error())
	return domain.Error{Code: domain.CodeInternal, Message: "internal error " + id + "; the log has the rest under that id"}
}

// fieldOf is the place in the arguments that a schema error tells of.
func fieldOf(e *gqlerror.Error) string {
	if len(e.Path) == 0 {
		return ""
	}
	return e.Path.String()
}

// recovered turns a panic into an error that is logged and not told.
func recovered(_ context.Context, panicked any) error {
	return resolverError{fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())}
}

// inputError is err as the answer to one of many inputs.
func (p errorPresenter) inputError(ctx context.Context, err error) *InputError {
	shown := p.shown(ctx, resolverError{err})
	return &InputError{Code: string(shown.Code), Message: shown.Message, Field: given(shown.Field)}
}
