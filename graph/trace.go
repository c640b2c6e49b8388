package graph

import (
	"cmp"
	"context"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/waypost/waypost/app/trace"
)

// traceparentHeader is W3C's, by which a caller says in which span it asks.
const traceparentHeader = "Traceparent"

type traceparentKey struct{}

// traceparentOf is that of the request; empty if it has none and is not traced.
func traceparentOf(ctx context.Context) string {
	parent, _ := ctx.Value(traceparentKey{}).(string)
	return parent
}

// traceMutation follows a mutation, in the trace that its caller names. What comes of it
// goes on with that trace, also when this process traces nothing itself.
func (r *Resolver) traceMutation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	oc := graphql.GetOperationContext(ctx)
	if oc.Operation == nil || oc.Operation.Operation != ast.Mutation {
		return next(ctx)
	}
	parent := trace.Parent(oc.Headers.Get(traceparentHeader))
	ctx, span := r.opts.Trace.Begin(ctx, trace.Start{Kind: trace.Server, Name: mutationName(r.opts.Trace, oc.Operation), Parent: parent})
	if parent = cmp.Or(span.Traceparent(), parent); parent != "" {
		ctx = context.WithValue(ctx, traceparentKey{}, parent)
	}
	answer := next(ctx)
	if !span.On() {
		return answer
	}
	span.Text("graphql.operation.type", string(ast.Mutation))
	return func(ctx context.Context) *graphql.Response {
		defer span.End()
		resp := answer(ctx)
		if resp != nil && len(resp.Errors) > 0 {
			code, _ := resp.Errors[0].Extensions["code"].(string)
			span.Fail(cmp.Or(code, "the answer has errors"))
		}
		return resp
	}
}

// mutationName names it by the schema's words: those of operations and aliases are the
// caller's own.
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
