package graph

import (
	"context"
	"log/slog"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/waypost/waypost/app/request"
)

// maxNotedFields bounds the fields that a request's line names.
const maxNotedFields = 5

// noteOperation has the request's line name what was asked for: by the schema's
// names alone, since those of operations and aliases are the caller's own words.
func noteOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	op := graphql.GetOperationContext(ctx).Operation
	fields := make([]string, 0, maxNotedFields)
	for _, s := range op.SelectionSet {
		if f, ok := s.(*ast.Field); ok && len(fields) < maxNotedFields {
			fields = append(fields, f.Name)
		}
	}
	request.Note(ctx, slog.String("operation", string(op.Operation)), slog.Any("fields", fields))
	return next(ctx)
}

// noteErrors has it say how the answer failed.
func noteErrors(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	resp := next(ctx)
	if resp != nil && len(resp.Errors) > 0 {
		code, _ := resp.Errors[0].Extensions["code"].(string)
		request.Note(ctx, slog.Int("errors", len(resp.Errors)), slog.String("code", code))
	}
	return resp
}
