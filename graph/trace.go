package graph

import (
	"cmp"
	"context"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/waypost/waypost/app/trace"
)

// traceparentHeader is W3C's header with the caller's span.
const traceparentHeader = "Traceparent"

type traceparentKey struct{}

// traceparentOf returns the request's traceparent, or "" if it has none and is not
// traced.
func traceparentOf(ctx context.Context) string {
	parent, _ := ctx.Value(traceparentKey{}).(string)
	return parent
}

// traceMutation traces a mutation, in the trace that its caller names. Its effects
// continue in that trace, even if this process does not trace.
func (r *Resolver) traceMutation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	oc := graphql.GetOperationContext(ctx)
	if oc.Operation == nil || oc.Operation.Operation != ast.Mutation {
		return next(ctx)
	}
	parent := trace.ParseTraceparent(oc.Headers.Get(traceparentHeader))
	ctx, span := r.opts.Trace.Begin(ctx, trace.Start{Kind: trace.Server, Name: mutationName(r.opts.Trace, oc.Operation), Parent: parent})
	if parent = cmp.Or(span.Traceparent(), parent); parent != "" {
		ctx = context.WithValue(ctx, traceparentKey{}, parent)
	}
	answer := next(ctx)
	if !span.IsRecording() {
		return answer
	}
	span.SetString("graphql.operation.type", string(ast.Mutation))
	return func(ctx context.Context) *graphql.Response {
		defer span.End()
		resp := answer(ctx)
		if resp != nil && len(resp.Errors) > 0 {
			code, _ := resp.Errors[0].Extensions["code"].(string)
			span.SetError(cmp.Or(code, "the response has errors"))
		}
		return resp
	}
}

// mutationName returns a name in the schema's words, because the names of operations
// and aliases are the caller's own.
func mutationName(t *trace.Tracer, op *ast.OperationDefinition) string {
	if t == nil {
		return ""
	}
	name := strings.Builder{}
	name.WriteString(string(ast.Mutation))
	for i, s := range op.SelectionSet {
		if f, ok := s.(*ast.Field); ok && i < maxNotedFields {
			name.WriteString(" " + f.Name)
		}
	}
	return name.String()
}
