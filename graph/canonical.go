package graph

import (
	"context"
	"log/slog"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/waypost/waypost/app/request"
)

// maxNotedFields limits the fields named in a request's log line.
const maxNotedFields = 5

// noteOperation adds the requested fields to the request's log line. It uses only the
// schema's names, because the names of operations and aliases are the caller's own
// words.
func noteOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	op := graphql.GetOperationContext(ctx).Operation
	fields := make([]string, 0, maxNotedFields)
	for _, s := range op.SelectionSet {
		if f, ok := s.(*ast.Field); ok && len(fields) < maxNotedFields {
			fields = append(fields, f.Name)
		}
	}
	request.AddAttrs(ctx, slog.String("operation", string(op.Operation)), slog.Any("fields", fields))
	return next(ctx)
}

// noteErrors adds the error codes of a response to the log line.
func noteErrors(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	resp := next(ctx)
	if resp != nil && len(resp.Errors) > 0 {
		code, _ := resp.Errors[0].Extensions["code"].(string)
		request.AddAttrs(ctx, slog.Int("errors", len(resp.Errors)), slog.String("code", code))
	}
	return resp
}
